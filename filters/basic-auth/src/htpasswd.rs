//! The lines that `htpasswd` writes: `user:hash`.
//!
//! 1. As in Apache's `mod_authn_file`, whitespace around a line is dropped, empty lines and lines
//!    that begin with `#` are skipped, and what follows a second colon is ignored.
//! 2. Whatever else is wrong is refused with the number of its line, for the whole text: no colon,
//!    no user, a user with a control character or a space at an end, a user that comes twice
//!    (Apache takes the first), a hash that [`PasswordHash::parse`] refuses.
//! 3. Plain text is taken only if [`AllowPlain`] says so. It may not hold a colon then: its end would
//!    be ignored.
//! 4. A line that ends in a backslash does not go on in the next one, as it would in Apache.
//! 5. No error shows what follows a colon, nor a line without one.

use std::collections::HashMap;
use std::fmt;

use crate::password::{InvalidHash, PasswordHash};

/// Whether a password may stand in place of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowPlain {
    /// Text that is no hash is a password.
    Yes,
    /// Text that is no hash is an error.
    No,
}

/// All users with their hashes, in the order of their lines.
pub fn parse(
    text: &str,
    plain: AllowPlain,
) -> Result<Vec<(String, PasswordHash)>, InvalidHtpasswd> {
    let mut users = Vec::new();
    let mut first_lines = HashMap::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let fail = |reason| InvalidHtpasswd { line: number, reason };
        let Some((user, hash)) = parse_line(line, plain).map_err(fail)? else { continue };
        if let Some(first) = first_lines.insert(user, number) {
            return Err(fail(InvalidLine::Duplicate { first }));
        }
        users.push((user.to_owned(), hash));
    }
    Ok(users)
}

/// Why a text is not what `htpasswd` writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHtpasswd {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: InvalidLine,
}

impl fmt::Display for InvalidHtpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for InvalidHtpasswd {}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidLine {
    /// Neither empty nor a comment.
    NoColon,
    /// Nothing before the colon.
    NoUser,
    /// Before the colon, where no client could send it.
    ControlCharacter,
    /// Before the colon: it would be gone from the header in which the upstream reads the name.
    SpaceAtEnd,
    /// A user that another line has already.
    Duplicate {
        /// The number of that line.
        first: usize,
    },
    /// A password, with another colon.
    PlainWithColon,
    /// After the colon.
    Hash(InvalidHash),
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("has no colon"),
            Self::NoUser => f.write_str("has no user before the colon"),
            Self::ControlCharacter => f.write_str("has a control character in the user's name"),
            Self::SpaceAtEnd => f.write_str("has a space at an end of the user's name"),
            Self::Duplicate { first } => write!(f, "has the user of line {first} again"),
            Self::PlainWithColon => f.write_str("has a password in plain text with a colon in it"),
            Self::Hash(invalid) => write!(f, "what follows the colon: {invalid}"),
        }
    }
}

/// The user and the hash of a line, if it has any.
fn parse_line(line: &str, plain: AllowPlain) -> Result<Option<(&str, PasswordHash)>, InvalidLine> {
    let line = line.trim_matches(is_space);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (user, rest) = line.split_once(':').ok_or(InvalidLine::NoColon)?;
    if user.is_empty() {
        return Err(InvalidLine::NoUser);
    }
    if user.contains(char::is_control) {
        return Err(InvalidLine::ControlCharacter);
    }
    if user.trim() != user {
        return Err(InvalidLine::SpaceAtEnd);
    }
    Ok(Some((user, parse_hash(rest, plain)?)))
}

fn parse_hash(rest: &str, plain: AllowPlain) -> Result<PasswordHash, InvalidLine> {
    let (hash, more) = rest.split_once(':').map_or((rest, None), |(hash, more)| (hash, Some(more)));
    match PasswordHash::parse(hash) {
        Err(InvalidHash::Plain) if plain == AllowPlain::Yes => match more {
            Some(_) => Err(InvalidLine::PlainWithColon),
            None => PasswordHash::plain(hash).map_err(InvalidLine::Hash),
        },
        parsed => parsed.map_err(InvalidLine::Hash),
    }
}

