//! Host calls about an exchange: header maps, bodies, going on, replies, calls to clusters.

use super::guest::{BAD_ARGUMENT, Done, Guest, NOT_FOUND, PARSE_FAILURE, Stop};
use super::headers::Headers;
use super::imports::Import;
use super::state::{Call, LocalReply, Protocol, State};

pub(super) const IMPORTS: &[Import] = &[
    ("proxy_get_header_map_pairs", "iii", get_pairs),
    ("proxy_set_header_map_pairs", "iii", set_pairs),
    ("proxy_get_header_map_size", "ii", get_size),
    ("proxy_get_header_map_value", "iiiii", get_value),
    ("proxy_replace_header_map_value", "iiiii", replace_value),
    ("proxy_add_header_map_value", "iiiii", add_value),
    ("proxy_remove_header_map_value", "iii", remove_value),
    ("proxy_get_buffer_bytes", "iiiii", get_buffer),
    ("proxy_set_buffer_bytes", "iiiii", set_buffer),
    ("proxy_continue_stream", "i", continue_stream),
    ("proxy_close_stream", "i", close_stream),
    ("proxy_send_local_response", "iiiiiiii", send_local_response),
    ("proxy_http_call", "iiiiiiiiii", http_call),
    ("proxy_grpc_call", "iiiiiiiiiiii", grpc_call),
    ("proxy_grpc_stream", "iiiiiiiii", grpc_stream),
    ("proxy_grpc_send", "iiii", grpc_send),
    ("proxy_grpc_cancel", "i", grpc_end),
    ("proxy_grpc_close", "i", grpc_end),
    ("proxy_get_status", "iii", get_status),
];

/// A map that is not there now reads as empty.
fn get_pairs(guest: &mut Guest<'_>) -> Done {
    let map = map_type(guest)?;
    let pairs = readable(guest.state(), map).filter(|headers| !headers.pairs().is_empty());
    let bytes = pairs.map(|headers| headers.encode()).unwrap_or_default();
    guest.give(bytes)
}

fn set_pairs(guest: &mut Guest<'_>) -> Done {
    let map = map_type(guest)?;
    let headers = pairs(guest)?;
    let mut lower = Headers::default();
    headers.pairs().iter().for_each(|(name, value)| lower.add(name, value));
    *writable(guest.state(), map)? = lower;
    Ok(())
}

fn get_size(guest: &mut Guest<'_>) -> Done {
    let map = map_type(guest)?;
    let headers = readable(guest.state(), map).ok_or(BAD_ARGUMENT)?;
    let size: usize = headers.pairs().iter().map(|(name, value)| name.len() + value.len()).sum();
    guest.put(&(size as u32).to_le_bytes())
}

/// The first value only. A map that is not there now is a bad argument, except in the log phase.
fn get_value(guest: &mut Guest<'_>) -> Done {
    let (map, name) = (map_type(guest)?, guest.bytes()?);
    let logging = guest.state().stream().is_some_and(|stream| stream.logging);
    let absent = if logging { NOT_FOUND } else { BAD_ARGUMENT };
    let headers = readable(guest.state(), map).ok_or(absent)?;
    let value = headers.first(&name).ok_or(NOT_FOUND)?.to_vec();
    guest.give(value)
}

fn replace_value(guest: &mut Guest<'_>) -> Done {
    let (map, name, value) = (map_type(guest)?, guest.bytes()?, guest.bytes()?);
    writable(guest.state(), map)?.replace(&name, &value);
    Ok(())
}

fn add_value(guest: &mut Guest<'_>) -> Done {
    let (map, name, value) = (map_type(guest)?, guest.bytes()?, guest.bytes()?);
    writable(guest.state(), map)?.add(&name, &value);
    Ok(())
}

fn remove_value(guest: &mut Guest<'_>) -> Done {
    let (map, name) = (map_type(guest)?, guest.bytes()?);
    writable(guest.state(), map)?.remove(&name);
    Ok(())
}

fn map_type(guest: &mut Guest<'_>) -> Result<u32, Stop> {
    let map = guest.u32();
    if map <= HTTP_CALL_TRAILERS { Ok(map) } else { Err(BAD_ARGUMENT) }
}

fn readable(state: &mut State, map: u32) -> Option<&Headers> {
    match map {
        HTTP_CALL_HEADERS => state.answer.as_ref().map(|answer| &answer.headers),
        HTTP_CALL_TRAILERS => state.answer.as_ref().map(|answer| &answer.trailers),
        _ => state.stream()?.readable(map),
    }
}

fn writable(state: &mut State, map: u32) -> Result<&mut Headers, Stop> {
    state.stream().and_then(|stream| stream.writable(map)).ok_or(BAD_ARGUMENT)
}

fn get_buffer(guest: &mut Guest<'_>) -> Done {
    let (buffer, start, size) = (guest.u32(), guest.u32() as usize, guest.u32() as usize);
    let bytes = buffer_of(guest.state(), buffer)?.ok_or(NOT_FOUND)?;
    let rest = bytes.get(start..).ok_or(BAD_ARGUMENT)?;
    let part = rest[..size.min(rest.len())].to_vec();
    guest.give(part)
}

fn set_buffer(guest: &mut Guest<'_>) -> Done {
    let (buffer, start, size) = (guest.u32() as usize, guest.u32() as usize, guest.u32() as usize);
    let bytes = guest.bytes()?;
    let stream = guest.state().stream().ok_or(BAD_ARGUMENT)?;
    let body = stream.bodies.get_mut(buffer).ok_or(BAD_ARGUMENT)?.as_mut().ok_or(NOT_FOUND)?;
    let start = start.min(body.len());
    body.splice(start..start.saturating_add(size).min(body.len()), bytes);
    Ok(())
}

