//! What a proxy in production has: TLS, names that are what they seem, an order of time-outs.

use crate::envoy::{GOOD, check};
use crate::{lacks, triggers, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

/// `GOOD` with a listener that listens somewhere, and more in its filter chain.
fn listening(address: &str, more: &str) -> String {
    let at = format!("- name: main\n    address: {{ {address} }}\n");
    let text = with(GOOD, "- name: main\n", &at);
    with(&text, "    - filters:\n", &format!("    - {more}\n      filters:\n"))
}

fn socket(address: &str) -> String {
    format!("socket_address: {{ address: \"{address}\", port_value: 80 }}")
}

#[test]
fn credentials_do_not_come_in_plain_text() {
    const PLAIN: &str = "name: chain";
    for address in ["0.0.0.0", "::", "10.1.2.3", "edge.example"] {
        let text = listening(&socket(address), PLAIN);
        triggers(&text, ALLOW_UNSET, "warning[plain-listener]", "socket_address");
    }
    for address in ["127.0.0.1", "127.3.2.1", "::1", "localhost"] {
        lacks(&listening(&socket(address), PLAIN), ALLOW_UNSET, "plain-listener");
    }
    lacks(&listening("pipe: { path: /run/edge }", PLAIN), ALLOW_UNSET, "plain-listener");
    lacks(GOOD, ALLOW_UNSET, "plain-listener");
}

#[test]
fn tls_may_be_here_or_in_front() {
    let of = |kind: &str| {
        let kind = format!("type.googleapis.com/envoy.extensions.transport_sockets.{kind}");
        let more = format!("transport_socket: {{ typed_config: {{ \"@type\": {kind} }} }}");
        listening(&socket("0.0.0.0"), &more)
    };
    lacks(&of("tls.v3.DownstreamTlsContext"), ALLOW_UNSET, "plain-listener");
    let raw = of("raw_buffer.v3.RawBuffer");
    triggers(&raw, ALLOW_UNSET, "warning[plain-listener]", "socket_address");
    let remote = "use_remote_address: true";
    let hops = |hops: u32| {
        with(&raw, remote, &format!("{remote}\n          xff_num_trusted_hops: {hops}"))
    };
    lacks(&hops(1), ALLOW_UNSET, "plain-listener");
    triggers(&hops(0), ALLOW_UNSET, "warning[plain-listener]", "socket_address");
    let filter = "{ typed_config: { \"@type\": x.listener.proxy_protocol.v3.ProxyProtocol } }";
    let filters = format!("- name: main\n    listener_filters: [ {filter} ]\n");
    lacks(&with(&raw, "- name: main\n", &filters), ALLOW_UNSET, "plain-listener");
}

#[test]
fn where_nobody_is_asked_who_it_is_plain_text_and_underscores_are_no_matter() {
    let probes = "config: { name: health, vm_config: { code: { local: { filename: dist/health-shortcut.wasm } } } }";
    let text = format!(
        r#"
static_resources:
  listeners:
  - address: {{ {} }}
    filter_chains:
    - filters:
      - typed_config:
          "@type": x.v3.HttpConnectionManager
          http_filters:
          - name: health
            typed_config: {{ "@type": x.filters.http.wasm.v3.Wasm, {probes} }}
"#,
        socket("0.0.0.0"),
    );
    triggers(&text, &[], "warning[normalize-path]", "- typed_config");
    lacks(&text, &[], "plain-listener");
    lacks(&text, &[], "header-underscores");
    let filter = with(&text, "health-shortcut.wasm", "basic-auth.wasm");
    triggers(&filter, &[], "warning[plain-listener]", "socket_address");
    triggers(&filter, &[], "warning[header-underscores]", "- typed_config");
}

#[test]
fn old_versions_of_tls_are_told_of() {
    let of = |parameters: &str| {
        let context = format!(
            "\"@type\": x.tls.v3.DownstreamTlsContext, common_tls_context: {{ tls_params: {{ {parameters} }} }}"
        );
        let more = format!("transport_socket: {{ typed_config: {{ {context} }} }}");
        listening(&socket("0.0.0.0"), &more)
    };
    for old in [
        "tls_minimum_protocol_version: TLSv1_0",
        "tls_minimum_protocol_version: TLSv1_1",
        "tlsMinimumProtocolVersion: 2",
        "tls_minimum_protocol_version: TLS_AUTO, tls_maximum_protocol_version: TLSv1_1",
    ] {
        triggers(&of(old), ALLOW_UNSET, "warning[old-tls]", "tls_params");
    }
    for new in
        ["", "tls_minimum_protocol_version: TLSv1_2", "tls_minimum_protocol_version: TLSv1_3"]
    {
        lacks(&of(new), ALLOW_UNSET, "old-tls");
    }
}

#[test]
fn an_answer_has_the_time_that_its_route_gives_it() {
    let route = "route: { cluster: upstream }";
    let of = |more: &str| with(GOOD, route, &format!("route: {{ cluster: upstream, {more} }}"));
    check("info[route-timeout]", route, "route: { cluster: upstream, timeout: 61s }", "61s");
    for well in [
        "timeout: 60s",
        "timeout: 0s",
        "timeout: 90s, idle_timeout: 100s",
        "timeout: 90s, idleTimeout: 0s",
    ] {
        lacks(&of(well), ALLOW_UNSET, "route-timeout");
    }
    let shorter = of("timeout: 50s, idle_timeout: 5.5s");
    triggers(&shorter, ALLOW_UNSET, "info[route-timeout]", "5.5s");
    // What nobody says is five minutes.
    let unsaid = with(&of("timeout: 301s"), "          stream_idle_timeout: 60s\n", "");
    triggers(&unsaid, ALLOW_UNSET, "info[route-timeout]", "301s");
    let never = with(&of("timeout: 301s"), "stream_idle_timeout: 60s", "stream_idle_timeout: 0s");
    lacks(&never, ALLOW_UNSET, "route-timeout");
}
