//! Bodies, as far as lines show them: JSON alone, cut, and without the values of secrets.
//!
//! 1. A body is looked at as it passes by; the first bytes are kept, never more than `max_bytes`.
//! 2. What is not `application/json` (or `…+json`), or is compressed, is not kept.
//! 3. The value of a member whose name has one of [`SECRETS`] or of `redact` in it, case and
//!    everything but letters and digits apart, is replaced whole, also where the body was cut in the
//!    middle of it. Names are compared as JSON reads them, escapes undone.
//! 4. What cannot be read as JSON, but for its end missing, is shown up to there and no further.

use shared::headers::Headers;
use shared::view::Body;

/// What stands for a value that is not shown.
const HIDDEN: &str = "\"***\"";

/// Parts of the names of members whose values are never shown.
pub(crate) const SECRETS: [&str; 20] = [
    "accesskey",
    "apikey",
    "assertion",
    "authorization",
    "cardnumber",
    "cookie",
    "credential",
    "cvc",
    "cvv",
    "jwt",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "sessid",
    "session",
    "token",
];

/// Which members are not shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction(Vec<String>);

impl Redaction {
    /// Those of [`SECRETS`] and some more; the index of one that names nothing is an error.
    pub(crate) fn new(more: &[String]) -> Result<Self, usize> {
        let more: Vec<_> = more.iter().map(|name| plain(name)).collect();
        match more.iter().position(String::is_empty) {
            Some(index) => Err(index),
            None => Ok(Self(Self::of_names().0.into_iter().chain(more).collect())),
        }
    }

    /// Those of [`SECRETS`] alone.
    pub(crate) fn of_names() -> Self {
        Self(SECRETS.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Whether a name has one of them in it.
    pub(crate) fn hides(&self, name: &str) -> bool {
        let name = plain(name);
        self.0.iter().any(|secret| name.contains(secret.as_str()))
    }

    /// The body without the values of secrets.
    pub(crate) fn apply(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let mut reader = Reader { rest: &text, shown: String::with_capacity(text.len()) };
        // Whether it ends early makes no difference to what is shown.
        let _ = reader.value(self, DEEPEST);
        reader.shown
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How deep values may be nested.
const DEEPEST: usize = 64;

/// Copies JSON, but for what is hidden. `None` ends it: the text does, or is no JSON.
struct Reader<'t> {
    rest: &'t str,
    shown: String,
}

impl<'t> Reader<'t> {
    fn value(&mut self, redaction: &Redaction, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.space();
        match self.rest.chars().next()? {
            '{' => self.members(redaction, depth),
            '[' => self.elements(redaction, depth),
            '"' => {
                let (text, is_whole) = self.string();
                self.shown.push_str(text);
                is_whole.then_some(())
            }
            _ => self.word(),
        }
    }

    fn members(&mut self, redaction: &Redaction, depth: usize) -> Option<()> {
        self.take('{')?;
        self.space();
        if self.take('}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            if !self.rest.starts_with('"') {
                return None;
            }
            let (name, is_whole) = self.string();
            // A name that is cut or cannot be read may be anything's.
            let name_read: String = is_whole.then(|| serde_json::from_str(name).ok())??;
            self.shown.push_str(name);
            self.space();
            self.take(':')?;
            if redaction.hides(&name_read) {
                self.shown.push_str(HIDDEN);
                let mut hidden = Reader { rest: self.rest, shown: String::new() };
                let outcome = hidden.value(&Redaction::default(), depth);
                self.rest = hidden.rest;
                outcome?;
            } else {
                self.value(redaction, depth)?;
            }
            self.space();
            if self.take(',').is_none() {
                return self.take('}');
            }
        }
    }

    fn elements(&mut self, redaction: &Redaction, depth: usize) -> Option<()> {
        self.take('[')?;
        self.space();
        if self.take(']').is_some() {
            return Some(());
        }
        loop {
            self.value(redaction, depth)?;
            self.space();
            if self.take(',').is_none() {
                return self.take(']');
            }
        }
    }

    /// A string with its quotes, and whether its end has come.
    fn string(&mut self) -> (&'t str, bool) {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, letter)| {
            let ends = *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            ends
        });
        let end = end.map(|(at, _)| at.saturating_add(1));
        (self.cut(end.unwrap_or(self.rest.len())), end.is_some())
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
        let end = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        let word = self.cut(end);
        let is_one = serde_json::from_str::<serde_json::Value>(word).is_ok();
        is_one.then(|| self.shown.push_str(word))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, letter: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(letter)?;
        self.shown.push(letter);
        Some(())
    }

