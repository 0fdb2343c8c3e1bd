//! The configuration: as it is written, and as it is once checked.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use shared::config::{Invalid, NonEmpty, Period};

use crate::report::Kind;
use crate::services::{RawGrpc, Services};

/// How many endpoints, and how many dependencies, there may be.
const MOST: usize = 64;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What reports call the version; default none.
    version: Option<Text>,
    /// What is answered.
    endpoints: NonEmpty<Endpoint>,
    /// What the service needs; default nothing.
    #[serde(default)]
    dependencies: Vec<RawDependency>,
    /// How it is known that the proxy drains; default not at all.
    draining: Option<Draining>,
    /// What gRPC's health checks are answered; default: they are requests as any other.
    grpc: Option<RawGrpc>,
}

/// Where the proxy says that it drains.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Draining {
    /// The cluster that leads to the proxy's own administration, on loopback.
    cluster: Text,
    /// How often it is asked; default 500 ms.
    interval: Option<Period>,
}

/// What reports call the proxy itself.
pub(crate) const PROXY: &str = "proxy";
/// Envoy's administration answers 200 there while it serves, and 503 while it starts, and from
/// `/healthcheck/fail` on.
const READY: &str = "/ready";
const DRAINING_INTERVAL: Duration = Duration::from_millis(500);

impl Draining {
    /// The proxy as one more dependency of the service.
    fn check(self) -> Result<Dependency, Invalid> {
        let interval = self.interval.map_or(DRAINING_INTERVAL, Period::duration);
        if interval < SHORTEST_INTERVAL {
            return Err(Invalid::at("draining.interval", "shorter than 100ms"));
        }
        Ok(Dependency {
            name: PROXY.into(),
            cluster: self.cluster.0,
            host: "localhost".into(),
            path: READY.into(),
            interval,
            timeout: DEFAULT_TIMEOUT.min(interval),
            required: true,
        })
    }
}

/// What a rule, a route or a virtual host may set anew.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// Who answers a probe; default [`Answer::Proxy`].
    #[serde(default)]
    pub(crate) answer: Answer,
}

/// Who answers a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// This filter.
    #[default]
    Proxy,
    /// The upstream. No filter of ours behind this one refuses, holds, limits or logs it.
    Upstream,
}

/// One of `endpoints`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// The path, exactly.
    pub(crate) path: ProbePath,
    /// What is reported there.
    pub(crate) report: Kind,
}

/// One of `dependencies`, as it is written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawDependency {
    name: Text,
    cluster: Text,
    #[serde(default)]
    path: PingPath,
    host: Option<Host>,
    interval: Option<Period>,
    timeout: Option<Period>,
    #[serde(default = "yes")]
    required: bool,
}

const fn yes() -> bool {
    true
}

/// A configuration that has been checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What reports call the version.
    pub(crate) version: Option<String>,
    /// What is answered: no path twice.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What is pinged, by name: no name twice.
    pub(crate) dependencies: Vec<Dependency>,
    /// What gRPC's health checks are answered.
    pub(crate) grpc: Option<Services>,
}

/// A dependency, and how it is pinged.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// What reports call it.
    pub(crate) name: String,
    /// Where pings go.
    pub(crate) cluster: String,
    /// Their `:authority`.
    pub(crate) host: String,
    /// Their `:path`.
    pub(crate) path: String,
    /// How often they go.
    pub(crate) interval: Duration,
    /// How long an answer may take; never longer than the interval.
    pub(crate) timeout: Duration,
    /// Whether the service is not ready without it.
    pub(crate) required: bool,
}

impl Config {
    /// Checks what no field can know alone.
    pub(crate) fn check(self) -> Result<Checked, Invalid> {
        let endpoints: Vec<_> = self.endpoints.into_iter().collect();
        let paths: Vec<_> = endpoints.iter().map(|endpoint| endpoint.path.0.as_str()).collect();
        check_list(&paths, "endpoints", "path")?;
        let names: Vec<_> = self.dependencies.iter().map(|raw| raw.name.0.as_str()).collect();
        check_list(&names, "dependencies", "name")?;
        let check = |(index, raw): (usize, RawDependency)| {
            raw.check().map_err(|error| error.within(&format!("dependencies[{index}]")))
        };
        let dependencies: Result<Vec<_>, _> =
            self.dependencies.into_iter().enumerate().map(check).collect();
        let mut dependencies = dependencies?;
        let names: Vec<_> = names_of(&dependencies).collect();
        let drains = self.draining.is_some();
        let grpc = self.grpc.map(|grpc| grpc.check(&names, drains));
        let grpc = grpc.transpose().map_err(|error| error.within("grpc"))?;
        if let Some(draining) = self.draining {
            if let Some(index) = names_of(&dependencies).position(|name| name == PROXY) {
                let message = format!("`{PROXY}` is the proxy itself where there is `draining`");
                return Err(Invalid::at(format!("dependencies[{index}].name"), message));
            }
            dependencies.push(draining.check()?);
        }
        dependencies.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Checked { version: self.version.map(|text| text.0), endpoints, dependencies, grpc })
    }
}

