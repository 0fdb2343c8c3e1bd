//! The bootstrap of an Envoy, from a few words.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Envoy;
use super::choice::{self, Form};
use super::parts::{access_log, merge, router, socket, wasm_of};
use super::process::{self, Config};
use crate::modules::BUNDLE;
use crate::upstream::Upstream;

/// What an Envoy is to be.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(super) filters: Vec<Value>,
    pub(super) clusters: Vec<Value>,
    pub(super) listeners: Vec<Value>,
    /// Of the setups beside this one.
    clusters_beside: Vec<Value>,
    routes: Vec<Value>,
    virtual_host: Value,
    connection_manager: Value,
    transport_socket: Value,
    log_fields: Value,
    top: Value,
    workers: u32,
    may_fail: bool,
    environment: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            clusters: Vec::new(),
            listeners: Vec::new(),
            clusters_beside: Vec::new(),
            routes: Vec::new(),
            virtual_host: json!({}),
            connection_manager: json!({}),
            transport_socket: Value::Null,
            log_fields: json!({}),
            top: json!({}),
            workers: 2,
            may_fail: false,
            environment: Vec::new(),
        }
    }
}

impl Setup {
    /// Two workers, no filter, and 200 to everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A built module, its configuration as JSON text, as Istio hands it over.
    #[must_use]
    pub fn filter(mut self, name: &str, config: Value) -> Self {
        choice::push(&mut self.filters, name, config, Form::Text);
        self
    }

    /// A built module, its configuration as YAML in a bootstrap is handed over.
    #[must_use]
    pub fn filter_of_struct(mut self, name: &str, config: Value) -> Self {
        choice::push(&mut self.filters, name, config, Form::Struct);
        self
    }

    /// A plugin of the module that has every filter, whatever the tests run as. All that are set up so
    /// share a VM.
    #[must_use]
    pub fn bundled(self, name: &str, root_id: &str, config: &Value) -> Self {
        self.native(wasm_of(BUNDLE, name, root_id, Form::Text.of(config)))
    }

    /// A filter's own module, whatever the tests run as.
    #[must_use]
    pub fn alone(self, name: &str, config: &Value) -> Self {
        self.native(wasm_of(name, name, "", Form::Text.of(config)))
    }

    /// Any HTTP filter.
    #[must_use]
    pub fn native(mut self, filter: Value) -> Self {
        self.filters.push(filter);
        self
    }

