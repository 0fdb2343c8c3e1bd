//! What is measured: sections, their variants, and what each variant may cost.

use std::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tests::envoy::Setup;

use crate::load::Load;

/// What is sent, and the ways to set Envoy up for it; the first without a filter.
pub(crate) struct Section {
    /// What is compared with what, in a sentence or two.
    pub(crate) about: &'static str,
    pub(crate) load: Load,
    pub(crate) variants: Vec<Variant>,
    /// What start, memory and cost are against a size, rather than what they are beside Envoy's own.
    pub(crate) by_size: bool,
    /// The servers that its Envoys call.
    pub(crate) servers: Vec<Box<dyn Any>>,
}

impl Section {
    pub(crate) fn new(about: &'static str, load: Load, variants: Vec<Variant>) -> Self {
        Self { about, load, variants, by_size: false, servers: Vec::new() }
    }

    /// Keeps a server for as long as the section.
    pub(crate) fn with(mut self, server: impl Any) -> Self {
        self.servers.push(Box::new(server));
        self
    }
}

/// In how many rounds a variant is measured that has to be asked for many paths first.
pub(crate) const SEEN_ROUNDS: u32 = 3;

/// What every variant begins with: one worker, answers from Envoy itself, and no access log, as what that
/// reads of a filter's state is not the filter's cost.
pub(crate) fn bare() -> Setup {
    Setup::new().connection_manager(json!({"access_log": []})).workers(1)
}

/// Whose work a variant shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Whose {
    /// No filter.
    Nobody,
    /// A Wasm filter that does nothing useful, on the plain SDK.
    Yardstick,
    /// What Envoy has itself.
    Envoy,
    Ours,
}

/// A way to set Envoy up.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    pub(crate) targets: Vec<Target>,
    /// The statistic that it counts at every request but a few, where that shows that it did what its
    /// name says.
    pub(crate) counter: Option<String>,
    /// How many other paths it is asked for first, each once. That takes long: where there are any, it is
    /// measured in the first [`SEEN_ROUNDS`] alone.
    pub(crate) seen: u32,
    pub(crate) setup: Setup,
}

/// The most that a variant may cost, compared with another of its section.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// So many microseconds above it.
    Above(&'static str, f64),
    /// Such a part of it, both above no filter.
    PartOf(&'static str, f64),
    /// Such a part of it, both above a third: `PartAbove(it, third, most)`.
    PartAbove(&'static str, &'static str, f64),
}

impl Variant {
    /// The twin that all others of a section are compared with.
    pub(crate) fn no_filter() -> Self {
        Self::new("no filter", Whose::Nobody, bare())
    }

    /// The filter that does nothing.
    pub(crate) fn empty() -> Self {
        Self::yardstick("empty", bare().filter("empty", json!({})))
    }

    /// The calls to the proxy that no filter of ours can do without which does these things: words of
    /// `tests/modules/floor`.
    pub(crate) fn floor(setup: Setup, words: &str) -> Self {
        Self::yardstick("floor", setup.filter("floor", json!({"does": words})))
    }

    pub(crate) fn yardstick(name: &'static str, setup: Setup) -> Self {
        Self::new(name, Whose::Yardstick, setup)
    }

    pub(crate) fn envoys(name: &'static str, setup: Setup) -> Self {
        Self::new(name, Whose::Envoy, setup)
    }

    pub(crate) fn ours(name: &'static str, setup: Setup) -> Self {
        Self::new(name, Whose::Ours, setup)
    }

    const fn new(name: &'static str, whose: Whose, setup: Setup) -> Self {
        Self { name, whose, targets: Vec::new(), counter: None, seen: 0, setup }
    }

    pub(crate) fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// It counts requests in a counter of ours.
    pub(crate) fn counts(self, counter: &str) -> Self {
        self.stat(&format!("wasmcustom.gatehouse.{counter}"))
    }

    /// It counts requests in a statistic of Envoy's.
    pub(crate) fn stat(mut self, name: &str) -> Self {
        self.counter = Some(name.to_owned());
        self
    }
}
