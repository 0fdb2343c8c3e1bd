//! A small proxy-wasm host (ABI 0.2.1) that runs built modules under test.
//!
//! 1. It behaves as Envoy does where a filter can tell: which maps exist in which phase, what
//!    host calls return, that calls belong to the root context, that a reply is final.
//! 2. Time, random bytes and the environment are what the test says.
//! 3. Any host call can be made to fail or to answer with nonsense.
//! 4. A trap, and what Envoy would let pass to a filter's harm (a request resumed after its
//!    refusal, a second reply, a map that cannot be read), is an error.
//!
//! What it believes about Envoy is worth what the tests in the real Envoy say.
//!
//! ```no_run
//! use tests::host::{Action, Host};
//!
//! let mut host = Host::load("basic-auth").unwrap().environment(&[("REALM", "shop")]);
//! host.configure(r#"{"realm": "${REALM}"}"#).unwrap();
//! let outcome = host.request(&[(":method", "GET"), (":path", "/"), (":authority", "a")]).unwrap();
//! assert_eq!(outcome.action, Action::Pause);
//! assert_eq!(outcome.local_reply.unwrap().status, 401);
//! ```
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a host for tests: it fails at once where it is used wrongly"
)]

mod builder;
mod error;
mod exchange;
mod faults;
mod guest;
mod headers;
mod http;
mod imports;
mod module;
mod outcome;
mod services;
mod shared;
mod state;
mod wasi;

use std::collections::BTreeMap;

use wasmtime::{Instance, Module, Store, Val};

pub use error::{LoadError, NotConfigured, Trap};
pub use faults::{Corruption, When};
pub use headers::Headers;
pub use module::{exports_of, imports_of, path_of, size_of};
pub use outcome::{Action, Outcome};
pub use shared::Shared;
pub use state::{Answer, Call, Foreign, LocalReply, LogLine, Protocol};

use state::State;

/// One worker's virtual machine with one plugin in it.
pub struct Host {
    module: Module,
    store: Store<State>,
    instance: Option<Instance>,
    dead: bool,
    contexts: u32,
    /// The root context whose configuration is in force; 0 before there is one.
    root: u32,
    fuel: u64,
    /// How much fuel may be used until the next [`Self::reset`].
    most: u64,
}

impl Host {
    /// A built module: `dist/<name>.wasm`.
    pub fn load(name: &str) -> Result<Self, LoadError> {
        Self::new(module::built(name)?)
    }

    /// A module written as text (WAT), for the tests of this host.
    pub fn written(text: &str) -> Result<Self, LoadError> {
        Self::new(module::written(text)?)
    }

    fn new(module: Module) -> Result<Self, LoadError> {
        imports::link(&module)?;
        if module.get_export(ABI).is_none() {
            return Err(LoadError(format!("there is no export {ABI}")));
        }
        let state = State { now: NOON, log_level: INFO, ..State::default() };
        let store = Store::new(module::engine(), state);
        let host = Self {
            module,
            store,
            instance: None,
            dead: false,
            contexts: 0,
            root: 0,
            fuel: 0,
            most: FUEL,
        };
        Ok(host.property(&["plugin_root_id"], ""))
    }

    /// Gives the plugin its configuration, on a new root context, as often as the test likes.
    /// If it is refused, the one before it stays in force.
    pub fn configure(&mut self, configuration: impl AsRef<[u8]>) -> Result<(), NotConfigured> {
        let configuration = configuration.as_ref();
        let (root, logged) = (self.next_context(), self.logs().len());
        self.state_mut().roots.insert(root);
        self.state_mut().plugin_configuration = Some(configuration.to_vec());
        let accepted = self.start(root, configuration.len() as u32);
        self.state_mut().plugin_configuration = None;
        if !accepted.map_err(NotConfigured::Trapped)? {
            return Err(NotConfigured::Refused(self.logs()[logged..].to_vec()));
        }
        let before = std::mem::replace(&mut self.root, root);
        self.retire(before).map_err(NotConfigured::Trapped)
    }

    fn start(&mut self, root: u32, size: u32) -> Result<bool, Trap> {
        if self.instance.is_none() {
            self.instantiate()?;
        }
        self.call(root, "proxy_on_context_create", &[root, 0])?;
        let vm = self.state().vm_configuration.len() as u32;
        let started = self.call(root, "proxy_on_vm_start", &[root, vm])?.unwrap_or(1) != 0;
        Ok(started && self.call(root, "proxy_on_configure", &[root, size])?.unwrap_or(1) != 0)
    }

    fn instantiate(&mut self) -> Result<(), Trap> {
        let linker = imports::link(&self.module).map_err(|error| Trap(error.to_string()))?;
        self.refuel();
        let instance = linker.instantiate(&mut self.store, &self.module);
        self.instance = Some(instance.map_err(|error| Trap(format!("{error:?}")))?);
        let entries = ["_initialize", "_start"].map(|name| self.module.get_export(name).is_some());
        match entries {
            [true, _] => self.call(0, "_initialize", &[])?,
            [false, true] => self.call(0, "_start", &[])?,
            _ => None,
        };
        Ok(())
    }

    fn retire(&mut self, root: u32) -> Result<(), Trap> {
        if root != 0 {
            self.call(root, "proxy_on_done", &[root])?;
            self.call(root, "proxy_on_delete", &[root])?;
            self.state_mut().roots.remove(&root);
        }
        Ok(())
    }

