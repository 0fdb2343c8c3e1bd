//! The functions of the proxy, declared by us: the only `unsafe` code there is.
//!
//! 1. Every status becomes a [`HostError`]; one that nobody has heard of is one too.
//! 2. Bytes come back as a `Vec` of ours, and only from the memory that we just handed out for them.
//!    A proxy that gives another address or a greater length gets an error, not our trust.
//! 3. Nothing here panics.

#![allow(unsafe_code, reason = "calls through the ABI of proxy-wasm")]

use std::alloc::{Layout, alloc};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Why the proxy did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is nothing of that name.
    NotFound,
    /// Not in this phase, or not with these arguments.
    BadArgument,
    /// What was read is of another version by now.
    CasMismatch,
    /// It failed by itself.
    InternalFailure,
    /// It does not offer the function.
    Unimplemented,
    /// It gave bytes that cannot be ours.
    ForeignMemory,
    /// Any other status.
    Status(u32),
}

/// What the proxy answers.
pub type Outcome<T> = Result<T, HostError>;

/// The header maps of the ABI that we use.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum MapType {
    /// The request's.
    RequestHeaders = 0,
    /// The response's.
    ResponseHeaders = 2,
    /// Those of the answer to a call.
    CallHeaders = 6,
    /// The trailers of the answer to a call.
    CallTrailers = 7,
}

/// The buffers of the ABI that we use.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum BufferType {
    /// What has come of a request's body and has not gone on.
    RequestBody = 0,
    /// The same of a response's.
    ResponseBody = 1,
    /// The body of the answer to a call.
    CallBody = 4,
    /// The plugin's configuration.
    PluginConfiguration = 7,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, message_len: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        cas: u32,
    ) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        trailers: *const u8,
        trailers_len: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        argument: *const u8,
        argument_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(bytes: *mut u8, len: usize) -> u16;
}

/// What was last handed out for the proxy to write to.
static HANDED_OUT: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The proxy asks for memory to write to. What it gets is taken back by [`read`].
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(len: usize) -> *mut u8 {
    let memory = match Layout::array::<u8>(len) {
        // SAFETY: the layout is not of zero size.
        Ok(layout) if len > 0 => unsafe { alloc(layout) },
        _ => null_mut(),
    };
    let [address, size] = &HANDED_OUT;
    address.store(memory as usize, Relaxed);
    size.store(len, Relaxed);
    memory
}

/// Lets the proxy write bytes and takes them.
fn read(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Outcome<Vec<u8>> {
    let [address, size] = &HANDED_OUT;
    address.store(0, Relaxed);
    let (mut data, mut len) = (null_mut(), 0);
    let status = call(&raw mut data, &raw mut len);
    let (address, size) = (address.load(Relaxed), size.load(Relaxed));
    let is_ours = !data.is_null() && data as usize == address && len <= size;
    if is_ours && len > 0 {
        // SAFETY: `data` was allocated above with `size` bytes for the proxy alone, `len` of which it
        // says it wrote; bytes it did not write are those of a fresh allocation, read by nobody else.
        let bytes = unsafe { Vec::from_raw_parts(data, len, size) };
        return check(status).map(|()| bytes);
    }
    check(status)?;
    if len == 0 { Ok(Vec::new()) } else { Err(HostError::ForeignMemory) }
}

fn check(status: u32) -> Outcome<()> {
    Err(match status {
        0 => return Ok(()),
        1 => HostError::NotFound,
        2 => HostError::BadArgument,
        8 => HostError::CasMismatch,
        10 => HostError::InternalFailure,
        12 => HostError::Unimplemented,
        other => HostError::Status(other),
    })
}

/// Writes a line to the proxy's log.
pub fn log(level: u32, message: &str) -> Outcome<()> {
    // SAFETY: the address and length of a `str`.
    check(unsafe { proxy_log(level, message.as_ptr(), message.len()) })
}

/// The level below which the proxy drops lines.
pub fn log_level() -> Outcome<u32> {
    let mut level = 0;
    // SAFETY: the address of a number of ours.
    check(unsafe { proxy_get_log_level(&raw mut level) }).map(|()| level)
}

/// Nanoseconds since 1970.
pub fn now() -> Outcome<u64> {
    let mut time = 0;
    // SAFETY: the address of a number of ours.
    check(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) }).map(|()| time)
}

/// Fills `bytes` with randomness.
pub fn random(bytes: &mut [u8]) -> Outcome<()> {
    // SAFETY: the address and length of a slice.
    check(u32::from(unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) }))
}

/// Asks for a tick so often; zero for never.
pub fn set_tick_period(millis: u32) -> Outcome<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_set_tick_period_milliseconds(millis) })
}

