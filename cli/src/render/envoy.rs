//! A complete Envoy bootstrap.

mod manager;

use std::collections::{BTreeMap, BTreeSet};

use shared::config::Invalid;

use super::rules::address;
use super::yaml::{Lines, text};
use super::{File, Filter, Listener, Upstream, variables};
use crate::capabilities;

/// What modules may do, by their names.
pub(crate) type Capabilities = BTreeMap<String, BTreeSet<String>>;

/// Turns the names of our counters into Prometheus labels: as it is shipped.
const STATISTICS: &str = include_str!("../../../envoy/stats-tags.yaml");

/// The bootstrap of a file.
pub(crate) fn envoy(file: &File, allowed: &Capabilities) -> Result<String, Invalid> {
    let filters = file.filters()?;
    let mut lines = Lines::default();
    head(&mut lines, file)?;
    lines.add(0, "static_resources:\n  listeners:");
    for listener in &file.listeners {
        self::listener(&mut lines, file, listener, |lines| {
            filters.iter().for_each(|filter| self::filter(lines, file, filter, &filters, allowed));
        })?;
    }
    lines.add(2, "clusters:");
    for upstream in &file.upstreams {
        cluster(&mut lines, upstream)?;
    }
    Ok(lines.finish())
}

fn head(lines: &mut Lines, file: &File) -> Result<(), Invalid> {
    let (host, port) = address(&file.admin)?;
    lines.add(
        0,
        &format!(
            "# {name}, rendered by `gatehouse render`. Start it with:\n\
             #   envoy -c FILE --drain-time-s {drain} --drain-strategy gradual\n\
             # and stop it with `gatehouse drain --admin {admin}`: a plain SIGTERM breaks requests off.\n\
             node: {{ id: {id}, cluster: {id} }}\n\
             admin:\n  # Whoever reaches it can stop the proxy and read its configuration.\n  \
             address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}",
            name = file.name,
            id = text(&file.name),
            admin = file.admin,
            drain = file.timeouts.drain.trim_end_matches('s'),
            host = text(host),
        ),
    );
    lines.add(0, "# Turns the names of our counters into Prometheus labels.");
    let is_head = |line: &&str| line.starts_with('#');
    STATISTICS.lines().skip_while(is_head).for_each(|line| lines.add(0, line));
    lines.add(
        0,
        &format!(
            "# Clients beyond this many connections are refused, before memory is short.\n\
             overload_manager:\n  \
             resource_monitors:\n    \
             - name: envoy.resource_monitors.global_downstream_max_connections\n      \
             typed_config:\n        \
             \"@type\": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig\n        \
             max_active_downstream_connections: {}",
            file.limits.connections
        ),
    );
    Ok(())
}