    /// A tick of the timer, whether the module asked for it or not.
    pub fn tick(&mut self) -> Result<(), Trap> {
        let root = self.root;
        self.call(root, "proxy_on_tick", &[root]).map(|_| ())
    }

    /// How often the module wants to be called, in milliseconds.
    pub fn tick_period(&self) -> Option<u32> {
        self.state().tick_period
    }

    /// Sets the time, in nanoseconds since 1970. It stands still until it is set again.
    pub fn set_time(&mut self, nanoseconds: u64) {
        self.state_mut().now = nanoseconds;
    }

    /// The level that the module is told the proxy logs at; lines below it are kept all the same.
    pub fn set_log_level(&mut self, level: u32) {
        self.state_mut().log_level = level;
    }

    /// What the proxy answers for a property; `None` for nothing.
    pub fn set_property(&mut self, path: &[&str], value: Option<&[u8]>) {
        let path = path.join("\0").into_bytes();
        match value {
            Some(value) => self.state_mut().properties.insert(path, value.to_vec()),
            None => self.state_mut().properties.remove(&path),
        };
    }

    /// Makes host calls of this name return a status without doing anything.
    pub fn inject(&mut self, call: &str, when: When, status: u32) {
        assert!(imports::knows(call), "there is no host call {call}");
        self.state_mut().faults.fail(call, when, status);
    }

    /// Spoils the bytes that host calls of this name return.
    pub fn corrupt(&mut self, call: &str, when: When, corruption: Corruption) {
        assert!(imports::knows(call), "there is no host call {call}");
        self.state_mut().faults.corrupt(call, when, corruption);
    }

    /// Ends every fault.
    pub fn heal(&mut self) {
        self.state_mut().faults = faults::Faults::default();
    }

    /// What the module logged.
    pub fn logs(&self) -> &[LogLine] {
        &self.state().logs
    }

    /// Counters and gauges by name, of every worker.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        self.state().shared.lock().values.clone()
    }

    /// The values recorded in a histogram.
    pub fn histogram(&self, name: &str) -> Vec<u64> {
        self.state().shared.lock().histograms.get(name).cloned().unwrap_or_default()
    }

    /// Every call to a cluster that has no answer yet.
    pub fn pending(&self) -> Vec<Call> {
        self.state().calls.values().cloned().collect()
    }

    /// How often each host call was made since the last [`Self::reset`].
    pub fn calls(&self) -> &BTreeMap<&'static str, u64> {
        &self.state().counts
    }

    /// WebAssembly instructions, nearly, that ran since the last [`Self::reset`].
    pub fn fuel_used(&self) -> u64 {
        self.fuel
    }

    /// The size of the module's memory, in bytes.
    pub fn memory(&mut self) -> usize {
        let memory = self.instance.and_then(|it| it.get_memory(&mut self.store, "memory"));
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Counts host calls and fuel from zero.
    pub fn reset(&mut self) {
        self.state_mut().counts.clear();
        (self.fuel, self.most) = (0, FUEL);
    }

    /// Lets the module trap once so much fuel was used since the last [`Self::reset`]: the trap says where
    /// it was.
    pub fn stop_after(&mut self, fuel: u64) {
        self.most = fuel;
    }

    fn state(&self) -> &State {
        self.store.data()
    }

    fn state_mut(&mut self) -> &mut State {
        self.store.data_mut()
    }

    fn root(&self) -> u32 {
        assert!(self.root != 0, "the host is not configured");
        self.root
    }

    fn next_context(&mut self) -> u32 {
        self.contexts += 1;
        self.contexts
    }

    fn left(&self) -> u64 {
        self.most.saturating_sub(self.fuel)
    }

    fn refuel(&mut self) {
        self.store.set_fuel(self.left()).expect("fuel is on");
    }

    /// Calls an export in a context. `None` if the module has no such export.
    fn call(&mut self, context: u32, export: &str, arguments: &[u32]) -> Result<Option<u32>, Trap> {
        if self.dead {
            return Err(Trap(format!("{export}: the module trapped before")));
        }
        let function = self.instance.and_then(|it| it.get_func(&mut self.store, export));
        let Some(function) = function else { return Ok(None) };
        (self.state_mut().current, self.state_mut().effective) = (context, 0);
        self.refuel();
        let arguments: Vec<_> = arguments.iter().map(|word| Val::I32(*word as i32)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let called = function.call(&mut self.store, &arguments, &mut results);
        self.fuel += self.left() - self.store.get_fuel().unwrap_or(0);
        called.map_err(|error| self.died(export, &error))?;
        match std::mem::take(&mut self.state_mut().misuse).join("; ") {
            misuse if misuse.is_empty() => {
                Ok(results.first().and_then(Val::i32).map(|word| word as u32))
            }
            misuse => Err(Trap(format!("{export}: {misuse}"))),
        }
    }

    /// A trap, with what the module said before it.
    fn died(&mut self, export: &str, error: &wasmtime::Error) -> Trap {
        self.dead = true;
        let last = self.logs().last().map_or("nothing", |line| &line.text);
        Trap(format!("{export}: {error:?}\nthe last line of the log: {last}"))
    }
}

const ABI: &str = "proxy_abi_version_0_2_1";
/// Far more than any callback needs; an endless loop ends here.
const FUEL: u64 = 20_000_000_000;
const INFO: u32 = 2;
/// 2026-01-01 12:00:00 UTC, in nanoseconds.
const NOON: u64 = 1_767_268_800_000_000_000;
