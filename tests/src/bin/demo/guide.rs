//! The steps with a policy: the example of Goa's production guide. Three authenticators leave evidence,
//! and `access-policy` decides, all in one chain.

use crate::ask::Ask;
use crate::steps::{came, equal, header};
use crate::world::{Outcome, World};

/// Alice's, good until 2100 for `api:write`.
const TOKEN: &str = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoidXNlcnMiLCJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMCwic2NvcGUiOiJhcGk6d3JpdGUifQ.If8u-Heirg-uhdUvjGm1Lc5I0pvu79_VlmBZWq47jOs";

pub(crate) fn key_for_a_service(world: &World) -> Outcome {
    let before = world.service.count();
    let answer = world.ask_chain(&Ask::get("/users"), 401)?;
    header(&answer, "www-authenticate", r#"ApiKey realm="Demo""#)?;
    // The API asks for Basic, and the service for a key in its place.
    world.ask_chain(&Ask::get("/users").by("carol:demo"), 401)?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.ask_chain(&Ask::get("/users").header("x-api-key", b"acme-demo-key"), 200)?;
    came(&world.service.last(), "x-auth-subject", Some("acme"))?;
    came(&world.service.last(), "x-api-key", None)?;
    world.says("The API asks for Basic; this service asks for a key in its place.");
    Ok(())
}

pub(crate) fn token_for_a_method(world: &World) -> Outcome {
    let before = world.service.count();
    let admin = || Ask::get("/users/admin");
    let answer = world.ask_chain(&admin().header("x-api-key", b"acme-demo-key"), 401)?;
    header(&answer, "www-authenticate", r#"Bearer realm="Demo""#)?;
    equal("requests at the service", &world.service.count(), &before)?;
    world.ask_chain(&admin().header("authorization", TOKEN.as_bytes()), 200)?;
    came(&world.service.last(), "x-auth-subject", Some("alice"))?;
    came(&world.service.last(), "authorization", None)?;
    world.says("This method asks for a token: a key, good as it is, does not open it.");
    Ok(())
}

pub(crate) fn together(world: &World) -> Outcome {
    let before = world.service.count();
    let export = || Ask::get("/users/export");
    let key = || export().header("x-api-key", b"acme-demo-key");
    world.ask_chain(&key(), 401)?;
    world.ask_chain(&key().header("authorization", TOKEN.as_bytes()), 200)?;
    // In place of both: a password of the group that may.
    world.ask_chain(&export().by("carol:demo"), 200)?;
    world.ask_chain(&export().by("dora:demo"), 403)?;
    equal("requests at the service", &world.service.count(), &before.saturating_add(2))?;
    world
        .says("A key and a token that may write, or a password of the group ops: Dora is of none.");
    Ok(())
}

pub(crate) fn open_method(world: &World) -> Outcome {
    let public = || Ask::get("/users/public");
    world.ask_chain(&public(), 200)?;
    let forged = public().header("authorization", b"garbage").header("x-auth-subject", b"root");
    world.ask_chain(&forged, 200)?;
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
        let key = b"acme-demo-key";
        world.ask_chain(&Ask::get(target).header("x-api-key", key), status)?;
    }
    let answer = world.ask_chain(&Ask::of("DELETE", "/users"), 405)?;
    header(&answer, "allow", "GET")?;
    equal("requests at the service", &world.service.count(), &before)?;
    for (reason, count) in [
        ("unauthenticated", 4),
        ("not_allowed", 1),
        ("not_found", 2),
        ("ambiguous_path", 2),
        ("method_not_allowed", 1),
    ] {
        let name = format!("access-policy.refused.reason.{reason}");
        equal(&name, &world.chain.counted(&name), &count)?;
    }
    world.says("What the policy does not list is not there, for whoever asks.");
    Ok(())
}
