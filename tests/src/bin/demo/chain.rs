//! The chain: health-shortcut, trace-context, telemetry, three authenticators, `access-policy` and
//! rate-limit, in one pass of one plugin of the bundle, and the steps that show it.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::envoy::{Envoy, Setup};
use tests::upstream::Upstream;

use crate::ask::Ask;
use crate::lines::{PATIENCE, line_of};
use crate::steps::{came, equal};
use crate::world::{Outcome, World, must};

/// What tokens are signed with, as a JWK has it: public, and so for a demo alone.
const KEY: &str = "cHVibGljLCBhbmQgc28gZm9yIGEgZGVtb25zdHJhdGlvbiBhbG9uZQ";

pub(crate) fn one_pass(world: &World) -> Outcome {
    let before = world.service.count();
    world.ask_chain(&Ask::get("/livez"), 200)?;
    equal("requests at the service", &world.service.count(), &before)?;
    let answer = world.ask_chain(&Ask::get("/users").header("x-api-key", "acme-demo-key"), 200)?;
    came(&world.service.last(), "traceparent", answer.header("traceresponse").as_deref())?;
    came(&world.service.last(), "x-auth-subject", Some("acme"))?;
    must(answer.header("ratelimit").is_some(), || "no limit has counted it".into())?;
    equal("virtual machines", &world.chain.stat("wasm.wasm_vm_count"), &Some(4))?;
    world.says("Eight filters in one plugin, here by a probe and by a request that is traced, known and counted.");
    Ok(())
}

