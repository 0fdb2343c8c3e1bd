//! What a probe is answered: Clue's report of health.
//!
//! 1. JSON ends with a line feed and XML does not, as in Clue. Dependencies come by name.
//! 2. Without a version there is no `version`, and without dependencies no `status`.
//! 3. In XML the dependencies are elements. Characters that a name of XML cannot have are written
//!    `_xHHHH_`.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Dependency;

/// What an endpoint reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Whether the proxy is there.
    Liveness,
    /// Whether the service can do its work.
    Readiness,
    /// How all dependencies are.
    Dependencies,
}

impl Kind {
    /// Its name in the configuration, in metrics and in the access log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
            Self::Dependencies => "dependencies",
        }
    }

    /// Whether a dependency is in the report, and decides on its status.
    pub(crate) const fn lists(self, dependency: &Dependency) -> bool {
        match self {
            Self::Liveness => false,
            Self::Readiness => dependency.required,
            Self::Dependencies => true,
        }
    }
}

/// The form of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The default.
    Json,
    /// For those who like it better.
    Xml,
}

impl Format {
    /// `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

/// What is reported.
#[derive(Debug)]
pub(crate) struct Health<'a> {
    /// In whole seconds.
    pub(crate) uptime: u64,
    /// What the service calls its version.
    pub(crate) version: Option<&'a str>,
    /// The dependencies, and whether each is OK.
    pub(crate) status: Vec<(&'a str, bool)>,
}

impl Health<'_> {
    /// Whether all that is listed is OK.
    pub(crate) fn is_well(&self) -> bool {
        self.status.iter().all(|(_, ok)| *ok)
    }

    /// The body.
    pub(crate) fn body(&self, format: Format) -> String {
        match format {
            Format::Json => self.json(),
            Format::Xml => self.xml(),
        }
    }

    fn json(&self) -> String {
        let mut body = Map::new();
        body.insert("uptime".into(), self.uptime.into());
        if let Some(version) = self.version {
            body.insert("version".into(), version.into());
        }
        if !self.status.is_empty() {
            let status =
                self.status.iter().map(|(name, ok)| ((*name).to_owned(), word(*ok).into()));
            body.insert("status".into(), Value::Object(status.collect()));
        }
        format!("{}\n", Value::Object(body))
    }

    fn xml(&self) -> String {
        let mut body = format!("<health><uptime>{}</uptime>", self.uptime);
        if let Some(version) = self.version {
            body.extend(["<version>", &text(version), "</version>"]);
        }
        if !self.status.is_empty() {
            body.push_str("<status>");
            for (name, ok) in &self.status {
                let name = element(name);
                body.extend(["<", &name, ">", word(*ok), "</", &name, ">"]);
            }
            body.push_str("</status>");
        }
        body.push_str("</health>");
        body
    }
}

const fn word(ok: bool) -> &'static str {
    if ok { "OK" } else { "NOT OK" }
}

/// `text` between two tags. The configuration lets no control character in.
fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // No reference can stand for these (XML 1.0, 2.2).
            '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `name` as the name of an element.
fn element(name: &str) -> String {
    let mut element = String::with_capacity(name.len());
    for character in name.chars() {
        let fits = starts_name(character) || (!element.is_empty() && continues_name(character));
        if fits {
            element.push(character);
        } else {
            // A `String` takes everything.
            let _ = write!(element, "_x{:04X}_", u32::from(character));
        }
    }
    element
}

/// `NameStartChar` (XML 1.0, 2.3), but for the colon, which is for namespaces.
const fn starts_name(character: char) -> bool {
    matches!(
        character,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
            | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}'
    )
}

/// What `NameChar` adds to it.
const fn continues_name(character: char) -> bool {
    matches!(
        character,
        '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Option<&str>, status: &[(&str, bool)], json: &str, xml: &str) {
        let health = Health { uptime: 20, version, status: status.to_vec() };
        assert_eq!(health.body(Format::Json), format!("{json}\n"));
        assert_eq!(health.body(Format::Xml), xml);
    }

    #[test]
    fn the_shape_is_clues() {
        check(
            Some("91bb64a"),
            &[("database", true), ("poller", false)],
            r#"{"uptime":20,"version":"91bb64a","status":{"database":"OK","poller":"NOT OK"}}"#,
            "<health><uptime>20</uptime><version>91bb64a</version>\
             <status><database>OK</database><poller>NOT OK</poller></status></health>",
        );
    }

    #[test]
    fn what_there_is_not_is_left_out() {
        check(None, &[], r#"{"uptime":20}"#, "<health><uptime>20</uptime></health>");
    }

    #[test]
    fn texts_are_escaped() {
        check(
            Some("<1>&\"\\\u{FFFF}"),
            &[],
            "{\"uptime\":20,\"version\":\"<1>&\\\"\\\\\u{FFFF}\"}",
            "<health><uptime>20</uptime><version>&lt;1&gt;&amp;\"\\\u{FFFD}</version></health>",
        );
    }

    #[track_caller]
    fn check_element(name: &str, written: &str) {
        assert_eq!(element(name), written);
    }

    #[test]
    fn names_of_xml_stay_as_they_are() {
        check_element("data-base.v1_é", "data-base.v1_é");
    }

    #[test]
    fn other_names_are_made_names_of_xml() {
        check_element("user store", "user_x0020_store");
        check_element("a><b", "a_x003E__x003C_b");
        check_element("1st", "_x0031_st");
        check_element("-.", "_x002D_.");
        check_element("ns:name", "ns_x003A_name");
        check_element("\u{F0000}", "_xF0000_");
    }
}