fn buffer_of(state: &mut State, buffer: u32) -> Result<Option<Vec<u8>>, Stop> {
    Ok(match buffer {
        0 | 1 => state.stream().and_then(|stream| stream.bodies[buffer as usize].clone()),
        4 => state.answer.as_ref().map(|answer| answer.body.clone()),
        5 => state.grpc_message.clone(),
        6 => Some(state.vm_configuration.clone()),
        7 => state.plugin_configuration.clone(),
        2 | 3 | 8 => None,
        _ => return Err(BAD_ARGUMENT),
    })
}

fn continue_stream(guest: &mut Guest<'_>) -> Done {
    let direction = guest.u32() as usize;
    let state = guest.state();
    let stream = state.stream().filter(|_| direction < 2).ok_or(BAD_ARGUMENT)?;
    let refused = direction == 0 && stream.reply.is_some();
    stream.resume(direction);
    if refused {
        state.misuse.push("a request was resumed after a local reply".to_owned());
    }
    Ok(())
}

fn close_stream(guest: &mut Guest<'_>) -> Done {
    let _direction = guest.u32();
    guest.state().stream().ok_or(BAD_ARGUMENT)?.reset = true;
    Ok(())
}

/// As Envoy does, this turns every white space in the details into an underscore.
fn send_local_response(guest: &mut Guest<'_>) -> Done {
    let (status, details, body) = (guest.u32(), guest.text()?, guest.text()?);
    let (headers, grpc_status) = (pairs(guest)?, guest.u32() as i32);
    let details = details.replace(char::is_whitespace, "_");
    let state = guest.state();
    let stream = state.stream().ok_or(BAD_ARGUMENT)?;
    if stream.reply.is_some() {
        state.misuse.push(format!("a second local reply: {status} {details}"));
    } else {
        stream.paused[0] = true;
        stream.reply = Some(LocalReply { status, details, headers, body, grpc_status });
    }
    Ok(())
}

fn http_call(guest: &mut Guest<'_>) -> Done {
    let (cluster, headers, body) = (guest.text()?, pairs(guest)?, guest.bytes()?);
    let (trailers, timeout) = (pairs(guest)?, guest.u32());
    let named = [":method", ":path", ":authority"].iter().all(|name| headers.get(name).is_some());
    if !named || !guest.state().clusters.contains(&cluster) {
        return Err(BAD_ARGUMENT);
    }
    call(guest, Protocol::Http, cluster, headers, (body, trailers, timeout))
}

fn grpc_call(guest: &mut Guest<'_>) -> Done {
    let cluster = guest.text()?;
    let protocol = Protocol::Grpc(guest.text()?, guest.text()?);
    let (headers, body, timeout) = (pairs(guest)?, guest.bytes()?, guest.u32());
    if !guest.state().clusters.contains(&cluster) {
        return Err(PARSE_FAILURE);
    }
    call(guest, protocol, cluster, headers, (body, Headers::default(), timeout))
}

fn grpc_stream(guest: &mut Guest<'_>) -> Done {
    let cluster = guest.text()?;
    let protocol = Protocol::GrpcStream(guest.text()?, guest.text()?);
    let headers = pairs(guest)?;
    if !guest.state().clusters.contains(&cluster) {
        return Err(PARSE_FAILURE);
    }
    call(guest, protocol, cluster, headers, (Vec::new(), Headers::default(), 0))
}

/// Notes a call and tells the module its token.
fn call(
    guest: &mut Guest<'_>,
    protocol: Protocol,
    cluster: String,
    headers: Headers,
    (body, trailers, timeout): (Vec<u8>, Headers, u32),
) -> Done {
    let state = guest.state();
    let (token, context) = (state.token(), state.context());
    let call = Call { token, context, protocol, cluster, headers, body, trailers, timeout };
    state.calls.insert(token, call);
    guest.put(&token.to_le_bytes())
}

fn grpc_send(guest: &mut Guest<'_>) -> Done {
    let (token, message, _end) = (guest.u32(), guest.bytes()?, guest.u32());
    let call = guest.state().calls.get_mut(&token).ok_or(NOT_FOUND)?;
    if !matches!(call.protocol, Protocol::GrpcStream(..)) {
        return Err(BAD_ARGUMENT);
    }
    call.body.extend(message);
    Ok(())
}

fn grpc_end(guest: &mut Guest<'_>) -> Done {
    let token = guest.u32();
    guest.state().calls.remove(&token).map(|_| ()).ok_or(NOT_FOUND)
}

fn get_status(guest: &mut Guest<'_>) -> Done {
    let (status, message) = guest.state().grpc_status.clone();
    guest.put(&status.to_le_bytes())?;
    guest.give(message.into_bytes())
}

/// A map that the module made. Envoy takes one that it cannot read for an empty one: a mistake.
fn pairs(guest: &mut Guest<'_>) -> Result<Headers, Stop> {
    let bytes = guest.bytes()?;
    Ok(Headers::decode(&bytes).unwrap_or_else(|| {
        guest.state().misuse.push("the module wrote a map that cannot be read".to_owned());
        Headers::default()
    }))
}

const HTTP_CALL_HEADERS: u32 = 6;
const HTTP_CALL_TRAILERS: u32 = 7;
