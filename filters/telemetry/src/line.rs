//! A line of JSON, made of what anybody may have sent.
//!
//! 1. All that is no printable ASCII is escaped (RFC 8259, 7), so that no reader, terminal or
//!    transport takes a part of a value for anything else. Bytes that are no UTF-8 become `\ufffd`.
//! 2. A value of more than [`LONGEST_VALUE`] bytes is cut and marked, as Clue does.
//! 3. A line of more than [`LONGEST_LINE`] bytes gets no more members.

use std::fmt::Write as _;

/// The longest value, in bytes as they came.
pub(crate) const LONGEST_VALUE: usize = 1024;
/// How long a line may be before it gets no more members, in bytes. Each byte of a value takes six at
/// most, so that no line is longer than four times this but for payloads, whose size is configured.
pub(crate) const LONGEST_LINE: usize = 32 * 1024;
/// What stands for the rest of a value.
const TRUNCATED: &str = " ... <clue/log.truncated>";

/// A line under way.
#[derive(Debug)]
pub(crate) struct Line(String);

impl Line {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let mut text = String::with_capacity(512);
        text.push('{');
        Self(text)
    }

    /// Adds a member of text. The key is one of ours, or a header's name.
    pub(crate) fn text(&mut self, key: &str, value: &[u8]) {
        self.long_text(key, value, LONGEST_VALUE);
    }

    /// Adds a member of text of at most so many bytes.
    pub(crate) fn long_text(&mut self, key: &str, value: &[u8], most: usize) {
        if !self.key(key) {
            return;
        }
        self.0.push('"');
        let cut = value.len() > most;
        escape(value.get(..most).unwrap_or(value), &mut self.0);
        if cut {
            self.0.push_str(TRUNCATED);
        }
        self.0.push('"');
    }

    /// Adds a member that is a number.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        if self.key(key) {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value}");
        }
    }

    /// The line, without a line feed.
    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn key(&mut self, key: &str) -> bool {
        if self.0.len() > LONGEST_LINE {
            return false;
        }
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        escape(key.as_bytes(), &mut self.0);
        self.0.push_str("\":");
        true
    }
}

fn escape(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                ' '..='~' => text.push(letter),
                other => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
            }
        }
        if !chunk.invalid().is_empty() {
            text.push_str("\\ufffd");
        }
    }
}

/// A moment as Clue writes it: RFC 3339 in UTC, in whole seconds.
pub(crate) fn rfc3339(secs: u64) -> String {
    // Days since 1970-01-01 to a date: Hinnant's `civil_from_days`, for dates after 1970.
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let leap_free = of_era
        .saturating_sub(of_era / 1460)
        .saturating_add(of_era / 36_524)
        .saturating_sub(of_era / 146_096);
    let year_of_era = leap_free / 365;
    let before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100);
    let of_year = of_era.saturating_sub(before);
    let shifted_month = of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = of_year
        .saturating_sub(shifted_month.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if shifted_month < 10 {
        shifted_month.saturating_add(3)
    } else {
        shifted_month.saturating_sub(9)
    };
    let year =
        era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn line(value: &[u8]) -> String {
        let mut line = Line::new();
        line.text("k", value);
        line.number("n", 7);
        line.finish()
    }

    #[test]
    fn every_byte_there_is_makes_a_line_that_parses() {
        let all: Vec<u8> = (0..=255).collect();
        let text = line(&all);
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert!(parsed["k"].as_str().unwrap().starts_with("\0\u{1}\u{2}"));
        assert_eq!(parsed["n"], 7);
        for byte in 0..=255 {
            serde_json::from_str::<Value>(&line(&[byte])).unwrap();
            serde_json::from_str::<Value>(&line(&[b'"', byte, b'\\'])).unwrap();
        }
    }

    #[test]
    fn text_comes_back_as_it_was() {
        for text in ["", "plain", "\"},{\"k\":\"", "a\u{2028}b\u{7f}\u{9b}\u{202e}", "ä 🦀 \\u0041"]
        {
            let parsed: Value = serde_json::from_str(&line(text.as_bytes())).unwrap();
            assert_eq!(parsed["k"], text);
        }
    }

    #[test]
    fn a_long_value_is_cut_and_marked() {
        let parsed: Value = serde_json::from_str(&line(&vec![b'a'; 5000])).unwrap();
        let expected = format!("{}{TRUNCATED}", "a".repeat(LONGEST_VALUE));
        assert_eq!(parsed["k"], expected);
        // In the middle of a character.
        serde_json::from_str::<Value>(&line("ä".repeat(513).as_bytes())).unwrap();
    }

    #[test]
    fn a_long_line_gets_no_more() {
        let mut line = Line::new();
        for _ in 0..10_000 {
            line.text("k", &[0; LONGEST_VALUE]);
        }
        let text = line.finish();
        assert!(text.len() < LONGEST_LINE + 7 * LONGEST_VALUE, "{}", text.len());
        serde_json::from_str::<Value>(&text).unwrap();
    }

    #[test]
    fn moments_are_rfc_3339() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_641_763_785, "2022-01-09T21:29:45Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(secs), text);
        }
    }
}
