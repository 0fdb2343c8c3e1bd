//! `access-policy` in the real Envoy, behind the three authenticators, which leave it the decision.

mod anonymous;
mod cors;
mod emails;
mod guide;
mod settings;
mod table;
mod tokens;

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::upstream::Upstream;

/// An Envoy with the authenticators and a policy, and what is behind it.
struct World {
    /// Goes first, for it checks at its end that every VM survived.
    envoy: Envoy,
    upstream: Upstream,
}

impl World {
    fn start(policy: Value) -> Self {
        Self::of(authenticators(Setup::new()).filter("access-policy", policy))
    }

    fn of(setup: Setup) -> Self {
        let upstream = Upstream::start();
        let state = |name: &str| format!("%FILTER_STATE(wasm.gatehouse.{name}:PLAIN)%");
        let envoy = setup
            .upstream(&upstream)
            .connect()
            .log_field("case", "%REQ(x-case)%")
            .log_field("service", &state("service"))
            .log_field("operation", &state("method"))
            .workers(2)
            .start();
        Self { envoy, upstream }
    }

    fn status(&self, line: &str, with: &[&str]) -> u16 {
        request(line, with).send(self.envoy.address()).status
    }
}

fn authenticators(setup: Setup) -> Setup {
    with_keys(setup).filter("basic-auth", users()).filter("jwt-auth", tokens::config())
}

/// API keys alone: an Envoy is up sooner.
fn with_keys(setup: Setup) -> Setup {
    setup.filter("api-key-auth", keys())
}

fn users() -> Value {
    json!({"verdict": "defer", "users": [{"name": "carol", "password": "s", "groups": ["ops"]}]})
}

fn keys() -> Value {
    json!({"verdict": "defer", "consumers": [
        {
            "name": "acme",
            "groups": ["gold"],
            "scopes": ["reports:read"],
            "keys": [{"id": "a", "value": "acme-key-1"}],
        },
        {"name": "zenith", "keys": [{"id": "a", "value": "zenith-key-1"}]},
    ]})
}

fn schemes() -> Value {
    json!({
        "basic": {"authenticator": "basic-auth"},
        "api_key": {"authenticator": "api-key-auth"},
        "jwt": {"authenticator": "jwt-auth"},
    })
}

/// The production guide's example: Basic for the API, a key for the service, a token for one of its
/// methods, and one that is open.
fn example() -> Value {
    json!({
        "schemes": schemes(),
        "security": [{"basic": []}],
        "services": [{
            "name": "users",
            "security": [{"api_key": []}],
            "methods": [
                {"name": "list", "match": {"methods": ["GET"], "paths": ["/users"]}},
                {
                    "name": "admin",
                    "match": {"methods": ["GET"], "paths": ["/users/admin"]},
                    "security": [{"jwt": []}],
                },
                {
                    "name": "public",
                    "match": {"methods": ["GET"], "paths": ["/users/public"]},
                    "security": "none",
                },
            ],
        }],
    })
}

fn with(mut config: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// The example, and what the table asks for besides.
fn large() -> Value {
    let get = |path: &str| json!({"methods": ["GET"], "paths": [path]});
    let mut config = example();
    let users = config["services"][0]["methods"].as_array_mut().unwrap();
    users.extend([
        json!({
            "name": "create",
            "match": {"methods": ["POST"], "paths": ["/users"]},
            "security": [{"jwt": ["api:write"], "api_key": []}, {"basic": []}],
        }),
        json!({
            "name": "show",
            "match": {"methods": ["GET", "HEAD"], "paths": ["/users/{id}"]},
            "allow": {"groups": ["gold"]},
        }),
        json!({
            "name": "audit",
            "match": get("/users/audit"),
            "security": [{"jwt": ["api:read", "api:audit"]}],
        }),
        json!({
            "name": "home",
            "match": get("/home"),
            "security": ["anonymous", {"jwt": ["api:read"]}, {"api_key": [], "basic": []}],
        }),
    ]);
    let services = config["services"].as_array_mut().unwrap();
    services
        .push(json!({"name": "files", "methods": [{"name": "read", "match": get("/files/**")}]}));
    services.push(json!({"name": "reports", "methods": [
        {
            "name": "read",
            "match": get("/reports"),
            "security": [{"jwt": ["api:read"]}, {"api_key": ["reports:read"]}],
            "allow": {"consumers": ["acme"], "subjects": ["alice"]},
        },
        {
            "name": "halves",
            "match": get("/halves"),
            "security": [{"jwt": ["a"], "api_key": []}, {"jwt": ["b"], "api_key": ["reports:read"]}],
        },
    ]}));
    config
}

/// `GET /users`, with what each word stands for: `key` (of acme), `zenith` (its key), `bad key`,
/// `basic` (carol's password), `wrong basic`, `token SCOPES` (alice's), `mallory SCOPES`, `expired`,
/// `forged`, `unsigned`; and headers as they are.
fn request(line: &str, with: &[&str]) -> Request {
    let (method, target) = line.split_once(' ').unwrap();
    with.iter().fold(Request::new(method, target), |request, what| {
        let bearer = |token: String| ("authorization", format!("Bearer {token}"));
        let (name, value) = match *what {
            "key" => ("x-api-key", "acme-key-1".to_owned()),
            "zenith" => ("x-api-key", "zenith-key-1".to_owned()),
            "bad key" => ("x-api-key", "nobodys-key".to_owned()),
            "basic" => ("authorization", "Basic Y2Fyb2w6cw==".to_owned()), // carol:s
            "wrong basic" => ("authorization", "Basic Y2Fyb2w6eA==".to_owned()),
            "expired" => bearer(tokens::expired()),
            "forged" => bearer(tokens::forged()),
            "unsigned" => bearer(tokens::unsigned()),
            "token" => bearer(tokens::of("alice", "")),
            other => match (other.split_once(": "), other.split_once(' ')) {
                (Some((name, value)), _) => (name, value.to_owned()),
                (None, Some(("mallory", scopes))) => bearer(tokens::of("mallory", scopes)),
                (None, Some(("token", scopes))) => bearer(tokens::of("alice", scopes)),
                _ => panic!("{other} stands for nothing"),
            },
        };
        request.header(name, value)
    })
}
