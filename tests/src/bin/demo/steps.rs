//! What the demo shows, step by step.

use serde_json::{Value, json};
use tests::client::Response;
use tests::upstream::Received;

use crate::ask::Ask;
use crate::chain;
use crate::checks;
use crate::guide;
use crate::lines;
use crate::login;
use crate::opaque;
use crate::tokens;
use crate::traces;
use crate::world::{FAILURES, INTERVAL, Outcome, WINDOW, World, must};

type Step = fn(&World) -> Outcome;

/// All of them. Later ones stand on earlier ones: the last counts what came before it.
pub(crate) const STEPS: &[(&str, Step)] = &[
    ("Liveness", liveness),
    ("Readiness and dependencies", readiness),
    ("The same in XML", xml),
    ("A health check of gRPC", checks::check),
    ("No credentials", no_credentials),
    ("The right password", right_password),
    ("Every format of htpasswd", formats),
    ("A wrong password", wrong_password),
    ("Two Authorization headers", two_headers),
    ("A forged identity", forged_identity),
    ("A path with two readings", two_readings),
    ("A header that is not UTF-8", not_utf8),
    ("An API key", api_key),
    ("A key in the query", key_in_query),
    ("A hashed key in a cookie", key_in_cookie),
    ("Keys that are not good", bad_keys),
    ("A token", tokens::good),
    ("Tokens that are not good", tokens::bad),
    ("A token for something else", tokens::of_another_scope),
    ("An opaque token", opaque::token),
    ("The database goes down", database_down),
    // Not right after the start: keys are not fetched more often than once in a second.
    ("The provider of the tokens has a new key", tokens::rotation),
    ("A chain: all in one pass", chain::one_pass),
    ("A policy: the service asks for a key", guide::key_for_a_service),
    ("A method asks for a token", guide::token_for_a_method),
    ("A key and a token together, or a password", guide::together),
    ("A method is open", guide::open_method),
    ("What is not offered", guide::not_offered),
    ("A limit by consumer", chain::limit_by_consumer),
    ("A cost, and a limit in shadow", chain::cost_and_shadow),
    ("A refusal in the chain", chain::refusal),
    ("Envoy drains", chain::draining),
    ("A browser signs in", login::sign_in),
    ("A session is refreshed and ended", login::refresh_and_leave),
    ("Failed logins by address", failed_logins),
    ("Too many wrong passwords", too_many),
    ("A trace in another form", traces::goes_on),
    ("A trace that is broken", traces::broken),
    ("A line for a refusal", lines::of_a_refusal),
    ("The debug switch", lines::debug_switch),
    ("What was counted", counted),
];

fn liveness(world: &World) -> Outcome {
    let answer = world.ask(&Ask::get("/livez"), 200)?;
    header(&answer, "content-type", "application/json")?;
    member(&answer, "version", &json!("1.4.2"))?;
    equal("requests at the service", &world.service.count(), &0)?;
    world.says("health-shortcut answers a probe at the proxy: nothing reaches the service.");
    Ok(())
}

fn readiness(world: &World) -> Outcome {
    world.wait("/readyz", 200)?;
    for path in ["/readyz", "/healthz"] {
        let answer = world.ask(&Ask::get(path), 200)?;
        member(&answer, "status", &json!({"database": "OK"}))?;
    }
    world.says("The database is pinged in the background, so no probe waits for it.");
    Ok(())
}

fn xml(world: &World) -> Outcome {
    let answer = world.ask(&Ask::get("/healthz").header("accept", b"application/xml"), 200)?;
    header(&answer, "content-type", "application/xml")?;
    contains(&answer, "<status><database>OK</database></status>")?;
    world.says("The report is in XML for those who like that better.");
    Ok(())
}

