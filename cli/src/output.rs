//! What the program says, and how it ends.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// In which an error is named.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// In which a warning is named.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
/// In which a remark is named, and what is well.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();

/// What the program found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well: exit code 0.
    Well,
    /// It is not: exit code 1.
    Unwell,
}

/// Why the program could not find out: exit code 2.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads what it says.
    Closed,
    /// For reasons that have been said.
    Said,
    /// For this reason.
    Because(String),
}

impl Failure {
    /// For this reason.
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self::Because(why.into())
    }

    /// The same, with the place before it.
    #[must_use]
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::Because(why) => Self::Because(format!("{place}: {why}")),
            other => other,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Because(error.to_string()),
        }
    }
}

/// Bytes to standard output; colours go where they are seen.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// A line to standard output.
pub(crate) fn say(line: impl Display) -> Result<(), Failure> {
    print(format!("{line}\n").as_bytes())
}

/// A line to standard error, which is for people.
pub(crate) fn remark(line: impl Display) {
    // Where even this cannot be written there is nobody to tell.
    drop(writeln!(anstream::stderr(), "{line}"));
}

/// What may surprise, to standard error.
pub(crate) fn note(line: &str) {
    remark(format_args!("{YELLOW}note{YELLOW:#}: {}", plain(line)));
}

/// The same of a file, its place first.
pub(crate) fn note_at(place: &str, what: impl Display) {
    remark(format_args!("{}: {YELLOW}note{YELLOW:#}: {}", plain(place), plain(what)));
}

/// An error in a file to standard error, its place first, as editors look for it.
pub(crate) fn complain_at(place: &str, why: impl Display) {
    remark(format_args!("{}: {RED}error{RED:#}: {}", plain(place), plain(why)));
}

/// An error to standard error.
pub(crate) fn complain(why: &str) {
    remark(format_args!("{RED}error{RED:#}: {}", plain(why)));
}

/// A text as part of a line: what is in a file moves no cursor, turns no text around and begins no line.
pub(crate) fn plain(text: impl Display) -> String {
    let is_plain = |letter: char| {
        let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !letter.is_control() && !turns
    };
    let mut line = String::new();
    for letter in text.to_string().chars() {
        match is_plain(letter) {
            true => line.push(letter),
            false => line.extend(letter.escape_default()),
        }
    }
    line
}
