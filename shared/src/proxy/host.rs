//! The real proxy behind the views of the core, and what is done to it.

use std::cell::RefCell;
use std::collections::HashMap;

use prost::Message;
use prost::encoding::WireType;

use super::imports::{self, BufferType, HostError, MapType, MetricType};
use crate::effects::{Count, Effect};
use crate::filter::Call;
use crate::headers::{Headers, write_pairs};
use crate::metric::{Kind, MOST_DEFINED, Metric};
use crate::reply::Reply;
use crate::store::{Version, WriteFailure};
use crate::time::Timestamp;
use crate::view::{Host, Map, Unreadable};

/// The proxy that this module runs in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Live;

/// Setting shared data under a version that no data has yet creates it, once for all workers.
const NO_VERSION_YET: u32 = u32::MAX;

impl Host for Live {
    fn now(&self) -> Result<Timestamp, Unreadable> {
        imports::now().map(Timestamp::from_nanos).map_err(unreadable)
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), Unreadable> {
        imports::random(bytes).map_err(unreadable)
    }

    fn headers(&self, map: Map) -> Result<Headers, Unreadable> {
        headers(map_type(map))
    }

    fn header(&self, map: Map, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        found(imports::header(map_type(map), name))
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Unreadable> {
        let mut joined = [0; LONGEST_PATH];
        match join(path, &mut joined) {
            Some(joined) => found(imports::property(joined)),
            None => found(imports::property(path.join("\0").as_bytes())),
        }
    }

    fn shared(&self, key: &str) -> Result<(Vec<u8>, Version), Unreadable> {
        match imports::shared_data(key) {
            Ok((bytes, cas)) => Ok((bytes, Version::Number(cas))),
            Err(HostError::NotFound) => Ok((Vec::new(), Version::Absent)),
            Err(error) => Err(unreadable(error)),
        }
    }

    fn body(&self, map: Map, most: usize) -> Result<Vec<u8>, Unreadable> {
        let kind = match map {
            Map::Request => BufferType::RequestBody,
            Map::Response => BufferType::ResponseBody,
        };
        imports::buffer(kind, most).map_err(unreadable)
    }

    fn verify_signature(
        &self,
        hash: &str,
        key: &[u8],
        signature: &[u8],
        text: &[u8],
    ) -> Result<bool, Unreadable> {
        let argument = VerifySignature { hash, key, signature, text }.write();
        let result = imports::call_foreign_function("verify_signature", &argument);
        // What is not good comes back as a success too, with a message instead of the verdict.
        let result = VerifySignatureResult::decode(result.map_err(unreadable)?.as_slice());
        result.map(|result| result.result).map_err(|_| Unreadable)
    }

    fn share(&self, key: &str, value: &[u8], version: Version) -> Result<(), WriteFailure> {
        let cas = match version {
            Version::Absent => NO_VERSION_YET,
            Version::Number(cas) => cas,
        };
        match imports::set_shared_data(key, value, cas) {
            Ok(()) => Ok(()),
            Err(HostError::CasMismatch) => Err(WriteFailure::Overtaken),
            Err(_) => Err(WriteFailure::Refused),
        }
    }
}

/// Envoy's `VerifySignatureArguments`.
struct VerifySignature<'a> {
    hash: &'a str,
    key: &'a [u8],
    signature: &'a [u8],
    text: &'a [u8],
}

impl VerifySignature<'_> {
    fn write(&self) -> Vec<u8> {
        let fields = [self.hash.as_bytes(), self.key, self.signature, self.text];
        let len: usize = fields.iter().map(|field| field.len().saturating_add(8)).sum();
        let mut bytes = Vec::with_capacity(len);
        for (tag, field) in (1..).zip(fields) {
            prost::encoding::encode_key(tag, WireType::LengthDelimited, &mut bytes);
            prost::encoding::encode_varint(field.len() as u64, &mut bytes);
            bytes.extend_from_slice(field);
        }
        bytes
    }
}

/// Envoy's `VerifySignatureResult`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct VerifySignatureResult {
    #[prost(bool, tag = "1")]
    result: bool,
}

/// Paths of properties up to this length are put together without an allocation.
const LONGEST_PATH: usize = 64;

/// The parts with a zero byte between them, if they fit.
fn join<'a>(path: &[&str], joined: &'a mut [u8; LONGEST_PATH]) -> Option<&'a [u8]> {
    let mut end: usize = 0;
    for part in path {
        let start = if end == 0 { 0 } else { end.checked_add(1)? };
        end = start.checked_add(part.len())?;
        joined.get_mut(start..end)?.copy_from_slice(part.as_bytes());
    }
    joined.get(..end)
}

const fn map_type(map: Map) -> MapType {
    match map {
        Map::Request => MapType::RequestHeaders,
        Map::Response => MapType::ResponseHeaders,
    }
}

/// A header map, whole.
pub(super) fn headers(map: MapType) -> Result<Headers, Unreadable> {
    Headers::parse(imports::pairs(map).map_err(unreadable)?).map_err(|_| Unreadable)
}

fn found(read: imports::Outcome<Vec<u8>>) -> Result<Option<Vec<u8>>, Unreadable> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(HostError::NotFound) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

fn unreadable(error: HostError) -> Unreadable {
    log::debug!("the proxy does not answer: {error:?}");
    Unreadable
}

