//! New ids.
//!
//! They are the SipHash-2-4 of a counter under a secret of the worker's: all of their bits are as
//! good as random, nobody who sees some can tell the next, and none costs a call to the proxy. Of
//! two workers with secrets of their own none will draw the other's.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{SpanId, TraceId};

/// Draws ids.
#[derive(Clone)]
pub struct Ids {
    secret: [u8; 16],
    drawn: u64,
}

impl Ids {
    /// A generator under a secret that nobody else has.
    pub const fn new(secret: [u8; 16]) -> Self {
        Self { secret, drawn: 0 }
    }

    /// A new trace id. All of its bits are random.
    pub fn trace_id(&mut self) -> TraceId {
        loop {
            // One draw in 2^128 is no id.
            if let Some(id) = TraceId::new(self.draw()) {
                return id;
            }
        }
    }

    /// A new span id.
    pub fn span_id(&mut self) -> SpanId {
        loop {
            #[expect(clippy::cast_possible_truncation, reason = "one half is enough")]
            if let Some(id) = SpanId::new(self.draw() as u64) {
                return id;
            }
        }
    }

    /// Sixteen random bytes.
    pub fn draw(&mut self) -> u128 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write_u64(self.drawn);
        hasher.finish128().as_u128()
    }
}
