//! The configuration, as it is written.

use std::fmt;
use std::rc::Rc;

use serde::de::{Error, IntoDeserializer as _, Visitor};
use serde::{Deserialize, Deserializer};
use shared::address::{self, Network};
use shared::config::{Invalid, NonEmpty, Size};
use shared::identity::HeaderName;
use shared::trace::baggage::Limits;
use shared::view::Request;

use crate::carried::Header;
use crate::export::RawExport;

const LARGEST_BAGGAGE: u64 = 64 * 1024;
const LONGEST_REQUEST_ID: usize = 1024;
const MOST_PER_SECOND: f64 = 1e6;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the proxy's own spans go; default nowhere.
    pub(crate) export: Option<RawExport>,
}

/// What a rule, a route or a virtual host may set anew.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// In which forms a context is looked for, in this order; default W3C's.
    #[serde(default)]
    pub(crate) extract: Extract,
    /// In which forms it goes to the upstream; default W3C's.
    #[serde(default)]
    pub(crate) inject: Inject,
    /// Whether headers of the other forms are taken off; default yes.
    #[serde(default = "yes")]
    pub(crate) clear: bool,
    /// Whose context is gone on with; default everybody's.
    #[serde(default)]
    pub(crate) trust: Trust,
    /// Whether the proxy has a span of its own; default yes.
    #[serde(default)]
    pub(crate) span: SpanMode,
    /// Which traces are recorded.
    #[serde(default)]
    pub(crate) sampling: Sampling,
    /// What of the baggage is passed on.
    #[serde(default)]
    pub(crate) baggage: Baggage,
    /// The request's own id; default as the proxy does it.
    pub(crate) request_id: Option<RequestId>,
    /// What the client is told.
    #[serde(default)]
    pub(crate) response: ResponseHeaders,
}

const fn yes() -> bool {
    true
}

/// A form that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`, or several `x-b3-…`.
    B3,
    /// `uber-trace-id`.
    Jaeger,
    /// `x-datadog-…`.
    Datadog,
    /// `x-amzn-trace-id`.
    Xray,
    /// `x-cloud-trace-context`.
    Google,
}

/// A form that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`.
    B3,
    /// `x-b3-traceid`, `x-b3-spanid`, and `x-b3-sampled` or `x-b3-flags`.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
    /// `x-datadog-…`.
    Datadog,
    /// `x-amzn-trace-id`.
    Xray,
    /// `x-cloud-trace-context`.
    Google,
}

/// The forms that are read.
#[derive(Clone, Debug)]
pub(crate) struct Extract(pub(crate) Vec<Source>);

impl Default for Extract {
    fn default() -> Self {
        Self(vec![Source::W3c])
    }
}

impl<'de> Deserialize<'de> for Extract {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        once_each(NonEmpty::deserialize(deserializer)?).map(Self)
    }
}

/// The forms that are written.
#[derive(Clone, Debug)]
pub(crate) struct Inject(pub(crate) Vec<Form>);

impl Default for Inject {
    fn default() -> Self {
        Self(vec![Form::W3c])
    }
}

impl<'de> Deserialize<'de> for Inject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        once_each(NonEmpty::deserialize(deserializer)?).map(Self)
    }
}

fn once_each<T: PartialEq, E: Error>(list: NonEmpty<T>) -> Result<Vec<T>, E> {
    let list: Vec<T> = list.into_iter().collect();
    let first = |form: &T| list.iter().position(|other| other == form);
    if list.iter().enumerate().any(|(index, form)| first(form) != Some(index)) {
        return Err(E::custom("names a form twice"));
    }
    Ok(list)
}

/// Whose context is gone on with.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trust {
    /// Everybody's.
    #[default]
    Always,
    /// Nobody's: every trace starts here.
    Never,
    /// That of clients in these networks.
    Addresses(NonEmpty<Network>),
}

impl Trust {
    /// Whether the sender of a request is to be believed.
    pub(crate) fn holds(&self, request: &Request<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Addresses(networks) => address::of_client(request)
                .is_some_and(|address| networks.iter().any(|network| network.contains(address))),
        }
    }
}

/// Whether the proxy has a span of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum SpanMode {
    /// It has one at every request, the parent of the upstream's.
    #[default]
    New,
    /// It hands on the parent that came, and has one only where it starts a trace.
    Keep,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Sampling {
    /// Whether the sender's decision holds; default yes.
    #[serde(default = "yes")]
    pub(crate) parent: bool,
    /// The decision where there is none; default two a second.
    #[serde(default)]
    pub(crate) root: Root,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { parent: true, root: Root::default() }
    }
}

/// How it is decided where nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Root {
    /// Every trace.
    Always,
    /// None.
    Never,
    /// Such a part of all.
    Ratio(Ratio),
    /// So many a second, of all workers together.
    PerSecond(Rate),
}

impl Default for Root {
    fn default() -> Self {
        Self::PerSecond(Rate(2.0))
    }
}

