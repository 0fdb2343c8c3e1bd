//! Whether one of the alternatives holds, and why none does.

use std::fmt::Write as _;
use std::rc::Rc;

use shared::effects::Effects;
use shared::evidence::{Evidence, Known, Memory, Refused};
use shared::identity::speak_in_place;
use shared::reply::{Refusal, quoted};
use shared::view::Request;
use std::time::Duration;

use crate::policy::{Alternative, Operation, Policy, Requirement};

/// The evidence of a request, read as it is needed.
struct Read<'a, 'r> {
    policy: &'a Policy,
    memory: &'a Memory,
    request: &'a Request<'r>,
    /// By the number of the authenticator.
    evidence: Vec<(usize, Option<Evidence>)>,
}

/// Why an alternative does not hold.
enum Failure {
    /// Its authenticator has not run.
    Missing(usize),
    /// Nobody was recognised.
    Refused(Rc<Refused>),
    /// Somebody was, without this scope.
    Scope { authenticator: usize, asked: String },
    /// Somebody was, and may not.
    NotAllowed,
}

/// As whose a request goes on.
pub(crate) enum Grant {
    /// Nothing is required.
    Open,
    /// Nobody's, where nobody will do.
    Anonymous,
    /// Theirs: the alternative with these identities holds.
    Known(Vec<Rc<Known>>),
}

/// Whether a request goes on, and as whose.
pub(crate) fn of(
    policy: &Policy,
    operation: &Operation,
    memory: &Memory,
    request: &Request<'_>,
) -> Result<Grant, Refusal> {
    if operation.is_open() {
        return Ok(Grant::Open);
    }
    let mut read = Read { policy, memory, request, evidence: Vec::new() };
    let mut failures = Vec::new();
    for alternative in &operation.alternatives {
        match holds(alternative, operation, &mut read) {
            Ok(identities) => return Ok(Grant::Known(identities)),
            Err(failure) => failures.push(failure),
        }
    }
    if operation.anonymous && shows_nothing(operation, &mut read) {
        return Ok(Grant::Anonymous);
    }
    Err(refusal(operation, &failures, &mut read))
}

/// A name, and what is said under it.
type Part = (Rc<str>, Rc<[u8]>);

/// Whether every authenticator that is asked says that it was shown nothing. One that was shown a bad
/// credential, or cannot say, or has not run, does not: who has lost a session is to learn of it.
fn shows_nothing(operation: &Operation, read: &mut Read<'_, '_>) -> bool {
    let mut asked = operation.asked();
    asked.all(|requirement| match read.known(requirement.authenticator) {
        Err(Failure::Refused(refused)) => refused.missing,
        _ => false,
    })
}

/// Tells the upstream and the filters behind who it is, and takes back what an authenticator that
/// enforces has told of anybody else.
pub(crate) fn tell(grant: &Grant, request: &Request<'_>, effects: &mut Effects) {
    let identities = match grant {
        // Who enforces in front speaks for itself.
        Grant::Open => return,
        Grant::Anonymous => &[][..],
        Grant::Known(identities) => identities,
    };
    // Of two that say it, the first is believed. Without a value where it was told already.
    let mut headers: Vec<(&str, Option<&Part>)> = Vec::new();
    let mut texts: Vec<&Part> = Vec::new();
    for known in identities {
        let said = known.headers.iter().map(|part| (&*part.0, Some(part)));
        for (name, part) in said.chain(known.told.iter().map(|name| (name.as_str(), None))) {
            if headers.iter().all(|(other, _)| *other != name) {
                headers.push((name, part));
            }
        }
        for part in &known.texts {
            if texts.iter().all(|(other, _)| *other != part.0) {
                texts.push(part);
            }
        }
    }
    let keeps = |name: &str| headers.iter().any(|(other, _)| *other == name);
    let says = |name: &str| texts.iter().any(|(other, _)| **other == *name);
    speak_in_place(keeps, says, request, effects);
    for (name, value) in headers.into_iter().filter_map(|(_, part)| part) {
        effects.set_request_header(Rc::clone(name), Rc::clone(value));
    }
    for (name, text) in texts {
        effects.set_state(Rc::clone(name), Rc::clone(text));
    }
}

fn holds(
    alternative: &Alternative,
    operation: &Operation,
    read: &mut Read<'_, '_>,
) -> Result<Vec<Rc<Known>>, (String, Failure)> {
    let mut identities = Vec::new();
    for requirement in &alternative.schemes {
        let named = |failure| (requirement.scheme.clone(), failure);
        identities.push(read.known(requirement.authenticator).map_err(named)?);
    }
    // Only what is authenticated whole can lack something.
    for (requirement, known) in alternative.schemes.iter().zip(&identities) {
        let Requirement { scheme, authenticator, scopes } = requirement;
        if !scopes.iter().all(|scope| known.scopes.contains(scope)) {
            let asked = scopes.join(" ");
            return Err((scheme.clone(), Failure::Scope { authenticator: *authenticator, asked }));
        }
    }
    match operation.allow.named() {
        Some(allow) if !identities.iter().any(|known| allow.names(known)) => {
            let schemes: Vec<_> = alternative.schemes.iter().map(|of| of.scheme.as_str()).collect();
            Err((schemes.join(" and "), Failure::NotAllowed))
        }
        _ => Ok(identities),
    }
}

