//! Which requests a rule is for.
//!
//! 1. All that a `match` names must hold; within a list, one entry must.
//! 2. Hosts are compared without case, port and a dot at the end; `*.example.com` is any host below.
//! 3. Paths are compared as [`path`] says. A path that can be read in two ways, of which one is
//!    matched and one is not, is refused ([`BadPath`]).
//! 4. Headers are compared as the client sent them. Those that begin with `x-auth-` are the proxy's
//!    own to say, so no rule may ask for them.
//! 5. An empty list, or a `match` that names nothing, is an error of the configuration.

pub mod path;

use std::rc::Rc;

use serde::{Deserialize, Deserializer, de::Error};

use crate::config::NonEmpty;
use crate::identity::HeaderName;
use crate::view::Request;
use path::{BadPath, Pattern};

/// The `match` of a rule.
#[derive(Clone, Debug)]
pub struct Matcher {
    hosts: Option<NonEmpty<Host>>,
    paths: Option<NonEmpty<Pattern>>,
    methods: Option<NonEmpty<Method>>,
    headers: Vec<(Rc<str>, HeaderValue)>,
    routes: Option<NonEmpty<String>>,
    clusters: Option<NonEmpty<String>>,
}

impl Matcher {
    /// Whether the rule is for this request.
    pub fn matches(&self, request: &Request<'_>) -> Result<bool, BadPath> {
        Ok(self.matches_host(request)
            && self.matches_method(request)
            && self.headers.iter().all(|(name, value)| value.matches(name, request))
            && self.matches_property(&self.routes, request, "route_name")
            && self.matches_property(&self.clusters, request, "cluster_name")
            && self.matches_path(request)?)
    }

    fn matches_host(&self, request: &Request<'_>) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let authority = request.headers().first(":authority").unwrap_or_default();
        let name = host_name(authority).to_ascii_lowercase();
        hosts.iter().any(|host| host.matches(&name))
    }

    fn matches_method(&self, request: &Request<'_>) -> bool {
        let Some(methods) = &self.methods else { return true };
        let method = request.method();
        methods.iter().any(|known| known.0.as_bytes() == method)
    }

    fn matches_path(&self, request: &Request<'_>) -> Result<bool, BadPath> {
        let Some(paths) = &self.paths else { return Ok(true) };
        let Some(readings) = request.readings() else { return Ok(false) };
        readings?.agree(|path| paths.iter().any(|pattern| pattern.matches(path)))
    }

    fn matches_property(
        &self,
        names: &Option<NonEmpty<String>>,
        request: &Request<'_>,
        property: &str,
    ) -> bool {
        let Some(names) = names else { return true };
        let value = request.property(&["xds", property]).unwrap_or_default();
        names.iter().any(|name| name.as_bytes() == value)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            hosts: Option<NonEmpty<Host>>,
            paths: Option<NonEmpty<Pattern>>,
            methods: Option<NonEmpty<Method>>,
            #[serde(default)]
            headers: std::collections::HashMap<String, HeaderValue>,
            routes: Option<NonEmpty<String>>,
            clusters: Option<NonEmpty<String>>,
        }
        let Raw { hosts, paths, methods, headers, routes, clusters } =
            Raw::deserialize(deserializer)?;
        let names = [
            hosts.is_some(),
            paths.is_some(),
            methods.is_some(),
            routes.is_some(),
            clusters.is_some(),
        ];
        if headers.is_empty() && !names.contains(&true) {
            return Err(D::Error::custom(
                "names nothing to match; what no rule names falls to the top level",
            ));
        }
        let mut named = Vec::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(name.as_str()).map_err(D::Error::custom)?.shared();
            if name.starts_with("x-auth-") {
                return Err(D::Error::custom(format!(
                    "headers.{name}: anybody can send it; `x-auth-` headers are the proxy's own"
                )));
            }
            named.push((name, value));
        }
        Ok(Self { hosts, paths, methods, headers: named, routes, clusters })
    }
}

/// What a header has to be like.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a value, `true` for any or `false` for none")]
pub(crate) enum HeaderValue {
    /// There (`true`) or not there (`false`).
    Present(bool),
    /// One of its values is this.
    Is(String),
}

impl HeaderValue {
    fn matches(&self, name: &str, request: &Request<'_>) -> bool {
        let mut values = request.headers().all(name);
        match self {
            Self::Present(present) => values.next().is_some() == *present,
            Self::Is(wanted) => values.any(|value| value == wanted.as_bytes()),
        }
    }
}

/// A method's name, in upper case.
#[derive(Clone, Debug)]
pub struct Method(String);

impl Method {
    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            return Err(D::Error::custom(format!(
                "`{name}` is not a method; methods are written in upper case"
            )));
        }
        Ok(Self(name))
    }
}

/// A host, or any host below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Named(Vec<u8>),
    Below(Vec<u8>),
}

