//! Whom the configuration trusts: by address, or by what an authenticator in front has found.
//!
//! 1. All that one entry names must hold; of the list, one entry must.
//! 2. Subjects, consumers and groups are those of credentials that were found good, whether the
//!    authenticator enforces or defers. Where none has run in front, nobody has any.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use shared::address::{self, Network};
use shared::config::NonEmpty;
use shared::evidence::{Evidence, Known};
use shared::identity::AUTHENTICATORS;
use shared::view::Request;

use crate::config::Texts;

/// Those who are trusted.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub(crate) struct Callers(NonEmpty<Caller>);

impl Callers {
    /// Whether the sender of a request is one of them.
    pub(crate) fn include(&self, request: &Request<'_>) -> bool {
        self.0.iter().any(|caller| caller.holds(request))
    }
}

/// One entry, as it is written.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Written {
    /// Where they come from: networks such as `10.0.0.0/8`, or addresses.
    addresses: Option<NonEmpty<Network>>,
    /// Their subjects.
    subjects: Option<Texts>,
    /// Their consumers.
    consumers: Option<Texts>,
    /// Their groups.
    groups: Option<Texts>,
}

/// One entry.
#[derive(Clone, Debug)]
struct Caller {
    addresses: Option<NonEmpty<Network>>,
    subjects: Option<Texts>,
    consumers: Option<Texts>,
    groups: Option<Texts>,
}

impl Caller {
    fn holds(&self, request: &Request<'_>) -> bool {
        self.has_address(request) && (!self.names_somebody() || self.is_known(request))
    }

    fn has_address(&self, request: &Request<'_>) -> bool {
        let Some(networks) = &self.addresses else { return true };
        address::of_client(request)
            .is_some_and(|client| networks.iter().any(|network| network.contains(client)))
    }

    const fn names_somebody(&self) -> bool {
        self.subjects.is_some() || self.consumers.is_some() || self.groups.is_some()
    }

    /// One credential has to hold all: halves of two do not add up.
    fn is_known(&self, request: &Request<'_>) -> bool {
        AUTHENTICATORS.iter().any(|authenticator| match Evidence::read(request, authenticator) {
            Some(Evidence::Known(known)) => self.is(&known),
            _ => false,
        })
    }

    fn is(&self, known: &Known) -> bool {
        let names = |list: &Option<Texts>, text: &str| {
            list.as_ref().is_none_or(|list| !text.is_empty() && list.has(text))
        };
        names(&self.subjects, &known.subject)
            && names(&self.consumers, &known.consumer)
            && self
                .groups
                .as_ref()
                .is_none_or(|groups| known.groups.iter().any(|group| groups.has(group)))
    }
}

impl<'de> Deserialize<'de> for Caller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { addresses, subjects, consumers, groups } =
            Written::deserialize(deserializer)?;
        let caller = Self { addresses, subjects, consumers, groups };
        if caller.addresses.is_none() && !caller.names_somebody() {
            return Err(D::Error::custom("names nobody"));
        }
        Ok(caller)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Caller {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Caller".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Written::json_schema(generator);
        schema.insert("description".into(), "Who is trusted: all that is named must hold.".into());
        schema.insert("minProperties".into(), 1.into());
        schema
    }
}
