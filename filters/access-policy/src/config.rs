//! The policy, as it is written.

use std::collections::BTreeMap;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::config::{AllOr, Names, NonEmpty};
use shared::identity::IdentityHeaders;
use shared::matching::Method;
use shared::matching::path::Pattern;
use shared::reply::Realm;

use crate::policy::Policy;

/// What is configured once, at the top level.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Under which names the upstream learns who it is: as the authenticators have them.
    #[serde(default)]
    pub(crate) identity_headers: IdentityHeaders,
}

/// What a rule, a route or a virtual host may set anew: the whole policy, field by field.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    pub(crate) policy: Policy,
    pub(crate) require_https: RequireHttps,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Settings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

/// The policy, as it is written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Written {
    /// The schemes that requirements name.
    #[serde(default)]
    pub(crate) schemes: BTreeMap<String, SchemeEntry>,
    /// What every method requires, unless its service or it says otherwise.
    pub(crate) security: Option<Security>,
    /// Who may, unless a service or method says otherwise; default all.
    pub(crate) allow: Option<AllOr<Allow>>,
    /// What is offered. Nothing else is let through.
    #[serde(default)]
    pub(crate) services: Vec<ServiceEntry>,
    /// What becomes of a request that did not come by HTTPS; default nothing.
    #[serde(default)]
    pub(crate) require_https: RequireHttps,
    /// What a client is asked to log in to, where the authenticator does not say.
    #[serde(default)]
    pub(crate) realm: Realm,
}

/// How a credential is recognised.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemeEntry {
    /// The filter in front that does it.
    pub(crate) authenticator: String,
}

/// One of `services`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceEntry {
    /// Its name.
    pub(crate) name: String,
    /// In place of the API's.
    pub(crate) security: Option<Security>,
    /// In place of the API's.
    pub(crate) allow: Option<AllOr<Allow>>,
    /// What it offers.
    pub(crate) methods: NonEmpty<MethodEntry>,
}

/// One of `methods`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct MethodEntry {
    /// Its name.
    pub(crate) name: String,
    /// Where it is offered.
    #[serde(rename = "match")]
    pub(crate) place: Place,
    /// In place of the service's.
    pub(crate) security: Option<Security>,
    /// In place of the service's.
    pub(crate) allow: Option<AllOr<Allow>>,
}

/// Where a method is offered.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// By which methods of HTTP.
    pub(crate) methods: NonEmpty<Method>,
    /// At which paths.
    pub(crate) paths: NonEmpty<Pattern>,
}

/// What a request has to satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// Nothing.
    None,
    /// One of these.
    Alternatives(Vec<Choice>),
}

/// One of the alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All of these schemes, with the scopes named.
    Schemes(BTreeMap<String, Vec<String>>),
    /// No credential at all.
    Anonymous,
}

impl<'de> Deserialize<'de> for Security {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecurityVisitor)
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

#[cfg(feature = "schema")]
shared::written!(Security, "Security", {
    "description": "`none`, or a list of alternatives such as `{ jwt: [\"api:read\"] }`, and `anonymous`.",
    "anyOf": [
        {"const": "none"},
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {"type": "array", "items": {"type": "string"}},
                    },
                    {"const": "anonymous"},
                ],
            },
            "contains": {"type": "object"},
        },
    ],
});

#[cfg(feature = "schema")]
shared::written!(Claims, "Claims", {
    "description": "Claims, and the values of which one has to be there.",
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "array", "minItems": 1},
});

struct SecurityVisitor;

impl<'de> Visitor<'de> for SecurityVisitor {
    type Value = Security;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`none`, or a list of alternatives such as `{ jwt: [\"api:read\"] }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Security, E> {
        if text == "none" { Ok(Security::None) } else { Err(E::custom("is not `none`")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Security, A::Error> {
        let mut alternatives = Vec::new();
        while let Some(alternative) = list.next_element::<Choice>()? {
            if alternative == Choice::Anonymous && alternatives.contains(&alternative) {
                return Err(A::Error::custom("`anonymous` comes twice"));
            }
            alternatives.push(alternative);
        }
        match alternatives.as_slice() {
            [] => Err(A::Error::custom("a list of at least one alternative, or `none`")),
            [Choice::Anonymous] => Err(A::Error::custom("`anonymous` alone; write `none`")),
            _ => Ok(Security::Alternatives(alternatives)),
        }
    }
}

struct ChoiceVisitor;

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = Choice;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`anonymous`, or schemes such as `{ jwt: [\"api:read\"] }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Choice, E> {
        if text == "anonymous" {
            Ok(Choice::Anonymous)
        } else {
            Err(E::custom("is not `anonymous`"))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Choice, A::Error> {
        let schemes = BTreeMap::deserialize(MapAccessDeserializer::new(map))?;
        if schemes.is_empty() {
            // In OpenAPI this is "nothing", which is too much for two brackets to say.
            return Err(A::Error::custom("an alternative without a scheme; write `anonymous`"));
        }
        Ok(Choice::Schemes(schemes))
    }
}

/// Who may: whoever one of these names.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow {
    /// By the name of the consumer.
    pub(crate) consumers: Option<NonEmpty<String>>,
    /// By the subject.
    pub(crate) subjects: Option<NonEmpty<String>>,
    /// By what it belongs to.
    pub(crate) groups: Option<NonEmpty<String>>,
    /// By claims, and the values of which one has to be there.
    pub(crate) claims: Option<Claims>,
    /// By the domain of its e-mail address, which the provider has verified.
    pub(crate) email_domains: Option<NonEmpty<EmailDomain>>,
}

/// A domain of e-mail addresses, without those below it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub(crate) struct EmailDomain(#[cfg_attr(feature = "schema", schemars(with = "String"))] String);

impl TryFrom<String> for EmailDomain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_part);
        if text.split('.').all(is_label) {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` is no domain such as `example.com`"))
        }
    }
}

impl EmailDomain {
    /// Whether an address is of this domain, in any case (RFC 5321, 2.3.5). One with two `@` is of
    /// none: which of them counts would be a guess.
    pub(crate) fn has(&self, address: &str) -> bool {
        let parts = address.split_once('@').filter(|(mailbox, _)| !mailbox.is_empty());
        parts.is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(&self.0))
    }
}

/// Claims and their values, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Claims(pub(crate) BTreeMap<String, NonEmpty<Value>>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let claims = BTreeMap::deserialize(deserializer)?;
        if claims.is_empty() { Err(D::Error::custom("names no claim")) } else { Ok(Self(claims)) }
    }
}

impl Names for Allow {
    fn is_empty(&self) -> bool {
        let Self { consumers, subjects, groups, claims, email_domains } = self;
        let by_name = [consumers, subjects, groups].into_iter().any(Option::is_some);
        !by_name && claims.is_none() && email_domains.is_none()
    }
}

/// What becomes of a request that did not come by HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum RequireHttps {
    /// Nothing else than of one that did.
    #[default]
    Off,
    /// It is sent to the same place by HTTPS.
    Redirect,
    /// It is refused.
    Refuse,
}
