//! What is there without a credential, for whoever reads the log to find what should not be.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::policy::{Operation, Policy};

/// The most bytes of names in each of the two lists.
const LONGEST: usize = 1024;

/// The operations of some policies that require nothing, and those that take nobody too.
pub(crate) fn line<'p>(policies: impl Iterator<Item = &'p Policy>) -> String {
    let operations: Vec<&Operation> = policies.flat_map(|policy| &policy.operations).collect();
    let list = |is: fn(&Operation) -> bool| {
        let named = operations.iter().filter(|operation| is(operation));
        names(&named.map(|of| format!("{}.{}", of.service, of.method)).collect())
    };
    let (open, optional) = (list(Operation::is_open), list(|operation| operation.anonymous));
    format!("open by `security: none`: {open}; to nobody too by `anonymous`: {optional}")
}

fn names(names: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let comma = if text.is_empty() { "" } else { ", " };
        if text.len().saturating_add(comma.len()).saturating_add(name.len()) > LONGEST {
            let _ = write!(text, "{comma}{} more", names.len().saturating_sub(index));
            return text;
        }
        let _ = write!(text, "{comma}{name}");
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}
