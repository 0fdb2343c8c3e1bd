//! What is configured: limits, as types that cannot hold a mistake.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use shared::config::{Invalid, Mode, NonEmpty, Size};
use shared::identity::HeaderName;
use shared::matching::Matcher;
use shared::matching::path::Pattern;
use shared::sources;

use crate::limit::Limit;
use crate::quota::{Algorithm, Quota};
use crate::service;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How much memory the counts may take, for all workers together; 64KiB to 1GiB, default 4MiB.
    #[serde(default)]
    pub(crate) memory: Memory,
    /// Who counts for the whole fleet; default nobody, which leaves nothing to count `global`.
    pub(crate) service: Option<service::Config>,
}

/// What a rule, a route or a virtual host may set anew: the limits as a whole, the form of headers.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// The limits that apply, all of them together.
    pub(crate) limits: Vec<Limit>,
    /// What responses say of them.
    pub(crate) headers: Announce,
}

/// [`Settings`], as they are written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Written {
    /// The limits that apply, all of them together; default none.
    #[serde(default)]
    limits: Vec<LimitEntry>,
    /// What responses say of them; default `draft`.
    #[serde(default)]
    headers: Announce,
}

impl TryFrom<Written> for Settings {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        let mut limits: Vec<Limit> = Vec::with_capacity(written.limits.len());
        for (index, entry) in written.limits.into_iter().enumerate() {
            let within = |error: Invalid| error.within(&format!("limits[{index}]"));
            let limit = Limit::new(entry).map_err(within)?;
            if limits.iter().any(|other| other.name == limit.name) {
                return Err(within(Invalid::at("name", "another limit has it")));
            }
            limits.push(limit);
        }
        Ok(Self { limits, headers: written.headers })
    }
}

/// One of `limits`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitEntry {
    /// Its name: 1 to 64 letters, digits, `-` and `_`; for clients, counters and logs.
    pub(crate) name: LimitName,
    /// Which requests it is for; default all.
    #[serde(rename = "match")]
    pub(crate) matches: Option<Matcher>,
    /// What is counted apart; default nothing, all requests together.
    pub(crate) key: Option<NonEmpty<KeyPart>>,
    /// What becomes of a request that lacks a part of the key; default `shared`.
    #[serde(default)]
    pub(crate) missing: Missing,
    /// How much.
    pub(crate) quota: Quota,
    /// How it is counted; default `token-bucket`.
    #[serde(default)]
    pub(crate) algorithm: Algorithm,
    /// How much instead, by a group of whoever is authenticated.
    #[serde(default)]
    pub(crate) tiers: BTreeMap<String, Quota>,
    /// What a request costs; default 1.
    #[serde(default)]
    pub(crate) cost: Cost,
    /// `enforce`, `shadow` (counts, logs, lets pass) or `off`; default `enforce`.
    #[serde(default)]
    pub(crate) mode: Mode,
    /// What is counted; default every request.
    #[serde(default)]
    pub(crate) on: Event,
    /// By whom; default this proxy alone.
    #[serde(default)]
    pub(crate) counted: Counted,
}

/// The name of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitName(pub(crate) String);

impl<'de> Deserialize<'de> for LimitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(D::Error::custom(
                "a name is 1 to 64 letters, digits, `-` and `_`, and this is none",
            ));
        }
        Ok(Self(name))
    }
}

/// One part of a `key`.
#[derive(Clone, Debug)]
pub(crate) enum KeyPart {
    /// The consumer that an authenticator in front has found.
    Consumer,
    /// The subject that it has found.
    Subject,
    /// The address that the request comes from.
    ClientAddress(Address),
    /// What a header says.
    Header(HeaderName),
    /// What a parameter of the query says.
    Query(QueryName),
    /// What a cookie says.
    Cookie(CookieName),
    /// A claim of a token that an authenticator in front has verified.
    Claim(String),
    /// The name of the route.
    Route,
    /// The cluster that the route leads to.
    Cluster,
    /// The service that `access-policy` in front has found.
    Service,
    /// The service and the method that it has found.
    ServiceMethod,
    /// The host, without case and port.
    Host,
    /// The method of HTTP.
    Method,
    /// What stands in a path in place of `{name}` and `*`.
    Path(Pattern),
}

impl<'de> Deserialize<'de> for KeyPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyPartVisitor)
    }
}

struct KeyPartVisitor;