impl Read<'_, '_> {
    /// Who an authenticator says it is.
    fn known(&mut self, number: usize) -> Result<Rc<Known>, Failure> {
        let known = self.evidence.iter().position(|(of, _)| *of == number);
        let place = known.unwrap_or_else(|| {
            let authenticator = self.policy.authenticators.get(number);
            let read = authenticator.and_then(|of| self.memory.read(self.request, &of.name));
            self.evidence.push((number, read));
            self.evidence.len().saturating_sub(1)
        });
        let evidence = self.evidence.get(place).and_then(|(_, evidence)| evidence.as_ref());
        match evidence {
            None => Err(Failure::Missing(number)),
            Some(Evidence::Refused(refused)) => Err(Failure::Refused(Rc::clone(refused))),
            Some(Evidence::Known(known)) => Ok(Rc::clone(known)),
        }
    }
}

fn refusal(
    operation: &Operation,
    failures: &[(String, Failure)],
    read: &mut Read<'_, '_>,
) -> Refusal {
    let policy = read.policy;
    let why = explain(policy, failures);
    let (service, method) = (&operation.service, &operation.method);
    log::info!("access-policy: {service}.{method}: {why}");
    let failures = || failures.iter().map(|(_, failure)| failure);
    let challenge = |number: usize| {
        let authenticator = policy.authenticators.get(number);
        authenticator.map(|known| known.challenge.clone()).unwrap_or_default()
    };
    for number in operation.asked().map(|requirement| requirement.authenticator) {
        if let Err(Failure::Missing(number)) = read.known(number) {
            let name = policy.authenticators.get(number).map_or("", |known| &known.name);
            log::error!("access-policy: {name} has not run on a request that needs it");
            return Refusal::unavailable("authenticator_missing");
        }
    }
    if let Some((authenticator, asked)) = failures().find_map(|failure| match failure {
        Failure::Scope { authenticator, asked } => Some((*authenticator, asked)),
        _ => None,
    }) {
        let refusal = Refusal::forbidden("insufficient_scope");
        let challenge = challenge(authenticator);
        if !challenge.starts_with("Bearer ") {
            return refusal;
        }
        // RFC 6750, 3.1.
        let scope = quoted(asked);
        let challenge = format!(r#"{challenge}, error="insufficient_scope", scope={scope}"#);
        return refusal.with_header("www-authenticate", challenge);
    }
    if failures().any(|failure| matches!(failure, Failure::NotAllowed)) {
        return Refusal::forbidden("not_allowed");
    }
    let refused: Vec<&Refused> = failures()
        .filter_map(|failure| match failure {
            Failure::Refused(refused) => Some(&**refused),
            _ => None,
        })
        .collect();
    if refused.iter().any(|refused| refused.status == 503) {
        return Refusal::unavailable("authenticator_unavailable");
    }
    if let Some(refused) = refused.iter().find(|refused| refused.status == 429) {
        let wait = header(refused, "retry-after").and_then(|wait| wait.parse().ok()).unwrap_or(1);
        return Refusal::too_many("throttled", Duration::from_secs(wait));
    }
    unauthenticated(operation, read)
}

/// 401 with the challenge of every scheme that is asked for: as its authenticator says it, or as the
/// policy has it.
fn unauthenticated(operation: &Operation, read: &mut Read<'_, '_>) -> Refusal {
    let mut challenges: Vec<String> = Vec::new();
    for requirement in operation.asked() {
        let number = requirement.authenticator;
        let said = match read.known(number) {
            Err(Failure::Refused(refused)) => {
                header(&refused, "www-authenticate").map(str::to_owned)
            }
            _ => None,
        };
        let authenticator = read.policy.authenticators.get(number);
        let own = || authenticator.map(|known| known.challenge.clone()).unwrap_or_default();
        let challenge = said.unwrap_or_else(own);
        if !challenges.contains(&challenge) {
            challenges.push(challenge);
        }
    }
    let mut challenges = challenges.into_iter();
    let first = challenges.next().unwrap_or_default();
    let refusal = Refusal::unauthorized("unauthenticated", first);
    challenges.fold(refusal, |refusal, more| refusal.with_header("www-authenticate", more))
}

fn header<'a>(refused: &'a Refused, name: &str) -> Option<&'a str> {
    let found = refused.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// Why each alternative failed, in the words of its authenticator.
fn explain(policy: &Policy, failures: &[(String, Failure)]) -> String {
    let mut text = String::new();
    for (scheme, failure) in failures {
        let space = if text.is_empty() { "" } else { "; " };
        let why = match failure {
            Failure::Missing(number) => {
                policy.authenticators.get(*number).map_or("", |known| &known.name).to_owned()
                    + " has not run"
            }
            Failure::Refused(refused) => refused.reason.clone().into_owned(),
            Failure::Scope { asked, .. } => format!("lacks {asked}"),
            Failure::NotAllowed => "is not allowed".to_owned(),
        };
        let _ = write!(text, "{space}{scheme}: {why}");
    }
    text
}
