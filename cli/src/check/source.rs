//! A file that other things are made of, and where in it they come from.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;
use shared::config::Invalid;

use super::document::{self, At, Node};
use super::report::Report;
use super::site::{Config, Site, Variables};
use super::{Options, config, known, lints};
use crate::output::{self, Failure};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 32 << 20;

/// A file with one document.
pub(crate) struct Source {
    name: String,
    root: Node,
}

impl Source {
    /// Reads one; `None` where what it holds is none, or has members of which only one could count, which
    /// has been said then.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, Failure> {
        let name = name(file);
        let text = text(file).map_err(|why| Failure::because(format!("{name}: {why}")))?;
        let (line, why) = match document::read(&text, name.ends_with(".json")) {
            Ok(mut documents) if documents.len() == 1 => {
                let source = documents.pop().map(|document| Self { name, root: document.root });
                return Ok(source.filter(Self::says_all_once));
            }
            Ok(_) => (1, "is not one document".to_owned()),
            Err(error) => (error.line, error.message),
        };
        output::complain_at(&format!("{name}:{line}"), why);
        Ok(None)
    }

    /// Whether no member comes twice; says which do.
    fn says_all_once(&self) -> bool {
        let mut report = Report::default();
        lints::duplicates("", &At::top(&self.root).all(), &mut report);
        let errors = report.located();
        errors.iter().for_each(|(line, error)| self.complain_on(*line, error));
        errors.is_empty()
    }

    /// What it says.
    pub(crate) fn value(&self) -> Value {
        self.root.value()
    }

    /// Says what is wrong with it, and where.
    pub(crate) fn complain(&self, error: &Invalid) {
        self.complain_at(&error.path, error);
    }

    /// Says what is wrong with what a path leads to.
    pub(crate) fn complain_at(&self, path: &str, why: impl Display) {
        self.complain_on(self.root.locate(path), why);
    }

    /// Says what may surprise in it, and where.
    pub(crate) fn note(&self, about: &Invalid) {
        output::note_at(&format!("{}:{}", self.name, self.root.locate(&about.path)), about);
    }

    fn complain_on(&self, line: usize, why: impl Display) {
        output::complain_at(&format!("{}:{line}", self.name), why);
    }

    /// What the filters refuse that stand in its `filters`.
    pub(crate) fn refused(&self) -> Vec<Invalid> {
        let options = Options { filter: None, env: false, allow_unset: true };
        let mut report = Report::default();
        let top = At::top(&self.root);
        let entries = top.get("filters").map(|list| list.items()).unwrap_or_default();
        for at in entries.iter().flat_map(|entry| entry.members()) {
            let Some(known) = known::find(at.name) else { continue };
            let site = Site {
                known,
                name: known.name.to_owned(),
                config: Config::Part(at.path.clone(), Box::new(at.node.clone())),
                place: at,
                environment: Variables::default(),
            };
            config::check(&site, &options, &mut report);
        }
        report.errors()
    }
}

/// What a file is called in what is said of it.
pub(super) fn name(file: &Path) -> String {
    if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() }
}

/// The text of a file, or why there is none.
pub(super) fn text(file: &Path) -> Result<String, String> {
    let because = |error: io::Error| error.to_string();
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = match is_stdin(file) {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(file).map_err(because)?),
    };
    source.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes).map_err(because)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(format!("larger than {} MiB", LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}
