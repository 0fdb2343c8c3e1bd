//! Where the proxy's own spans go: the configuration, as it is written and as it is used.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use shared::config::{Invalid, Period};

const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
const MOST_QUEUED: usize = 65_536;
/// How many attributes of the resource may be set.
const MOST_ATTRIBUTES: usize = 32;
/// How long one of their names may be.
const LONGEST_NAME: usize = 128;
/// How long a value of one.
const LONGEST_VALUE: usize = 256;

/// Where the proxy's own spans go, as it is written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExport {
    /// The cluster of a collector.
    cluster: String,
    /// How spans are sent; default `otlp_http`.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one, and it has to be that one")]
    protocol: Protocol,
    /// The `:authority` of a call; default the name of the cluster, where that is a host.
    host: Option<String>,
    /// The path of a call; default `/v1/traces`.
    path: Option<String>,
    /// `service.name`; default `unknown_service:envoy`.
    service: Option<String>,
    /// `service.version`; default none.
    version: Option<String>,
    /// What else is said of who makes the spans (`deployment.environment.name: prod`), at most 32
    /// attributes.
    #[serde(default)]
    resource: BTreeMap<String, String>,
    /// How often spans are sent, `100ms` to `5s`; default `1s`.
    interval: Option<Period>,
    /// How long a call may take; default `5s`.
    timeout: Option<Period>,
    /// How many spans wait on each worker, at most 65536; more are dropped. Default 2048.
    max_queue: Option<NonZeroUsize>,
    /// How many spans go in one call, at most `max_queue`; default 512.
    max_batch: Option<NonZeroUsize>,
}

/// How spans are sent.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Protocol {
    /// OTLP, protobuf over HTTP.
    #[default]
    OtlpHttp,
}

/// Where the proxy's own spans go.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// The cluster of a receiver.
    pub(crate) cluster: String,
    /// The `:authority` of a call.
    pub(crate) host: String,
    /// Its `:path`.
    pub(crate) path: String,
    /// Who makes the spans: attributes and their values.
    pub(crate) resource: BTreeMap<String, String>,
    /// How often spans are sent.
    pub(crate) interval: Duration,
    /// How long a call may take.
    pub(crate) timeout: Duration,
    /// How many spans wait at most, on each worker.
    pub(crate) max_queue: usize,
    /// How many go in one call.
    pub(crate) max_batch: usize,
}

impl RawExport {
    /// Checks what no field can know alone.
    pub(crate) fn check(self) -> Result<Export, Invalid> {
        if self.cluster.is_empty() {
            return Err(Invalid::at("cluster", "empty"));
        }
        let host = match self.host {
            Some(host) if is_host(&host) => host,
            Some(_) => return Err(Invalid::at("host", "is no host with or without a port")),
            None if is_host(&self.cluster) => self.cluster.clone(),
            None => {
                return Err(Invalid::at("host", "missing, and the name of the cluster is no host"));
            }
        };
        let path = self.path.unwrap_or_else(|| "/v1/traces".to_owned());
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::at("path", "is no path that begins with `/`"));
        }
        let interval = self.interval.map_or(Duration::from_secs(1), Period::duration);
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
            return Err(Invalid::at("interval", "is not between 100ms and 5s"));
        }
        let (most, batch) = (self.max_queue, self.max_batch);
        let max_queue = most.map_or(2048, NonZeroUsize::get);
        if max_queue > MOST_QUEUED {
            return Err(Invalid::at("max_queue", format!("more than {MOST_QUEUED}")));
        }
        let max_batch = batch.map_or_else(|| 512.min(max_queue), NonZeroUsize::get);
        if max_batch > max_queue {
            return Err(Invalid::at("max_batch", "more than the queue holds"));
        }
        Ok(Export {
            cluster: self.cluster,
            host,
            path,
            resource: resource(self.resource, self.service, self.version)?,
            interval,
            timeout: self.timeout.map_or(Duration::from_secs(5), Period::duration),
            max_queue,
            max_batch,
        })
    }
}

/// All that is configured of who makes the spans.
fn resource(
    mut attributes: BTreeMap<String, String>,
    service: Option<String>,
    version: Option<String>,
) -> Result<BTreeMap<String, String>, Invalid> {
    if attributes.len() > MOST_ATTRIBUTES {
        return Err(Invalid::at("resource", format!("more than {MOST_ATTRIBUTES} attributes")));
    }
    for (name, value) in &attributes {
        let field = format!("resource.{name}");
        let wrong = match &**name {
            "service.name" => Some("is set by `service`"),
            "service.version" => Some("is set by `version`"),
            sdk if sdk.starts_with("telemetry.sdk.") => Some("is for the filter to say"),
            name if !is_attribute(name) => Some("is no name such as `deployment.environment.name`"),
            _ => wrong_value(value),
        };
        if let Some(message) = wrong {
            return Err(Invalid::at(field, message));
        }
    }
    if let Some(version) = version {
        if let Some(message) = wrong_value(&version) {
            return Err(Invalid::at("version", message));
        }
        attributes.insert("service.version".to_owned(), version);
    }
    let service = service.unwrap_or_else(|| "unknown_service:envoy".to_owned());
    attributes.insert("service.name".to_owned(), service);
    Ok(attributes)
}

fn is_attribute(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

const fn wrong_value(value: &str) -> Option<&'static str> {
    match value.len() {
        0 => Some("is empty"),
        1..=LONGEST_VALUE => None,
        _ => Some("is longer than 256 bytes"),
    }
}

/// Whether upstreams take the text for an authority (RFC 3986, 3.2, without user information).
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}