pub(crate) fn limit_by_consumer(world: &World) -> Outcome {
    let before = world.service.count();
    let ask = |key: &str| Ask::get("/users").header("x-api-key", key);
    // Two of the four were used above.
    world.ask_chain(&ask("acme-demo-key"), 200)?;
    let last = world.ask_chain(&ask("acme-demo-key"), 200)?;
    let left = last.header("ratelimit").unwrap_or_default();
    must(left.starts_with(r#""per-consumer";r=0;t="#), || format!("ratelimit is {left}"))?;
    let refused = world.ask_chain(&ask("acme-demo-key"), 429)?;
    must(refused.header("retry-after").is_some(), || "there is no retry-after".into())?;
    equal("violated-policies", &refused.json()["violated-policies"], &json!(["per-consumer"]))?;
    // Of the group gold.
    let other = world.ask_chain(&ask("zenith-demo-key"), 200)?;
    let left = other.header("ratelimit").unwrap_or_default();
    must(left.starts_with(r#""per-consumer";r=99;"#), || format!("ratelimit is {left}"))?;
    equal("requests at the service", &world.service.count(), &before.saturating_add(3))?;
    world.says(
        "Counted by who the policy has found, exactly, over all workers. Zenith's tier has more.",
    );
    Ok(())
}

pub(crate) fn cost_and_shadow(world: &World) -> Outcome {
    let ask = || Ask::get("/users/search").header("x-cost", "4");
    let answer = world.ask_chain(&ask(), 200)?;
    let left = answer.header("ratelimit").unwrap_or_default();
    must(left.starts_with(r#""by-cost";r=2;"#), || format!("ratelimit is {left}"))?;
    world.ask_chain(&ask(), 429)?;
    world.ask_chain(&Ask::get("/users/search"), 200)?;
    // A limit of one, in shadow, would have refused the third.
    let counter = "rate-limit.shadow_limited.limit.planned";
    let count = world.chain.counted(counter);
    must(count >= 1, || format!("{counter} is {count}"))?;
    println!("    wasmcustom.gatehouse.{counter}: {count}");
    world.says("What a request costs, a header says. A limit in shadow refuses nobody, and counts whom it would.");
    Ok(())
}

pub(crate) fn refusal(world: &World) -> Outcome {
    let before = world.service.count();
    let answer = world.ask_chain(&Ask::get("/users/admin?card=4111"), 401)?;
    equal("requests at the service", &world.service.count(), &before)?;
    let told = answer.header("traceresponse").unwrap_or_default();
    let trace = told.split('-').nth(1).unwrap_or_default().to_owned();
    let (text, line) = line_of(&world.chain, "/users/admin\"", &trace)?;
    equal("reason", &line["reason"], &json!("gatehouse.access-policy.unauthenticated"))?;
    equal("the method", &line["goa.method"], &json!("admin"))?;
    println!("    {text}");
    let id = u128::from_str_radix(&trace, 16).map_err(|error| error.to_string())?.to_be_bytes();
    let has = |body: &[u8]| body.windows(id.len()).any(|part| part == id);
    until("the collector has no span of it", || {
        world.collector.received().iter().any(|export| has(&export.body))
    })?;
    println!("    the collector has a span of {trace}");
    let counted = |name: &str| world.chain.counted(name);
    let refusals = "telemetry.refusals;source=access-policy;reason=unauthenticated";
    let requests = "telemetry.requests;service=users;method=admin;status=4xx;tier=none";
    until("telemetry has not counted it", || counted(refusals) >= 1 && counted(requests) >= 1)?;
    for (name, count) in world.chain.stats("gatehouse.telemetry.") {
        println!("    {name}: {count}");
    }
    world.says("The end of a refused exchange is told, traced and counted as any other's.");
    Ok(())
}

pub(crate) fn draining(world: &World) -> Outcome {
    let admin = world.chain.admin();
    for (what, status) in [("fail", 503), ("ok", 200)] {
        world.tell_chain(&format!("/healthcheck/{what}"))?;
        let to = world.chain.address();
        let ready = || {
            Ask::get("/readyz").request(to).try_send(to).is_ok_and(|answer| answer.status == status)
        };
        until(&format!("/readyz does not become {status}"), ready)?;
        world.ask_chain(&Ask::get("/readyz"), status)?;
    }
    world.says(&format!(
        "Envoy drains: readiness says so before it ends. `gatehouse drain --admin {admin}` does all of it."
    ));
    Ok(())
}

/// Waits for what comes in the background.
fn until(what: &str, holds: impl Fn() -> bool) -> Outcome {
    let start = Instant::now();
    while !holds() {
        must(start.elapsed() < PATIENCE, || what.to_owned())?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

pub(crate) fn start(service: &Upstream, collector: &Upstream) -> Envoy {
    // The port of the administration is known once Envoy is up, so this one is told it in advance.
    let admin = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let admin = admin.and_then(|listener| listener.local_addr());
    let admin = admin.unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 9901)));
    let at = json!({"address": "127.0.0.1", "port_value": admin.port()});
    Setup::new()
        .bundled("gatehouse", "chain", &json!({"share_evidence": false, "chain": chain()}))
        .upstream(service)
        .cluster("collector", Some(collector.address()))
        .cluster("administration", Some(admin))
        .bootstrap_fields(&json!({"admin": {"address": {"socket_address": at}}}))
        .start()
}

fn chain() -> Value {
    let user =
        |name: &str, groups: &[&str]| json!({"name": name, "password": "demo", "groups": groups});
    let key = |value: &str| json!([{"id": "a", "value": value}]);
    json!([
        {"health-shortcut": {
            "endpoints": [
                {"path": "/livez", "report": "liveness"},
                {"path": "/readyz", "report": "readiness"},
            ],
            "draining": {"cluster": "administration", "interval": "200ms"},
        }},
        {"trace-context": {
            "sampling": {"root": "always"},
            "response": {"traceresponse": true},
            "export": {"cluster": "collector", "service": "demo", "interval": "200ms"},
        }},
        {"telemetry": {"output": "proxy_log"}},
        {"basic-auth": {
            "verdict": "defer",
            "realm": "Demo",
            "users": [user("carol", &["ops"]), user("dora", &["dev"])],
        }},
        {"api-key-auth": {
            "verdict": "defer",
            "realm": "Demo",
            "consumers": [
                {"name": "acme", "keys": key("acme-demo-key")},
                {"name": "zenith", "groups": ["gold"], "keys": key("zenith-demo-key")},
            ],
        }},
        {"jwt-auth": {
            "verdict": "defer",
            "realm": "Demo",
            "providers": [{
                "name": "issuer",
                "issuer": "https://issuer.example",
                "audiences": ["users"],
                "algorithms": ["HS256"],
                "jwks": {"inline": {"keys": [{"kty": "oct", "alg": "HS256", "k": KEY}]}},
            }],
        }},
        {"access-policy": policy()},
        {"rate-limit": {"limits": limits()}},
    ])
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
                {
                    "name": "export",
                    "match": get("/users/export"),
                    "security": [{"api_key": [], "jwt": ["api:write"]}, {"basic": []}],
                    "allow": {"consumers": ["acme"], "groups": ["ops"]},
                },
                {"name": "public", "match": get("/users/public"), "security": "none"},
                {"name": "search", "match": get("/users/search"), "security": "none"},
            ],
        }],
    })
}

fn limits() -> Value {
    json!([
        {
            "name": "per-consumer",
            "match": {"paths": ["/users"]},
            "key": ["consumer"],
            "quota": {"requests": 4, "per": "1h"},
            "tiers": {"gold": {"requests": 100, "per": "1h"}},
        },
        {
            "name": "by-cost",
            "match": {"paths": ["/users/search"]},
            "quota": {"requests": 6, "per": "1h"},
            "cost": {"header": "x-cost", "greatest": 6, "default": 1},
        },
        {
            "name": "planned",
            "match": {"paths": ["/users/search"]},
            "quota": {"requests": 1, "per": "1h"},
            "mode": "shadow",
        },
    ])
}
