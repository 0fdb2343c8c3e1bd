//! Names of limits for as long as the module runs: labels of counters need no less.
//!
//! Each different name is kept once, whatever the number of configurations that have it, so what is
//! kept is bounded by what was ever configured.

use std::cell::RefCell;

thread_local! {
    static NAMES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// The name, for good.
pub(crate) fn keep(name: &str) -> &'static str {
    NAMES.with_borrow_mut(|names| {
        if let Some(known) = names.iter().find(|known| **known == name) {
            return *known;
        }
        let kept: &'static str = Box::leak(Box::from(name));
        names.push(kept);
        kept
    })
}
