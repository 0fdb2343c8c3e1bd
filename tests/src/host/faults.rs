//! Faults on demand: host calls that fail, and host calls that answer with nonsense.

use super::headers::Headers;

/// Which of the calls that follow are to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only the n-th from now on; the first is 1.
    Nth(u32),
    /// Each of them.
    Always,
}

/// How the bytes that a host call returns are spoiled.
#[derive(Clone, Copy, Debug)]
pub enum Corruption {
    /// Only this many of the bytes.
    Truncated(usize),
    /// The first word, in a map the number of pairs, is `u32::MAX`.
    CountTooLarge,
    /// The second and third words, in a map the first sizes, are `u32::MAX`.
    LengthsPastTheEnd,
    /// A null pointer, and the size of the bytes (at least one).
    NullPointer,
    /// A map without the NUL behind each name and value.
    NoTerminators,
    /// A pointer that is not null, and size zero.
    Empty,
    /// One MiB of `x`.
    Huge,
    /// Whatever a function makes of the bytes.
    With(fn(Vec<u8>) -> Vec<u8>),
}

impl Corruption {
    /// What a filter is shown of each kind.
    pub const LIES: [Self; 11] = [
        Self::Truncated(0),
        Self::Truncated(1),
        Self::Truncated(7),
        Self::Truncated(17),
        Self::Truncated(30),
        Self::CountTooLarge,
        Self::LengthsPastTheEnd,
        Self::NullPointer,
        Self::NoTerminators,
        Self::Empty,
        Self::Huge,
    ];

    pub(super) fn spoil(self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Truncated(size) => bytes.truncate(size),
            Self::CountTooLarge => overwrite(&mut bytes, 0..4),
            Self::LengthsPastTheEnd => overwrite(&mut bytes, 4..12),
            Self::NullPointer => bytes.resize(bytes.len().max(1), 0),
            Self::NoTerminators => {
                bytes = Headers::decode(&bytes).map_or(bytes, |map| map.encode_with(&[]));
            }
            Self::Empty => bytes.clear(),
            Self::Huge => bytes = vec![b'x'; 1 << 20],
            Self::With(function) => bytes = function(bytes),
        }
        bytes
    }
}

/// The faults that are in force.
#[derive(Default)]
pub(super) struct Faults {
    statuses: Vec<Fault<u32>>,
    corruptions: Vec<Fault<Corruption>>,
}

struct Fault<T> {
    call: String,
    when: When,
    seen: u32,
    what: T,
}

impl Faults {
    pub(super) fn fail(&mut self, call: &str, when: When, status: u32) {
        self.statuses.push(Fault { call: call.to_owned(), when, seen: 0, what: status });
    }

    pub(super) fn corrupt(&mut self, call: &str, when: When, corruption: Corruption) {
        self.corruptions.push(Fault { call: call.to_owned(), when, seen: 0, what: corruption });
    }

    pub(super) fn status(&mut self, call: &str) -> Option<u32> {
        strike(&mut self.statuses, call)
    }

    pub(super) fn corruption(&mut self, call: &str) -> Option<Corruption> {
        strike(&mut self.corruptions, call)
    }
}

/// The first fault that strikes now; every fault of this call has seen it.
fn strike<T: Copy>(faults: &mut [Fault<T>], call: &str) -> Option<T> {
    let mut struck = None;
    for fault in faults.iter_mut().filter(|fault| fault.call == call) {
        fault.seen += 1;
        if fault.when == When::Always || fault.when == When::Nth(fault.seen) {
            struck = struck.or(Some(fault.what));
        }
    }
    struck
}

fn overwrite(bytes: &mut Vec<u8>, range: std::ops::Range<usize>) {
    bytes.resize(bytes.len().max(range.end), 0);
    bytes[range].fill(0xff);
}
