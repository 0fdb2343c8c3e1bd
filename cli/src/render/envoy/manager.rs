//! A connection manager: what holds for every request, whatever filters there are, and what is told of it.

use crate::render::yaml::{Lines, text};
use crate::render::{File, Listener, Route, seconds};

/// As far in as the fields of a connection manager are.
const INDENT: usize = 14;
/// How much longer than its answer may take a stream may be silent, in seconds.
const MARGIN: u32 = 10;
/// How long a stream may be silent whose answer may take any time, in seconds: Envoy's default.
const SILENCE: u32 = 300;

/// Paths, addresses, time-outs and limits.
pub(super) fn settings(lines: &mut Lines, file: &File, name: &str) {
    let times = &file.timeouts;
    lines.add(
        INDENT,
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
             # A stream on which nothing moves, either way: later than an answer, which has its route's.\n\
             stream_idle_timeout: {silence}s\n\
             drain_timeout: {drain}\n\
             max_request_headers_kb: {kb}\n\
             common_http_protocol_options:\n  \
             idle_timeout: {idle}\n  \
             max_headers_count: {count}\n  \
             # `x_auth_subject` is `x-auth-subject` to some upstreams.\n  \
             headers_with_underscores_action: REJECT_REQUEST",
            hops = file.trusted_hops,
            headers = times.request_headers,
            request = times.request,
            silence = silence(&times.response),
            drain = times.drain,
            idle = times.idle,
            kb = file.limits.headers_kb,
            count = file.limits.headers,
        ),
    );
    if let Some(whole) = whole(file, &times.response) {
        let field = format!("# A request and its answer.\nmax_stream_duration: {whole}s");
        lines.add(INDENT + 2, &field);
    }
    lines.add(
        INDENT,
        "http2_protocol_options: { max_concurrent_streams: 100 }\n\
         server_header_transformation: PASS_THROUGH\n\
         always_set_request_id_in_response: true",
    );
}

/// How long a stream may be silent whose answer may take so long.
fn silence(timeout: &str) -> u32 {
    match seconds(timeout) {
        0 => SILENCE,
        answer => answer.saturating_add(MARGIN),
    }
}

/// How long a request and an answer may take together; `None` where either may take any time.
fn whole(file: &File, timeout: &str) -> Option<u32> {
    match (seconds(&file.timeouts.request), seconds(timeout)) {
        (0, _) | (_, 0) => None,
        (request, answer) => Some(request.saturating_add(answer)),
    }
}

/// Nothing but the way to HTTPS.
pub(super) fn redirect(lines: &mut Lines, port: u16) {
    // Clients know 443 without being told.
    let port = if port == 443 { String::new() } else { format!(" port_redirect: {port},") };
    lines.add(
        INDENT,
        &format!(
            "route_config:\n  virtual_hosts:\n    - name: all\n      domains: [\"*\"]\n      routes:\n        \
             - match: {{ prefix: / }}\n          \
             # 308 keeps the method and the body.\n          \
             redirect: {{ https_redirect: true,{port} response_code: PERMANENT_REDIRECT }}",
        ),
    );
}

/// Where requests go, what is told of them, and what Envoy says where it refuses.
pub(super) fn answers(lines: &mut Lines, file: &File, listener: &Listener) {
    access_log(lines, file);
    lines.add(
        INDENT,
        r#"# What Envoy itself refuses reads as what the filters refuse.
local_reply_config:
  mappers:
    - filter: { response_flag_filter: { flags: [UH, UF, UO, UT, UC, UR, URX, NR, DPE, SI, DT, LR] } }
      body_format_override:
        content_type: application/problem+json
        json_format: { status: "%RESPONSE_CODE%", title: "%LOCAL_REPLY_BODY%" }"#,
    );
    routes(lines, file, listener);
}

