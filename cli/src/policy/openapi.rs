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
//! 6. Secrets have no place in a policy: a scheme is bound to an authenticator by its kind.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use parts::{base_path, described, has_all_scopes, header, names, parameter, shape};

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
    /// Of which operation of the document each method is, by their paths.
    pub(crate) places: BTreeMap<String, String>,
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
    services: Vec<(String, Vec<Value>)>,
    schemes: Map<String, Value>,
    /// Where credentials of each authenticator stand.
    sources: BTreeSet<String>,
    named: BTreeSet<String>,
    offered: Vec<(String, String, String)>,
    /// The headers that authenticators read, in lower case, and who takes all of one.
    headers: BTreeSet<(String, &'a str, bool)>,
    report: Vec<String>,
    faults: Vec<Fault>,
    places: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Value, dialect: Dialect, options: &'a Options) -> Self {
        Self {
            document,
            dialect,
            options,
            base: String::new(),
            services: Vec::new(),
            schemes: Map::new(),
            sources: BTreeSet::new(),
            named: BTreeSet::new(),
            offered: Vec::new(),
            headers: BTreeSet::new(),
            report: Vec::new(),
            faults: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    fn read(&mut self) {
        let version = self.document.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("3.") {
            self.fault("openapi", "is no OpenAPI 3 document: `openapi` is not 3.x");
            return;
        }
        match base_path(self.document) {
            Ok(base) => self.base = base,
            Err(why) => self.fault("servers", why),
        }
        let Some(Value::Object(paths)) = self.document.get("paths") else {
            self.fault("", "has no `paths`");
            return;
        };
        for (path, item) in paths {
            if item.get("$ref").is_some() {
                self.fault(
                    &format!("paths.{path}"),
                    format!("{path}: is a reference to elsewhere"),
                );
                continue;
            }
            if item.get("servers").is_some() {
                self.fault(&format!("paths.{path}"), format!("{path}: has `servers` of its own"));
                continue;
            }
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    self.operation(path, method, operation);
                }
            }
            if item.get("additionalOperations").is_some() {
                let why = format!("{path}: has `additionalOperations`, which are not read");
                self.fault(&format!("paths.{path}"), why);
            }
        }
        if self.document.get("webhooks").is_some() {
            self.report.push("webhooks are calls to others, and not in the policy".into());
        }
    }

    fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Fault { place: place.to_owned(), message: message.into() });
    }

    /// Whether an operation is one of those that are named.
    fn is_named(&mut self, of: &BTreeSet<String>, names: [&str; 2]) -> bool {
        let found = names.into_iter().filter(|name| of.contains(*name));
        let found: Vec<_> = found.map(str::to_owned).collect();
        let is_one = !found.is_empty();
        self.named.extend(found);
        is_one
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let written = format!("paths.{path}.{method}");
        let method = method.to_uppercase();
        let place = format!("{method} {path}");
        let id = operation.get("operationId").and_then(Value::as_str);
        let (service, name) = names(id, operation, &place);
        let id = id.map_or_else(|| place.clone(), str::to_owned);
        if operation.get("servers").is_some() {
            return self.fault(&written, format!("{id}: has `servers` of its own"));
        }
        let name = self.unique(&service, &name, &id);
        let (options, names) = (self.options, [id.as_str(), place.as_str()]);
        let is_rest = self.is_named(&options.catch_all, names);
        let is_public = self.is_named(&options.public, names);
        let pattern = match self.pattern(path, &id, is_rest) {
            Ok(pattern) => pattern,
            Err(why) => return self.fault(&written, format!("{id}: {why}")),
        };
        let shape = shape(&pattern);
        if let Some((_, _, other)) =
            self.offered.iter().find(|(known, by, _)| *known == shape && *by == method)
        {
            let why = format!("{id}: is offered where `{other}` is: {method} {pattern}");
            return self.fault(&written, why);
        }
        self.offered.push((shape, method.clone(), id.clone()));
        let security = match self.security(operation, &id, is_public) {
            Ok(security) => security,
            Err(why) => return self.fault(&written, format!("{id}: {why}")),
        };
        let entry = json!({
            "name": name,
            "match": {"methods": [method], "paths": [pattern]},
            "security": security,
        });
        let index = self.services.iter().position(|(known, _)| *known == service);
        let index = index.unwrap_or_else(|| {
            self.services.push((service, Vec::new()));
            self.services.len().saturating_sub(1)
        });
        let Some((_, methods)) = self.services.get_mut(index) else { return };
        self.places.insert(format!("services[{index}].methods[{}]", methods.len()), written);
        methods.push(entry);
    }

    /// A name that no other method of the service has: Goa numbers the routes of one method.
    fn unique(&mut self, service: &str, name: &str, id: &str) -> String {
        let taken = |name: &str| {
            let methods = self.services.iter().find(|(known, _)| known == service);
            methods.is_some_and(|(_, methods)| methods.iter().any(|entry| entry["name"] == name))
        };
        if !taken(name) {
            return name.to_owned();
        }
        let numbered = (2..).map(|n| format!("{name}-{n}")).find(|name| !taken(name));
        let numbered = numbered.unwrap_or_default();
        self.report
            .push(format!("{id}: another operation has its name; it is called `{numbered}`"));
        numbered
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
                Some(security) => security,
                None => {
                    return Err(format!(
                        "says nothing of security, nor does the document; \
                        if it is open, say --public '{id}'"
                    ));
                }
            },
            (None, Dialect::Goa) if top.is_some() => {
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

    fn alternative(&mut self, schemes: &Map<String, Value>, id: &str) -> Result<Value, String> {
        let mut required = Map::new();
        for (key, scopes) in schemes {
            let scopes: Option<Vec<&str>> =
                scopes.as_array().map(|scopes| scopes.iter().filter_map(Value::as_str).collect());
            let scopes = scopes.ok_or_else(|| format!("`{key}` has scopes that are no list"))?;
            let name = self.scheme(key, &scopes, id)?;
            let entry = required.entry(name.clone()).or_insert_with(|| json!([]));
            let Value::Array(known) = entry else { continue };
            for scope in scopes {
                if !known.iter().any(|other| other == scope) {
                    known.push(json!(scope));
                }
            }
        }
        Ok(Value::Object(required))
    }

    /// The name that a scheme has in the policy.
    fn scheme(&mut self, key: &str, scopes: &[&str], id: &str) -> Result<String, String> {
        let scheme = described(self.document, key, id)?;
        let kind = scheme.get("type").and_then(Value::as_str).unwrap_or_default();
        let http = scheme.get("scheme").and_then(Value::as_str).unwrap_or_default();
        let (authenticator, name, source) = match (kind, http.to_ascii_lowercase().as_str()) {
            ("http", "basic") => ("basic-auth", self.base_name(key, None)?, None),
            ("http", "bearer") => {
                let (name, source) =
                    self.located(key, "{header: authorization, prefix: Bearer}")?;
                ("jwt-auth", name, Some(source))
            }
            ("apiKey", _) => {
                let place = scheme.get("in").and_then(Value::as_str).unwrap_or_default();
                let wire = scheme.get("name").and_then(Value::as_str).unwrap_or_default();
                if !["header", "query", "cookie"].contains(&place) || wire.is_empty() {
                    return Err(format!("`{key}` is a key in `{place}`, where no proxy looks"));
                }
                let name = self.base_name(key, Some((place, wire)))?;
                ("api-key-auth", name, Some(format!("{{{place}: {wire}}}")))
            }
            ("oauth2" | "openIdConnect", _) => {
                let authenticator = self.options.oauth2.as_deref().unwrap_or("jwt-auth");
                let (name, source) =
                    self.located(key, "{header: authorization, prefix: Bearer}")?;
                (authenticator, name, Some(source))
            }
            ("mutualTLS", _) => {
                return Err(format!("`{key}` is mutual TLS, which Envoy itself asks for"));
            }
            _ => return Err(format!("`{key}` is a scheme that is not known: {kind} {http}")),
        };
        if kind == "oauth2" && has_all_scopes(scheme, scopes) {
            self.report.push(format!(
                "{id}: requires every scope that `{key}` has, as old versions of Goa wrote for any"
            ));
        }
        self.sources.extend(
            source
                .as_ref()
                .map(|source| format!("{authenticator} has to look at {source} (`{key}`)")),
        );
        self.headers.extend(
            header(source.as_deref()).map(|(name, is_whole)| (name, authenticator, is_whole)),
        );
        let entry = json!({"authenticator": authenticator});
        match self.schemes.get(&name) {
            Some(known) if *known != entry => {
                Err(format!("`{key}` and another scheme are both `{name}`, of different kinds"))
            }
            _ => {
                self.schemes.insert(name.clone(), entry);
                Ok(name)
            }
        }
    }

    /// The name of a scheme: in Goa's documents its key is `<name>_<in>_<wire name>`.
    fn base_name(&self, key: &str, place: Option<(&str, &str)>) -> Result<String, String> {
        if self.dialect == Dialect::OpenApi {
            return Ok(key.to_owned());
        }
        let suffix = match place {
            Some((place, wire)) => format!("_{place}_{wire}"),
            None => "_header_Authorization".to_owned(),
        };
        match key.strip_suffix(&suffix) {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(format!("`{key}` is not the key of a scheme in a document of Goa's")),
        }
    }

    /// The name of a scheme whose place is in its key alone, and that place.
    fn located(&self, key: &str, default: &str) -> Result<(String, String), String> {
        if self.dialect == Dialect::OpenApi {
            return Ok((key.to_owned(), default.to_owned()));
        }
        let mut parses = Vec::new();
        for place in ["header", "query", "body"] {
            let between = format!("_{place}_");
            for (at, _) in key.match_indices(&between) {
                let (name, rest) = key.split_at(at);
                let wire = rest.strip_prefix(between.as_str()).unwrap_or_default();
                if !name.is_empty() && !wire.is_empty() {
                    parses.push((name.to_owned(), place, wire.to_owned()));
                }
            }
        }
        match parses.as_slice() {
            [(_, "body", _)] => Err(format!("`{key}` is in the body, where no proxy looks")),
            [(name, "header", wire)] if wire.eq_ignore_ascii_case("authorization") => {
                Ok((name.clone(), default.to_owned()))
            }
            [(name, place, wire)] => Ok((name.clone(), format!("{{{place}: {wire}}}"))),
            [] => Err(format!("`{key}` does not say where its credential stands")),
            _ => Err(format!("`{key}` can be read in more than one way")),
        }
    }

    fn conclude(mut self) -> Result<Derived, Ambiguous> {
        for id in self.options.public.iter().chain(&self.options.catch_all) {
            if !self.named.contains(id) && self.faults.is_empty() {
                self.faults.push(Fault {
                    place: String::new(),
                    message: format!("there is no operation `{id}`"),
                });
            }
        }
        if self.faults.is_empty() && self.services.is_empty() {
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
            .map(|(name, methods)| json!({"name": name, "methods": methods}))
            .collect();
        let policy = json!({"schemes": self.schemes, "services": services});
        Ok(Derived { policy, report: self.report, places: self.places })
    }
}

#[cfg(test)]
mod tests;
