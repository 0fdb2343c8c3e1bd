//! The schemes that operations require, and the authenticators that they are bound to.
//!
//! 1. An authenticator leaves evidence of one credential, and not of which scheme it is. So two schemes of
//!    one authenticator are the same to the policy, and are refused where nobody says that they are meant to
//!    be; two of them together cannot be had at all.
//! 2. Schemes are the same by a reference, and in a document of Goa's by their name, wherever their
//!    credentials stand.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parts::{described, has_all_scopes, header, listed};
use super::{Dialect, Reader};

/// What a scheme is bound to.
pub(super) struct Bound<'a> {
    authenticator: &'a str,
    /// Which scheme it is, whatever it is called where it is required.
    pub(super) scheme: String,
    /// Its name in the document.
    key: String,
    /// The operation that requires it first.
    by: String,
    is_oauth: bool,
}

impl<'a> Reader<'a> {
    /// Schemes that all have to hold.
    pub(super) fn alternative(
        &mut self,
        schemes: &Map<String, Value>,
        id: &str,
    ) -> Result<Value, String> {
        let mut required = Map::new();
        let mut held: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, scopes) in schemes {
            let scopes = scopes.as_array();
            let scopes = scopes.ok_or_else(|| format!("`{key}` has scopes that are no list"))?;
            let scopes: Option<Vec<&str>> = scopes.iter().map(Value::as_str).collect();
            let scopes = scopes.ok_or_else(|| format!("`{key}` has a scope that is no text"))?;
            let (name, authenticator) = self.scheme(key, &scopes, id)?;
            if let Some(other) = held.insert(authenticator, key) {
                return Err(format!(
                    "requires `{other}` and `{key}` together, and `{authenticator}`, which looks \
                     after both, sees one credential of a request"
                ));
            }
            let mut distinct: Vec<&str> = Vec::new();
            for scope in scopes {
                if !distinct.contains(&scope) {
                    distinct.push(scope);
                }
            }
            required.insert(name, json!(distinct));
        }
        Ok(Value::Object(required))
    }

    /// The name that a scheme has in the policy, and its authenticator.
    fn scheme(
        &mut self,
        key: &str,
        scopes: &[&str],
        id: &str,
    ) -> Result<(String, &'a str), String> {
        let (described_as, scheme) = described(self.document, key, id)?;
        let kind = scheme.get("type").and_then(Value::as_str).unwrap_or_default();
        let http = scheme.get("scheme").and_then(Value::as_str).unwrap_or_default();
        let is_oauth = matches!(kind, "oauth2" | "openIdConnect");
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
            _ if is_oauth => {
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
        self.look_at(authenticator, source.as_deref(), key);
        let entry = json!({"authenticator": authenticator});
        if self.schemes.get(&name).is_some_and(|known| *known != entry) {
            return Err(format!(
                "`{key}` and another scheme are both `{name}`, of different kinds"
            ));
        }
        self.schemes.insert(name.clone(), entry);
        let scheme = match self.dialect {
            Dialect::OpenApi => described_as.to_owned(),
            Dialect::Goa => name.clone(),
        };
        let (key, by) = (key.to_owned(), id.to_owned());
        let bound = Bound { authenticator, scheme, key, by, is_oauth };
        self.bound.entry(name.clone()).or_insert(bound);
        Ok((name, authenticator))
    }

    /// Keeps in mind where an authenticator has to look for credentials.
    fn look_at(&mut self, authenticator: &'a str, source: Option<&str>, key: &str) {
        if authenticator == "oauth2-login" {
            self.sources.insert(format!(
                "`oauth2-login` knows browsers by a cookie of its own: a client that comes with a token is \
                 refused (`{key}`)"
            ));
            return;
        }
        let sources =
            source.map(|source| format!("{authenticator} has to look at {source} (`{key}`)"));
        self.sources.extend(sources);
        let headers = header(source).map(|(name, is_whole)| (name, authenticator, is_whole));
        self.headers.extend(headers);
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
        // Readings may overlap: `jwt_header_header_Token`.
        for (at, _) in key.char_indices() {
            let (name, rest) = key.split_at(at);
            for place in ["header", "query", "body"] {
                let wire = rest.strip_prefix(&format!("_{place}_")).unwrap_or_default();
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

    /// Schemes that the policy cannot tell apart.
    pub(super) fn confusions(&mut self) {
        let mut looked_after: BTreeMap<&str, BTreeMap<&str, &Bound<'_>>> = BTreeMap::new();
        for bound in self.bound.values() {
            let schemes = looked_after.entry(bound.authenticator).or_default();
            schemes.entry(&bound.scheme).or_insert(bound);
        }
        let (mut notes, mut faults) = (Vec::new(), Vec::new());
        for (authenticator, schemes) in looked_after.iter().filter(|(_, all)| all.len() > 1) {
            if schemes.keys().all(|name| self.options.interchangeable.contains(*name)) {
                let names = listed(schemes.keys().map(|name| format!("`{name}`")));
                notes.push(format!(
                    "{names} are the same to `{authenticator}`: a credential of one is good where another \
                     is required"
                ));
                continue;
            }
            let required = |(name, bound): (&&str, &&Bound<'_>)| {
                format!("`{name}` (required by {})", bound.by)
            };
            let say = schemes.keys().map(|name| format!("--interchangeable {name}"));
            let is_mixed = schemes.values().any(|bound| bound.is_oauth)
                && !schemes.values().all(|bound| bound.is_oauth);
            let or = match is_mixed {
                true => "; or give OAuth 2.0 an authenticator of its own, with --oauth2",
                false => "",
            };
            let why = format!(
                "{} are the same to `{authenticator}`; if a credential of one is good where another is \
                 required, say {}{or}",
                listed(schemes.iter().map(required)),
                say.collect::<Vec<_>>().join(" "),
            );
            let key = schemes.values().last().map_or("", |bound| bound.key.as_str());
            faults.push((format!("components.securitySchemes.{key}"), why));
        }
        self.report.extend(notes);
        faults.into_iter().for_each(|(place, why)| self.fault(&place, why));
    }
}
