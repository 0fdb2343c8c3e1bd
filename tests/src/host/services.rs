//! Host calls that have nothing to do with HTTP: log, time, properties, shared data, metrics.

use super::guest::{BAD_ARGUMENT, CAS_MISMATCH, Done, Guest, NOT_FOUND, Stop, UNIMPLEMENTED};
use super::imports::Import;
use super::state::{REQUEST_HEADERS, State};

pub(super) const IMPORTS: &[Import] = &[
    ("proxy_log", "iii", log),
    ("proxy_get_log_level", "i", get_log_level),
    ("proxy_get_current_time_nanoseconds", "i", get_current_time),
    ("proxy_set_tick_period_milliseconds", "i", set_tick_period),
    ("proxy_get_property", "iiii", get_property),
    ("proxy_set_property", "iiii", set_property),
    ("proxy_get_shared_data", "iiiii", get_shared_data),
    ("proxy_set_shared_data", "iiiii", set_shared_data),
    ("proxy_define_metric", "iiii", define_metric),
    ("proxy_increment_metric", "iI", increment_metric),
    ("proxy_record_metric", "iI", record_metric),
    ("proxy_get_metric", "ii", get_metric),
    ("proxy_call_foreign_function", "iiiiii", call_foreign_function),
    ("proxy_set_effective_context", "i", set_effective_context),
    ("proxy_done", "", done),
    ("proxy_register_shared_queue", "iii", no_queues),
    ("proxy_resolve_shared_queue", "iiiii", no_queues),
    ("proxy_enqueue_shared_queue", "iii", no_queues),
    ("proxy_dequeue_shared_queue", "iii", no_queues),
];

fn log(guest: &mut Guest<'_>) -> Done {
    let (level, text) = (guest.u32(), guest.bytes()?);
    if level > CRITICAL {
        return Err(BAD_ARGUMENT);
    }
    guest.state().log(level, &text);
    Ok(())
}

fn get_log_level(guest: &mut Guest<'_>) -> Done {
    let level = guest.state().log_level;
    guest.put(&level.to_le_bytes())
}

fn get_current_time(guest: &mut Guest<'_>) -> Done {
    let now = guest.state().now;
    guest.put(&now.to_le_bytes())
}

fn set_tick_period(guest: &mut Guest<'_>) -> Done {
    let period = guest.u32();
    guest.state().tick_period = (period > 0).then_some(period);
    Ok(())
}

fn get_property(guest: &mut Guest<'_>) -> Done {
    let path = guest.bytes()?;
    let path = path.strip_suffix(&[0]).unwrap_or(&path);
    let value = property(guest.state(), path).ok_or(NOT_FOUND)?;
    guest.give(value)
}

/// What the module set, then what the test set, where Envoy would know it: a root context knows
/// the node and the plugin only, and `request.*` ends with the request's headers.
fn property(state: &mut State, path: &[u8]) -> Option<Vec<u8>> {
    let known = state.properties.get(path).cloned();
    let Some(stream) = state.stream() else {
        let of_root = path.starts_with(b"xds\0node") || path.starts_with(b"plugin_");
        return known.filter(|_| of_root);
    };
    let own = path.strip_prefix(b"filter_state\0wasm.").unwrap_or(path);
    let gone = path.starts_with(b"request\0") && stream.readable(REQUEST_HEADERS).is_none();
    stream.filter_state.get(own).filter(|_| !own.contains(&0)).cloned().or(known).filter(|_| !gone)
}

fn set_property(guest: &mut Guest<'_>) -> Done {
    let (path, value) = (guest.bytes()?, guest.bytes()?);
    let name = path.strip_suffix(&[0]).unwrap_or(&path).to_vec();
    let stream = guest.state().stream().ok_or(NOT_FOUND)?;
    stream.filter_state.insert(name, value);
    Ok(())
}

fn get_shared_data(guest: &mut Guest<'_>) -> Done {
    let key = guest.bytes()?;
    let found = guest.state().shared.lock().get(&key);
    let (value, cas) = found.ok_or(NOT_FOUND)?;
    guest.give(value)?;
    guest.put(&cas.to_le_bytes())
}

fn set_shared_data(guest: &mut Guest<'_>) -> Done {
    let (key, value, cas) = (guest.bytes()?, guest.bytes()?, guest.u32());
    let set = guest.state().shared.lock().set(&key, &value, cas);
    if set { Ok(()) } else { Err(CAS_MISMATCH) }
}

/// As in Envoy, each definition of one name is another id of one metric.
fn define_metric(guest: &mut Guest<'_>) -> Done {
    let (kind, name) = (guest.u32(), guest.text()?);
    if kind > HISTOGRAM {
        return Err(BAD_ARGUMENT);
    }
    let state = guest.state();
    if kind != HISTOGRAM {
        state.shared.lock().values.entry(name.clone()).or_default();
    }
    state.metrics.push((kind, name));
    let id = state.metrics.len() as u32;
    guest.put(&id.to_le_bytes())
}

fn increment_metric(guest: &mut Guest<'_>) -> Done {
    let (kind, name) = metric(guest)?;
    let offset = guest.i64();
    if kind == HISTOGRAM || (kind == COUNTER && offset <= 0) {
        return Err(BAD_ARGUMENT);
    }
    let mut common = guest.state().shared.lock();
    let value = common.values.entry(name).or_default();
    *value = value.wrapping_add_signed(offset);
    Ok(())
}

fn record_metric(guest: &mut Guest<'_>) -> Done {
    let (kind, name) = metric(guest)?;
    let recorded = guest.i64() as u64;
    let mut common = guest.state().shared.lock();
    match kind {
        HISTOGRAM => common.histograms.entry(name).or_default().push(recorded),
        COUNTER => *common.values.entry(name).or_default() += recorded,
        _ => drop(common.values.insert(name, recorded)),
    }
    Ok(())
}

fn get_metric(guest: &mut Guest<'_>) -> Done {
    let (_, name) = metric(guest)?;
    let value = guest.state().shared.lock().values.get(&name).copied();
    guest.put(&value.ok_or(BAD_ARGUMENT)?.to_le_bytes())
}

fn metric(guest: &mut Guest<'_>) -> Result<(u32, String), Stop> {
    let index = (guest.u32() as usize).wrapping_sub(1);
    guest.state().metrics.get(index).cloned().ok_or(NOT_FOUND)
}

fn call_foreign_function(guest: &mut Guest<'_>) -> Done {
    let (name, arguments) = (guest.text()?, guest.bytes()?);
    let function = guest.state().foreign.get(&name).ok_or(NOT_FOUND)?;
    let results = function(&arguments).map_err(Stop::Status)?;
    guest.give(results)
}

fn set_effective_context(guest: &mut Guest<'_>) -> Done {
    let context = guest.u32();
    let state = guest.state();
    if !state.roots.contains(&context) && !state.streams.contains_key(&context) {
        return Err(BAD_ARGUMENT);
    }
    state.effective = context;
    Ok(())
}

/// There is never a context here whose end waits for this.
fn done(_: &mut Guest<'_>) -> Done {
    Err(NOT_FOUND)
}

/// The SDK imports the queues of Envoy into every module, and none of ours has a use for them.
fn no_queues(_: &mut Guest<'_>) -> Done {
    Err(UNIMPLEMENTED)
}

const CRITICAL: u32 = 5;
/// The kinds of metric; the one between is a gauge.
const COUNTER: u32 = 0;
const HISTOGRAM: u32 = 2;
