//! The configuration: as it is written, and as it is once checked.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use shared::config::{Invalid, NonEmpty, Period, Size};
use shared::identity::HeaderName;
use shared::matching::path::Pattern;

use crate::callers::Callers;
use crate::payload::Redaction;

/// The longest that the debug switch stays on by one request.
pub(crate) const LONGEST_DEBUG: Duration = Duration::from_secs(24 * 60 * 60);
/// The most that is kept of one body.
const MOST_PAYLOAD: u64 = 64 * 1024;
/// The most sets of labels that one configuration may allow.
const MOST_SERIES: usize = 4096;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which exchanges get a line; default [`Lines::Asked`].
    #[serde(default)]
    pub(crate) lines: Lines,
    /// How long an exchange takes that asks for its line; default none does.
    pub(crate) slower_than: Option<Period>,
    /// Where lines go; default [`Output::AccessLog`].
    #[serde(default)]
    pub(crate) output: Output,
    /// What of a query is shown; default nothing.
    #[serde(default)]
    pub(crate) query: Allow<String>,
    /// Which headers of requests are shown in the lines that something asked for; default `user-agent`.
    #[serde(default = "user_agent")]
    pub(crate) headers: Allow<HeaderName>,
    /// Paths whose exchanges get no line unless something asks for it; default none.
    #[serde(default)]
    pub(crate) skip: Skip,
    /// What is counted; default all, under at most 512 sets of labels.
    #[serde(default)]
    pub(crate) metrics: Metrics,
    /// The debug switch; default none.
    pub(crate) debug: Option<Debug>,
    /// What is shown of bodies while the switch is on; default nothing.
    pub(crate) payloads: Option<Payloads>,
    /// Who may see the upstream's `/debug/pprof`; default nobody.
    #[serde(default)]
    pub(crate) pprof: Pprof,
    /// Who is told how long it took; default nobody.
    pub(crate) server_timing: Option<ServerTiming>,
}

/// What a rule, a route or a virtual host may set anew: nothing but `mode` and `errors`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {}

/// Which exchanges get a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lines {
    /// All; those that nothing asked for get a short one.
    All,
    /// Those that an error, a refusal, a sampled trace, `slower_than` or the debug switch asks for.
    #[default]
    Asked,
    /// None.
    None,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Output {
    /// Into the filter state `wasm.gatehouse.log`, for the access log to print.
    #[default]
    AccessLog,
    /// Into the proxy's own log, behind its prefix.
    ProxyLog,
    /// Both.
    Both,
}

impl Output {
    pub(crate) fn is_state(self) -> bool {
        self != Self::ProxyLog
    }

    pub(crate) fn is_log(self) -> bool {
        self != Self::AccessLog
    }
}

/// What is shown, by name.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow<T> {
    /// The names.
    pub(crate) allow: Vec<T>,
}

impl<T> Default for Allow<T> {
    fn default() -> Self {
        Self { allow: Vec::new() }
    }
}

fn user_agent() -> Allow<HeaderName> {
    Allow { allow: HeaderName::try_from("user-agent").into_iter().collect() }
}

/// Paths whose exchanges get no line.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Skip {
    /// The paths.
    pub(crate) paths: Vec<Pattern>,
}

/// What is counted.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// Whether anything is.
    pub(crate) enabled: bool,
    /// Under how many sets of labels, of all workers together, from 1 to 4096; default 512.
    pub(crate) max_series: MaxSeries,
    /// What consumers are called together; the first that holds. Default none.
    pub(crate) tiers: Vec<Tier>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, max_series: MaxSeries(512), tiers: Vec::new() }
    }
}

/// A number of sets of labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxSeries(pub(crate) usize);

impl<'de> Deserialize<'de> for MaxSeries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let fits = usize::try_from(number).ok().filter(|number| (1..=MOST_SERIES).contains(number));
        fits.map(Self)
            .ok_or_else(|| D::Error::custom(format!("{number} is not from 1 to {MOST_SERIES}")))
    }
}

/// One of `tiers`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Tier {
    /// What they are called.
    pub(crate) name: TierName,
    /// Who is in it; this or `groups`, or both.
    #[serde(default)]
    pub(crate) consumers: Vec<String>,
    /// Whose members are in it.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
}

/// The name of a tier: lower-case letters, digits, `_` and `-`.
#[derive(Clone, Debug)]
pub(crate) struct TierName(pub(crate) String);

impl<'de> Deserialize<'de> for TierName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(is_plain) {
            return Err(D::Error::custom("is not 1 to 64 of a-z, 0-9, `_` and `-`"));
        }
        Ok(Self(text))
    }
}

