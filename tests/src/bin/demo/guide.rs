//! The steps with a policy: the example of Goa's production guide, in an Envoy of its own. Three
//! authenticators leave evidence, and `access-policy` decides.

use serde_json::{Value, json};
use tests::envoy::{Envoy, Setup};
use tests::upstream::Upstream;

use crate::ask::Ask;
use crate::steps::{came, equal, header};
use crate::world::{Outcome, World, must};

/// What tokens are signed with, as a JWK has it: public, and so for a demo alone.
const KEY: &str = "cHVibGljLCBhbmQgc28gZm9yIGEgZGVtb25zdHJhdGlvbiBhbG9uZQ";

/// Alice's, good until 2100 for `api:write`.
const TOKEN: &str = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoidXNlcnMiLCJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwic2NvcGUiOiJhcGk6d3JpdGUifQ.If8u-Heirg-uhdUvjGm1Lc5I0pvu79_VlmBZWq47jOs";

pub(crate) fn key_for_a_service(world: &World) -> Outcome {
    let before = world.service.count();
    let answer = world.ask_guide(&Ask::get("/users"), 401)?;
    header(&answer, "www-authenticate", r#"ApiKey realm="Demo""#)?;
    // The API asks for Basic, and the service for a key in its place.
    world.ask_guide(&Ask::get("/users").by("carol:demo"), 401)?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.ask_guide(&Ask::get("/users").header("x-api-key", b"acme-demo-key"), 200)?;
    came(&world.service.last(), "x-auth-subject", Some("acme"))?;
    came(&world.service.last(), "x-api-key", None)?;
    world.says("The API asks for Basic; this service asks for a key in its place.");
    Ok(())
}

pub(crate) fn token_for_a_method(world: &World) -> Outcome {
    let before = world.service.count();
    let admin = || Ask::get("/users/admin");
    let answer = world.ask_guide(&admin().header("x-api-key", b"acme-demo-key"), 401)?;
    header(&answer, "www-authenticate", r#"Bearer realm="Demo""#)?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.ask_guide(&admin().header("authorization", TOKEN.as_bytes()), 200)?;
    came(&world.service.last(), "x-auth-subject", Some("alice"))?;
    came(&world.service.last(), "authorization", None)?;
    world.says("This method asks for a token: a key, good as it is, does not open it.");
    Ok(())
}

pub(crate) fn open_method(world: &World) -> Outcome {
    let public = || Ask::get("/users/public");
    world.ask_guide(&public(), 200)?;
    let forged = public().header("authorization", b"garbage").header("x-auth-subject", b"root");
    world.ask_guide(&forged, 200)?;
    came(&world.service.last(), "x-auth-subject", None)?;
    world.says("This one says `security: none`. Nobody is told of, whatever a client sends.");
    Ok(())
}

pub(crate) fn not_offered(world: &World) -> Outcome {
    let before = world.service.count();
    for (target, status) in [
        ("/users/", 404),
        ("/users/admin/x", 404),
        ("/users/public%2f..%2fadmin", 400),
        ("/users//admin", 400),
    ] {
        let key: &[u8] = b"acme-demo-key";
        world.ask_guide(&Ask::get(target).header("x-api-key", key), status)?;
    }
    equal("requests at the service", &world.service.count(), &before)?;
    for (name, count) in world.guide.stats("wasmcustom.gatehouse.") {
        if count > 0 {
            println!("    {name}: {count}");
        }
    }
    for (reason, count) in [("unauthenticated", 3), ("not_found", 2), ("ambiguous_path", 2)] {
        let name = format!("access-policy.refused.reason.{reason}");
        equal(&name, &world.guide.counted(&name), &count)?;
    }
    world.says("What the policy does not list is not there, for whoever asks.");
    Ok(())
}

pub(crate) fn limit_by_consumer(world: &World) -> Outcome {
    let before = world.service.count();
    let ask = || Ask::get("/users").header("x-api-key", b"acme-demo-key");
    // One of the three was used above.
    world.ask_guide(&ask(), 200)?;
    let last = world.ask_guide(&ask(), 200)?;
    let left = last.header("ratelimit").unwrap_or_default();
    must(left.starts_with(r#""per-consumer";r=0;t="#), || format!("ratelimit is {left}"))?;
    let refused = world.ask_guide(&ask(), 429)?;
    must(refused.header("retry-after").is_some(), || "there is no retry-after".into())?;
    equal("violated-policies", &refused.json()["violated-policies"], &json!(["per-consumer"]))?;
    // Who is nobody has a count of its own: what is open stays open.
    world.ask_guide(&Ask::get("/users/public"), 200)?;
    equal("requests at the service", &world.service.count(), &before.saturating_add(3))?;
    world.says("rate-limit counts by who the policy has found, exactly, over all workers.");
    Ok(())
}

fn limits() -> Value {
    json!({"limits": [{
        "name": "per-consumer",
        "match": {"paths": ["/users"]},
        "key": ["consumer"],
        "quota": {"requests": 3, "per": "1h"},
    }]})
}

pub(crate) fn start(service: &Upstream) -> Envoy {
    let user = json!({"name": "carol", "password": "demo"});
    let key = json!({"id": "a", "value": "acme-demo-key"});
    Setup::new()
        .filter("basic-auth", json!({"verdict": "defer", "realm": "Demo", "users": [user]}))
        .filter(
            "api-key-auth",
            json!({
                "verdict": "defer",
                "realm": "Demo",
                "consumers": [{"name": "acme", "keys": [key]}],
            }),
        )
        .filter("jwt-auth", tokens())
        .filter("access-policy", policy())
        .filter("rate-limit", limits())
        .upstream(service)
        .start()
}

fn tokens() -> Value {
    json!({
        "verdict": "defer",
        "realm": "Demo",
        "providers": [{
            "name": "issuer",
            "issuer": "https://issuer.example",
            "audiences": ["users"],
            "algorithms": ["HS256"],
            "jwks": {"inline": {"keys": [{"kty": "oct", "alg": "HS256", "k": KEY}]}},
        }],
    })
}

fn policy() -> Value {
    let get = |path: &str| json!({"methods": ["GET"], "paths": [path]});
    json!({
        "schemes": {
            "basic": {"authenticator": "basic-auth"},
            "api_key": {"authenticator": "api-key-auth"},
            "jwt": {"authenticator": "jwt-auth"},
        },
        "realm": "Demo",
        "security": [{"basic": []}],
        "services": [{
            "name": "users",
            "security": [{"api_key": []}],
            "methods": [
                {"name": "list", "match": get("/users")},
                {"name": "admin", "match": get("/users/admin"), "security": [{"jwt": []}]},
                {"name": "public", "match": get("/users/public"), "security": "none"},
            ],
        }],
    })
}
