//! From one short file to what people deploy: a complete Envoy bootstrap, or manifests.
//!
//! 1. The file says what is particular: listeners, upstreams, routes, filters in their order. What
//!    every production proxy needs is here, with the time-outs and limits of Goa's production guide.
//! 2. What is rendered has a comment wherever somebody will ask why.
//! 3. Secrets stay references to the environment, and only those variables are handed to the VM.

mod envoy;
mod manifests;
mod places;
mod rules;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::config::Invalid;

use crate::arguments::{RenderArguments, Target};
use crate::check::{Source, filter_names, is_authenticator, is_filter, references};
use crate::module::Module;
use crate::output::{self, Failure, Outcome};
use envoy::{Capabilities, envoy};
use manifests::{envoy_gateway, istio};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What all of it is called.
    pub(crate) name: String,
    /// Where clients come in.
    pub(crate) listeners: Vec<Listener>,
    /// Where requests go, and what filters ask.
    pub(crate) upstreams: Vec<Upstream>,
    /// Which requests go where; default all to the first upstream.
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    /// The filters, in their order, each an object of its name and its configuration.
    pub(crate) filters: Vec<Map<String, Value>>,
    /// Of which modules they are.
    #[serde(default, rename = "as")]
    pub(crate) form: Form,
    /// The folder of the modules, for Envoy.
    #[serde(default = "default_modules")]
    pub(crate) modules: String,
    /// The registry of the modules' images, `oci://…`, for manifests.
    pub(crate) images: Option<String>,
    /// The tag of the images.
    #[serde(default = "default_version")]
    pub(crate) version: String,
    /// The guide's times.
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
    /// The guide's limits.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Where the proxy is administered; never from outside.
    #[serde(default = "default_admin")]
    pub(crate) admin: String,
    /// How many proxies are in front and add to `x-forwarded-for`.
    #[serde(default)]
    pub(crate) trusted_hops: u32,
    /// What manifests are for.
    #[serde(default)]
    pub(crate) kubernetes: Kubernetes,
}

/// Of which modules filters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// Each of its own.
    #[default]
    Modules,
    /// Each a plugin of the module that has them all, in one VM.
    Bundle,
    /// All in one plugin of that module, in one pass.
    Chain,
}

/// Where clients come in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Its name.
    pub(crate) name: String,
    /// `address:port`.
    pub(crate) address: String,
    /// Its certificate; none for plain HTTP.
    pub(crate) tls: Option<Tls>,
    /// The port at which clients find HTTPS: whatever comes here is sent there, and that is all.
    pub(crate) redirect: Option<u16>,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The chain.
    pub(crate) certificate: String,
    /// The key.
    pub(crate) key: String,
}

/// Where requests go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// The name of its cluster.
    pub(crate) name: String,
    /// `host:port`.
    pub(crate) address: String,
    /// Whether it is asked by TLS, its certificate checked.
    #[serde(default)]
    pub(crate) tls: bool,
    /// Whether it speaks HTTP/2 without being asked (gRPC).
    #[serde(default)]
    pub(crate) http2: bool,
    /// Where it says that it is well.
    pub(crate) health: Option<String>,
}

/// Which requests go where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// What its path begins with.
    pub(crate) prefix: String,
    /// Where it goes.
    pub(crate) upstream: String,
    /// How long an answer may take, in place of `timeouts.response`; `0s` for streams.
    pub(crate) timeout: Option<String>,
}

/// The guide's times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// For the headers of a request.
    pub(crate) request_headers: String,
    /// For all of a request.
    pub(crate) request: String,
    /// For an answer.
    pub(crate) response: String,
    /// For a connection without a request.
    pub(crate) idle: String,
    /// For requests under way when it stops.
    pub(crate) drain: String,
}

impl Default for Timeouts {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            request_headers: text("10s"),
            request: text("30s"),
            response: text("60s"),
            idle: text("120s"),
            drain: text("30s"),
        }
    }
}