fn no_credentials(world: &World) -> Outcome {
    let answer = world.ask(&Ask::get("/orders"), 401)?;
    header(&answer, "www-authenticate", r#"Basic realm="Demo", charset="UTF-8""#)?;
    header(&answer, "content-type", "application/problem+json")?;
    equal("requests at the service", &world.service.count(), &0)?;
    world.says("basic-auth asks for credentials; the service does not learn of the request.");
    Ok(())
}

fn right_password(world: &World) -> Outcome {
    world.ask(&Ask::get("/orders").by("carol:demo"), 200)?;
    let got = world.service.last();
    came(&got, "x-auth-subject", Some("carol"))?;
    came(&got, "x-auth-scheme", Some("basic"))?;
    came(&got, "x-auth-groups", Some("ops,dev"))?;
    came(&got, "authorization", None)?;
    world.says("The service learns who it is and of which groups, and never sees the password.");
    Ok(())
}

fn formats(world: &World) -> Outcome {
    for (credentials, user) in [("alice:demo", "alice"), ("bob:demo", "bob"), ("erin:demo", "erin")]
    {
        world.ask(&Ask::get("/orders").by(credentials), 200)?;
        came(&world.service.last(), "x-auth-subject", Some(user))?;
    }
    world.says("Alice's hash is bcrypt, Bob's SHA-512, Erin's Apache's own MD5: a file as it is.");
    Ok(())
}

fn wrong_password(world: &World) -> Outcome {
    let before = world.service.count();
    let answer = world.ask(&Ask::get("/orders").by("alice:guess"), 401)?;
    must(answer.header("www-authenticate").is_some(), || "there is no challenge".into())?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.says("A client does not learn whether it was the user or the password.");
    Ok(())
}

fn two_headers(world: &World) -> Outcome {
    let good: &[u8] = b"Basic YWxpY2U6ZGVtbw=="; // alice:demo
    let ask = Ask::get("/orders").header("authorization", good).header("authorization", good);
    world.ask(&ask, 401)?;
    world.says("Each alone is right. Two are refused: the service might have read the other one.");
    Ok(())
}

fn forged_identity(world: &World) -> Outcome {
    let ask = Ask::get("/public/prices")
        .header("x-auth-subject", b"root")
        .header("x_auth_groups", b"admin");
    let answer = world.ask(&ask, 200)?;
    contains(&answer, "The service got GET /public/prices")?;
    for name in ["x-auth-subject", "x_auth_groups", "x-auth-groups"] {
        came(&world.service.last(), name, None)?;
    }
    world.says("/public/** is open, and yet nobody can say for themselves who they are.");
    Ok(())
}

fn two_readings(world: &World) -> Outcome {
    let before = world.service.count();
    let answer = world.ask(&Ask::get("/public/..%2fadmin"), 400)?;
    header(&answer, "content-type", "application/problem+json")?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.says("For some /public/..%2fadmin is open, for others it is /admin: it is refused.");
    Ok(())
}

fn not_utf8(world: &World) -> Outcome {
    let name: &[u8] = b"Ren\xe9";
    world.ask(&Ask::get("/orders").by("carol:demo").header("x-name", name), 200)?;
    let got = world.service.last();
    let same = got.headers.iter().any(|(known, value)| known == "x-name" && value == name);
    must(same, || format!("x-name did not come as it was sent: {got:?}"))?;
    world.says("Bytes that are not UTF-8 pass unchanged, and no filter stumbles over them.");
    Ok(())
}

fn api_key(world: &World) -> Outcome {
    world.ask(&Ask::get("/reports").header("x-api-key", b"acme-demo-key"), 200)?;
    let got = world.service.last();
    came(&got, "x-key-consumer", Some("acme"))?;
    came(&got, "x-key-groups", Some("gold"))?;
    came(&got, "x-api-key", None)?;
    world.says("/reports is for API keys. The service learns whose key it was, and not the key.");
    Ok(())
}

fn key_in_query(world: &World) -> Outcome {
    world.ask(&Ask::get("/reports?year=2026&api_key=acme-demo-key&sum"), 200)?;
    equal(
        "the target at the service",
        &world.service.last().target.as_str(),
        &"/reports?year=2026&sum",
    )?;
    world.says("The key is cut out, and the rest of the query is as it was.");
    Ok(())
}

fn key_in_cookie(world: &World) -> Outcome {
    let ask = Ask::get("/reports").header("cookie", "theme=dark; api_key=zenith-demo-key");
    world.ask(&ask, 200)?;
    came(&world.service.last(), "x-key-consumer", Some("zenith"))?;
    came(&world.service.last(), "x-key-scopes", Some("reports:read"))?;
    came(&world.service.last(), "cookie", Some("theme=dark"))?;
    world.says("Of Zenith's key the proxy knows the hash alone. The other cookies pass.");
    Ok(())
}

fn bad_keys(world: &World) -> Outcome {
    let before = world.service.count();
    for ask in [
        Ask::get("/reports"),
        Ask::get("/reports").header("x-api-key", b"acme-old-key"),
        Ask::get("/reports?api_key=acme-demo-key").header("x-api-key", b"acme-demo-key"),
    ] {
        let answer = world.ask(&ask, 401)?;
        header(&answer, "www-authenticate", r#"ApiKey realm="Demo""#)?;
    }
    equal("requests at the service", &world.service.count(), &before)?;
    world.says(
        "None, an expired one, two at once: alike for the client, each counted by its reason.",
    );
    Ok(())
}

fn database_down(world: &World) -> Outcome {
    world.tell_database("/down")?;
    let took = world.wait("/healthz", 503)?;
    for path in ["/healthz", "/readyz"] {
        let answer = world.ask(&Ask::get(path), 503)?;
        member(&answer, "status", &json!({"database": "NOT OK"}))?;
    }
    world.ask(&Ask::get("/livez"), 200)?;
    world.tell_database("/up")?;
    world.wait("/healthz", 200)?;
    world.ask(&Ask::get("/healthz"), 200)?;
    world.says(&format!(
        "Seen after {:.1} s (it is pinged every {} s). Liveness stays: to restart the proxy brings back no database.",
        took.as_secs_f64(),
        INTERVAL.as_secs()
    ));
    Ok(())
}

fn failed_logins(world: &World) -> Outcome {
    for credentials in ["eve:guess", "mallory:guess"] {
        world.ask(&Ask::get("/vault").by(credentials), 401)?;
    }
    let answer = world.ask(&Ask::get("/vault").by("carol:demo"), 429)?;
    must(answer.header("retry-after").is_some(), || "there is no retry-after".into())?;
    world.ask(&Ask::get("/orders").by("carol:demo"), 200)?;
    world.says(
        "rate-limit counts what was answered 401, by address; here for /vault, two a minute.",
    );
    Ok(())
}

fn too_many(world: &World) -> Outcome {
    for _ in 0..FAILURES {
        world.ask(&Ask::get("/orders").by("dan:guess"), 401)?;
    }
    for credentials in ["dan:guess", "dan:demo"] {
        let answer = world.ask(&Ask::get("/orders").by(credentials), 429)?;
        let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
        must(wait.is_some_and(|wait| (1..=WINDOW).contains(&wait)), || {
            format!("retry-after is {wait:?}, not from 1 to {WINDOW}")
        })?;
    }
    world.ask(&Ask::get("/orders").by("carol:demo"), 200)?;
    world.says(&format!(
        "After {FAILURES} wrong ones, counted over all workers, Dan's right one has to wait as well; Carol does not."
    ));
    Ok(())
}

fn counted(world: &World) -> Outcome {
    println!("    $ curl -s 'http://{}/stats?filter=gatehouse&usedonly'", world.envoy.admin());
    let of_chain = world.chain.stats("wasmcustom.gatehouse.access-policy.");
    for (name, count) in world.envoy.stats("wasmcustom.gatehouse.").into_iter().chain(of_chain) {
        if count > 0 {
            println!("    {name}: {count}");
        }
    }
    for (name, expected) in [
        ("basic-auth.refused.reason.missing", 1),
        ("basic-auth.refused.reason.wrong_password", u64::from(FAILURES).saturating_add(1)),
        ("basic-auth.refused.reason.unknown_user", 2),
        // Envoy joins two headers with a comma; and the line of a refusal is of one that is malformed.
        ("basic-auth.refused.reason.malformed", 2),
        // The first with something to say of paths.
        ("rate-limit.refused.reason.ambiguous_path", 1),
        ("basic-auth.refused.reason.throttled", 2),
        ("api-key-auth.allowed", 3),
        ("api-key-auth.refused.reason.missing", 1),
        ("api-key-auth.refused.reason.expired", 1),
        ("api-key-auth.refused.reason.repeated", 1),
        ("jwt-auth.allowed.by.signature", 3),
        ("jwt-auth.refused.reason.missing", 1),
        ("jwt-auth.refused.reason.expired", 1),
        ("jwt-auth.refused.reason.signature", 1),
        ("jwt-auth.refused.reason.insufficient_scope", 1),
        ("jwt-auth.keys.fetch.ok", 2),
        ("health-shortcut.answered_2xx.report.liveness", 2),
        ("rate-limit.unauthenticated.limit.failed-logins", 2),
        ("telemetry.debug_switched.result.on", 1),
    ] {
        equal(name, &world.envoy.counted(name), &expected)?;
    }
    println!("    $ curl -s 'http://{}/stats?filter=vm_reload'", world.envoy.admin());
    let reloads = world.envoy.stats(".vm_reload");
    for (name, count) in &reloads {
        println!("    {name}: {count}");
        equal(name, count, &0)?;
    }
    must(!reloads.is_empty(), || "Envoy does not count reloads".into())?;
    world.says("Every refusal is counted with its reason, and no VM had to be started again.");
    Ok(())
}

pub(crate) fn header(answer: &Response, name: &str, expected: &str) -> Outcome {
    equal(name, &answer.header(name).as_deref(), &Some(expected))
}

fn member(answer: &Response, name: &str, expected: &Value) -> Outcome {
    let body: Value =
        serde_json::from_slice(&answer.body).map_err(|error| format!("the body: {error}"))?;
    equal(&format!("`{name}` in the body"), &body[name], expected)
}

pub(crate) fn came(request: &Received, name: &str, expected: Option<&str>) -> Outcome {
    equal(&format!("{name} at the service"), &request.header(name).as_deref(), &expected)
}

fn contains(answer: &Response, part: &str) -> Outcome {
    must(answer.text().contains(part), || format!("`{part}` is not in the body"))
}

pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Outcome {
    must(found == expected, || format!("{what}: {found:?}, not {expected:?}"))
}
