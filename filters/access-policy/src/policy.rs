//! The policy, ready for requests: what is offered where, and what each of it requires.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value};
use shared::config::{AllOr, Invalid};
use shared::evidence::Known;
use shared::identity::AUTHENTICATORS;

use crate::config::{Allow, Choice, MethodEntry, Security, ServiceEntry, Settings, Written};
use crate::table::Table;

/// The policy.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    pub(crate) operations: Vec<Operation>,
    /// The number of the operation at each path and method.
    pub(crate) table: Table<usize>,
    /// The authenticators that requirements name.
    pub(crate) authenticators: Vec<Authenticator>,
}

/// A filter in front, by which schemes are recognised.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authenticator {
    pub(crate) name: String,
    /// The challenge where it has not said one itself.
    pub(crate) challenge: String,
}

/// What is offered.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) service: Rc<str>,
    pub(crate) method: Rc<str>,
    /// One of these has to hold; none at all is needed where there are none.
    pub(crate) alternatives: Vec<Alternative>,
    /// Whether who shows none of their credentials is let through as nobody.
    pub(crate) anonymous: bool,
    pub(crate) allow: AllOr<Allow>,
}

impl Operation {
    /// Whether nothing is required.
    pub(crate) fn is_open(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Every scheme that is asked for, in the order of the alternatives.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &Requirement> {
        self.alternatives.iter().flat_map(|alternative| &alternative.schemes)
    }
}

/// All of these schemes have to hold.
#[derive(Clone, Debug)]
pub(crate) struct Alternative {
    pub(crate) schemes: Vec<Requirement>,
}

/// A scheme, and what its credential has to be good for.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    pub(crate) scheme: String,
    /// The number of its authenticator.
    pub(crate) authenticator: usize,
    pub(crate) scopes: Vec<String>,
}

impl TryFrom<Written> for Settings {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        Ok(Self { require_https: written.require_https, policy: Policy::new(written)? })
    }
}

impl Policy {
    fn new(written: Written) -> Result<Self, Invalid> {
        let Written { schemes, security, allow, services, realm, .. } = written;
        let mut compiler = Compiler { policy: Self::default(), schemes: Vec::new() };
        for (scheme, entry) in schemes {
            let number = compiler
                .authenticator(entry.authenticator, &realm.parameter())
                .map_err(|error| error.within(&format!("schemes.{scheme}.authenticator")))?;
            compiler.schemes.push((scheme, number));
        }
        if let Some(security) = &security {
            // Refused even where nothing falls back to it.
            compiler.alternatives(security).map_err(|error| error.within("security"))?;
        }
        let mut names = BTreeSet::new();
        for (index, service) in services.into_iter().enumerate() {
            let within = |error: Invalid| error.within(&format!("services[{index}]"));
            if service.name.is_empty() || !names.insert(service.name.clone()) {
                return Err(within(Invalid::at("name", "is empty, or another service's")));
            }
            compiler.service(service, security.as_ref(), allow.as_ref()).map_err(within)?;
        }
        Ok(compiler.policy)
    }
}

struct Compiler {
    policy: Policy,
    /// The number of each scheme's authenticator.
    schemes: Vec<(String, usize)>,
}

