//! Modules of a few lines, put together from callbacks and host calls.

use tests::host::Host;

/// A host that runs these callbacks, with the cluster `auth`.
pub(super) fn start(callbacks: &[String]) -> Host {
    start_with(callbacks, |host| host.cluster("auth"))
}

/// A host that runs these callbacks.
pub(super) fn start_with(callbacks: &[String], prepare: impl FnOnce(Host) -> Host) -> Host {
    let mut host = prepare(Host::written(&module(callbacks)).unwrap());
    host.configure("").unwrap();
    host
}

/// The text of a module with these callbacks.
pub(super) fn module(callbacks: &[String]) -> String {
    let callbacks = callbacks.concat();
    let configured = callbacks.contains("proxy_on_configure");
    let configure = if configured { "" } else { ACCEPTS_CONFIGURATION };
    format!("(module {COMMON} {configure} {callbacks})")
}

/// The callback for the headers of a request, or of a response, that returns an action.
pub(super) fn on_headers(of: &str, body: &[String], action: u32) -> String {
    let name = format!("proxy_on_{of}_headers");
    let body = body.concat();
    format!(
        r#"(func (export "{name}") (param i32 i32 i32) (result i32) {body} (i32.const {action}))"#
    )
}

/// A callback without a result, such as `proxy_on_tick`, whose one parameter is a context.
pub(super) fn on(event: &str, body: &[String]) -> String {
    format!(r#"(func (export "proxy_on_{event}") (param i32) {})"#, body.concat())
}

/// Bytes in the module's memory.
pub(super) fn data(at: u32, bytes: &[u8]) -> String {
    let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(r#"(data (i32.const {at}) "{bytes}")"#)
}

/// A call of an import; its status goes into the histogram `status`. An argument is a number, or
/// the word at an address in brackets. Addresses below 64 are for what a call returns.
pub(super) fn note(import: &str, arguments: &str) -> String {
    format!("(call $note (call ${import} {}))", words(arguments))
}

/// A value that goes into the histogram `status`.
pub(super) fn note_word(argument: &str) -> String {
    format!("(call $note {})", words(argument))
}

/// A call of an import whose status goes nowhere.
pub(super) fn quiet(import: &str, arguments: &str) -> String {
    format!("(drop (call ${import} {}))", words(arguments))
}

fn words(arguments: &str) -> String {
    arguments.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

fn word(argument: &str) -> String {
    match argument.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(at) => format!("(i32.load {})", word(at)),
        None => match argument.strip_suffix('L') {
            Some(long) => format!("(i64.const {long})"),
            None => format!("(i32.const {argument})"),
        },
    }
}

const ACCEPTS_CONFIGURATION: &str = r#"
(func (export "proxy_on_configure") (param i32 i32) (result i32) (call $define) (i32.const 1))
"#;

/// Imports; an allocator that never frees; `$define` and `$note`.
const COMMON: &str = r#"
(type $i1 (func (param i32) (result i32)))
(type $i2 (func (param i32 i32) (result i32)))
(type $i3 (func (param i32 i32 i32) (result i32)))
(type $i4 (func (param i32 i32 i32 i32) (result i32)))
(type $i5 (func (param i32 i32 i32 i32 i32) (result i32)))
(type $i8 (func (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(type $i10 (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "env" "proxy_log" (func $log (type $i3)))
(import "env" "proxy_get_header_map_pairs" (func $get_pairs (type $i3)))
(import "env" "proxy_set_header_map_pairs" (func $set_pairs (type $i3)))
(import "env" "proxy_get_header_map_value" (func $get_value (type $i5)))
(import "env" "proxy_add_header_map_value" (func $add_value (type $i5)))
(import "env" "proxy_get_buffer_bytes" (func $get_buffer (type $i5)))
(import "env" "proxy_get_shared_data" (func $get_shared (type $i5)))
(import "env" "proxy_set_shared_data" (func $set_shared (type $i5)))
(import "env" "proxy_get_property" (func $get_property (type $i4)))
(import "env" "proxy_set_property" (func $set_property (type $i4)))
(import "env" "proxy_continue_stream" (func $continue (type $i1)))
(import "env" "proxy_send_local_response" (func $reply (type $i8)))
(import "env" "proxy_http_call" (func $http_call (type $i10)))
(import "env" "proxy_set_effective_context" (func $effective (type $i1)))
(import "env" "proxy_define_metric" (func $define_metric (type $i4)))
(import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
(import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (type $i2)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ (type $i2)))
(import "wasi_snapshot_preview1" "random_get" (func $random (type $i2)))
(import "wasi_snapshot_preview1" "clock_time_get"
  (func $clock (param i32 i64 i32) (result i32)))
(memory (export "memory") 64)
(global $free (mut i32) (i32.const 65536))
(func (export "proxy_abi_version_0_2_1"))
(func (export "proxy_on_context_create") (param i32 i32))
(func (export "proxy_on_memory_allocate") (param i32) (result i32)
  (global.get $free)
  (global.set $free (i32.add (global.get $free) (local.get 0))))
(func $define
  (drop (call $define_metric (i32.const 2) (i32.const 8) (i32.const 6) (i32.const 0))))
(func $note (param i32)
  (drop (call $record (i32.load (i32.const 0)) (i64.extend_i32_u (local.get 0)))))
(data (i32.const 8) "status")
"#;