impl RawDependency {
    fn check(self) -> Result<Dependency, Invalid> {
        let interval = self.interval.map_or(DEFAULT_INTERVAL, Period::duration);
        if interval < SHORTEST_INTERVAL {
            return Err(Invalid::at("interval", "shorter than 100ms"));
        }
        let timeout = self.timeout.map_or_else(|| DEFAULT_TIMEOUT.min(interval), Period::duration);
        if timeout > interval {
            return Err(Invalid::at("timeout", "longer than the interval"));
        }
        if timeout < SHORTEST_TIMEOUT {
            return Err(Invalid::at("timeout", "shorter than 1ms"));
        }
        let host = match self.host {
            Some(host) => host.0,
            None if is_host(&self.cluster.0) => self.cluster.0.clone(),
            None => {
                return Err(Invalid::at("host", "missing, and the name of the cluster is no host"));
            }
        };
        Ok(Dependency {
            name: self.name.0,
            cluster: self.cluster.0,
            host,
            path: self.path.0,
            interval,
            timeout,
            required: self.required,
        })
    }
}

fn names_of(dependencies: &[Dependency]) -> impl Iterator<Item = &str> {
    dependencies.iter().map(|dependency| dependency.name.as_str())
}

/// Refuses a list that is too long, and a key that two of its elements have.
pub(crate) fn check_list(keys: &[&str], list: &str, field: &str) -> Result<(), Invalid> {
    if keys.len() > MOST {
        return Err(Invalid::at(list, format!("more than {MOST}")));
    }
    for (index, key) in keys.iter().enumerate() {
        match keys.iter().position(|other| other == key) {
            Some(first) if first != index => {
                let message = format!("the same as in {list}[{first}]");
                return Err(Invalid::at(format!("{list}[{index}].{field}"), message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A text of one line, not empty.
#[derive(Clone, Debug)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::custom("empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(D::Error::custom("has a control character"));
        }
        Ok(Self(text))
    }
}

/// The path of an endpoint: literal, without a query.
#[derive(Clone, Debug)]
pub(crate) struct ProbePath(String);

impl ProbePath {
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'de> Deserialize<'de> for ProbePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PingPath(path) = PingPath::deserialize(deserializer)?;
        if path.contains('?') {
            return Err(D::Error::custom(
                "has a query; an endpoint is for every query and for none",
            ));
        }
        if path.contains(['*', '{', '}']) {
            return Err(D::Error::custom("is a pattern; an endpoint is one literal path"));
        }
        Ok(Self(path))
    }
}

/// The path of a ping, with a query or without.
#[derive(Debug)]
struct PingPath(String);

impl Default for PingPath {
    /// Clue's.
    fn default() -> Self {
        Self("/livez".into())
    }
}

impl<'de> Deserialize<'de> for PingPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        if !path.starts_with('/') {
            return Err(D::Error::custom("does not begin with `/`"));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(D::Error::custom("has a character that no request's path has"));
        }
        Ok(Self(path))
    }
}

/// An `:authority`.
#[derive(Debug)]
struct Host(String);

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let host = String::deserialize(deserializer)?;
        if !is_host(&host) {
            return Err(D::Error::custom("is no host with or without a port"));
        }
        Ok(Self(host))
    }
}

/// Whether upstreams take the text for an authority (RFC 3986, 3.2, without user information).
/// Istio's names of clusters, `outbound|80||…`, are none.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(&byte))
}

#[cfg(feature = "schema")]
mod schema {
    use super::{Host, PingPath, ProbePath, Text};

    shared::written!(Text, "Text", {"type": "string", "minLength": 1});
    shared::written!(ProbePath, "ProbePath", {
        "description": "A literal path, without a query.",
        "type": "string",
        "pattern": "^/[^?*{}#]*$",
    });
    shared::written!(PingPath, "PingPath", {
        "description": "A path, with a query or without.",
        "type": "string",
        "pattern": "^/[^#]*$",
    });
    shared::written!(Host, "Host", {
        "description": "A host with or without a port.",
        "type": "string",
        "minLength": 1,
    });
}