impl Host {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Named(host) => host == name,
            Self::Below(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        }
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let lower = text.to_ascii_lowercase();
        let (name, below) = match lower.strip_prefix('*') {
            Some(suffix) => (suffix, true),
            None => (lower.as_str(), false),
        };
        let wrong = name.is_empty()
            || name.contains(['*', '/', ' '])
            || below && !name.starts_with('.')
            || host_name(name.as_bytes()).len() != name.len();
        if wrong {
            return Err(D::Error::custom(format!(
                "`{text}` is not a host such as `api.example.com` or `*.example.com`, without a port"
            )));
        }
        let name = name.as_bytes().to_vec();
        Ok(if below { Self::Below(name) } else { Self::Named(name) })
    }
}

/// An authority without its port and without a dot at the end.
pub fn host_name(authority: &[u8]) -> &[u8] {
    let host = match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) => {
            let (host, port) = authority.split_at_checked(colon).unwrap_or((authority, b""));
            let is_port = port.iter().skip(1).all(u8::is_ascii_digit);
            // The colons of an address such as `[::1]` are within its brackets.
            if is_port && (!host.starts_with(b"[") || host.ends_with(b"]")) {
                host
            } else {
                authority
            }
        }
        None => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    use serde_json::{Value, from_value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[track_caller]
    fn check(matcher: Value, headers: &[(&str, &str)], expected: bool) {
        let matcher: Matcher = from_value(matcher).expect("a matcher");
        let proxy = Proxy::with_request(headers);
        assert_eq!(matcher.matches(&Request::new(&proxy)), Ok(expected), "{headers:?}");
    }

    fn host(name: &str) -> [(&str, &str); 1] {
        [(":authority", name)]
    }

    #[test]
    fn hosts_are_compared_without_case_port_and_last_dot() {
        let rule = json!({"hosts": ["api.Example.com", "[::1]"]});
        for name in [
            "api.example.com",
            "API.EXAMPLE.COM",
            "api.example.com:8443",
            "api.example.com.",
            "api.example.com.:80",
            "[::1]",
            "[::1]:80",
        ] {
            check(rule.clone(), &host(name), true);
        }
        for name in ["example.com", "xapi.example.com", "api.example.com.evil", "[::11]", ""] {
            check(rule.clone(), &host(name), false);
        }
    }

    #[test]
    fn a_star_is_any_host_below() {
        let rule = json!({"hosts": ["*.example.com"]});
        check(rule.clone(), &host("a.example.com"), true);
        check(rule.clone(), &host("a.b.example.com:1"), true);
        check(rule.clone(), &host("example.com"), false);
        check(rule, &host("evilexample.com"), false);
    }

    #[test]
    fn all_that_is_named_must_hold() {
        let rule = json!({"methods": ["GET", "HEAD"], "paths": ["/a", "/b/**"], "headers": {"X-Env": "prod"}});
        let good = [(":method", "GET"), (":path", "/b/c?d"), ("x-env", "prod")];
        check(rule.clone(), &good, true);
        for (index, value) in [(0, "POST"), (1, "/c"), (2, "test")] {
            let mut bad = good;
            bad[index].1 = value;
            check(rule.clone(), &bad, false);
        }
    }

    #[test]
    fn a_header_may_be_asked_for_by_presence() {
        check(json!({"headers": {"x": true}}), &[("x", "")], true);
        check(json!({"headers": {"x": true}}), &[("y", "")], false);
        check(json!({"headers": {"x": false}}), &[("x", "")], false);
        check(json!({"headers": {"x": "b"}}), &[("x", "a"), ("x", "b")], true);
    }

    #[test]
    fn a_connect_has_no_path_to_match() {
        check(json!({"paths": ["/**"]}), &[(":method", "CONNECT")], false);
    }

    #[test]
    fn routes_and_clusters_are_read_from_the_proxy() {
        let matcher: Matcher = from_value(json!({"routes": ["users"]})).unwrap();
        let proxy = Proxy::default();
        assert_eq!(matcher.matches(&Request::new(&proxy)), Ok(false));
        proxy.set_property(&["xds", "route_name"], b"users");
        assert_eq!(matcher.matches(&Request::new(&proxy)), Ok(true));
    }

    #[test]
    fn mistakes_are_refused() {
        for rule in [
            json!({}),
            json!({"hosts": []}),
            json!({"hosts": ["a:80"]}),
            json!({"hosts": ["*"]}),
            json!({"hosts": ["*example.com"]}),
            json!({"methods": ["get"]}),
            json!({"paths": ["x"]}),
            json!({"path": ["/x"]}),
            json!({"headers": {"x": 5}}),
            json!({"headers": {"x y": "5"}}),
            json!({"headers": {"X-Auth-Subject": "root"}}),
        ] {
            assert!(from_value::<Matcher>(rule.clone()).is_err(), "{rule}");
        }
    }
}