fn access_log(lines: &mut Lines, file: &File) {
    lines.add(INDENT, "access_log:");
    if has_lines(file) {
        lines.add(
            INDENT + 2,
            r#"# What telemetry has to say of an exchange, if it has.
- name: lines
  filter:
    extension_filter:
      name: has_line
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter
        expression: "'wasm.gatehouse.log' in filter_state"
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format: { text_format_source: { inline_string: "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%\n" } }
# And one line of every exchange."#,
        );
    }
    lines.add(INDENT + 2, "- name: stdout");
    if file.has("health-shortcut") {
        lines.add(
            INDENT + 4,
            r#"# Probes fill no log.
filter:
  extension_filter:
    name: cel
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter
      expression: "!response.code_details.startsWith('gatehouse.health-shortcut.') || response.code >= 500""#,
        );
    }
    lines.add(
        INDENT + 4,
        r#"typed_config:
  "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
  log_format:
    json_format:
      time: "%START_TIME%"
      method: "%REQ(:METHOD)%"
      # Without the query, which may hold a credential.
      path: "%PATH(NQ)%"
      protocol: "%PROTOCOL%"
      status: "%RESPONSE_CODE%"
      details: "%RESPONSE_CODE_DETAILS%"
      flags: "%RESPONSE_FLAGS%"
      duration: "%DURATION%"
      received: "%BYTES_RECEIVED%"
      sent: "%BYTES_SENT%"
      request_id: "%REQ(X-REQUEST-ID)%"
      client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
      upstream: "%UPSTREAM_CLUSTER%""#,
    );
    lines.add(INDENT + 10, &known(file).join("\n"));
}

/// What the filters know of an exchange, as fields of a line of the access log.
fn known(file: &File) -> Vec<String> {
    let state =
        |name: &str, key: &str| format!("{name}: \"%FILTER_STATE(wasm.gatehouse.{key}:PLAIN)%\"");
    let mut known = Vec::new();
    if file.has("trace-context") {
        known.push(state("trace_id", "trace_id"));
    }
    if file.has("access-policy") {
        known.extend([state("service", "service"), state("operation", "method")]);
    }
    if file.has_authenticator() {
        known.extend(["subject", "consumer", "scopes"].map(|name| state(name, name)));
    }
    known
}

/// Whether telemetry leaves lines for the access log to print.
fn has_lines(file: &File) -> bool {
    file.configs("telemetry").any(|config| {
        config.get("lines").is_none_or(|lines| lines != "none")
            && config.get("output").is_none_or(|output| output != "proxy_log")
    })
}

fn routes(lines: &mut Lines, file: &File, listener: &Listener) {
    lines.add(INDENT, "route_config:");
    if file.has("access-policy") {
        lines.add(
            INDENT + 2,
            "# An upstream that believed these would do something else than was judged.\n\
             request_headers_to_remove:\n  \
             [x-http-method-override, x-http-method, x-method-override, x-original-url, x-rewrite-url]",
        );
    }
    lines.add(INDENT + 2, "virtual_hosts:\n  - name: all\n    domains: [\"*\"]");
    if listener.tls.is_some() {
        lines.add(
            INDENT + 6,
            "# Browsers that have been here come back by HTTPS alone (RFC 6797).\n\
             response_headers_to_add:\n  \
             - header: { key: strict-transport-security, value: max-age=31536000 }\n    \
             append_action: OVERWRITE_IF_EXISTS_OR_ADD",
        );
    }
    lines.add(
        INDENT + 6,
        "# What never reached an upstream may be sent again, whatever it was.\n\
         retry_policy: { retry_on: \"connect-failure,refused-stream\", num_retries: 2 }\n\
         routes:",
    );
    for route in file.routes() {
        self::route(lines, file, &route);
    }
}

fn route(lines: &mut Lines, file: &File, route: &Route) {
    let (prefix, upstream) = (text(&route.prefix), text(&route.upstream));
    let timeout = route.timeout.as_deref().unwrap_or(&file.timeouts.response);
    lines.add(
        INDENT + 8,
        &format!("- match: {{ prefix: {prefix} }}\n  route:\n    cluster: {upstream}\n    timeout: {timeout}"),
    );
    // What the connection manager has for the others goes with the others' time-out.
    if seconds(timeout) != seconds(&file.timeouts.response) {
        let (silence, whole) = (silence(timeout), whole(file, timeout).unwrap_or_default());
        lines.add(
            INDENT + 12,
            &format!(
                "idle_timeout: {silence}s\nmax_stream_duration: {{ max_stream_duration: {whole}s }}"
            ),
        );
    }
}
