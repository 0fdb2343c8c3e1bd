//! The steps with tokens, and who makes them.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tests::tokens::{Key, claims, jwks, now, with};
use tests::upstream::{Answer, Upstream};

use crate::ask::Ask;
use crate::steps::{came, equal, header};
use crate::world::{Outcome, World};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "invoices";

pub(crate) fn good(world: &World) -> Outcome {
    world.ask(&Ask::get("/invoices").with_token(&signed(&old_key(), &json!({"jti": "a"}))), 200)?;
    let got = world.service.last();
    came(&got, "x-auth-subject", Some("alice"))?;
    came(&got, "x-auth-scopes", Some("invoices:read"))?;
    came(&got, "x-tenant", Some("7"))?;
    came(&got, "authorization", None)?;
    world.says(
        "/invoices is for tokens. Their provider's keys were fetched before this request came.",
    );
    Ok(())
}

pub(crate) fn bad(world: &World) -> Outcome {
    let before = world.service.count();
    let answer = world.ask(&Ask::get("/invoices"), 401)?;
    header(&answer, "www-authenticate", r#"Bearer realm="Demo""#)?;
    let expired = signed(&old_key(), &json!({"exp": now().saturating_sub(3600)}));
    // Somebody else's key, under the name of the right one.
    let forged = signed(&Key::of("p256-other").called("2026"), &json!({"sub": "root"}));
    for (token, what) in [(expired, "The token has expired"), (forged, "The token is not valid")] {
        let answer = world.ask(&Ask::get("/invoices").with_token(&token), 401)?;
        let challenge =
            format!(r#"Bearer realm="Demo", error="invalid_token", error_description="{what}""#);
        header(&answer, "www-authenticate", &challenge)?;
    }
    equal("requests at the service", &world.service.count(), &before)?;
    world.says(
        "None, an expired one, a forged one. A client learns what it can do something about.",
    );
    Ok(())
}

pub(crate) fn of_another_scope(world: &World) -> Outcome {
    let token = signed(&old_key(), &json!({"jti": "b"}));
    let answer = world.ask(&Ask::get("/invoices/all").with_token(&token), 403)?;
    let challenge =
        r#"Bearer realm="Demo", error="insufficient_scope", scope="invoices:read invoices:audit""#;
    header(&answer, "www-authenticate", challenge)?;
    world
        .says("The token is good, but not for this. The answer says what to ask the provider for.");
    Ok(())
}

pub(crate) fn rotation(world: &World) -> Outcome {
    world.tell_issuer("/rotate")?;
    for (key, id) in [(new_key(), "c"), (old_key(), "d")] {
        let token = signed(&key, &json!({"jti": id}));
        world.ask(&Ask::get("/invoices").with_token(&token), 200)?;
    }
    world
        .says("The first token of a new key waits until the keys are fetched. The old ones go on.");
    Ok(())
}

/// The provider: it publishes one key, and two when it was told to `/rotate`.
pub(crate) fn issuer() -> Upstream {
    let has_new = AtomicBool::new(false);
    Upstream::answering(move |request| match request.target.as_str() {
        "/rotate" => {
            has_new.store(true, Ordering::SeqCst);
            Answer::ok("There is a new key.\n")
        }
        _ if has_new.load(Ordering::SeqCst) => {
            Answer::ok(&jwks(&[old_key(), new_key()]).to_string())
        }
        _ => Answer::ok(&jwks(&[old_key()]).to_string()),
    })
}

pub(crate) fn config() -> Value {
    json!({
        "mode": "off",
        "rules": [
            {
                "match": {"paths": ["/invoices/all"]},
                "mode": "enforce",
                "scopes": ["invoices:audit"],
            },
            {"match": {"paths": ["/invoices/**"]}, "mode": "enforce"},
        ],
        "realm": "Demo",
        "providers": [{
            "name": "issuer",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["ES256"],
            "jwks": {"uri": format!("{ISSUER}/keys"), "cluster": "issuer", "refetch": "1s"},
            "scopes": ["invoices:read"],
            "claim_headers": {"x-tenant": "tenant.id"},
        }],
    })
}

/// A token to try.
pub(crate) fn for_an_hour() -> String {
    signed(&old_key(), &json!({}))
}

fn signed(key: &Key, others: &Value) -> String {
    let claims =
        with(claims(ISSUER, AUDIENCE), &json!({"scope": "invoices:read", "tenant": {"id": 7}}));
    key.sign("ES256", &with(claims, others))
}

fn old_key() -> Key {
    Key::of("p256").called("2026")
}

fn new_key() -> Key {
    Key::of("p256-other").called("2027")
}