/// The guide's limits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Kilobytes of headers.
    pub(crate) headers_kb: u32,
    /// How many headers.
    pub(crate) headers: u32,
    /// Connections of clients.
    pub(crate) connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers_kb: 1024, headers: 100, connections: 10_000 }
    }
}

/// What manifests are for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Kubernetes {
    /// Their namespace; default that of the gateway's kind.
    pub(crate) namespace: Option<String>,
    /// The labels of the gateway's pods (Istio).
    pub(crate) selector: BTreeMap<String, String>,
    /// The name of the `Gateway` (Envoy Gateway).
    pub(crate) gateway: String,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            namespace: None,
            selector: [("istio".to_owned(), "ingressgateway".to_owned())].into(),
            gateway: "gateway".into(),
        }
    }
}

fn default_modules() -> String {
    "dist".into()
}

fn default_version() -> String {
    "0.1.0".into()
}

fn default_admin() -> String {
    "127.0.0.1:9901".into()
}

/// The name of the module that has every filter.
const BUNDLE: &str = "gatehouse";

/// A plugin that the file leads to.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// Its name, which no other has.
    pub(crate) name: String,
    /// Which filter it is, or the module of a chain.
    pub(crate) kind: String,
    /// Its module.
    pub(crate) module: String,
    /// Which filter of that module it is.
    pub(crate) root_id: Option<String>,
    /// Its configuration.
    pub(crate) config: Value,
}

impl File {
    /// The filters by name; what is wrong with the file.
    pub(crate) fn filters(&self) -> Result<Vec<Filter>, Invalid> {
        self.check()?;
        if self.filters.is_empty() {
            return Err(Invalid::at(
                "filters",
                "is empty: nothing would stand before the upstreams",
            ));
        }
        let filter = |(index, filter): (usize, &Map<String, Value>)| {
            named(filter).map_err(|error| error.within(&format!("filters[{index}]")))
        };
        let filters = self.filters.iter().enumerate().map(filter).collect::<Result<Vec<_>, _>>()?;
        Ok(self.form.plugins(filters))
    }

    /// The configurations of the filters of this name.
    fn configs(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.filters.iter().filter_map(move |filter| filter.get(name))
    }

    /// Whether there is a filter of this name.
    fn has(&self, name: &str) -> bool {
        self.configs(name).next().is_some()
    }

    /// Whether there is one that says who it is.
    fn has_authenticator(&self) -> bool {
        self.filters.iter().flat_map(|filter| filter.keys()).any(|name| is_authenticator(name))
    }

    /// The routes, or the one that there is without any.
    fn routes(&self) -> Vec<Route> {
        if !self.routes.is_empty() {
            return self.routes.clone();
        }
        let upstream = self.upstreams.first().map(|upstream| upstream.name.clone());
        vec![Route { prefix: "/".into(), upstream: upstream.unwrap_or_default(), timeout: None }]
    }
}

impl Form {
    fn plugins(self, filters: Vec<(String, Value)>) -> Vec<Filter> {
        let bundle = || BUNDLE.to_owned();
        if self == Self::Chain {
            let entries = filters.into_iter().map(|filter| Value::from_iter([filter]));
            let list = Value::Array(entries.collect());
            let root_id = Some(shared::chain::NAME.to_owned());
            let config = Value::from_iter([(shared::chain::NAME.to_owned(), list)]);
            return vec![Filter {
                name: bundle(),
                kind: bundle(),
                module: bundle(),
                root_id,
                config,
            }];
        }
        let mut times = BTreeMap::new();
        let next = |time: &mut u32| *time = time.saturating_add(1);
        let plugin = |(kind, config): (String, Value)| {
            let (module, root_id) = match self {
                Self::Modules | Self::Chain => (kind.clone(), None),
                Self::Bundle => (bundle(), Some(kind.clone())),
            };
            let time = times.entry(kind.clone()).and_modify(next).or_insert(1);
            let name = if *time == 1 { kind.clone() } else { format!("{kind}-{time}") };
            Filter { name, kind, module, root_id, config }
        };
        filters.into_iter().map(plugin).collect()
    }
}