/// The debug switch.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Debug {
    /// Where it is; default Clue's `/debug`.
    #[serde(default)]
    pub(crate) path: SwitchPath,
    /// Who may turn it.
    pub(crate) allow: Callers,
    /// How long it stays on; default 15 minutes, at most a day.
    #[serde(default = "a_quarter", rename = "for")]
    pub(crate) on_for: Period,
}

const fn a_quarter() -> Period {
    Period::from_secs(15 * 60)
}

/// The path of the switch: literal, without a query.
#[derive(Clone, Debug)]
pub(crate) struct SwitchPath(pub(crate) String);

impl Default for SwitchPath {
    fn default() -> Self {
        Self("/debug".into())
    }
}

impl<'de> Deserialize<'de> for SwitchPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if !path.starts_with('/') || path.len() < 2 || !path.bytes().all(is_plain) {
            return Err(D::Error::custom("is not one literal path such as `/debug`"));
        }
        Ok(Self(path))
    }
}

/// What is shown of bodies.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Payloads {
    /// How much of each; default Clue's 1 KiB, at most 64 KiB.
    max_bytes: Option<Size>,
    /// Members of JSON whose values are not shown, beside those that never are.
    redact: Vec<String>,
}

impl Payloads {
    pub(crate) fn check(self) -> Result<(usize, Redaction), Invalid> {
        let bytes = self.max_bytes.map_or(1024, Size::bytes);
        if bytes > MOST_PAYLOAD {
            return Err(Invalid::at("max_bytes", "more than 64KiB"));
        }
        let redaction = Redaction::new(&self.redact)
            .map_err(|index| Invalid::at(format!("redact[{index}]"), "has no letter or digit"))?;
        Ok((usize::try_from(bytes).unwrap_or(usize::MAX), redaction))
    }
}

/// Who may see profiles.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Pprof {
    /// Those callers; default nobody.
    pub(crate) allow: Option<Callers>,
}

/// Who is told how long it took.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTiming {
    /// Those callers.
    pub(crate) allow: Callers,
}

/// Headers that hold credentials, or may, beside those whose names say so ([`Redaction`]): no line
/// shows them.
const SECRET_HEADERS: [&str; 2] = ["dpop", "referer"];

impl Config {
    /// Checks what no field can know alone.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let secrets = Redaction::of_names();
        let is_secret = |name: &str| SECRET_HEADERS.contains(&name) || secrets.hides(name);
        let headers = self.headers.allow.iter().map(|name| name.shared().to_string());
        let lists: [(_, Vec<String>); 2] =
            [("headers", headers.collect()), ("query", self.query.allow.clone())];
        for (field, names) in lists {
            if let Some((index, name)) = names.iter().enumerate().find(|(_, name)| is_secret(name))
            {
                return Err(Invalid::at(
                    format!("{field}.allow[{index}]"),
                    format!("`{name}` holds credentials; no line shows it"),
                ));
            }
        }
        for (index, tier) in self.metrics.tiers.iter().enumerate() {
            if tier.consumers.is_empty() && tier.groups.is_empty() {
                return Err(Invalid::at(
                    format!("metrics.tiers[{index}]"),
                    "names neither `consumers` nor `groups`",
                ));
            }
        }
        if self.debug.as_ref().is_some_and(|debug| debug.on_for.duration() > LONGEST_DEBUG) {
            return Err(Invalid::at("debug.for", "longer than a day"));
        }
        if self.slower_than.is_some() && self.lines == Lines::None {
            return Err(Invalid::at("slower_than", "asks for lines, and `lines` is `none`"));
        }
        if self.payloads.is_some() && self.debug.is_none() {
            return Err(Invalid::at(
                "payloads",
                "are shown while `debug` is on, and there is none",
            ));
        }
        Ok(())
    }
}

/// A list of at least one text, none of them empty.
#[derive(Clone, Debug)]
pub(crate) struct Texts(NonEmpty<String>);

impl Texts {
    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.iter().any(|known| known == text)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = NonEmpty::<String>::deserialize(deserializer)?;
        if list.iter().any(String::is_empty) {
            return Err(D::Error::custom("has an empty text, which is nobody"));
        }
        Ok(Self(list))
    }
}

#[cfg(feature = "schema")]
mod schema {
    use super::{MaxSeries, SwitchPath, Texts, TierName};

    shared::written!(MaxSeries, "MaxSeries", {"type": "integer", "minimum": 1, "maximum": 4096});
    shared::written!(TierName, "TierName", {
        "description": "1 to 64 of a-z, 0-9, `_` and `-`.",
        "type": "string",
        "pattern": "^[a-z0-9_-]{1,64}$",
    });
    shared::written!(SwitchPath, "SwitchPath", {
        "description": "A literal path, without a query.",
        "type": "string",
        "pattern": "^/[A-Za-z0-9._~/-]+$",
    });
    shared::written!(Texts, "Texts", {
        "description": "Names, at least one.",
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "minItems": 1,
    });
}
