//! What gRPC's health checks need of a bootstrap, as `envoy/grpc-health.yaml` has it.

use serde_json::{Value, json};

use super::bootstrap::Setup;
use super::choice::{self, Form};
use super::parts::router;

/// The cluster and the listener within the proxy where health checks are answered.
const HEALTH: &str = "grpc-health";

impl Setup {
    /// `health-shortcut` answers gRPC's health checks: a listener of the proxy's own with the filter once
    /// more, the way there, and the bridge. To be called when all other filters are there.
    #[must_use]
    pub fn grpc_health(mut self, config: &Value) -> Self {
        let extensions = "type.googleapis.com/envoy.extensions";
        let bridge = format!("{extensions}.filters.http.grpc_http1_reverse_bridge.v3");
        let content_type = "application/x-grpc-health";
        let listener = json!({
            "name": HEALTH,
            "internal_listener": {},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": {
                "@type": format!("{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": HEALTH,
                "http_filters": health_filters(config, content_type),
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "direct_response": {"status": 503}},
                ]}]},
            }}]}],
        });
        self.listeners.push(listener);
        self.clusters.push(json!({
            "name": HEALTH,
            "type": "STATIC",
            "load_assignment": {"cluster_name": HEALTH, "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"envoy_internal_address": {"server_listener_name": HEALTH}},
            }}]}]},
        }));
        self.filters.push(json!({
            "name": "grpc-bridge",
            "disabled": true,
            "typed_config": {"@type": format!("{bridge}.FilterConfig"), "content_type": content_type},
        }));
        self.bootstrap_fields(&json!({"bootstrap_extensions": [{
            "name": "internal-listeners",
            "typed_config": {"@type": format!("{extensions}.bootstrap.internal_listener.v3.InternalListener")},
        }]}))
        .route(json!({
            "match": {"prefix": "/grpc.health.v1.Health/"},
            "route": {"cluster": HEALTH},
            "typed_per_filter_config": {"grpc-bridge": {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "config": {"@type": format!("{bridge}.FilterConfigPerRoute")},
            }},
        }))
    }

    /// The same without the bridge, which was forgotten.
    #[must_use]
    pub fn without_bridge(mut self) -> Self {
        self.filters.retain(|filter| filter["name"] != "grpc-bridge");
        self.without_filter_configs()
    }
}

/// The filters of the listener: the answer, what holds the head until it is there, and what gives an
/// answer of headers alone its type, which Envoy takes off one that has no body.
fn health_filters(config: &Value, content_type: &str) -> Vec<Value> {
    let filter = "type.googleapis.com/envoy.extensions.filters.http";
    let mutation = json!({
        "name": "type",
        "typed_config": {
            "@type": format!("{filter}.header_mutation.v3.HeaderMutation"),
            "mutations": {"response_mutations": [{"append": {
                "header": {"key": "content-type", "value": content_type},
                "append_action": "ADD_IF_ABSENT",
            }}]},
        },
    });
    let mut filters = vec![mutation];
    choice::push(&mut filters, "health-shortcut", config.clone(), Form::Text);
    filters.push(json!({
        "name": "buffer",
        "typed_config": {"@type": format!("{filter}.buffer.v3.Buffer"), "max_request_bytes": 4096},
    }));
    filters.push(router());
    filters
}
