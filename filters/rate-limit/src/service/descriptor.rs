//! What a limit and its key are called at the service: the same at every proxy of the fleet.
//!
//! 1. The first entry is `limit`, with the limit's name; the parts of the key follow under names of
//!    their own: `consumer`, `header.x-plan`, `query.tenant`, `claim.tenant`, `client_address`.
//! 2. A part that the request lacks is `(none)`: an empty value is refused by services.
//! 3. A value that is long, or not of visible characters, is its SipHash-2-4 of 128 bits, under no
//!    secret: what is stored per key is bounded, and nothing of it can end a line. Who makes two values
//!    of one hash has two values that are counted together. So is one that would pass for another:
//!    `(none)`, `siphash:…`, and parts that are joined by `/` and have one within.

use std::net::{Ipv4Addr, Ipv6Addr};

use siphasher::sip128::SipHasher24;

use crate::config::{Address, KeyPart};

/// How long a value may be as it is, in bytes.
const LONGEST: usize = 128;
/// What stands for a part that is missing.
const NONE: &str = "(none)";
/// What a digest begins with.
const DIGEST: &str = "siphash:";

/// The entries of a limit, and of what a request has of the parts of its key.
pub(crate) fn entries(
    limit: &str,
    parts: impl Iterator<Item = (KeyPart, Option<Vec<u8>>)>,
) -> Vec<(String, String)> {
    let mut entries = vec![("limit".to_owned(), limit.to_owned())];
    entries.extend(parts.map(|(part, value)| {
        let value = value.map_or_else(|| NONE.to_owned(), |value| text(&part, &value));
        (name(&part), value)
    }));
    entries
}

fn name(part: &KeyPart) -> String {
    match part {
        KeyPart::Consumer => "consumer".into(),
        KeyPart::Subject => "subject".into(),
        KeyPart::ClientAddress(_) => "client_address".into(),
        KeyPart::Header(name) => format!("header.{}", name.shared()),
        KeyPart::Query(name) => format!("query.{}", name.0),
        KeyPart::Cookie(name) => format!("cookie.{}", name.0),
        KeyPart::Claim(name) => format!("claim.{name}"),
        KeyPart::Route => "route".into(),
        KeyPart::Cluster => "cluster".into(),
        KeyPart::Service => "service".into(),
        KeyPart::ServiceMethod => "service_method".into(),
        KeyPart::Host => "host".into(),
        KeyPart::Method => "method".into(),
        KeyPart::Path(_) => "path".into(),
    }
}

fn text(part: &KeyPart, value: &[u8]) -> String {
    match part {
        KeyPart::ClientAddress(reading) => {
            address(*reading, value).unwrap_or_else(|| of_bytes(value))
        }
        KeyPart::ServiceMethod | KeyPart::Path(_) => {
            let parts = crate::key::parts(value);
            if parts.iter().any(|part| part.contains(&b'/')) {
                digest(value)
            } else {
                of_bytes(&parts.join(&b'/'))
            }
        }
        _ => of_bytes(value),
    }
}

/// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/64`.
fn address(reading: Address, bytes: &[u8]) -> Option<String> {
    let (address, bits, all) = match bytes.len() {
        4 => {
            let address = Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?);
            (address.to_string(), reading.ipv4_prefix.0, 32)
        }
        16 => {
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
            (address.to_string(), reading.ipv6_prefix.0, 128)
        }
        _ => return None,
    };
    Some(if bits == all { address } else { format!("{address}/{bits}") })
}

fn of_bytes(value: &[u8]) -> String {
    let is_plain = value.len() <= LONGEST && value.iter().all(|byte| (b' '..=b'~').contains(byte));
    match std::str::from_utf8(value) {
        Ok("") => NONE.to_owned(),
        Ok(text) if is_plain && text != NONE && !text.starts_with(DIGEST) => text.to_owned(),
        _ => digest(value),
    }
}

fn digest(value: &[u8]) -> String {
    let digest = SipHasher24::new().hash(value);
    format!("{DIGEST}{:016x}{:016x}", digest.h1, digest.h2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(part: &serde_json::Value, value: Option<&[u8]>, name: &str, text: &str) {
        let part: KeyPart = serde_json::from_value(part.clone()).unwrap();
        let entries = entries("x", std::iter::once((part, value.map(<[u8]>::to_vec))));
        assert_eq!(entries[0], ("limit".to_owned(), "x".to_owned()));
        assert_eq!(entries[1], (name.to_owned(), text.to_owned()));
    }

    #[test]
    fn parts_have_names_and_values_are_as_they_are() {
        check(&json!("consumer"), Some(b"alice"), "consumer", "alice");
        check(&json!({"header": "X-Plan"}), Some(b"a b"), "header.x-plan", "a b");
        check(&json!({"query": "ten ant"}), Some(b"(unclear)"), "query.ten ant", "(unclear)");
        check(&json!({"cookie": "sid"}), Some(b"7"), "cookie.sid", "7");
        check(&json!({"claim": "tenant"}), Some(b"\"t\""), "claim.tenant", "\"t\"");
        check(&json!("route"), None, "route", "(none)");
        check(&json!("route"), Some(b""), "route", "(none)");
    }

    #[test]
    fn an_address_is_written_with_what_counts_of_it() {
        let (v4, v6) = ([192, 0, 2, 1], Ipv6Addr::LOCALHOST.octets());
        check(&json!("client_address"), Some(&v4), "client_address", "192.0.2.1");
        check(&json!("client_address"), Some(&v6), "client_address", "::1/64");
        let reading = json!({"client_address": {"ipv4_prefix": 24}});
        check(&reading, Some(&[192, 0, 2, 0]), "client_address", "192.0.2.0/24");
    }

    #[test]
    fn no_value_passes_for_another() {
        for value in [of_bytes(&[0xff]), "(none)".into(), "siphash:1".into()] {
            assert_ne!(of_bytes(value.as_bytes()), value);
        }
        let joined = |parts: [&str; 2]| {
            let mut key = Vec::new();
            for part in parts {
                crate::key::append(&mut key, Some(part.as_bytes()));
            }
            text(&KeyPart::ServiceMethod, &key)
        };
        assert_eq!(joined(["users", "list"]), "users/list");
        assert_ne!(joined(["a/b", "c"]), joined(["a", "b/c"]));
    }

    #[test]
    fn what_is_long_or_not_plain_is_a_digest() {
        assert_eq!(of_bytes(b"test"), "test");
        assert_eq!(of_bytes(b"test\n"), of_bytes(b"test\n"));
        assert_ne!(of_bytes(b"test\n"), of_bytes(b"test\r"));
        for value in [&b"\xff"[..], b"a\0b", "ä".as_bytes(), &[b'x'; 129]] {
            assert_eq!(of_bytes(value).len(), 40, "{value:?}");
        }
    }
}