/// What C calls space.
fn is_space(char: char) -> bool {
    char.is_ascii_whitespace() || char == '\x0b'
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="; // htpasswd -nbs alice secret

    #[test]
    fn reads_users_in_order() {
        check(&format!("bob:{HASH}\neve:{HASH}\nalice:{HASH}\n"), &["bob", "eve", "alice"]);
        check(&format!("alice:{HASH}"), &["alice"]);
        check("", &[]);
    }

    #[test]
    fn the_hash_is_the_users() {
        let users = parse(&format!("alice:{HASH}"), AllowPlain::No).unwrap();
        assert!(users[0].1.verify(b"secret"));
        assert!(!users[0].1.verify(b"Secret"));
    }

    #[test]
    fn skips_comments_and_empty_lines() {
        check(&format!("# all:users\n\n  # and:more\n \t\nalice:{HASH}\n#bob:{HASH}"), &["alice"]);
    }

    #[test]
    fn drops_whitespace_around_a_line() {
        check(&format!("alice:{HASH}\r\n\r\n \tbob:{HASH} \t\x0b\x0c\r\n"), &["alice", "bob"]);
    }

    #[test]
    fn drops_the_mark_of_an_editor() {
        check(&format!("\u{feff}alice:{HASH}"), &["alice"]);
    }

    #[test]
    fn keeps_spaces_and_case_in_a_name() {
        check(
            &format!("al ice:{HASH}\nAlice:{HASH}\nÄlice B:{HASH}"),
            &["al ice", "Alice", "Älice B"],
        );
    }

    #[test]
    fn ignores_what_follows_a_second_colon() {
        check(&format!("alice:{HASH}:1000:Alice A:/home"), &["alice"]);
    }

    #[test]
    fn refuses_a_line_without_a_colon() {
        check_refused(&format!("alice:{HASH}\n\nsecret"), "line 3: has no colon");
    }

    #[test]
    fn refuses_an_empty_user() {
        check_refused(&format!(":{HASH}"), "line 1: has no user before the colon");
    }

    #[test]
    fn refuses_a_space_at_an_end_of_a_name() {
        check_refused(
            &format!("alice :{HASH}"),
            "line 1: has a space at an end of the user's name",
        );
    }

    #[test]
    fn refuses_control_characters_in_a_name() {
        for name in ["a\tb", "a\0b", "a\x7fb", "a\u{85}b"] {
            let text = format!("{name}:{HASH}");
            check_refused(&text, "line 1: has a control character in the user's name");
        }
    }

    #[test]
    fn refuses_a_user_that_comes_twice() {
        let text = format!("#\nalice:{HASH}\nbob:{HASH}\nalice:{HASH}");
        check_refused(&text, "line 4: has the user of line 2 again");
    }

    #[test]
    fn refuses_a_wrong_hash() {
        check_refused("alice:", "line 1: what follows the colon: is empty");
        check_refused(
            &format!("alice:{HASH}\nbob:{HASH}secret"),
            "line 2: what follows the colon: is no {SHA} hash: cut off, too long, or with a wrong character",
        );
        let des = "line 1: what follows the colon: is DES crypt, which is not supported; \
                   `htpasswd -B` makes a better one";
        check_refused("alice:BsEWI/XeRyTNQ", des);
    }

    #[test]
    fn refuses_plain_text_unless_it_is_allowed() {
        check_refused(
            "alice:secret",
            "line 1: what follows the colon: is plain text or of an unknown format",
        );
        let users = parse("alice: se cret \n", AllowPlain::Yes).unwrap();
        assert!(users[0].1.verify(b" se cret"));
    }

    #[test]
    fn never_takes_what_looks_like_a_hash_for_plain_text() {
        for text in ["alice:BsEWI/XeRyTNQ", "alice:$y$j9T$salt$digest", "alice:{SHA}", "alice:"] {
            assert!(parse(text, AllowPlain::Yes).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_plain_text_with_a_colon() {
        let invalid = parse("alice:sec:ret", AllowPlain::Yes).unwrap_err();
        assert_eq!(invalid.to_string(), "line 1: has a password in plain text with a colon in it");
    }

    #[test]
    fn does_not_join_lines() {
        check_refused("ali\\\nce:secret", "line 1: has no colon");
    }

    #[test]
    fn errors_show_nothing_after_a_colon() {
        for text in
            ["secret", ":secret", "a:secret", "a:{SHA}secret", "a:$secret$:", "a:secret:secret"]
        {
            let invalid = parse(text, AllowPlain::No).unwrap_err();
            assert!(!format!("{invalid} {invalid:?}").contains("secret"), "{invalid:?}");
        }
    }

    #[track_caller]
    fn check(text: &str, names: &[&str]) {
        let users = parse(text, AllowPlain::No).unwrap();
        assert_eq!(users.iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        assert_eq!(parse(text, AllowPlain::No).unwrap_err().to_string(), message);
    }
}
