//! The step with a token that says nothing by itself: its provider is asked.

use serde_json::{Value, json};
use tests::upstream::{Answer, Upstream};

use crate::ask::Ask;
use crate::steps::{came, equal, header};
use crate::world::{Outcome, World};

/// The one token that the provider knows.
const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";

pub(crate) fn token(world: &World) -> Outcome {
    for _ in 0..2 {
        world.ask(&Ask::get("/ledger").with_token(TOKEN), 200)?;
    }
    came(&world.service.last(), "x-auth-subject", Some("dora"))?;
    came(&world.service.last(), "x-auth-scheme", Some("oauth2"))?;
    came(&world.service.last(), "authorization", None)?;
    equal("calls of the provider", &world.introspection.count(), &1)?;
    let answer = world.ask(&Ask::get("/ledger").with_token("made-up"), 401)?;
    let challenge = r#"Bearer realm="Demo", error="invalid_token", error_description="The token is not active""#;
    header(&answer, "www-authenticate", challenge)?;
    // The provider is ill, and says nothing of this one.
    world.ask(&Ask::get("/ledger").with_token("on-a-bad-day"), 503)?;
    world.says("Who an opaque token is, its provider says: once for all workers. Where it cannot, nobody passes.");
    Ok(())
}

/// The provider (RFC 7662).
pub(crate) fn provider() -> Upstream {
    Upstream::answering(|request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let known = form.split('&').any(|part| part == format!("token={TOKEN}"));
        let good = json!({"active": true, "sub": "dora", "aud": "reports", "token_type": "Bearer"});
        if form.contains("token=on-a-bad-day") {
            return Answer::status(500, "");
        }
        let says = if known { good } else { json!({"active": false}) };
        Answer::json(&says)
    })
}

pub(crate) fn config() -> Value {
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/ledger/**"]}, "mode": "enforce"}],
        "realm": "Demo",
        "endpoint": {"uri": "https://issuer.example/introspect", "cluster": "introspection"},
        "client": {"id": "gatehouse", "secret": "demo"},
        "audiences": ["reports"],
    })
}