impl Compiler {
    fn authenticator(&mut self, name: String, realm: &str) -> Result<usize, Invalid> {
        let challenge = match name.as_str() {
            "basic-auth" => format!(r#"Basic {realm}, charset="UTF-8""#),
            "api-key-auth" => format!("ApiKey {realm}"),
            known if AUTHENTICATORS.contains(&known) => format!("Bearer {realm}"),
            _ => {
                let known = AUTHENTICATORS.join(", ");
                return Err(Invalid::at("", format!("`{name}` is none of {known}")));
            }
        };
        let authenticators = &mut self.policy.authenticators;
        if let Some(number) = authenticators.iter().position(|known| known.name == name) {
            return Ok(number);
        }
        authenticators.push(Authenticator { name, challenge });
        Ok(authenticators.len().saturating_sub(1))
    }

    fn service(
        &mut self,
        service: ServiceEntry,
        security: Option<&Security>,
        allow: Option<&AllOr<Allow>>,
    ) -> Result<(), Invalid> {
        if let Some(security) = &service.security {
            self.alternatives(security).map_err(|error| error.within("security"))?;
        }
        let security = service.security.as_ref().or(security);
        let allow = service.allow.as_ref().or(allow);
        let name: Rc<str> = Rc::from(service.name);
        let mut names = BTreeSet::new();
        for (index, method) in service.methods.into_iter().enumerate() {
            let within = |error: Invalid| error.within(&format!("methods[{index}]"));
            if method.name.is_empty() || !names.insert(method.name.clone()) {
                return Err(within(Invalid::at("name", "is empty, or another method's")));
            }
            self.method(&name, method, security, allow).map_err(within)?;
        }
        Ok(())
    }

    fn method(
        &mut self,
        service: &Rc<str>,
        method: MethodEntry,
        security: Option<&Security>,
        allow: Option<&AllOr<Allow>>,
    ) -> Result<(), Invalid> {
        let Some(security) = method.security.as_ref().or(security) else {
            let message =
                "has no `security`, nor has its service or the API; write `none` to open it";
            return Err(Invalid::at("", message));
        };
        let alternatives = self.alternatives(security).map_err(|error| error.within("security"))?;
        let allow = method.allow.as_ref().or(allow).cloned().unwrap_or_default();
        let is_own = method.allow.as_ref().is_some_and(|allow| allow.named().is_some());
        if alternatives.is_empty() && is_own {
            return Err(Invalid::at("allow", "names some, where `security: none` knows nobody"));
        }
        let anonymous = security.takes_nobody();
        // Who is kept out by it had only to leave the credential out.
        if anonymous && allow.named().is_some() {
            let message = "names some, where `anonymous` lets in who shows nothing";
            return Err(if is_own {
                Invalid::at("allow", message)
            } else {
                let whose = "the `allow` of its service or the API";
                Invalid::at("", format!("{whose} {message}; write `allow: all`"))
            });
        }
        let number = self.policy.operations.len();
        for (index, path) in method.place.paths.iter().enumerate() {
            for http in method.place.methods.iter() {
                self.policy.table.add(path, http.name(), number).map_err(|other| {
                    let other = self.policy.operations.get(other);
                    let name = other.map_or_else(
                        || format!("{service}.{}", method.name),
                        |other| format!("{}.{}", other.service, other.method),
                    );
                    let message = format!("`{name}` is offered there by {} already", http.name());
                    Invalid::at(format!("match.paths[{index}]"), message)
                })?;
            }
        }
        self.policy.operations.push(Operation {
            service: Rc::clone(service),
            method: Rc::from(method.name),
            alternatives,
            anonymous,
            allow,
        });
        Ok(())
    }

    fn alternatives(&self, security: &Security) -> Result<Vec<Alternative>, Invalid> {
        let Security::Alternatives(alternatives) = security else { return Ok(Vec::new()) };
        let of = |(index, choice): (usize, &Choice)| match choice {
            Choice::Anonymous => None,
            Choice::Schemes(schemes) => {
                let alternative = self.alternative(schemes);
                Some(alternative.map_err(|error| error.within(&format!("[{index}]"))))
            }
        };
        alternatives.iter().enumerate().filter_map(of).collect()
    }

    fn alternative(
        &self,
        schemes: &std::collections::BTreeMap<String, Vec<String>>,
    ) -> Result<Alternative, Invalid> {
        let of = |(scheme, scopes): (&String, &Vec<String>)| {
            let known = self.schemes.iter().find(|(name, _)| name == scheme);
            let (_, authenticator) =
                known.ok_or_else(|| Invalid::at(scheme.as_str(), "is none of `schemes`"))?;
            let is_scope = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
            if scopes.iter().any(|scope| scope.is_empty() || !scope.bytes().all(is_scope)) {
                let message = "a scope is printable ASCII without space, quote and backslash";
                return Err(Invalid::at(scheme.as_str(), message));
            }
            Ok(Requirement {
                scheme: scheme.clone(),
                authenticator: *authenticator,
                scopes: scopes.clone(),
            })
        };
        Ok(Alternative { schemes: schemes.iter().map(of).collect::<Result<_, _>>()? })
    }
}

impl Security {
    /// Whether `anonymous` is among the alternatives.
    fn takes_nobody(&self) -> bool {
        matches!(self, Self::Alternatives(choices) if choices.contains(&Choice::Anonymous))
    }
}

impl Allow {
    /// Whether somebody is named.
    pub(crate) fn names(&self, known: &Known) -> bool {
        let has = |names: &Option<shared::config::NonEmpty<String>>, name: &String| {
            names.as_ref().is_some_and(|names| !name.is_empty() && names.contains(name))
        };
        has(&self.consumers, &known.consumer)
            || has(&self.subjects, &known.subject)
            || known.groups.iter().any(|group| has(&self.groups, group))
            || self.claims.as_ref().is_some_and(|claims| {
                let claimed = shared::jose::Claims::new(known.claims.clone());
                claims.0.iter().all(
                    |(path, values): (&String, &shared::config::NonEmpty<Value>)| {
                        claimed.has(path, values)
                    },
                )
            })
            || self.email_domains.as_ref().is_some_and(|domains| {
                verified_email(&known.claims)
                    .is_some_and(|address| domains.iter().any(|domain| domain.has(address)))
            })
    }
}

/// An e-mail address that is its holder's, as the provider knows. Anybody may have written another
/// (OpenID Connect Core, 5.1).
fn verified_email(claims: &Map<String, Value>) -> Option<&str> {
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    claims.get("email").filter(|_| is_verified)?.as_str()
}
