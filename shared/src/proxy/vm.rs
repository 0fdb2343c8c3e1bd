//! What the proxy calls, and to whom it goes: the contexts and calls of this VM.
//!
//! 1. A context, stream or token that nobody knows is ignored; a request of one is held, never let
//!    through.
//! 2. A stream that goes away takes its call with it: the answer, should it still come, is for nobody.
//! 3. A proxy that calls back in the middle of a call of ours is not answered (nothing is borrowed
//!    twice, nothing panics).

use std::cell::RefCell;
use std::collections::HashMap;

use super::root::{Ended, Root};
use super::{Action, Module};
use crate::filter::Ticket;
use crate::hash::Spread;
use crate::view::Map;

/// The contexts of this VM.
#[derive(Default)]
pub(super) struct Vm {
    module: Option<Module>,
    roots: HashMap<u32, Root, Spread>,
    /// The root of each stream.
    streams: HashMap<u32, u32, Spread>,
    calls: HashMap<u32, Waiting, Spread>,
}

/// Who started a call.
#[derive(Clone, Copy)]
pub(super) enum Caller {
    /// The exchange of this stream.
    Stream(u32),
    /// Background work.
    Background(Ticket),
}

#[derive(Clone, Copy)]
struct Waiting {
    root: u32,
    caller: Caller,
    max_body: usize,
}

/// The calls under way, for a root to add to.
pub(super) struct Calls<'a> {
    root: u32,
    calls: &'a mut HashMap<u32, Waiting, Spread>,
}

impl Calls<'_> {
    /// Remembers who waits for the answer of `token`.
    pub(super) fn register(&mut self, token: u32, caller: Caller, max_body: usize) {
        self.calls.insert(token, Waiting { root: self.root, caller, max_body });
    }
}

thread_local! {
    static VM: RefCell<Vm> = RefCell::default();
}

/// Runs `f` on the VM; `otherwise` where the proxy calls back in the middle of a call of ours.
pub(super) fn with<T>(otherwise: T, f: impl FnOnce(&mut Vm) -> T) -> T {
    VM.with(|vm| match vm.try_borrow_mut() {
        Ok(mut vm) => f(&mut vm),
        Err(_) => otherwise,
    })
}

impl Vm {
    /// Says what plugins this module makes.
    pub(super) const fn set_module(&mut self, module: Module) {
        self.module = Some(module);
    }

    /// A context has come into being: a root (of no parent), or a stream of one.
    pub(super) fn create(&mut self, id: u32, parent: u32) {
        if parent == 0 {
            if let Some(module) = self.module {
                self.roots.entry(id).or_insert_with(|| Root::new(module));
            }
        } else if self.roots.contains_key(&parent) {
            self.streams.insert(id, parent);
        }
    }

    /// A context is gone.
    pub(super) fn delete(&mut self, id: u32) {
        if let Some(root) = self.streams.remove(&id) {
            if let Some(token) = self.roots.get_mut(&root).and_then(|root| root.close(id)) {
                self.calls.remove(&token);
            }
        } else if self.roots.remove(&id).is_some() {
            self.streams.retain(|_, root| *root != id);
            self.calls.retain(|_, waiting| waiting.root != id);
        }
    }

    /// Configures a root.
    pub(super) fn configure(&mut self, root: u32) -> bool {
        self.roots.get_mut(&root).is_some_and(Root::configure)
    }

    /// Time has passed for a root.
    pub(super) fn tick(&mut self, root: u32) {
        let Self { roots, calls, .. } = self;
        if let Some(found) = roots.get_mut(&root) {
            found.tick(&mut Calls { root, calls });
        }
    }

    /// The head of a request has come.
    pub(super) fn request(&mut self, stream: u32) -> Action {
        let Self { roots, streams, calls, .. } = self;
        let root = streams.get(&stream).copied().unwrap_or_default();
        match roots.get_mut(&root) {
            Some(found) => found.request(stream, &mut Calls { root, calls }),
            None => Action::Pause,
        }
    }

    /// More of a request has come: its body, its trailers.
    pub(super) fn more(&self, stream: u32) -> Action {
        let root = self.streams.get(&stream).and_then(|root| self.roots.get(root));
        if root.is_none_or(|root| root.holds(stream)) { Action::Pause } else { Action::Continue }
    }

    /// The head of a response has come.
    pub(super) fn response(&mut self, stream: u32) {
        if let Some(root) = self.root_of(stream) {
            root.response(stream);
        }
    }

    /// A part of a body passes by.
    pub(super) fn body(&mut self, stream: u32, map: Map, len: usize, is_last: bool) {
        if let Some(root) = self.root_of(stream) {
            root.body(stream, map, len, is_last);
        }
    }

    /// The trailers of a request have come.
    pub(super) fn trailers(&mut self, stream: u32) {
        if let Some(root) = self.root_of(stream) {
            root.trailers(stream);
        }
    }

    /// An exchange is logged.
    pub(super) fn log(&mut self, stream: u32) {
        if let Some(root) = self.root_of(stream) {
            root.log(stream);
        }
    }

    /// A call has ended.
    pub(super) fn answered(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        let Self { roots, calls, .. } = self;
        let Some(Waiting { root, caller, max_body }) = calls.remove(&token) else { return };
        let Some(found) = roots.get_mut(&root) else { return };
        let ended = Ended { headers, body, max_body, trailers };
        let calls = &mut Calls { root, calls };
        match caller {
            Caller::Stream(stream) => found.answered(stream, ended, calls),
            Caller::Background(ticket) => found.background_answered(ticket, ended, calls),
        }
    }

    fn root_of(&mut self, stream: u32) -> Option<&mut Root> {
        self.roots.get_mut(self.streams.get(&stream)?)
    }
}
