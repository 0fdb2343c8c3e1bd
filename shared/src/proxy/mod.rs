//! The adapter: the one place that knows the ABI of proxy-wasm (0.2.1).
//!
//! [`imports`] are the proxy's functions with typed errors, `host` puts them behind the views of
//! the core, `root` runs one plugin and its exchanges, `vm` knows which is which, `memory` gives out memory.
//! The functions that the proxy calls are below.
//!
//! We do not use the SDK's dispatcher: it panics on a status, a context or a token that it does not
//! know, which would let a proxy or a timing take the VM down, and it exports every callback there
//! is, each of which Envoy then calls at each exchange. The SDK is what `tests` compares us with.

mod host;
pub mod imports;
mod logger;
mod memory;
mod reading;
mod root;
mod vm;

use crate::config::{Environment, Invalid};
use crate::filter::Birth;
use crate::runner::Runner;
use crate::view::Map;

/// What a callback answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// The exchange goes on.
    Continue = 0,
    /// It is held.
    Pause = 1,
}

/// What a module has. A function, so that a module of one filter is without the code for several.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// What it is called in logs.
    pub name: &'static str,
    /// Takes a plugin's configuration into effect: of its root id, and of the bytes that the proxy
    /// hands over.
    pub configure: Configure,
}

type Configure = fn(&str, &[u8], &Environment, &Birth<'_>) -> Result<Box<dyn Runner>, Invalid>;

/// Prepares the VM for the plugins of a module.
pub fn start(module: Module) {
    logger::install();
    vm::with((), |vm| vm.set_module(module));
}

/// More of a request has come. Where Envoy is set to `allow_on_headers_stop_iteration`, it would
/// let a request go on that is held, body first.
pub fn on_more(stream: u32) -> u32 {
    vm::with(Action::Pause, |vm| vm.more(stream)) as u32
}

/// The head of a response has come.
pub fn on_response(stream: u32) -> u32 {
    vm::with((), |vm| vm.response(stream));
    Action::Continue as u32
}

/// A part of a request's body has come. Filters look at it, and it is held as [`on_more`] says.
pub fn on_request_body(stream: u32, len: usize, is_last: bool) -> u32 {
    vm::with((), |vm| vm.body(stream, Map::Request, len, is_last));
    on_more(stream)
}

/// A call has ended: its answer has so many headers, bytes and trailers.
pub fn on_answer(token: u32, headers: usize, body: usize, trailers: usize) {
    vm::with((), |vm| vm.answered(token, headers, body, trailers));
}

/// The trailers of a request have come: its body has ended.
pub fn on_request_trailers(stream: u32) -> u32 {
    vm::with((), |vm| vm.trailers(stream));
    on_more(stream)
}

/// A part of a response's body passes by.
pub fn on_response_body(stream: u32, len: usize, is_last: bool) -> u32 {
    vm::with((), |vm| vm.body(stream, Map::Response, len, is_last));
    Action::Continue as u32
}

/// An exchange is logged.
pub fn on_log(stream: u32) {
    vm::with((), |vm| vm.log(stream));
}

/// The callbacks that every module has.
#[allow(unsafe_code, reason = "the names by which the ABI calls them")]
mod exports {
    use super::{Action, vm};

    #[unsafe(no_mangle)]
    extern "C" fn proxy_abi_version_0_2_1() {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
        vm::with((), |vm| vm.create(id, parent));
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_delete(id: u32) {
        vm::with((), |vm| vm.delete(id));
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_vm_start(_root: u32, _len: usize) -> u32 {
        1
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_configure(root: u32, _len: usize) -> u32 {
        u32::from(vm::with(false, |vm| vm.configure(root)))
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_tick(root: u32) {
        vm::with((), |vm| vm.tick(root));
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_headers(stream: u32, _headers: usize, _end: u32) -> u32 {
        vm::with(Action::Pause, |vm| vm.request(stream)) as u32
    }
}
