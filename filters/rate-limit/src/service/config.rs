//! Who counts for the whole fleet, and what becomes of a request when nobody does.

use serde::{Deserialize, Deserializer, de::Error};
use shared::config::{Invalid, Layers, Period};

use crate::config::{Counted, Event, Settings};

/// Who counts for the whole fleet (`service`).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The cluster of the proxy that leads to the service.
    pub(crate) cluster: Name,
    /// The domain under which the service knows our limits.
    pub(crate) domain: Name,
    /// How long an answer may take; default 20ms.
    #[serde(default = "twenty_millis")]
    pub(crate) timeout: Timeout,
    /// What becomes of a request when the service cannot be asked; default `deny`.
    #[serde(default)]
    pub(crate) on_failure: OnFailure,
}

/// What becomes of a request when the service cannot be asked (`on_failure`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// It is refused, 503.
    #[default]
    Deny,
    /// It goes on.
    Allow,
    /// This proxy counts by itself, as though the limit were `local`.
    Local,
}

/// A name that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(D::Error::custom("is empty, or more than one line"));
        }
        Ok(Self(name))
    }
}

/// How long an answer may take: 1ms to 10s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(pub Period);

fn twenty_millis() -> Timeout {
    Timeout(Period::from_millis(20))
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = Period::deserialize(deserializer)?;
        let millis = time.duration().as_millis();
        if !(1..=10_000).contains(&millis) {
            return Err(D::Error::custom("is not from 1ms to 10s"));
        }
        Ok(Self(time))
    }
}

/// Refuses limits that nobody counts.
pub(crate) fn check(config: Option<&Config>, layers: &Layers<Settings>) -> Result<(), Invalid> {
    for (place, scope) in layers.all() {
        for (index, limit) in scope.settings.limits.iter().enumerate() {
            let why = match (limit.counted, limit.on) {
                (Counted::Local, _) => continue,
                (Counted::Global, Event::Unauthenticated) => {
                    "`global` counts requests; `on: unauthenticated` is counted `local`"
                }
                (Counted::Global, Event::Request) if config.is_none() => {
                    "`global` needs a `service`"
                }
                (Counted::Global, Event::Request) => continue,
            };
            return Err(Invalid::at(format!("limits[{index}].counted"), why).within(&place));
        }
    }
    Ok(())
}