/// The first `most` bytes of a buffer.
pub fn buffer(kind: BufferType, most: usize) -> Outcome<Vec<u8>> {
    // SAFETY: the addresses are those of `read`'s own variables.
    read(|data, len| unsafe { proxy_get_buffer_bytes(kind as u32, 0, most, data, len) })
}

/// All pairs of a map, in the ABI's form.
pub fn pairs(map: MapType) -> Outcome<Vec<u8>> {
    // SAFETY: the addresses are those of `read`'s own variables.
    read(|data, len| unsafe { proxy_get_header_map_pairs(map as u32, data, len) })
}

/// The first value of a header.
pub fn header(map: MapType, name: &str) -> Outcome<Vec<u8>> {
    // SAFETY: the address and length of a `str`, and the addresses of `read`'s own variables.
    read(|data, len| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, len)
    })
}

/// Gives a header one value.
pub fn set_header(map: MapType, name: &str, value: &[u8]) -> Outcome<()> {
    let (name, name_len) = (name.as_ptr(), name.len());
    // SAFETY: the addresses and lengths of a `str` and a slice.
    check(unsafe {
        proxy_replace_header_map_value(map as u32, name, name_len, value.as_ptr(), value.len())
    })
}

/// Gives a header one more value.
pub fn add_header(map: MapType, name: &str, value: &[u8]) -> Outcome<()> {
    let (name, name_len) = (name.as_ptr(), name.len());
    // SAFETY: the addresses and lengths of a `str` and a slice.
    check(unsafe {
        proxy_add_header_map_value(map as u32, name, name_len, value.as_ptr(), value.len())
    })
}

/// Takes a header off.
pub fn remove_header(map: MapType, name: &str) -> Outcome<()> {
    // SAFETY: the address and length of a `str`.
    check(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// A property; its path with a zero byte between the parts.
pub fn property(path: &[u8]) -> Outcome<Vec<u8>> {
    // SAFETY: the address and length of a slice, and the addresses of `read`'s own variables.
    read(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

/// Sets a property, which Envoy keeps as the filter state `wasm.<name>`.
pub fn set_property(name: &str, value: &[u8]) -> Outcome<()> {
    // SAFETY: the addresses and lengths of a `str` and a slice.
    check(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Shared data, and the number of its version.
pub fn shared_data(key: &str) -> Outcome<(Vec<u8>, u32)> {
    let mut cas = 0;
    // SAFETY: the address and length of a `str`, and addresses of variables of ours.
    let bytes = read(|data, len| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut cas)
    })?;
    Ok((bytes, cas))
}

/// Replaces shared data of the version `cas`; zero for any version.
pub fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Outcome<()> {
    let (key, key_len) = (key.as_ptr(), key.len());
    // SAFETY: the addresses and lengths of a `str` and a slice.
    check(unsafe { proxy_set_shared_data(key, key_len, value.as_ptr(), value.len(), cas) })
}

/// Lets what follows be about this context.
pub fn set_effective_context(id: u32) -> Outcome<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_set_effective_context(id) })
}

/// Lets the request go on.
pub fn continue_request() -> Outcome<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_continue_stream(0) })
}

/// Answers the request; `headers` in the ABI's form.
pub fn send_local_response(
    status: u16,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> Outcome<()> {
    // SAFETY: the addresses and lengths of a `str` and of slices.
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

/// Starts a call and says under which token its answer will come.
pub fn http_call(cluster: &str, headers: &[u8], body: &[u8], timeout: u32) -> Outcome<u32> {
    let mut token = 0;
    let no_trailers = 0_u32.to_le_bytes();
    // SAFETY: the addresses and lengths of a `str` and of slices, and of a number of ours.
    check(unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            no_trailers.as_ptr(),
            no_trailers.len(),
            timeout,
            &raw mut token,
        )
    })
    .map(|()| token)
}

/// Calls a function that only this proxy has.
pub fn call_foreign_function(name: &str, argument: &[u8]) -> Outcome<Vec<u8>> {
    // SAFETY: the addresses and lengths of a `str` and a slice, and of `read`'s own variables.
    read(|data, len| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            argument.as_ptr(),
            argument.len(),
            data,
            len,
        )
    })
}

/// The metrics of the ABI that we use.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum MetricType {
    /// A sum that only grows.
    Counter = 0,
    /// How often there was which value.
    Histogram = 2,
}

/// Defines a metric.
pub fn define_metric(kind: MetricType, name: &str) -> Outcome<u32> {
    let mut id = 0;
    // SAFETY: the address and length of a `str`, and of a number of ours.
    check(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })
        .map(|()| id)
}

/// Notes a value in a histogram.
pub fn record(id: u32, value: u64) -> Outcome<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_record_metric(id, value) })
}

/// Adds to a counter.
pub fn increment(id: u32, by: i64) -> Outcome<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_increment_metric(id, by) })
}