/// More than 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ratio = f64::deserialize(deserializer)?;
        if ratio > 0.0 && ratio <= 1.0 {
            return Ok(Self(ratio));
        }
        Err(D::Error::custom("is not more than 0 and at most 1; for none there is `never`"))
    }
}

/// More than 0, at most a million.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate(pub(crate) f64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = f64::deserialize(deserializer)?;
        if rate > 0.0 && rate <= MOST_PER_SECOND {
            return Ok(Self(rate));
        }
        Err(D::Error::custom("is not more than 0 and at most 1000000; for none there is `never`"))
    }
}

/// What of the baggage is passed on.
#[derive(Debug, Default)]
pub(crate) struct Baggage {
    /// Which keys; all of them without.
    pub(crate) allow: Option<NonEmpty<Key>>,
    /// How much.
    pub(crate) limits: Limits,
}

/// [`Baggage`], as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBaggage {
    allow: Option<NonEmpty<Key>>,
    max_bytes: Option<Bytes>,
    max_members: Option<std::num::NonZeroUsize>,
}

/// A size, or a number of bytes.
struct Bytes(u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a size such as `8KiB`")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Bytes, E> {
        if bytes == 0 { Err(E::custom("a size of zero")) } else { Ok(Bytes(bytes)) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Size::deserialize(text.into_deserializer()).map(|size| Bytes(size.bytes()))
    }
}

impl<'de> Deserialize<'de> for Baggage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawBaggage::deserialize(deserializer)?;
        let mut limits = Limits::default();
        match raw.max_bytes {
            Some(Bytes(bytes)) if bytes > LARGEST_BAGGAGE => {
                return Err(D::Error::custom(Invalid::at("max_bytes", "is more than 64KiB")));
            }
            Some(Bytes(bytes)) => limits.bytes = usize::try_from(bytes).unwrap_or(usize::MAX),
            None => {}
        }
        limits.members = raw.max_members.map_or(limits.members, std::num::NonZeroUsize::get);
        Ok(Self { allow: raw.allow, limits })
    }
}

impl Baggage {
    /// Whether a member of this key is passed on.
    pub(crate) fn allows(&self, key: &[u8]) -> bool {
        let matches = |pattern: &Key| match pattern {
            Key::Whole(whole) => key == whole.as_bytes(),
            Key::Prefix(prefix) => key.starts_with(prefix.as_bytes()),
        };
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(matches))
    }
}

/// A key, or with a `*` at its end what keys begin with.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Whole(String),
    Prefix(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (key, prefix) = text.strip_suffix('*').map_or((&*text, false), |key| (key, true));
        if text.is_empty()
            || !key.bytes().all(|byte| byte.is_ascii_graphic() && !b"*\",;=\\".contains(&byte))
        {
            return Err(D::Error::custom(format!(
                "`{text}` is not a key such as `tenant` or `user.*`"
            )));
        }
        let key = key.to_owned();
        Ok(if prefix { Self::Prefix(key) } else { Self::Whole(key) })
    }
}

/// The request's own id.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestId {
    /// Its header; default `x-request-id`.
    #[serde(default, deserialize_with = "own_header")]
    header: Option<HeaderName>,
    /// Whose id is kept; default that of clients who are trusted.
    #[serde(default)]
    pub(crate) accept: Accept,
    /// How long it may be; a longer one is cut. Default 128.
    #[serde(default)]
    pub(crate) max_bytes: Longest,
    /// Whether the response tells it too; default yes.
    #[serde(default = "yes")]
    pub(crate) echo: bool,
}

/// A header that has no meaning yet.
fn own_header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HeaderName>, D::Error> {
    let header = HeaderName::deserialize(deserializer)?;
    if header.is_reserved() || Header::of(header.shared().as_bytes()).is_some() {
        return Err(D::Error::custom("is a header that means something else"));
    }
    Ok(Some(header))
}

impl RequestId {
    /// The name of its header.
    pub(crate) fn header(&self) -> Rc<str> {
        self.header.as_ref().map_or_else(|| Rc::from("x-request-id"), HeaderName::shared)
    }
}

/// Whose id is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accept {
    /// That of clients whose context is gone on with (`trust`).
    #[default]
    Trusted,
    /// Everybody's.
    Always,
    /// Nobody's.
    Never,
}

/// A number of bytes that an id may have: 8 to 1024.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Longest(pub(crate) usize);

impl Default for Longest {
    fn default() -> Self {
        Self(128)
    }
}

impl<'de> Deserialize<'de> for Longest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let most = usize::deserialize(deserializer)?;
        if (8..=LONGEST_REQUEST_ID).contains(&most) {
            return Ok(Self(most));
        }
        Err(D::Error::custom("is not between 8 and 1024"))
    }
}

/// What the client is told.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ResponseHeaders {
    /// The trace, as `traceresponse`; default no.
    #[serde(default)]
    pub(crate) traceresponse: bool,
}