/// A change to a request or response that did not take.
pub(super) struct NotApplied;

/// Does what a filter wants done to a request that goes on, or to a response (`map` says which).
pub(super) fn apply(effects: &[Effect], map: Map) -> Result<(), NotApplied> {
    let outcomes = effects.iter().map(|effect| match (effect, map) {
        (Effect::SetRequestHeader(name, value), Map::Request)
        | (Effect::SetResponseHeader(name, value), Map::Response) => {
            imports::set_header(map_type(map), name, value)
        }
        (Effect::AddResponseHeader(name, value), Map::Response) => {
            imports::add_header(map_type(map), name, value)
        }
        (Effect::RemoveRequestHeader(name), Map::Request) => {
            imports::remove_header(MapType::RequestHeaders, name)
        }
        _ => {
            note(effect);
            Ok(())
        }
    });
    // All are tried, whatever became of the ones before.
    if outcomes.filter(Result::is_err).count() == 0 { Ok(()) } else { Err(NotApplied) }
}

/// Counts and keeps filter state: what is done for a request that is refused, too.
pub(super) fn note(effect: &Effect) {
    match effect {
        Effect::SetState(name, value) => keep(name, value),
        Effect::Leave(name, testimony) => keep(name, &testimony.written()),
        Effect::Count(count) => increment(*count),
        Effect::Measure(metric, value) => measure(metric, *value),
        Effect::SetRequestHeader(..)
        | Effect::RemoveRequestHeader(..)
        | Effect::SetResponseHeader(..)
        | Effect::AddResponseHeader(..) => {}
    }
}

fn keep(name: &str, value: &[u8]) {
    // Whoever needs the state and does not find it refuses by itself.
    if let Err(error) = imports::set_property(name, value) {
        log::debug!("filter state {name} is not kept: {error:?}");
    }
}

thread_local! {
    /// The proxy gives a new number at each definition of a counter, so each is defined once. There
    /// are a handful, and comparing their addresses is cheaper than hashing one. A counter whose words
    /// the compiler has put in two places stands here twice, with one number.
    static COUNTERS: RefCell<Vec<(Count, u32)>> = const { RefCell::new(Vec::new()) };
}

fn increment(count: Count) {
    let id = COUNTERS.with_borrow_mut(|counters| {
        if let Some((_, id)) = counters.iter().find(|(known, _)| known.is(&count)) {
            return Ok(*id);
        }
        let known = counters.iter().find(|(known, _)| *known == count).map(|(_, id)| *id);
        let id = match known {
            Some(id) => id,
            None => imports::define_metric(MetricType::Counter, &count.name())?,
        };
        counters.push((count, id));
        Ok(id)
    });
    if let Err(error) = id.and_then(|id| imports::increment(id, 1)) {
        log::debug!("the counter {} is not kept: {error:?}", count.name());
    }
}

thread_local! {
    /// The numbers of the metrics that were named at run time, so that each name is defined once.
    static NAMED: RefCell<HashMap<String, u32>> = RefCell::default();
}

fn measure(metric: &Metric, value: u64) {
    let id = metric.id().map_or_else(|| define(metric), Ok);
    let outcome = id.and_then(|id| match metric.kind() {
        Kind::Counter => imports::increment(id, i64::try_from(value).unwrap_or(i64::MAX)),
        Kind::Histogram => imports::record(id, value),
    });
    if let Err(error) = outcome {
        log::debug!("the metric {} is not kept: {error:?}", metric.name());
    }
}

fn define(metric: &Metric) -> imports::Outcome<u32> {
    let kind = match metric.kind() {
        Kind::Counter => MetricType::Counter,
        Kind::Histogram => MetricType::Histogram,
    };
    let id = NAMED.with_borrow_mut(|named| {
        if let Some(id) = named.get(metric.name()) {
            return Ok(*id);
        }
        if named.len() >= MOST_DEFINED {
            return Err(HostError::InternalFailure);
        }
        let id = imports::define_metric(kind, metric.name())?;
        named.insert(metric.name().to_owned(), id);
        Ok(id)
    })?;
    metric.defined(id);
    Ok(id)
}

/// Answers the request in the upstream's place, with the headers that were set for its response.
pub(super) fn send(reply: &Reply, effects: &[Effect]) -> imports::Outcome<()> {
    let own = reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let further = effects.iter().filter_map(|effect| match effect {
        Effect::SetResponseHeader(name, value) | Effect::AddResponseHeader(name, value) => {
            Some((name.as_bytes(), &**value))
        }
        _ => None,
    });
    let headers = own.chain(further);
    let grpc_status = reply.grpc_status.map_or(-1, i32::from);
    let details = &reply.details;
    imports::send_local_response(
        reply.status,
        details,
        &reply.body,
        &write_pairs(headers),
        grpc_status,
    )
}

/// Starts a call and says under which token its answer will come.
pub(super) fn start(call: &Call) -> imports::Outcome<u32> {
    let pseudo = [(":method", call.method), (":path", &call.path), (":authority", &call.authority)];
    let further = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let headers = pseudo.into_iter().chain(further);
    let headers = write_pairs(headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    // Zero would be a call without a limit.
    let timeout = u32::try_from(call.timeout.as_millis()).unwrap_or(u32::MAX).max(1);
    imports::http_call(&call.cluster, &headers, &call.body, timeout)
}
