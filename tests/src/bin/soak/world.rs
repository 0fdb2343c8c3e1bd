//! What runs: two Envoys, each with an upstream that counts, and the provider for both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Response;
use tests::envoy::{Envoy, Setup, Watched};
use tests::grpc::{Grpc, Reply};
use tests::upstream::{Answer, Upstream};

use crate::classes::Class;
use crate::config;
use crate::keys::Keys;
use crate::memory::Sample;
use crate::provider::provider;

/// `RateLimitResponse { overall_code: OK }`.
const OK: &[u8] = &[8, 1];
/// How many wrong answers are kept to be shown.
const SHOWN: usize = 20;

pub(crate) struct World {
    pub(crate) targets: Vec<Target>,
    pub(crate) keys: Arc<Keys>,
    /// Numbers that no two requests share.
    pub(crate) numbers: AtomicU64,
    pub(crate) over: AtomicBool,
    turn: AtomicU64,
    provider: Upstream,
    _limits: Grpc,
}

/// The configuration of a turn, of a plugin by its place.
type Configure = fn(u64, usize) -> Value;

/// An Envoy, and what is known of it.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Goes first, for it checks at its end that every VM survived.
    pub(crate) envoy: Envoy,
    pub(crate) samples: Mutex<Vec<Sample>>,
    pub(crate) verdicts: Mutex<Verdicts>,
    plugins: Vec<(Watched, Configure)>,
    upstream: Upstream,
    arrived: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// What came of the requests of each class.
#[derive(Default)]
pub(crate) struct Verdicts {
    pub(crate) statuses: BTreeMap<&'static str, BTreeMap<u16, u64>>,
    pub(crate) passed: BTreeMap<&'static str, u64>,
    pub(crate) wrong: Vec<String>,
    pub(crate) wrong_count: u64,
}

impl World {
    pub(crate) fn start() -> Self {
        let keys = Arc::new(Keys::new());
        let provider = provider(&keys);
        let limits = Grpc::answering(|_| Reply::message(OK));
        let chain = vec![(Watched::bundled("soak", "chain", &chain(0, 0)), chain as Configure)];
        let alone = config::filters(0).into_iter();
        let alone =
            alone.map(|(name, config)| (Watched::alone(name, &config), filter as Configure));
        let targets = [("a chain", chain), ("modules of their own", alone.collect())];
        let targets = targets
            .into_iter()
            .map(|(name, plugins)| Target::start(name, plugins, &provider, &limits));
        Self {
            targets: targets.collect(),
            keys,
            numbers: AtomicU64::new(1),
            over: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            provider,
            _limits: limits,
        }
    }

    /// Rotates keys, and gives every plugin its next configuration.
    pub(crate) fn change(&self) {
        self.keys.rotate();
        let turn = self.turn.fetch_add(1, Ordering::SeqCst) + 1;
        for target in &self.targets {
            for (index, (plugin, config)) in target.plugins.iter().enumerate() {
                plugin.replace(&config(turn, index));
            }
        }
    }

    /// How often the configuration was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.turn.load(Ordering::SeqCst)
    }

    /// Looks at the memory of every Envoy, and gives back ours.
    pub(crate) fn sample(&self, began: Instant) {
        self.provider.clear();
        for target in &self.targets {
            target.upstream.clear();
            let sample = Sample {
                at: began.elapsed(),
                resident: target.envoy.memory(),
                allocated: target.envoy.stat("server.memory_allocated").unwrap_or_default(),
                machines: target
                    .envoy
                    .stat("wasm.envoy.wasm.runtime.v8.active")
                    .unwrap_or_default(),
            };
            target.samples.lock().expect("not poisoned").push(sample);
        }
    }

    /// Lets the last requests arrive.
    pub(crate) fn settle(&self) {
        sleep(Duration::from_secs(2));
    }
}

fn chain(turn: u64, _: usize) -> Value {
    let filters = config::filters(turn).into_iter();
    let entries: Vec<_> = filters.map(|(name, config)| json!({name: config})).collect();
    json!({"chain": entries})
}

fn filter(turn: u64, index: usize) -> Value {
    config::filters(turn).swap_remove(index).1
}

impl Target {
    fn start(
        name: &'static str,
        plugins: Vec<(Watched, Configure)>,
        provider: &Upstream,
        limits: &Grpc,
    ) -> Self {
        let arrived = Arc::new(Mutex::new(BTreeMap::new()));
        let counts = Arc::clone(&arrived);
        let upstream = Upstream::answering(move |request| {
            let class = request.header("x-class").unwrap_or_default();
            *counts.lock().expect("not poisoned").entry(class).or_default() += 1;
            Answer::ok("ok")
        });
        let setup = Setup::new()
            .upstream(&upstream)
            .cluster("idp", Some(provider.address()))
            .cluster_of_grpc("limits", Some(limits.address()))
            // Half a million lines that nobody would read.
            .connection_manager(json!({"access_log": []}));
        let setup = plugins.iter().fold(setup, |setup, (plugin, _)| setup.native(plugin.filter()));
        Self {
            name,
            envoy: setup.start(),
            samples: Mutex::default(),
            verdicts: Mutex::default(),
            plugins,
            upstream,
            arrived,
        }
    }

    pub(crate) fn tally(&self, class: &Class, answer: &Response, is_right: bool, passed: bool) {
        let mut verdicts = self.verdicts.lock().expect("not poisoned");
        *verdicts.statuses.entry(class.name).or_default().entry(answer.status).or_default() += 1;
        *verdicts.passed.entry(class.name).or_default() += u64::from(passed);
        if !is_right {
            verdicts.wrong(format!("{}: {answer}", class.name));
        }
    }

    pub(crate) fn broken(&self, class: &Class, why: &str) {
        let mut verdicts = self.verdicts.lock().expect("not poisoned");
        verdicts.wrong(format!("{}: {why}", class.name));
    }

    /// How many requests of a class the upstream got.
    pub(crate) fn arrived(&self, class: &str) -> u64 {
        self.arrived.lock().expect("not poisoned").get(class).copied().unwrap_or_default()
    }

    /// How many changes were taken, and how many were not.
    pub(crate) fn updates(&self) -> (u64, u64) {
        let all = self.envoy.stats("extension_config_discovery");
        let of = |events: &[&str]| -> u64 {
            let ends = |name: &str| events.iter().any(|event| name.ends_with(event));
            all.iter().filter(|(name, _)| ends(name)).map(|(_, count)| count).sum()
        };
        (of(&[".update_success"]), of(&[".update_rejected", ".update_failure", ".config_fail"]))
    }

    /// How many plugins it has.
    pub(crate) fn plugins(&self) -> u64 {
        self.plugins.len() as u64
    }
}

impl Verdicts {
    pub(crate) fn all(&self) -> u64 {
        self.statuses.values().flat_map(BTreeMap::values).sum()
    }

    fn wrong(&mut self, what: String) {
        self.wrong_count += 1;
        if self.wrong.len() < SHOWN {
            self.wrong.push(what);
        }
    }
}
