//! The services whose health gRPC clients ask for, and what decides on it.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use shared::config::{Invalid, NonEmpty};

use crate::config::{Dependency, PROXY, Text, check_list};
use crate::report::Kind;

/// The longest name of a service, in bytes.
const LONGEST_NAME: usize = 256;

/// `grpc`, as it is written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGrpc {
    /// The cluster that leads to the listener where the checks are answered. What is on its way elsewhere
    /// is no probe.
    cluster: Text,
    /// The services that are known.
    services: NonEmpty<RawService>,
}

/// One of `services`, as it is written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawService {
    /// Its full name, `users.v1.Users`; empty for the server as a whole.
    name: ServiceName,
    /// The report that decides; either this,
    report: Option<Kind>,
    /// or the dependencies that have to be OK.
    dependencies: Option<NonEmpty<String>>,
}

/// The services, once checked.
#[derive(Debug)]
pub(crate) struct Services {
    /// The cluster that leads to where they are answered.
    pub(crate) cluster: String,
    list: Vec<Service>,
}

/// A service, and what decides on its health.
#[derive(Debug)]
struct Service {
    name: String,
    needs: Needs,
}

/// What has to be OK for a service to serve.
#[derive(Debug)]
pub(crate) enum Needs {
    /// All that is in a report.
    Report(Kind),
    /// The dependencies of these names.
    Named(Vec<String>),
}

impl Needs {
    /// Whether a dependency is among it.
    pub(crate) fn has(&self, dependency: &Dependency) -> bool {
        match self {
            Self::Report(kind) => kind.lists(dependency),
            Self::Named(names) => names.contains(&dependency.name),
        }
    }
}

impl Services {
    /// What decides on the service of this name; `None` for one that is not known.
    pub(crate) fn needs(&self, name: &str) -> Option<&Needs> {
        self.list.iter().find(|service| service.name == name).map(|service| &service.needs)
    }
}

impl RawGrpc {
    /// Checks it against the dependencies that there are, and whether it is known when the proxy drains.
    pub(crate) fn check(self, known: &[&str], drains: bool) -> Result<Services, Invalid> {
        let services: Vec<_> = self.services.into_iter().collect();
        let names: Vec<_> = services.iter().map(|service| service.name.0.as_str()).collect();
        check_list(&names, "services", "name")?;
        let check = |(index, service): (usize, RawService)| {
            let checked = service.check(known, drains);
            checked.map_err(|error| error.within(&format!("services[{index}]")))
        };
        let list: Result<Vec<_>, _> = services.into_iter().enumerate().map(check).collect();
        Ok(Services { cluster: self.cluster.0, list: list? })
    }
}

impl RawService {
    fn check(self, known: &[&str], drains: bool) -> Result<Service, Invalid> {
        let needs = match (self.report, self.dependencies) {
            (Some(kind), None) => Needs::Report(kind),
            (None, Some(names)) => Needs::Named(named(names, known, drains)?),
            _ => return Err(Invalid::at("report", "either this or `dependencies` is needed")),
        };
        Ok(Service { name: self.name.0, needs })
    }
}

/// The names of dependencies that there are; a proxy that drains serves nothing any more.
fn named(names: NonEmpty<String>, known: &[&str], drains: bool) -> Result<Vec<String>, Invalid> {
    let mut names: Vec<_> = names.into_iter().collect();
    for (index, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let message = format!("`{name}` is none of the dependencies");
            return Err(Invalid::at(format!("dependencies[{index}]"), message));
        }
    }
    if drains {
        names.push(PROXY.to_owned());
    }
    Ok(names)
}

/// The full name of a service, or nothing.
#[derive(Clone, Debug)]
struct ServiceName(String);

impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.len() > LONGEST_NAME {
            return Err(D::Error::custom(format!("longer than {LONGEST_NAME} bytes")));
        }
        if name.chars().any(|character| character.is_control() || character == '/') {
            return Err(D::Error::custom("has a character that no name of a service has"));
        }
        Ok(Self(name))
    }
}

#[cfg(feature = "schema")]
mod schema {
    use super::ServiceName;

    shared::written!(ServiceName, "ServiceName", {
        "description": "The full name of a gRPC service; empty for the server as a whole.",
        "type": "string",
        "maxLength": 256,
    });
}
