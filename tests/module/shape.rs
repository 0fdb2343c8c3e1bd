//! What every built module is like from outside: what it asks of the proxy, what it is asked, how
//! large it is.

use tests::host::{exports_of, imports_of, size_of};
use tests::modules::{BUNDLE, filters};

/// The filters' modules, and the one that has them all.
fn modules() -> Vec<String> {
    filters().into_iter().chain([BUNDLE.to_owned()]).collect()
}

/// All that a module may import. Whoever adds to it lets every module do more to its proxy.
const IMPORTS: [&str; 26] = [
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_log_level",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_send_local_response",
    "env.proxy_set_effective_context",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.random_get",
];

/// What ends a program: where Rust panics, which a module of ours does not.
const END: &str = "wasi_snapshot_preview1.proc_exit";

/// The modules that are told of more than heads of requests, and the callbacks that each has for it.
const FURTHER: [(&[&str], &[&str]); 5] = [
    (
        &[
            "health-shortcut",
            "jwt-auth",
            "oauth2-login",
            "rate-limit",
            "token-introspection",
            "trace-context",
            BUNDLE,
        ],
        &["proxy_on_http_call_response"],
    ),
    (
        &[
            "health-shortcut",
            "jwt-auth",
            "oauth2-login",
            "rate-limit",
            "telemetry",
            "token-introspection",
            BUNDLE,
        ],
        &["proxy_on_request_body", "proxy_on_request_trailers"],
    ),
    (
        &["oauth2-login", "rate-limit", "telemetry", "trace-context", BUNDLE],
        &["proxy_on_response_headers"],
    ),
    (&["telemetry", "trace-context", BUNDLE], &["proxy_on_log"]),
    (&["telemetry", BUNDLE], &["proxy_on_response_body"]),
];

/// The callbacks of a filter that looks at requests alone. Envoy calls each that there is.
const EXPORTS: [&str; 8] = [
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

/// The largest that a module may be, in bytes.
fn budget(name: &str) -> usize {
    match name {
        // Four families of signatures, three curves among them.
        "jwt-auth" => 740 * 1024,
        // Lines, metrics, paths in all their readings, networks, and bodies without their secrets.
        "telemetry" => 430 * 1024,
        // Three algorithms, a table that forgets the coldest, and the protocol of a rate-limit service.
        "rate-limit" => 490 * 1024,
        // The same, a cipher for cookies, and all of a sign-in.
        "oauth2-login" => 830 * 1024,
        // Less than half of what its filters take by themselves.
        "token-introspection" => 410 * 1024,
        // Every form of a trace, in and out, and spans in OTLP with what a collector may answer.
        "trace-context" => 410 * 1024,
        BUNDLE => 1820 * 1024,
        _ => 400 * 1024,
    }
}

#[test]
fn a_module_imports_what_is_allowed_and_no_more() {
    for name in modules() {
        let imports = imports_of(&name).unwrap();
        let others: Vec<_> = imports
            .iter()
            .filter(|import| !IMPORTS.contains(&import.as_str()) && *import != END)
            .collect();
        assert!(others.is_empty(), "{name}: {others:?}");
    }
}

#[test]
fn a_module_exports_the_callbacks_that_it_needs_and_no_more() {
    for name in modules() {
        let mut exports = exports_of(&name).unwrap();
        exports.retain(|export| export.starts_with("proxy_"));
        exports.sort();
        let mut expected = EXPORTS.to_vec();
        for (modules, callbacks) in FURTHER {
            if modules.contains(&name.as_str()) {
                expected.extend(callbacks);
            }
        }
        expected.sort_unstable();
        assert_eq!(exports, expected, "{name}");
    }
}

#[test]
fn a_module_stays_within_its_budget() {
    for name in modules() {
        let size = usize::try_from(size_of(&name).unwrap()).unwrap();
        let budget = budget(&name);
        assert!(size <= budget, "{name}: {size} bytes are more than {budget}");
    }
}
