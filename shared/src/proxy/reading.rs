//! A body that a filter reads, as far as it has come.

use crate::filter::WholeBody;
use crate::view::Body;

/// The body, of so many bytes at most. No more is kept of it.
pub(super) struct Reading {
    most: usize,
    bytes: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Coming,
    Ended,
    TooLong,
    Unreadable,
}

impl Reading {
    /// None of it yet.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, bytes: Vec::new(), state: State::Coming }
    }

    /// A part has come.
    pub(super) fn add(&mut self, part: &Body<'_>) {
        let room = self.most.saturating_sub(self.bytes.len());
        if part.len > room {
            self.state = State::TooLong;
            return;
        }
        let bytes = part.first(part.len);
        if bytes.len() != part.len {
            self.state = State::Unreadable;
            return;
        }
        self.bytes.extend(bytes);
        if part.is_last {
            self.end();
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.state = State::Ended;
    }

    /// The body, once it has come, or no more of it is read.
    pub(super) fn whole(&self) -> Option<WholeBody<'_>> {
        match self.state {
            State::Coming => None,
            State::Ended => Some(WholeBody::Bytes(&self.bytes)),
            State::TooLong => Some(WholeBody::TooLong),
            State::Unreadable => Some(WholeBody::Unreadable),
        }
    }
}
