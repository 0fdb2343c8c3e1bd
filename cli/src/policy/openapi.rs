//! From an OpenAPI 3 document to a policy, and everything on the way that is not what it seems.
//!
//! 1. Every operation becomes a method of a service: `service#method` of its `operationId` where it
//!    has that form, else its first tag and its `operationId`.
//! 2. `security` is alternatives of conjunctions, as in the policy. In OpenAPI an operation without it
//!    has the document's; in the documents of Goa it has none, for Goa copies what an operation
//!    requires to it ([`Dialect`]).
//! 3. Nothing is open because the document does not say: an operation is, if it says `security: []`,
//!    or is named by `--public`.
//! 4. `{}` among other alternatives is OpenAPI's way to write that credentials are optional, and becomes
//!    `anonymous`. Goa has no such thing: in its documents, and alone, it is refused.
//! 5. What has more than one meaning, or none that a policy can have, is refused with the name of the
//!    operation. What may surprise is reported.
//! 6. Secrets have no place in a policy: a scheme is bound to an authenticator by its kind. An authenticator
//!    does not tell schemes apart (`schemes`).
//! 7. Where two operations have paths in common, and neither is the other's special case, nobody says which
//!    of them counts (`overlap`).

mod overlap;
mod parts;
mod schemes;

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use overlap::Offer;
use parts::{
    OF_OPERATIONS, OF_PATHS, base_path, listed, names, parameter, shape, stranger, version,
};
use schemes::Bound;

/// How the document means what it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As the standard has it.
    OpenApi,
    /// As Goa writes it.
    Goa,
}

/// What the document does not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Operations that are open, by their ids or as `METHOD PATH`.
    pub(crate) public: BTreeSet<String>,
    /// Operations whose last template is for any rest of the path.
    pub(crate) catch_all: BTreeSet<String>,
    /// Operations that the server takes where another's path is as good, named in the same ways.
    pub(crate) first: BTreeSet<String>,
    /// Schemes of one authenticator of which a credential of one is as good as one of another.
    pub(crate) interchangeable: BTreeSet<String>,
    /// The authenticator of OAuth 2.0 and OpenID Connect schemes; default `jwt-auth`.
    pub(crate) oauth2: Option<String>,
}

/// A policy, and what there is to know of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Derived {
    /// The policy, as `access-policy` takes it.
    pub(crate) policy: Value,
    /// What may surprise.
    pub(crate) report: Vec<String>,
    /// Of which operation of the document each method is, by its path.
    pub(crate) places: BTreeMap<String, Place>,
}

/// An operation of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path of it in the document.
    pub(crate) path: String,
    /// What it is called in what is said of it.
    pub(crate) id: String,
}

/// What no policy can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous(pub(crate) Vec<Fault>);

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The path of it in the document.
    pub(crate) place: String,
    /// What is wrong, with the operation's name.
    pub(crate) message: String,
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<_> = self.0.iter().map(|fault| fault.message.as_str()).collect();
        f.write_str(&messages.join("\n"))
    }
}

impl std::error::Error for Ambiguous {}

/// The methods of HTTP that a path item may have (OpenAPI 3.1, 4.8.9; `query` is of 3.2).
const METHODS: [&str; 9] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// Makes a policy of a document.
pub(crate) fn derive(
    document: &Value,
    dialect: Dialect,
    options: &Options,
) -> Result<Derived, Ambiguous> {
    let mut reader = Reader::new(document, dialect, options);
    reader.read();
    reader.conclude()
}

struct Reader<'a> {
    document: &'a Value,
    dialect: Dialect,
    options: &'a Options,
    /// The path before every other.
    base: String,
    services: Vec<Service>,
    /// The numbers of the services, by their names.
    numbers: HashMap<String, usize>,
    schemes: Map<String, Value>,
    /// What the schemes are bound to, by what they are called in `schemes`.
    bound: BTreeMap<String, Bound<'a>>,
    /// Where credentials of each authenticator stand.
    sources: BTreeSet<String>,
    /// The operations that have each of the names of the options, as `METHOD PATH`.
    named: BTreeMap<String, BTreeSet<String>>,
    /// Which operation is offered where, by method and shape of the path.
    taken: HashMap<(String, String), String>,
    offered: Vec<Offer>,
    /// The headers that authenticators read, in lower case, and who takes all of one.
    headers: BTreeSet<(String, &'a str, bool)>,
    report: Vec<String>,
    faults: Vec<Fault>,
    places: BTreeMap<String, Place>,
}