fn listener(
    lines: &mut Lines,
    file: &File,
    listener: &Listener,
    filters: impl Fn(&mut Lines),
) -> Result<(), Invalid> {
    let (host, port) = address(&listener.address)?;
    let name = text(&listener.name);
    if listener.redirect.is_some() {
        lines.add(4, "# Plain HTTP: the way to HTTPS, and nothing else.");
    }
    lines.add(
        4,
        &format!(
            "- name: {name}\n  \
             address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}\n  \
             # Against clients that read slowly.\n  \
             per_connection_buffer_limit_bytes: 1048576\n  \
             filter_chains:\n    \
             - filters:",
            host = text(host),
        ),
    );
    lines.add(
        10,
        "- name: http\n  typed_config:\n    \
         \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    );
    manager::settings(lines, file, &name);
    lines.add(14, "http_filters:");
    if listener.redirect.is_none() {
        filters(lines);
    }
    lines.add(
        16,
        "- name: router\n  typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }",
    );
    match listener.redirect {
        Some(port) => manager::redirect(lines, port),
        None => manager::answers(lines, file, listener),
    }
    if let Some(tls) = &listener.tls {
        lines.add(
            8,
            &format!(
                "  transport_socket:\n    name: tls\n    typed_config:\n      \
                 \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n      \
                 common_tls_context:\n        \
                 tls_params: {{ tls_minimum_protocol_version: TLSv1_2 }}\n        \
                 alpn_protocols: [h2, http/1.1]\n        \
                 tls_certificates:\n          \
                 - certificate_chain: {{ filename: {chain} }}\n            \
                 private_key: {{ filename: {key} }}",
                chain = text(&tls.certificate),
                key = text(&tls.key),
            ),
        );
    }
    Ok(())
}

fn filter(lines: &mut Lines, file: &File, filter: &Filter, all: &[Filter], allowed: &Capabilities) {
    let name = filter.name.as_str();
    let module = format!("{}/{}.wasm", file.modules.trim_end_matches('/'), filter.module);
    let root_id = filter.root_id.as_deref().map(|root_id| {
        format!("# Which filter of the module it is.\n      root_id: {}\n      ", text(root_id))
    });
    lines.add(
        16,
        &format!(
            "- name: {name}\n  typed_config:\n    \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    \
             config:\n      \
             name: {name}\n      \
             {root_id}\
             # A module that traps refuses, and is loaded again. Never FAIL_OPEN.\n      \
             failure_policy: FAIL_RELOAD\n      \
             vm_config:\n        \
             vm_id: {vm_id}\n        \
             runtime: envoy.wasm.runtime.v8\n        \
             code: {{ local: {{ filename: {module} }} }}",
            name = text(name),
            root_id = root_id.unwrap_or_default(),
            vm_id = text(&filter.module),
            module = text(&module),
        ),
    );
    if let Some(allowed) = allowed.get(&filter.module) {
        lines.add(0, &capabilities::block(allowed.iter().map(String::as_str), 24));
    }
    // Envoy gives two plugins one VM only where all of that is the same, their environment too.
    let same = all.iter().filter(|other| other.module == filter.module);
    let variables: BTreeSet<_> = same.flat_map(|other| variables(&other.config)).collect();
    if !variables.is_empty() {
        let keys = variables.iter().map(|name| text(name)).collect::<Vec<_>>().join(", ");
        lines.add(24, &format!("environment_variables: {{ host_env_keys: [{keys}] }}"));
    }
    lines.add(22, "configuration:\n  \"@type\": type.googleapis.com/google.protobuf.Struct");
    if filter.config.as_object().is_some_and(|object| !object.is_empty()) {
        lines.add(24, "value:");
        lines.value(26, &filter.config);
    } else {
        lines.add(24, "value: {}");
    }
}

fn cluster(lines: &mut Lines, upstream: &Upstream) -> Result<(), Invalid> {
    let (host, port) = address(&upstream.address)?;
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let kind = if is_address { "STATIC" } else { "STRICT_DNS" };
    let name = text(&upstream.name);
    lines.add(
        4,
        &format!(
            "- name: {name}\n  type: {kind}\n  connect_timeout: 1s\n  \
             # A host that fails five times in a row is left alone for a while.\n  \
             outlier_detection: {{ consecutive_5xx: 5, base_ejection_time: 30s }}\n  \
             load_assignment:\n    \
             cluster_name: {name}\n    \
             endpoints:\n      \
             - lb_endpoints:\n          \
             - endpoint: {{ address: {{ socket_address: {{ address: {host}, port_value: {port} }} }} }}",
            host = text(host),
        ),
    );
    if let Some(path) = &upstream.health {
        lines.add(
            6,
            &format!(
                "health_checks:\n  - {{ timeout: 1s, interval: 5s, unhealthy_threshold: 2, \
                 healthy_threshold: 1, http_health_check: {{ path: {} }} }}",
                text(path)
            ),
        );
    }
    if upstream.http2 {
        lines.add(
            6,
            "typed_extension_protocol_options:\n  \
             envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n    \
             \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n    \
             explicit_http_config: { http2_protocol_options: {} }",
        );
    }
    if upstream.tls {
        lines.add(
            6,
            &format!(
                "transport_socket:\n  name: tls\n  typed_config:\n    \
                 \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n    \
                 sni: {host}\n    \
                 common_tls_context:\n      \
                 validation_context:\n        \
                 trusted_ca: {{ filename: /etc/ssl/certs/ca-certificates.crt }}\n        \
                 match_typed_subject_alt_names:\n          \
                 - {{ san_type: {kind}, matcher: {{ exact: {host} }} }}",
                host = text(host),
                kind = if is_address { "IP_ADDRESS" } else { "DNS" },
            ),
        );
    }
    Ok(())
}