    fn cut(&mut self, at: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

/// What is kept of one body.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    /// How long the body is.
    len: u64,
    /// Whether it is one that is shown.
    wanted: bool,
}

impl Kept {
    /// A message with these headers begins.
    pub(crate) fn begin(&mut self, headers: &Headers) {
        let kind = headers.first("content-type").unwrap_or_default().to_ascii_lowercase();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_plain = headers.first("content-encoding").is_none_or(|coding| coding == b"identity");
        self.wanted = is_plain && (kind == b"application/json" || kind.ends_with(b"+json"));
    }

    /// A part of it passes by.
    pub(crate) fn add(&mut self, body: &Body<'_>, most: usize) {
        if !self.wanted {
            return;
        }
        self.len = self.len.saturating_add(u64::try_from(body.len).unwrap_or(u64::MAX));
        let room = most.saturating_sub(self.bytes.len());
        if room > 0 && body.len > 0 {
            self.bytes.extend(body.first(room));
        }
    }

    /// What a line shows of it; `None` where there is nothing.
    pub(crate) fn shown(&self, redaction: &Redaction) -> Option<String> {
        if self.len == 0 {
            return None;
        }
        let mut text = redaction.apply(&self.bytes);
        if self.len > u64::try_from(self.bytes.len()).unwrap_or(u64::MAX) {
            text.push_str(" ... <clue/log.truncated>");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let redaction = Redaction::new(&["ssn".into()]).unwrap();
        assert_eq!(redaction.apply(body.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        check(
            r#"{"name": "x", "n": [1, -2.5e3, true, null, {}], "o": {"a": "\"}"}}"#,
            r#"{"name":"x","n":[1,-2.5e3,true,null,{}],"o":{"a":"\"}"}}"#,
        );
        check("[]", "[]");
        check("\"text\"", "\"text\"");
    }

    #[test]
    fn secrets_are_not() {
        check(r#"{"password": "hunter2", "a": 1}"#, r#"{"password":"***","a":1}"#);
        check(
            r#"[{"Access-Token": {"x": ["hunter2"]}, "b": 2}]"#,
            r#"[{"Access-Token":"***","b":2}]"#,
        );
        check(
            r#"{"api_key": 17, "SSN": null, "x": "y"}"#,
            r#"{"api_key":"***","SSN":"***","x":"y"}"#,
        );
    }

    #[test]
    fn an_escaped_name_is_no_way_around_it() {
        check(r#"{"pass\u0077ord": "hunter2"}"#, r#"{"pass\u0077ord":"***"}"#);
        check(r#"{"\u0050ASS_WORD": "hunter2"}"#, r#"{"\u0050ASS_WORD":"***"}"#);
    }

    #[test]
    fn a_body_that_is_cut_shows_no_half_of_a_secret() {
        let whole = r#"{"a": "b", "password": "hunter2hunter2", "c": {"token": ["hunter2", "x"]}}"#;
        for end in 0..whole.len() {
            let redaction = Redaction::new(&[]).unwrap();
            let shown = redaction.apply(&whole.as_bytes()[..end]);
            assert!(!shown.contains("hunter"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_json_is_shown_no_further() {
        check("password=hunter2", "");
        check(r#"{"a": 1} {"password": "hunter2"}"#, r#"{"a":1}"#);
        check(r#"{'password': 'hunter2'}"#, "{");
        check(r#"{"a": hunter2}"#, r#"{"a":"#);
        check(r#"{"pass\qword": "hunter2"}"#, "{");
        check(&"[".repeat(10_000), &"[".repeat(DEEPEST));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let redaction = Redaction::new(&[]).unwrap();
        assert_eq!(
            redaction.apply(b"{\"a\":\"\xff\",\"token\":\"\xff\"}"),
            "{\"a\":\"\u{fffd}\",\"token\":\"***\"}"
        );
    }
}