/// A service, and what its methods are called.
struct Service {
    name: String,
    methods: Vec<Value>,
    /// The names, and the number that the next of the same name tries.
    names: HashMap<String, u32>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Value, dialect: Dialect, options: &'a Options) -> Self {
        Self {
            document,
            dialect,
            options,
            base: String::new(),
            services: Vec::new(),
            numbers: HashMap::new(),
            schemes: Map::new(),
            bound: BTreeMap::new(),
            sources: BTreeSet::new(),
            named: BTreeMap::new(),
            taken: HashMap::new(),
            offered: Vec::new(),
            headers: BTreeSet::new(),
            report: Vec::new(),
            faults: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    fn read(&mut self) {
        if let Err((place, why)) = version(self.document) {
            self.fault(place, why);
            return;
        }
        match base_path(self.document) {
            Ok(base) => self.base = base,
            Err(why) => self.fault("servers", why),
        }
        if self.document.get("security").is_some_and(|security| !security.is_array()) {
            self.fault("security", "the document has a `security` that is no list");
        }
        let Some(Value::Object(paths)) = self.document.get("paths") else {
            self.fault("", "has no `paths`");
            return;
        };
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            if let Err(why) = self.item(path, item) {
                self.fault(&format!("paths.{path}"), format!("{path}: {why}"));
            }
        }
        self.overlaps();
        self.confusions();
        if self.document.get("webhooks").is_some() {
            self.report.push("webhooks are calls to others, and not in the policy".into());
        }
    }

    /// The operations at a path.
    fn item(&mut self, path: &str, item: &Value) -> Result<(), String> {
        let Value::Object(members) = item else { return Err("is no object".into()) };
        if members.contains_key("$ref") {
            return Err("is a reference to elsewhere".into());
        }
        if members.contains_key("servers") {
            return Err("has `servers` of its own".into());
        }
        if members.contains_key("additionalOperations") {
            return Err("has `additionalOperations`, which are not read".into());
        }
        if let Some(name) = stranger(members, &[&METHODS[..], &OF_PATHS[..]].concat()) {
            return Err(format!("has `{name}`, which a path has not"));
        }
        for method in METHODS {
            if let Some(operation) = members.get(method) {
                self.operation(path, method, operation);
            }
        }
        Ok(())
    }

    fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Fault { place: place.to_owned(), message: message.into() });
    }

    /// Whether an operation is one of those that are named.
    fn is_named(&mut self, of: &BTreeSet<String>, [id, place]: [&str; 2]) -> bool {
        let found: BTreeSet<_> =
            [id, place].into_iter().filter(|name| of.contains(*name)).collect();
        for name in &found {
            self.named.entry((*name).to_owned()).or_default().insert(place.to_owned());
        }
        !found.is_empty()
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let written = format!("paths.{path}.{method}");
        let method = method.to_uppercase();
        let place = format!("{method} {path}");
        let id = operation.get("operationId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let (service, name) = names(id, operation, &place);
        let id = id.map_or_else(|| place.clone(), str::to_owned);
        let number = self.service(&service);
        let name = self.unique(number, &name, &id);
        match self.offer(path, method, operation, &id) {
            Ok(offer) => {
                let entry = json!({
                    "name": name,
                    "match": {"methods": [offer.method], "paths": [offer.pattern]},
                    "security": offer.security,
                });
                self.offered.push(offer);
                let Some(service) = self.services.get_mut(number) else { return };
                let method = format!("services[{number}].methods[{}]", service.methods.len());
                self.places.insert(method, Place { path: written, id });
                service.methods.push(entry);
            }
            Err(why) => self.fault(&written, format!("{id}: {why}")),
        }
    }

    /// Where an operation is offered, and what it requires.
    fn offer(
        &mut self,
        path: &str,
        method: String,
        operation: &Value,
        id: &str,
    ) -> Result<Offer, String> {
        let Value::Object(members) = operation else { return Err("is no object".into()) };
        if members.contains_key("$ref") {
            return Err("is a reference to elsewhere".into());
        }
        if members.contains_key("servers") {
            return Err("has `servers` of its own".into());
        }
        if let Some(name) = stranger(members, &OF_OPERATIONS) {
            return Err(format!("has `{name}`, which an operation has not"));
        }
        let place = format!("{method} {path}");
        let (options, names) = (self.options, [id, place.as_str()]);
        let is_rest = self.is_named(&options.catch_all, names);
        let is_public = self.is_named(&options.public, names);
        let is_first = self.is_named(&options.first, names);
        let pattern = self.pattern(path, id, is_rest)?;
        match self.taken.entry((method.clone(), shape(&pattern))) {
            Entry::Vacant(free) => {
                free.insert(id.to_owned());
            }
            Entry::Occupied(taken) => {
                let other = taken.get();
                return Err(format!("is offered where `{other}` is: {method} {pattern}"));
            }
        }
        let security = self.security(operation, id, is_public)?;
        let (id, path) = (id.to_owned(), path.to_owned());
        Ok(Offer { method, id, path, pattern, security, is_first })
    }

    /// The number of the service of this name.
    fn service(&mut self, name: &str) -> usize {
        *self.numbers.entry(name.to_owned()).or_insert_with(|| {
            let name = name.to_owned();
            self.services.push(Service { name, methods: Vec::new(), names: HashMap::new() });
            self.services.len().saturating_sub(1)
        })
    }

    /// A name that no other method of the service has: Goa numbers the routes of one method.
    fn unique(&mut self, service: usize, name: &str, id: &str) -> String {
        let Some(Service { names, .. }) = self.services.get_mut(service) else {
            return name.to_owned();
        };
        let mut number = names.get(name).copied().unwrap_or(1);
        let mut free = name.to_owned();
        while names.contains_key(&free) {
            number = number.saturating_add(1);
            free = format!("{name}-{number}");
        }
        names.insert(name.to_owned(), number);
        if free != name {
            names.insert(free.clone(), 1);
            self.report
                .push(format!("{id}: another operation has its name; it is called `{free}`"));
        }
        free
    }

    fn pattern(&mut self, path: &str, id: &str, is_rest: bool) -> Result<String, String> {
        let rest =
            path.strip_prefix('/').ok_or_else(|| format!("its path `{path}` has no `/` first"))?;
        if rest.contains(['?', '#']) {
            return Err(format!("its path `{path}` has a query or fragment"));
        }
        let mut segments: Vec<String> = Vec::new();
        let parts: Vec<_> = rest.split('/').collect();
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.iter().enumerate() {
            let inner = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            let segment = match inner {
                Some(inner) if inner.starts_with('*') && index == last => "**".to_owned(),
                Some(inner) if inner.contains(['{', '}', '*']) || inner.is_empty() => {
                    return Err(format!("its path `{path}` has a template that is none"));
                }
                Some(_) if index == last && is_rest => "**".to_owned(),
                Some(inner) => parameter(inner),
                None if part.contains(['{', '}', '*']) => {
                    return Err(format!(
                        "its path `{path}` has a template that is part of a segment"
                    ));
                }
                None => (*part).to_owned(),
            };
            segments.push(segment);
        }
        if is_rest {
            if segments.last().is_none_or(|last| last != "**") {
                return Err(format!("its path `{path}` does not end in a template to be a rest"));
            }
        } else if self.dialect == Dialect::Goa
            && parts.last().is_some_and(|last| ["{path}", "{filepath}", "{rest}"].contains(last))
        {
            // Goa writes `{*path}` as `{path}`.
            self.report.push(format!(
                "{id}: `{path}` may be a rest of the path in the design; then say --catch-all '{id}'"
            ));
        }
        Ok(format!("{}/{}", self.base, segments.join("/")))
    }

    fn security(&mut self, operation: &Value, id: &str, is_public: bool) -> Result<Value, String> {
        let top = self.document.get("security");
        let written = match (operation.get("security"), self.dialect) {
            (Some(security), _) => security,
            (None, _) if is_public => return Ok(json!("none")),
            (None, Dialect::OpenApi) => match top {
                Some(security) => {
                    if security.as_array().is_some_and(Vec::is_empty) {
                        self.report
                            .push(format!("{id}: is open by the `security: []` of the document"));
                    }
                    security
                }
                None => {
                    return Err(format!(
                        "says nothing of security, nor does the document; \
                        if it is open, say --public '{id}'"
                    ));
                }
            },
            (None, Dialect::Goa) if top.is_some_and(|top| *top != json!([])) => {
                // Goa before June 2026 writes nothing for `NoSecurity`, which reads as the API's.
                return Err(format!(
                    "has no `security`, and the API has: open by `NoSecurity` in an \
                    older Goa; if so, say --public '{id}'"
                ));
            }
            (None, Dialect::Goa) => {
                self.report.push(format!("{id}: is open: neither it nor the API has `security`"));
                return Ok(json!("none"));
            }
        };
        let Value::Array(alternatives) = written else {
            return Err("has a `security` that is no list".into());
        };
        if alternatives.is_empty() {
            return Ok(json!("none"));
        }
        if is_public {
            self.report.push(format!("{id}: is open by --public, whatever it requires"));
            return Ok(json!("none"));
        }
        self.alternatives(alternatives, id)
    }

    /// One of these is required; where nothing is one of them, who sends no credential is nobody.
    fn alternatives(&mut self, alternatives: &[Value], id: &str) -> Result<Value, String> {
        let (mut required, mut is_optional) = (Vec::new(), false);
        for alternative in alternatives {
            let Value::Object(schemes) = alternative else {
                return Err("has an alternative that is no object".into());
            };
            if schemes.is_empty() {
                is_optional = true;
            } else {
                required.push(self.alternative(schemes, id)?);
            }
        }
        if is_optional {
            // In Goa whoever calls without credentials is let in where `NoSecurity` says so alone.
            if self.dialect == Dialect::Goa || required.is_empty() {
                return Err(format!(
                    "has an alternative without a scheme, which opens it to all; \
                    if that is meant, say --public '{id}'"
                ));
            }
            self.report.push(format!(
                "{id}: goes on as nobody where no credential is sent (`{{}}`); one that is no good is refused"
            ));
            required.push(json!("anonymous"));
        }
        Ok(Value::Array(required))
    }

    fn conclude(mut self) -> Result<Derived, Ambiguous> {
        self.check_names();
        if self.faults.is_empty() && self.offered.is_empty() {
            self.fault("paths", "offers nothing");
        }
        if !self.faults.is_empty() {
            return Err(Ambiguous(self.faults));
        }
        self.report.extend(self.sources.iter().cloned());
        for (header, taker, _) in self.headers.iter().filter(|(_, _, is_whole)| *is_whole) {
            let others = self.headers.iter().filter(|(name, by, _)| name == header && by != taker);
            let others: Vec<_> = others.map(|(_, by, _)| format!("`{by}`")).collect();
            if !others.is_empty() {
                self.report.push(format!(
                    "`{taker}` takes all of the header {header}, which {} reads: put it behind the \
                     authenticators that read the same header, or give the key a prefix",
                    others.join(", ")
                ));
            }
        }
        if self.dialect == Dialect::Goa {
            self.report.push(
                "not in any document of Goa's, and so not offered: operations with \
                 openapi:generate false, CONNECT and TRACE, OPTIONS for CORS, /healthz, /livez, /debug"
                    .into(),
            );
        }
        let services: Vec<_> = self
            .services
            .into_iter()
            .map(|Service { name, methods, .. }| json!({"name": name, "methods": methods}))
            .collect();
        let policy = json!({"schemes": self.schemes, "services": services});
        Ok(Derived { policy, report: self.report, places: self.places })
    }

    /// Whether each name of the options is that of one operation, or of one scheme.
    fn check_names(&mut self) {
        let several = self.named.iter().filter(|(_, places)| places.len() > 1);
        let several: Vec<_> = several
            .map(|(name, places)| {
                let places = listed(places);
                format!(
                    "`{name}` is {places}: name one by what is its own, its id or `METHOD PATH`"
                )
            })
            .collect();
        several.into_iter().for_each(|why| self.fault("", why));
        let Options { public, catch_all, first, interchangeable, .. } = self.options;
        let operations = [public, catch_all, first].into_iter().flatten();
        let mut lost: Vec<_> = operations
            .filter(|id| !self.named.contains_key(*id))
            .map(|id| format!("there is no operation `{id}`"))
            .collect();
        let is_required = |name: &String| self.bound.values().any(|bound| bound.scheme == *name);
        let schemes = interchangeable.iter().filter(|name| !is_required(name));
        lost.extend(schemes.map(|name| format!("no operation requires a scheme `{name}`")));
        // What is wrong besides may be why they are not there.
        if self.faults.is_empty() {
            lost.into_iter().for_each(|why| self.fault("", why));
        }
    }
}

#[cfg(test)]
mod tests;
