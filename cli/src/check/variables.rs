//! References to the environment, before the filter resolves them.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::document::At;

/// A reference in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    /// What stands in for the variable where it is not set.
    pub(crate) default: Option<&'a str>,
}

/// The references of a text. What is malformed is left to the filter to refuse.
pub(crate) fn references(text: &str) -> Vec<Reference<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        rest = after;
        if before.ends_with('$') {
            continue;
        }
        let Some((reference, behind)) = after.split_once('}') else { break };
        rest = behind;
        found.push(match reference.split_once(':') {
            Some((name, alternative)) => Reference { name, default: alternative.strip_prefix('-') },
            None => Reference { name: reference, default: None },
        });
    }
    found
}

/// A reference to a variable that has to be set, and is not.
pub(super) struct Missing {
    pub(super) name: String,
    pub(super) line: usize,
    /// The path within the configuration.
    pub(super) path: String,
}

/// All of a configuration that are missing.
pub(super) fn missing(config: &At<'_>, set: &HashMap<String, String>) -> Vec<Missing> {
    let mut found = Vec::new();
    for at in config.all() {
        for reference in references(at.text().unwrap_or_default()) {
            if reference.default.is_none() && !set.contains_key(reference.name) {
                let path = within(config, &at);
                found.push(Missing { name: reference.name.to_owned(), line: at.line, path });
            }
        }
    }
    found
}

/// The variables of a configuration whose values are known, and these.
pub(super) struct Held(Vec<(String, String)>);

impl Held {
    /// The least that may be a part of a secret which somebody can use, in bytes.
    const PART: usize = 8;

    pub(super) fn of(config: &At<'_>, set: &HashMap<String, String>) -> Self {
        let mut held = BTreeMap::new();
        for at in config.all() {
            for Reference { name, .. } in references(at.text().unwrap_or_default()) {
                held.extend(set.get(name).map(|value| (name.to_owned(), value.clone())));
            }
        }
        Self(held.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// A message with the names of variables in the place of their values, which may be secrets.
    pub(super) fn conceal(&self, message: String) -> String {
        let mut message = message;
        for (name, value) in &self.0 {
            let quoted = format!("`{value}`");
            message = message.replace(&quoted, &format!("`${{{name}}}`"));
            if value.len() >= Self::PART {
                message = message.replace(value, &format!("${{{name}}}"));
            }
        }
        if self.0.iter().any(|(_, value)| Self::shows(&message, value)) {
            return "the filter refuses it, with the values that variables have here".to_owned();
        }
        message
    }

    /// Whether a part of a value is in a message.
    fn shows(message: &str, value: &str) -> bool {
        let mut parts = value.as_bytes().windows(Self::PART);
        parts.any(|part| message.as_bytes().windows(Self::PART).any(|there| there == part))
    }
}

/// The path of a place, read from another that it is within.
pub(super) fn within(outer: &At<'_>, inner: &At<'_>) -> String {
    let path = inner.path.strip_prefix(&outer.path).unwrap_or(&inner.path);
    path.trim_start_matches('.').to_owned()
}

/// How many kinds of stand-in there are.
pub(super) const STAND_INS: usize = 9;

/// A text that may stand in for a variable whose value is not known: of one kind or another, for what
/// is wanted is for the filter to say. No two variables have the same.
pub(super) fn stand_in(name: &str, kind: usize) -> String {
    let digest: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    const HASH: &str = "$2y$05$owGDCHj62ws3RoZyRoZTpu5XhYiGzN2gkhZFVghoxC.b.AQOMdX/.";
    match kind {
        0 => format!("stand-in-{name}"),
        1 => digest,
        2 => HASH.to_owned(),
        3 => format!("https://{}.example/{name}", name.to_ascii_lowercase().replace('_', "-")),
        4 => "1m".to_owned(),
        5 => "2100-01-01T00:00:00Z".to_owned(),
        6 => "64KiB".to_owned(),
        7 => "1".to_owned(),
        _ => format!("{name}:{HASH}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_filter_would_resolve() {
        let found = references("${A} $${B} ${C:-d} ${E:?f} $2y$05$x ${G");
        let reference = |name, default| Reference { name, default };
        let expected = [reference("A", None), reference("C", Some("d")), reference("E", None)];
        assert_eq!(found, expected);
    }
}
