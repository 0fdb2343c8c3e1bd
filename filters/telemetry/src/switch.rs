//! The debug switch, and the paths of the upstream that are nobody's business.
//!
//! 1. The switch is one slot of the shared store: until when it is on. So it is on or off for all workers,
//!    each of which looks at every tick; and it goes off by itself.
//! 2. `/debug/pprof` and all below it is refused in every spelling: wherever any reading of the path
//!    ([`Readings`]) has `debug` and `pprof` as two segments in a row, whatever their case. A path that
//!    cannot be read, and has both words in it once decoded, is refused too.

use std::time::Duration;

use shared::matching::path::{BadPath, Readings};
use shared::store::{Change, Store};
use shared::time::{BEHIND, Timestamp};

/// The debug switch as this worker knows it.
#[derive(Debug)]
pub(crate) struct Switch {
    slot: String,
    /// How long it stays on.
    term: Duration,
    until: Timestamp,
}

impl Switch {
    /// Off, kept in the slots that begin with `slots`; it stays on for `term`.
    pub(crate) fn new(slots: &str, term: Duration) -> Self {
        Self { slot: format!("{slots}/debug"), term, until: Timestamp::default() }
    }

    /// Looks what was said on other workers. Where the store fails, it is off.
    pub(crate) fn look(&mut self, store: Store<'_>, now: Timestamp) -> bool {
        let bytes = store.read(&self.slot).unwrap_or_default();
        let until = <[u8; 8]>::try_from(bytes.as_slice()).map_or(0, u64::from_le_bytes);
        self.until = Timestamp::from_nanos(until);
        self.is_on(now)
    }

    /// Whether it is on.
    pub(crate) fn is_on(&self, now: Timestamp) -> bool {
        // One that lies further ahead is of a clock that has jumped back; another worker's may be a
        // little ahead.
        self.until > now && self.until <= now.after(self.term).after(BEHIND)
    }

    /// Turns it on until then, or off; whether that was kept.
    pub(crate) fn turn(&mut self, store: Store<'_>, until: Timestamp) -> bool {
        let bytes = until.nanos().to_le_bytes().to_vec();
        let kept = store.update(&self.slot, |_| Change::Replace(bytes.clone(), ())).is_ok();
        if kept {
            self.until = until;
        }
        kept
    }
}

/// What a request to the switch says: `debug-logs=on`, `debug-logs=off`, or neither, as in Clue.
pub(crate) fn asked(path: &[u8]) -> Option<bool> {
    let query = path.split(|byte| *byte == b'?').nth(1)?;
    let value =
        query.split(|byte| *byte == b'&').find_map(|part| part.strip_prefix(b"debug-logs="));
    match value? {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

/// Whether a path may be one that has to be looked at: it costs one pass over its bytes.
pub(crate) fn is_suspect(path: &[u8]) -> bool {
    let is_pprof = |word: &[u8]| {
        matches!(word, [b'p' | b'P', b'p' | b'P', b'r' | b'R', b'o' | b'O', b'f' | b'F'])
    };
    path.contains(&b'%') || path.windows(5).any(is_pprof)
}

/// Whether a path leads to profiles, in any of its readings.
pub(crate) fn is_pprof(path: &[u8], readings: &Result<Readings<'_>, BadPath>) -> bool {
    match readings {
        Ok(readings) => readings.agree(has_pprof) != Ok(false),
        Err(_) => has_words(path),
    }
}

fn has_pprof(path: &[u8]) -> bool {
    let segments =
        || path.split(|byte| matches!(byte, b'/' | b'\\')).filter(|part| !part.is_empty());
    segments().zip(segments().skip(1)).any(|(one, next)| {
        one.eq_ignore_ascii_case(b"debug") && next.eq_ignore_ascii_case(b"pprof")
    })
}

/// Whether both words are in a path that cannot be read, decoded until nothing is left to decode.
fn has_words(path: &[u8]) -> bool {
    let text = decode(path).to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    has(b"debug") && has(b"pprof")
}

/// Undoes whole escapes, those too that others hide (`%2570`), in one pass: what an escape stands for
/// may be the end of the next.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    for byte in text {
        decoded.push(*byte);
        while let [rest @ .., b'%', high, low] = decoded.as_slice()
            && let Some((high, low)) = digit(high).zip(digit(low))
        {
            decoded.truncate(rest.len());
            decoded.push(high << 4 | low);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads_to_profiles(path: &[u8]) -> bool {
        is_suspect(path) && is_pprof(path, &Readings::of(path))
    }

    #[test]
    fn profiles_are_known_in_every_spelling() {
        for path in [
            "/debug/pprof",
            "/debug/pprof/",
            "/debug/pprof/heap?debug=1",
            "//debug//pprof/",
            "/%64ebug/pprof/heap",
            "/debug/%70%70%72%6f%66/heap",
            "/debug%2fpprof",
            "/debug%252Fpprof",
            "/debug;x=1/pprof;y",
            "/debug/./pprof",
            "/debug\\pprof",
            "/x/../debug/pprof/",
            "/x/%2e%2e/debug/%70prof",
            "/Debug/PPROF/heap",
            "/api/debug/pprof/profile",
            "/debug/pprof%00",
            "/%c0%afdebug/pprof",
            "/%zz/debug/pprof",
            "/%25%36%34ebug/pprof/%2e%2e/",
            "http://x/debug/pprof",
        ] {
            assert!(leads_to_profiles(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not_taken_for_them() {
        for path in [
            "/",
            "/debug",
            "/pprof",
            "/articles/debug-pprof",
            "/articles/what-is-pprof",
            "/debugging/pprof",
            "/x?next=/debug/pprof",
            "/a%20b",
            "/a/%2e%2e/b",
            "/50%",
            "",
        ] {
            assert!(!leads_to_profiles(path.as_bytes()), "{path}");
        }
    }

    /// Each escape hides the next: to undo them one after the other would take hours.
    #[test]
    fn a_long_path_takes_no_longer_than_its_length() {
        let hidden = format!("/%{}64ebug/{}", "25".repeat(500_000), "%".repeat(100));
        assert!(!leads_to_profiles(hidden.as_bytes()));
        let hidden = format!("/%{}64ebug/pprof/%", "25".repeat(500_000));
        assert!(leads_to_profiles(hidden.as_bytes()));
    }

    #[test]
    fn the_switch_is_asked_as_in_clue() {
        for (path, said) in [
            ("/debug?debug-logs=on", Some(true)),
            ("/debug?x=y&debug-logs=off", Some(false)),
            ("/debug?debug-logs=maybe", None),
            ("/debug?debug-logs=", None),
            ("/debug?xdebug-logs=on", None),
            ("/debug", None),
        ] {
            assert_eq!(asked(path.as_bytes()), said, "{path}");
        }
    }
}
