//! A complete Envoy bootstrap.

use shared::config::Invalid;

use super::yaml::{Lines, text};
use super::{File, Filter, Listener, Upstream, address, variables};

const TAGS: &str = r#"# Turns the names of our counters into Prometheus labels.
stats_config:
  stats_tags:
    - { tag_name: filter, regex: "^wasmcustom\\.gatehouse\\.(([a-z0-9-]+)\\.)" }
    - { tag_name: reason, regex: "^wasmcustom\\.gatehouse\\..*?([.;]reason[.=]([a-z0-9_]+))$" }
    - { tag_name: by, regex: "^wasmcustom\\.gatehouse\\..*?(\\.by\\.([a-z0-9_]+))$" }
    - { tag_name: report, regex: "^wasmcustom\\.gatehouse\\..*?(\\.report\\.([a-z0-9_]+))$" }
    - { tag_name: result, regex: "^wasmcustom\\.gatehouse\\..*?(\\.result\\.([a-z0-9_]+))$" }
    - { tag_name: fetch, regex: "^wasmcustom\\.gatehouse\\..*?(\\.fetch\\.([a-z0-9_]+))$" }
    - { tag_name: service, regex: "^wasmcustom\\.gatehouse\\.telemetry\\.[a-z_]+.*?(;service=([^;]*))" }
    - { tag_name: method, regex: "^wasmcustom\\.gatehouse\\.telemetry\\.[a-z_]+.*?(;method=([^;]*))" }
    - { tag_name: status, regex: "^wasmcustom\\.gatehouse\\.telemetry\\.[a-z_]+.*?(;status=([^;]*))" }
    - { tag_name: tier, regex: "^wasmcustom\\.gatehouse\\.telemetry\\.[a-z_]+.*?(;tier=([^;]*))" }
    - { tag_name: source, regex: "^wasmcustom\\.gatehouse\\.telemetry\\.[a-z_]+.*?(;source=([^;]*))" }
    - { tag_name: limit, regex: "^wasmcustom\\.gatehouse\\..*?(\\.limit\\.([A-Za-z0-9_-]+))$" }
"#;

/// The bootstrap of a file.
pub(crate) fn envoy(file: &File) -> Result<String, Invalid> {
    let filters = file.filters()?;
    let mut lines = Lines::default();
    head(&mut lines, file)?;
    lines.add(0, "static_resources:\n  listeners:");
    for listener in &file.listeners {
        self::listener(&mut lines, file, listener, &filters)?;
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
    lines.add(0, TAGS);
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
    filters: &[Filter],
) -> Result<(), Invalid> {
    let (host, port) = address(&listener.address)?;
    let name = text(&listener.name);
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
    manager(lines, file, &name);
    lines.add(14, "http_filters:");
    for filter in filters {
        self::filter(lines, file, filter);
    }
    lines.add(
        16,
        "- name: router\n  typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }",
    );
    access_log(lines);
    routes(lines, file, listener);
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

fn manager(lines: &mut Lines, file: &File, name: &str) {
    let times = &file.timeouts;
    lines.add(
        14,
        &format!(
            "stat_prefix: {name}\n\
             # Envoy's routes, the filters and the upstreams are to see one and the same path and host.\n\
             normalize_path: true\n\
             merge_slashes: true\n\
             path_with_escaped_slashes_action: REJECT_REQUEST\n\
             strip_any_host_port: true\n\
             strip_trailing_host_dot: true\n\
             # The client's address is that of the connection, less the proxies in front that are trusted.\n\
             use_remote_address: true\n\
             xff_num_trusted_hops: {hops}\n\
             # A client that sends its headers, or all of its request, slower than this gets 408.\n\
             request_headers_timeout: {headers}\n\
             request_timeout: {request}\n\
             # A stream on which nothing moves, either way.\n\
             stream_idle_timeout: {response}\n\
             drain_timeout: {drain}\n\
             max_request_headers_kb: {kb}\n\
             common_http_protocol_options:\n  \
             idle_timeout: {idle}\n  \
             max_headers_count: {count}\n  \
             # `x_auth_subject` is `x-auth-subject` to some upstreams.\n  \
             headers_with_underscores_action: REJECT_REQUEST\n\
             http2_protocol_options: {{ max_concurrent_streams: 100 }}\n\
             server_header_transformation: PASS_THROUGH",
            hops = file.trusted_hops,
            headers = times.request_headers,
            request = times.request,
            response = times.response,
            drain = times.drain,
            idle = times.idle,
            kb = file.limits.headers_kb,
            count = file.limits.headers,
        ),
    );
}

fn filter(lines: &mut Lines, file: &File, filter: &Filter) {
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
    let variables: Vec<_> = variables(&filter.config).into_iter().map(|name| text(&name)).collect();
    if !variables.is_empty() {
        let keys = variables.join(", ");
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

fn access_log(lines: &mut Lines) {
    lines.add(
        14,
        r#"access_log:
  - name: stdout
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
      log_format:
        json_format:
          time: "%START_TIME%"
          method: "%REQ(:METHOD)%"
          # Without the query, which may hold a credential.
          path: "%PATH(NQ)%"
          status: "%RESPONSE_CODE%"
          details: "%RESPONSE_CODE_DETAILS%"
          duration: "%DURATION%"
          request_id: "%REQ(X-REQUEST-ID)%"
          client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
          upstream: "%UPSTREAM_CLUSTER%"
          service: "%FILTER_STATE(wasm.gatehouse.service:PLAIN)%"
          goa_method: "%FILTER_STATE(wasm.gatehouse.method:PLAIN)%"
          subject: "%FILTER_STATE(wasm.gatehouse.subject:PLAIN)%"
          consumer: "%FILTER_STATE(wasm.gatehouse.consumer:PLAIN)%""#,
    );
}

fn routes(lines: &mut Lines, file: &File, listener: &Listener) {
    lines.add(14, "route_config:\n  virtual_hosts:\n    - name: all\n      domains: [\"*\"]");
    if listener.tls.is_some() {
        lines.add(
            20,
            "# Browsers that have been here come back by HTTPS alone (RFC 6797).\n\
             response_headers_to_add:\n  \
             - header: { key: strict-transport-security, value: max-age=31536000 }",
        );
    }
    lines.add(20, "routes:");
    for route in file.routes() {
        let timeout = route.timeout.as_deref().unwrap_or(&file.timeouts.response);
        lines.add(
            22,
            &format!(
                "- match: {{ prefix: {} }}\n  route: {{ cluster: {}, timeout: {timeout} }}",
                text(&route.prefix),
                text(&route.upstream)
            ),
        );
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