/// The one filter of an object, and its configuration.
fn named(filter: &Map<String, Value>) -> Result<(String, Value), Invalid> {
    let wrong = |why| Err(Invalid::at("", why));
    match filter.iter().next() {
        Some(_) if filter.len() > 1 => wrong("is more than one filter"),
        Some((name, config)) if is_filter(name) => Ok((name.clone(), config.clone())),
        Some((name, _)) => {
            let known: Vec<_> = filter_names().collect();
            let why = format!("there is no such filter; known are {}", known.join(", "));
            Err(Invalid::at(name.as_str(), why))
        }
        None => wrong("names no filter"),
    }
}

/// The variables of the environment that a configuration refers to.
fn variables(config: &Value) -> BTreeSet<String> {
    match config {
        Value::String(text) => references(text)
            .into_iter()
            .map(|reference| reference.name.to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
        Value::Array(list) => list.iter().flat_map(variables).collect(),
        Value::Object(object) => object.values().flat_map(variables).collect(),
        _ => BTreeSet::new(),
    }
}

/// The seconds of a time that has been checked.
fn seconds(time: &str) -> u32 {
    time.trim_end_matches('s').parse().unwrap_or_default()
}

/// Renders a file.
pub(crate) fn run(arguments: &RenderArguments) -> Result<Outcome, Failure> {
    let Some(source) = Source::read(&arguments.file)? else { return Ok(Outcome::Unwell) };
    let file: File = match shared::config::interpret(source.value()) {
        Ok(file) => file,
        Err(error) => return Ok(refused(&source, &[error])),
    };
    let (rendered, without) = match arguments.target {
        Target::Envoy => {
            let (capabilities, without) = capabilities(&file, arguments.modules.as_deref())?;
            (envoy(&file, &capabilities), without)
        }
        Target::Istio => (istio(&file), None),
        Target::EnvoyGateway => (envoy_gateway(&file), None),
    };
    let text = match rendered {
        Ok(text) => text,
        Err(error) => return Ok(refused(&source, &[error])),
    };
    // Here a mistake still has the line on which it was made.
    let errors = source.refused();
    if !errors.is_empty() {
        return Ok(refused(&source, &errors));
    }
    without.iter().for_each(|why| output::note(why));
    let (errors, warnings) = places::problems_of(&file, &text);
    warnings.iter().for_each(|why| source.note(why));
    if !errors.is_empty() {
        return Ok(refused(&source, &errors));
    }
    output::print(text.as_bytes())?;
    Ok(Outcome::Well)
}

fn refused(source: &Source, errors: &[Invalid]) -> Outcome {
    errors.iter().for_each(|error| source.complain(error));
    Outcome::Unwell
}

/// What the modules may do. Without them here nothing is written of that; and what is to be said of it.
fn capabilities(
    file: &File,
    folder: Option<&Path>,
) -> Result<(Capabilities, Option<String>), Failure> {
    let here = folder.unwrap_or_else(|| Path::new(&file.modules));
    let mut found = Capabilities::new();
    // What is wrong with the file is for who renders it to say.
    for Filter { module, .. } in file.filters().unwrap_or_default() {
        match Module::read(&here.join(format!("{module}.wasm"))) {
            Ok(read) => drop(found.insert(module, read.capabilities)),
            Err(Failure::Because(why)) if folder.is_none() => {
                let instead = "--modules FOLDER says where the modules are";
                let note = format!("what modules may do is not rendered: {why}; {instead}");
                return Ok((Capabilities::new(), Some(note)));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((found, None))
}

/// A value as YAML.
pub(crate) fn yaml_of(value: &Value) -> String {
    let mut lines = yaml::Lines::default();
    lines.value(0, value);
    lines.finish()
}