    /// The filter added last, its `PluginConfig` changed: `failure_policy`, `vm_config.vm_id`,
    /// `vm_config.environment_variables` and all the rest.
    #[must_use]
    pub fn with_plugin(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.filters.last_mut().expect("a filter")["typed_config"]["config"]);
        self
    }

    /// The cluster `upstream`, to which requests go.
    #[must_use]
    pub fn upstream(self, upstream: &Upstream) -> Self {
        self.cluster("upstream", Some(upstream.address()))
    }

    /// A cluster of one host, or of none.
    #[must_use]
    pub fn cluster(mut self, name: &str, address: Option<SocketAddr>) -> Self {
        let hosts: Vec<_> = address
            .iter()
            .map(|address| json!({"endpoint": {"address": socket(*address)}}))
            .collect();
        let endpoints = if hosts.is_empty() { json!([]) } else { json!([{"lb_endpoints": hosts}]) };
        self.clusters.push(json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        }));
        self
    }

    /// A cluster of one host that speaks HTTP/2, as gRPC needs.
    #[must_use]
    pub fn cluster_of_grpc(self, name: &str, address: Option<SocketAddr>) -> Self {
        let mut setup = self.cluster(name, address);
        let options = json!({
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        });
        let cluster = setup.clusters.last_mut().expect("a cluster");
        cluster["typed_extension_protocol_options"] =
            json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
        setup
    }

    /// A route before the one that takes all.
    #[must_use]
    pub fn route(mut self, route: Value) -> Self {
        self.routes.push(route);
        self
    }

    /// No route has anything to say to a filter.
    pub(super) fn without_filter_configs(mut self) -> Self {
        for route in self.routes.iter_mut().filter_map(Value::as_object_mut) {
            route.remove("typed_per_filter_config");
        }
        self
    }

    /// Fields of the virtual host.
    #[must_use]
    pub fn virtual_host(mut self, fields: Value) -> Self {
        self.virtual_host = fields;
        self
    }

    /// Fields of the connection manager.
    #[must_use]
    pub fn connection_manager(mut self, fields: Value) -> Self {
        merge(&mut self.connection_manager, &fields);
        self
    }

    /// TLS for clients, with this certificate and key in PEM.
    #[must_use]
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.transport_socket = json!({
            "name": "tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [{
                    "certificate_chain": {"inline_string": certificate},
                    "private_key": {"inline_string": key},
                }]},
            },
        });
        self
    }

    /// CONNECT is allowed, and goes on to the upstream as it is.
    #[must_use]
    pub fn connect(self) -> Self {
        let route = json!({"match": {"connect_matcher": {}}, "route": {"cluster": "upstream"}});
        self.connection_manager(json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}]}))
            .route(route)
    }

    /// One more field of each line of the access log, such as `%FILTER_STATE(wasm.x:PLAIN)%`.
    #[must_use]
    pub fn log_field(mut self, name: &str, format: &str) -> Self {
        self.log_fields[name] = json!(format);
        self
    }

    /// Fields of the bootstrap itself, such as `stats_config`.
    #[must_use]
    pub fn bootstrap_fields(mut self, fields: &Value) -> Self {
        merge(&mut self.top, fields);
        self
    }

    /// How many workers.
    #[must_use]
    pub const fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// A VM may trap: that is what the test is about.
    #[must_use]
    pub const fn vm_may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }

    /// One more listener in the same Envoy, with the filters, the routes and the clusters of another. Each module
    /// is compiled once for all listeners, and those with the same VM share it.
    ///
    /// # Panics
    /// Where the two mean different clusters by one name.
    #[must_use]
    pub fn beside(mut self, name: &str, other: &Self) -> Self {
        self.listeners.push(other.listener(name));
        self.listeners.extend_from_slice(&other.listeners);
        for cluster in other.clusters() {
            let known = self.clusters().find(|known| known["name"] == cluster["name"]).cloned();
            match known {
                Some(known) => assert_eq!(&known, cluster, "two clusters of one name"),
                None => self.clusters_beside.push(cluster.clone()),
            }
        }
        self
    }

    /// A variable of the environment that Envoy itself runs in.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it.
    pub fn start(&self) -> Envoy {
        let bootstrap = self.bootstrap();
        let config = Config::Json(&bootstrap);
        Envoy::of(&config, self.workers, self.may_fail, &self.environment)
    }

    /// Starts it with more of a bootstrap, which is YAML.
    pub fn start_with_yaml(&self, more: &str) -> Envoy {
        let bootstrap = self.bootstrap();
        let fields = bootstrap.as_object().into_iter().flatten();
        let text: String = fields.map(|(name, value)| format!("{name}: {value}\n")).collect();
        Envoy::of_yaml(&(text + more), self.workers)
    }

    /// What Envoy's log says of the configuration, which it refuses.
    ///
    /// # Panics
    /// Where it accepts it.
    pub fn refusal(&self) -> String {
        process::refusal(&Config::Json(&self.bootstrap())).expect("Envoy accepts the configuration")
    }

    /// What becomes of the plugin's configuration: the line that says why it is refused.
    pub fn configuration_error(&self) -> String {
        let log = self.refusal();
        let line = choice::errors(&log).next();
        choice::as_alone(line.unwrap_or_else(|| panic!("no line of ours in:\n{log}")))
    }

    fn bootstrap(&self) -> Value {
        let main = self.listener("main");
        let listeners: Vec<_> = [&main].into_iter().chain(&self.listeners).collect();
        let mut bootstrap = json!({
            // What is discovered is asked for in the name of a node.
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": socket(SocketAddr::from(([127, 0, 0, 1], 0)))},
            "static_resources": {
                "listeners": listeners,
                "clusters": self.clusters().collect::<Vec<_>>(),
            },
        });
        merge(&mut bootstrap, &self.top);
        bootstrap
    }

    fn clusters(&self) -> impl Iterator<Item = &Value> {
        self.clusters.iter().chain(&self.clusters_beside)
    }

    pub(super) fn listener(&self, name: &str) -> Value {
        let mut chain = json!({"filters": [{"name": "http", "typed_config": self.http()}]});
        if !self.transport_socket.is_null() {
            chain["transport_socket"] = self.transport_socket.clone();
        }
        json!({
            "name": name,
            "address": socket(SocketAddr::from(([127, 0, 0, 1], 0))),
            "filter_chains": [chain],
        })
    }

    fn http(&self) -> Value {
        let mut filters = self.filters.clone();
        filters.push(router());
        let mut http = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "main",
            "codec_type": "AUTO",
            "http_filters": filters,
            "access_log": [access_log(&self.log_fields)],
            "route_config": {"virtual_hosts": [self.host()]},
        });
        merge(&mut http, &self.connection_manager);
        http
    }

    fn host(&self) -> Value {
        let mut routes = self.routes.clone();
        let to_upstream = self.clusters.iter().any(|cluster| cluster["name"] == "upstream");
        routes.push(if to_upstream {
            json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}})
        } else {
            json!({"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}})
        });
        let mut host = json!({"name": "all", "domains": ["*"], "routes": routes});
        merge(&mut host, &self.virtual_host);
        host
    }
}