impl<'de> Visitor<'de> for KeyPartVisitor {
    type Value = KeyPart;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "`consumer`, `subject`, `client_address`, `route`, `cluster`, `service`, \
             `service_method`, `host`, `method`, or one of `{ client_address: … }`, \
             `{ header: … }`, `{ query: … }`, `{ cookie: … }`, `{ claim: … }`, `{ path: … }`",
        )
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<KeyPart, E> {
        Ok(match name {
            "consumer" => KeyPart::Consumer,
            "subject" => KeyPart::Subject,
            "client_address" => KeyPart::ClientAddress(Address::default()),
            "route" => KeyPart::Route,
            "cluster" => KeyPart::Cluster,
            "service" => KeyPart::Service,
            "service_method" => KeyPart::ServiceMethod,
            "host" => KeyPart::Host,
            "method" => KeyPart::Method,
            _ => return Err(E::invalid_value(serde::de::Unexpected::Str(name), &self)),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<KeyPart, A::Error> {
        let wrong = || A::Error::custom("names not exactly one of them");
        let name: String = members.next_key()?.ok_or_else(wrong)?;
        let part = match name.as_str() {
            "client_address" => KeyPart::ClientAddress(members.next_value()?),
            "header" => KeyPart::Header(members.next_value()?),
            "query" => KeyPart::Query(members.next_value()?),
            "cookie" => KeyPart::Cookie(members.next_value()?),
            "claim" => KeyPart::Claim(members.next_value()?),
            "path" => KeyPart::Path(members.next_value()?),
            _ => return Err(A::Error::unknown_field(&name, &KEY_OBJECTS)),
        };
        if members.next_key::<String>()?.is_some() {
            return Err(wrong());
        }
        Ok(part)
    }
}

const KEY_OBJECTS: [&str; 6] = ["client_address", "header", "query", "cookie", "claim", "path"];

/// The name of a parameter of the query, decoded.
#[derive(Clone, Debug)]
pub(crate) struct QueryName(pub(crate) Box<str>);

impl<'de> Deserialize<'de> for QueryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        sources::query_name(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// The name of a cookie.
#[derive(Clone, Debug)]
pub(crate) struct CookieName(pub(crate) Box<str>);

impl<'de> Deserialize<'de> for CookieName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        sources::cookie_name(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// How an address is read (`client_address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Address {
    /// How many bits of an IPv4 address count: 1 to 32, default 32.
    pub(crate) ipv4_prefix: Prefix<32>,
    /// How many bits of an IPv6 address count: 1 to 128, default 64.
    pub(crate) ipv6_prefix: Prefix<128>,
    /// How many proxies in front are trusted beyond the address that this proxy itself takes for
    /// the client's; 0 to 16, default 0.
    pub(crate) trusted_hops: Hops,
}

impl Default for Address {
    fn default() -> Self {
        Self { ipv4_prefix: Prefix(32), ipv6_prefix: Prefix(64), trusted_hops: Hops(0) }
    }
}

/// So many bits, 1 to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix<const MOST: u8>(pub(crate) u8);

impl<'de, const MOST: u8> Deserialize<'de> for Prefix<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            bits if (1..=u64::from(MOST)).contains(&bits) => {
                Ok(Self(u8::try_from(bits).unwrap_or(MOST)))
            }
            bits => Err(D::Error::custom(format!("{bits} is not from 1 to {MOST}"))),
        }
    }
}

/// So many proxies, 0 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hops(pub(crate) usize);

impl<'de> Deserialize<'de> for Hops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            hops if hops <= 16 => Ok(Self(usize::try_from(hops).unwrap_or_default())),
            hops => Err(D::Error::custom(format!("{hops} is not from 0 to 16"))),
        }
    }
}

/// What becomes of a request that lacks a part of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Missing {
    /// It is counted together with all that lack the part.
    #[default]
    Shared,
    /// The limit does not apply to it.
    Exempt,
}

/// What is counted (`on`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// Every request that is let through.
    #[default]
    Request,
    /// Every request that is answered 401, or with `grpc-status: 16`.
    Unauthenticated,
}

/// Who counts (`counted`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// This proxy, in its own memory.
    #[default]
    Local,
    /// The `service`, for all proxies.
    Global,
}

/// What a request costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// So much.
    Fixed(NonZeroU32),
    /// What a header says.
    Header(HeaderCost),
}

/// What a header says that a request costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderCost {
    /// Which header; its value is a whole number from 1.
    pub(crate) header: HeaderName,
    /// What counts in place of anything greater, and of what is no such number.
    pub(crate) greatest: NonZeroU32,
    /// What a request without the header costs; default 1.
    #[serde(default = "one")]
    pub(crate) default: NonZeroU32,
}

const fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Default for Cost {
    fn default() -> Self {
        Self::Fixed(one())
    }
}

impl Cost {
    /// The most that a request may cost.
    pub(crate) fn greatest(&self) -> u32 {
        match self {
            Self::Fixed(cost) => cost.get(),
            Self::Header(cost) => cost.greatest.max(cost.default).get(),
        }
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CostVisitor)
    }
}

struct CostVisitor;

impl<'de> Visitor<'de> for CostVisitor {
    type Value = Cost;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number from 1, or `{ header: …, greatest: … }`")
    }

    fn visit_u64<E: Error>(self, cost: u64) -> Result<Cost, E> {
        let cost = u32::try_from(cost).ok().and_then(NonZeroU32::new);
        cost.map(Cost::Fixed).ok_or_else(|| E::custom("is not a cost from 1 to 4294967295"))
    }

    fn visit_i64<E: Error>(self, cost: i64) -> Result<Cost, E> {
        self.visit_u64(u64::try_from(cost).unwrap_or_default())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Cost, A::Error> {
        HeaderCost::deserialize(MapAccessDeserializer::new(members)).map(Cost::Header)
    }
}

/// What responses say of the limits (`headers`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Announce {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    #[default]
    Draft,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    Legacy,
    /// Nothing.
    None,
}

/// How much memory the counts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory(pub(crate) u32);

impl Default for Memory {
    fn default() -> Self {
        Self(4 << 20)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Size::deserialize(deserializer)?.bytes();
        match u32::try_from(bytes) {
            Ok(bytes) if (64 << 10..=1 << 30).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(D::Error::custom("is not from 64KiB to 1GiB")),
        }
    }
}
