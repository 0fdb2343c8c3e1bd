//! The context of a trace, in every form in which it travels.
//!
//! A form is a parser and a printer of bytes, pure and bounded: [`w3c`] with [`tracestate`], [`b3`],
//! [`jaeger`], [`datadog`], [`xray`], [`google`]; [`baggage`] travels beside all of them. They meet
//! in [`Found`] and [`Outgoing`].
//!
//! 1. An id of zero is no id: no form can carry it, and no value here can hold it.
//! 2. A trace id of 64 bits is one of 128 with zeroes in front.
//! 3. What does not parse whole is not parsed at all: a trace starts anew rather than be attached to
//!    the wrong one.
//! 4. Hex digits of W3C are lower case, as its recommendation says; the other forms take both.

pub mod b3;
pub mod baggage;
pub mod datadog;
pub mod google;
pub mod ids;
pub mod jaeger;
pub mod tracestate;
pub mod w3c;
pub mod xray;

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The filter state under which the context of a request stands, as a `traceparent`. `trace-context`
/// sets it; the driver gives it to every call that a request waits for.
pub const STATE: &str = "gatehouse.traceparent";

/// The id of a trace: 16 bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// The id of a span, an operation in a trace: 8 bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// Nobody has decided yet.
    #[default]
    Deferred,
    /// It is not.
    Drop,
    /// It is.
    Record,
    /// It is, whatever it costs: B3's and Jaeger's debug flag, Datadog's priority of a user.
    Debug,
}

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A trace to go on with.
    Trace(Incoming),
    /// No trace, but what becomes of the one to start. B3 alone has that.
    Only(Decision),
}

/// A trace, as the sender of a request sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The trace.
    pub trace_id: TraceId,
    /// The sender's span; X-Ray, Datadog and Google can leave it out.
    pub parent: Option<SpanId>,
    /// What the sender decided.
    pub decision: Decision,
    /// Whether the sender says that the right-most 56 bits of the trace id are random (W3C level 2).
    pub random: bool,
}

/// A trace, as the next receiver is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that the receiver's are children of.
    pub span_id: SpanId,
    /// What was decided.
    pub decision: Decision,
    /// Whether the right-most 56 bits of the trace id are random, as far as anybody said so.
    pub random: bool,
}

impl TraceId {
    /// The id of this number; `None` for zero.
    pub const fn new(number: u128) -> Option<Self> {
        match NonZeroU128::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The id as a number, its first byte the most significant.
    pub const fn number(self) -> u128 {
        self.0.get()
    }

    /// The first eight bytes: zero for ids that came as 64 bits.
    pub const fn high(self) -> u64 {
        (self.number() >> 64) as u64
    }

    /// The last eight bytes, all that some forms have room for.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
    pub const fn low(self) -> u64 {
        self.number() as u64
    }

    /// The right-most 56 bits: what is random of it, and what samplers go by (W3C level 2).
    pub const fn randomness(self) -> u64 {
        self.low() & ((1 << 56) - 1)
    }

    /// 32 hex digits.
    pub fn hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        let (high, low) = text.split_at_mut(16);
        write_hex(high, self.high());
        write_hex(low, self.low());
        text
    }
}

impl SpanId {
    /// The id of this number; `None` for zero.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The id as a number, its first byte the most significant.
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// 16 hex digits.
    pub fn hex(self) -> [u8; 16] {
        let mut text = [0; 16];
        write_hex(&mut text, self.number());
        text
    }
}

impl Decision {
    /// Whether the trace is recorded.
    pub const fn is_sampled(self) -> bool {
        matches!(self, Self::Record | Self::Debug)
    }

    /// `Record` or `Drop`.
    pub const fn of(sampled: bool) -> Self {
        if sampled { Self::Record } else { Self::Drop }
    }

    /// A digit: `1` or `0`.
    const fn digit(self) -> u8 {
        if self.is_sampled() { b'1' } else { b'0' }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.number())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.number())
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fills `text` with the hex digits of a number, from the right. Without the formatting of the
/// standard library, which costs ten times as much.
fn write_hex(text: &mut [u8], mut number: u64) {
    for place in text.iter_mut().rev() {
        let digit = (number & 15) as u8;
        *place = if digit < 10 { b'0' } else { b'a' - 10 }.wrapping_add(digit);
        number >>= 4;
    }
}

/// Which letters are hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Lower ones alone.
    Lower,
    /// All.
    Any,
}

/// 1 to 32 hex digits.
fn parse_hex(text: &[u8], case: Case) -> Option<u128> {
    // In halves: Wasm has no numbers of 128 bits.
    let (high, low) = text.split_at_checked(text.len().saturating_sub(16))?;
    let high = if high.is_empty() { 0 } else { parse_hex_64(high, case)? };
    Some(u128::from(high) << 64 | u128::from(parse_hex_64(low, case)?))
}

/// 1 to 16 hex digits.
fn parse_hex_64(text: &[u8], case: Case) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let mut number = 0;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a' - 10),
            b'A'..=b'F' if case == Case::Any => byte.wrapping_sub(b'A' - 10),
            _ => return None,
        };
        number = number << 4 | u64::from(digit);
    }
    Some(number)
}

/// 1 to 20 decimal digits.
fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests;
