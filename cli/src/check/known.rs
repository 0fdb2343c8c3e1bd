//! The filters that there are, and the code that reads their configurations.

use access_policy::AccessPolicy;
use api_key_auth::ApiKeyAuth;
use basic_auth::BasicAuth;
use health_shortcut::HealthShortcut;
use jwt_auth::JwtAuth;
use oauth2_login::OAuth2Login;
use rate_limit::RateLimit;
use schemars::JsonSchema;
use serde_json::{Map, Value};
use shared::config::{Environment, Invalid};
use shared::driver::Instance;
use shared::filter::{Birth, Plugin};
use shared::schema;
use shared::time::Timestamp;
use shared::view::NoHost;
use telemetry::Telemetry;
use token_introspection::TokenIntrospection;
use trace_context::TraceContext;

/// A filter.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// Reads a configuration, or says what is wrong with it.
    pub(super) check: Check,
    /// Makes the schema of its configuration.
    schema: fn() -> Value,
}

/// What reads a configuration: its text, the variables, the plugin's name.
type Check = fn(&[u8], &Environment, &str) -> Result<Overrides, Invalid>;

/// What reads the metadata that is laid over a configuration.
pub(super) type Overrides = Box<dyn Fn(&Map<String, Value>) -> Result<(), Invalid>>;

/// What a filter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Says who it is.
    Authenticator,
    /// Says who may.
    Policy,
    /// Says how much.
    Limit,
    /// None of these: nothing is open without it.
    Other,
}

impl Role {
    /// Whether requests are refused by it that must not pass without it.
    pub(super) fn is_guard(self) -> bool {
        self != Self::Other
    }
}

static KNOWN: [Known; 10] = [
    built::<ApiKeyAuth>(Role::Authenticator),
    built::<BasicAuth>(Role::Authenticator),
    built::<JwtAuth>(Role::Authenticator),
    built::<OAuth2Login>(Role::Authenticator),
    built::<TokenIntrospection>(Role::Authenticator),
    built::<AccessPolicy>(Role::Policy),
    built::<RateLimit>(Role::Limit),
    built::<HealthShortcut>(Role::Other),
    built::<TraceContext>(Role::Other),
    built::<Telemetry>(Role::Other),
];

/// A filter that is there, whose feature `schema` is on: its types have schemas.
const fn built<P: Plugin<Config: JsonSchema, Settings: JsonSchema>>(role: Role) -> Known {
    Known { name: P::NAME, role, check: check::<P>, schema: schema::of::<P> }
}

/// What the module does at its birth, with no proxy to ask.
fn check<P: Plugin>(
    text: &[u8],
    environment: &Environment,
    name: &str,
) -> Result<Overrides, Invalid> {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = Timestamp::from_secs(since.as_secs());
    let birth = Birth { name, secret: [0; 16], now, host: &NoHost };
    let instance = Instance::<P>::configure(text, environment, &birth)?;
    Ok(Box::new(move |metadata| instance.check_override(metadata)))
}

/// The filter of this name.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// The filter whose module this is: a file, a URL or an image.
pub(super) fn of_module(module: &str) -> Option<&'static Known> {
    find(stem(module))
}

/// Whether a module holds all filters: the plugin's root id then says which is meant.
pub(super) fn is_bundle(module: &str) -> bool {
    stem(module) == "gatehouse"
}

/// Whether the name of a module, or of its folder, says that it is one of ours.
pub(super) fn is_ours(module: &str) -> bool {
    module.contains("gatehouse")
}

/// `basic-auth` of `dist/basic-auth.wasm` and of `oci://registry.example/gatehouse/basic-auth:0.1.0`.
fn stem(module: &str) -> &str {
    // A query may hold slashes.
    let path = module.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.split(['@', ':']).next().unwrap_or_default();
    name.strip_suffix(".wasm").unwrap_or(name)
}

/// The schema of a filter's configuration.
pub(crate) fn schema_of(name: &str) -> Option<Value> {
    find(name).map(|known| (known.schema)())
}

/// The names of the filters.
pub(crate) fn filters() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

/// The names of the filters, and of a chain of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    filters().chain([shared::chain::NAME])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_known_by_its_module() {
        for module in [
            "dist/basic-auth.wasm",
            "/etc/envoy/basic-auth.wasm",
            "oci://registry.example:5000/gatehouse/basic-auth:0.1.0",
            "oci://registry.example/basic-auth@sha256:abc",
            "https://example.com/basic-auth.wasm?x=1",
            "https://example.com/basic-auth.wasm?path=a/b",
            "https://example.com/basic-auth.wasm#a/b",
        ] {
            assert_eq!(of_module(module).map(|known| known.name), Some("basic-auth"), "{module}");
        }
        assert!(of_module("dist/other.wasm").is_none());
        assert!(is_bundle("dist/gatehouse.wasm") && !is_bundle("gatehouse/x.wasm"));
    }
}
