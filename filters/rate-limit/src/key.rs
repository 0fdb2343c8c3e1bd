//! What a request is counted under.
//!
//! 1. A part that is there and one that is missing are never the same, nor are two parts read as
//!    three: every part is written with its length.
//! 2. A header counts as the client sent it, every occurrence: who may choose it chooses a key.
//! 3. A parameter of the query and a cookie count by their one value, decoded as `shared::sources` reads
//!    it. Where readers may see another (it comes twice, an escape is broken, a `;` hides a second one,
//!    it is longer than 16 KiB), a client could have as many counts as it likes, while the upstream sees
//!    one value all the time: those requests are counted together, as [`UNCLEAR`], and never exempt.
//! 4. What an authenticator has said is read from filter state, which no client can write.

use shared::evidence::Evidence;
use shared::identity::AUTHENTICATORS;
use shared::matching::path::{BadPath, Pattern, Segment};
use shared::sources::{self, Found};
use shared::view::Request;

use crate::address;
use crate::config::KeyPart;

/// What stands for a value that is not one and the same to all readers. Whoever sends this very text is
/// counted with them, which is no gain.
const UNCLEAR: &[u8] = b"(unclear)";

/// What a request has of a part of a key.
pub(crate) fn part(part: &KeyPart, request: &Request<'_>) -> Result<Option<Vec<u8>>, BadPath> {
    let text = |path: &[&str]| request.property(path).filter(|text| !text.is_empty());
    Ok(match part {
        KeyPart::Consumer => text(&["gatehouse.consumer"]),
        KeyPart::Subject => text(&["gatehouse.subject"]),
        KeyPart::ClientAddress(reading) => address::of(*reading, request),
        KeyPart::Header(name) => header(&name.shared(), request),
        KeyPart::Query(name) => value(sources::in_query(request, &name.0)),
        KeyPart::Cookie(name) => value(sources::in_cookies(request, &name.0)),
        KeyPart::Claim(name) => claim(name, request),
        KeyPart::Route => text(&["xds", "route_name"]),
        KeyPart::Cluster => text(&["xds", "cluster_name"]),
        KeyPart::Service => text(&["gatehouse.service"]),
        KeyPart::ServiceMethod => {
            let parts = (text(&["gatehouse.service"]), text(&["gatehouse.method"]));
            match parts {
                (Some(service), Some(method)) => {
                    let mut both = Vec::new();
                    append(&mut both, Some(&service));
                    append(&mut both, Some(&method));
                    Some(both)
                }
                _ => None,
            }
        }
        KeyPart::Host => host(request),
        KeyPart::Method => Some(request.method().to_vec()).filter(|method| !method.is_empty()),
        KeyPart::Path(pattern) => path(pattern, request)?,
    })
}

/// Writes a part of a key.
pub(crate) fn append(key: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => key.push(0),
        Some(part) => {
            key.push(1);
            key.extend_from_slice(&(part.len() as u64).to_le_bytes());
            key.extend_from_slice(part);
        }
    }
}

/// The parts that were written and are there.
pub(crate) fn parts(mut key: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((is_there, rest)) = key.split_first() {
        let Some((len, rest)) = rest.split_first_chunk::<8>().filter(|_| *is_there == 1) else {
            key = rest;
            continue;
        };
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (part, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        parts.push(part);
        key = rest;
    }
    parts
}

fn header(name: &str, request: &Request<'_>) -> Option<Vec<u8>> {
    let mut values = request.headers().all(name);
    let first = values.next()?;
    let mut all = first.to_vec();
    for value in values {
        all.push(b',');
        all.extend_from_slice(value);
    }
    Some(all)
}

fn value(found: Found<'_>) -> Option<Vec<u8>> {
    match found {
        Found::Nothing => None,
        Found::One(value) => Some(value.into_owned()),
        Found::Repeated | Found::Malformed => Some(UNCLEAR.to_vec()),
    }
}

/// A claim of the first token that has it.
fn claim(name: &str, request: &Request<'_>) -> Option<Vec<u8>> {
    AUTHENTICATORS.into_iter().find_map(|authenticator| {
        let Some(Evidence::Known(known)) = Evidence::read(request, authenticator) else {
            return None;
        };
        known.claims.get(name).map(|claim| claim.to_string().into_bytes())
    })
}

fn host(request: &Request<'_>) -> Option<Vec<u8>> {
    let authority = request.headers().first(":authority")?;
    let host = shared::matching::host_name(authority).to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// What stands in the path for the parts of the pattern that are not fixed.
fn path(pattern: &Pattern, request: &Request<'_>) -> Result<Option<Vec<u8>>, BadPath> {
    let Some(readings) = request.readings() else { return Ok(None) };
    readings?.agree(|path| pattern.matches(path).then(|| named(pattern, path)))
}

fn named(pattern: &Pattern, path: &[u8]) -> Vec<u8> {
    let parts = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/');
    let mut key = Vec::new();
    for (segment, part) in pattern.segments().iter().zip(parts) {
        if *segment == Segment::Any {
            append(&mut key, Some(part));
        }
    }
    key
}
