//! Listeners: who can read along.

use std::net::IpAddr;

use super::chain::is_within;
use super::{At, Code, Report};
use crate::check::known::Role;
use crate::check::site::Site;

/// Looks at the listener of a connection manager with these filters, where the document has it.
pub(in crate::check) fn check(
    manager: &At<'_>,
    sites: &[&Site<'_>],
    all: &[At<'_>],
    report: &mut Report,
) {
    let authenticator = sites.iter().find(|site| site.known.role == Role::Authenticator);
    let Some(authenticator) = authenticator.filter(|_| !is_behind_proxy(manager)) else { return };
    for listener in all.iter().filter(|at| is_within(manager, at) && chain(at, manager).is_some()) {
        let address = listener.fields(&["address", "socket_address", "address"]);
        let is_safe = has_tls(listener, manager) || has_proxy_protocol(listener);
        if let Some(address) = address.filter(|at| !is_safe && !is_loopback(at)) {
            let message = format!(
                "what `{}` asks for comes in plain text: have TLS; behind a proxy that ends it, say so by \
                 `xff_num_trusted_hops`",
                authenticator.known.name
            );
            Code::PlainListener.report(&address, message, report);
        }
    }
}

/// Versions of TLS that nobody should offer (RFC 8996).
pub(in crate::check) fn versions(all: &[At<'_>], report: &mut Report) {
    let bounds = ["tls_minimum_protocol_version", "tls_maximum_protocol_version"];
    for parameters in all {
        for at in bounds.iter().filter_map(|bound| parameters.field(bound)) {
            // 1 and 2 are their numbers in Envoy's enumeration.
            let is_old = matches!(at.text(), Some("TLSv1_0" | "TLSv1_1"))
                || at.node.value() == 1
                || at.node.value() == 2;
            if is_old {
                let message = "TLS before 1.2 is broken: `TLSv1_2`, which is Envoy's own default";
                Code::OldTls.report(&at, message, report);
            }
        }
    }
}

/// The filter chain of a listener that a connection manager is in.
fn chain<'a>(listener: &At<'a>, manager: &At<'_>) -> Option<At<'a>> {
    let chains = listener.field("filter_chains").map(|list| list.items()).unwrap_or_default();
    let chains = chains.into_iter().chain(listener.field("default_filter_chain"));
    chains.into_iter().find(|chain| is_within(manager, chain))
}

fn has_tls(listener: &At<'_>, manager: &At<'_>) -> bool {
    let socket = chain(listener, manager).and_then(|chain| chain.field("transport_socket"));
    socket.is_some_and(|socket| {
        let config = socket.field("typed_config");
        let kind = config.as_ref().and_then(|config| config.get("@type")).and_then(|at| at.text());
        !kind.is_some_and(|kind| kind.ends_with(".RawBuffer"))
    })
}

/// Whether the connections are those of a proxy in front.
fn is_behind_proxy(manager: &At<'_>) -> bool {
    let hops = manager.field("xff_num_trusted_hops").map(|at| at.node.value());
    hops.is_some_and(|hops| hops != 0)
        || manager.field("original_ip_detection_extensions").is_some()
}

fn has_proxy_protocol(listener: &At<'_>) -> bool {
    let filters = listener.field("listener_filters").map(|list| list.items()).unwrap_or_default();
    filters
        .iter()
        .filter_map(|filter| filter.fields(&["typed_config", "@type"]))
        .any(|kind| kind.text().is_some_and(|kind| kind.ends_with(".ProxyProtocol")))
}

fn is_loopback(address: &At<'_>) -> bool {
    let Some(text) = address.text() else { return false };
    text == "localhost" || text.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
