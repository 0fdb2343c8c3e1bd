//! Metrics whose names are made at run time.
//!
//! 1. Proxies keep a metric for ever, and proxy-wasm gives it no labels: they are parts of its name,
//!    which `stats_tags` of the proxy take out again. `gatehouse.telemetry.requests;service=users;…`
//! 2. No value can pass for another label, or for another part of the name: what is no letter, digit,
//!    `-`, `.`, `/` or `_` is written `%XX`.
//! 3. A value of more than [`LONGEST_VALUE`] bytes is written `other`.
//! 4. How many there may be is for the filter that makes them to bound. A worker has at most
//!    [`MOST_DEFINED`]; what is beyond is not counted.

use std::cell::Cell;
use std::fmt::Write as _;

/// The longest value of a label, in bytes.
pub const LONGEST_VALUE: usize = 64;

/// How many metrics of this sort a worker defines, whatever filters ask for.
pub const MOST_DEFINED: usize = 16 * 1024;

/// What stands for the values that there is no room for.
pub const OTHER: &str = "other";

/// What a metric holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// How often there was which value.
    Histogram,
}

/// A metric: its name, and what the proxy calls it once it is defined.
#[derive(Debug)]
pub struct Metric {
    kind: Kind,
    name: String,
    id: Cell<Option<u32>>,
}

impl Metric {
    /// The metric `gatehouse.<filter>.<event>` under labels. The event and the names of the labels are
    /// the code's own words; the values may be anybody's.
    pub fn new(
        kind: Kind,
        filter: &'static str,
        event: &'static str,
        labels: &[(&'static str, &[u8])],
    ) -> Self {
        let mut name = format!("gatehouse.{filter}.{event}");
        for (label, value) in labels {
            // Writing to a string does not fail.
            let _ = write!(name, ";{label}=");
            push_value(value, &mut name);
        }
        Self { kind, name, id: Cell::new(None) }
    }

    /// What it holds.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, labels and all.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The proxy's number of it; `None` until it is defined.
    pub const fn id(&self) -> Option<u32> {
        self.id.get()
    }

    /// Notes the proxy's number of it.
    pub fn defined(&self, id: u32) {
        self.id.set(Some(id));
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }
}

impl Eq for Metric {}

fn push_value(value: &[u8], name: &mut String) {
    if value.len() > LONGEST_VALUE {
        name.push_str(OTHER);
        return;
    }
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-./_".contains(byte) {
            name.push(char::from(*byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[track_caller]
    fn check(value: &[u8], expected: &str) {
        let labels = [("service", value), ("tier", b"gold")];
        let metric = Metric::new(Kind::Counter, "telemetry", "requests", &labels);
        let expected = format!("gatehouse.telemetry.requests;service={expected};tier=gold");
        assert_eq!(metric.name(), expected);
    }

    #[test]
    fn labels_are_parts_of_the_name() {
        check(b"users", "users");
        check(b"acme.users/v1-beta_2", "acme.users/v1-beta_2");
        check(b"", "");
    }

    #[test]
    fn no_value_passes_for_another_label() {
        check(b"x;tier=free", "x%3Btier%3Dfree");
        check(b"a%3Bb", "a%253Bb");
        check(b"\"\n\xff{}", "%22%0A%FF%7B%7D");
    }

    #[test]
    fn a_long_value_is_other() {
        check(&[b'a'; LONGEST_VALUE], &"a".repeat(LONGEST_VALUE));
        check(&[b'a'; LONGEST_VALUE + 1], OTHER);
    }
}
