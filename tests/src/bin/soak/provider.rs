//! The provider of everything: keys, verdicts on opaque tokens, sign-ins; and it takes spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::tokens::{Key, claims, jwks, now, with};
use tests::upstream::{Answer, Received, Upstream};

use crate::config::{AUDIENCE, ISSUER};
use crate::keys::Keys;

/// How long it thinks about an opaque token.
const THINKS: Duration = Duration::from_millis(5);
/// How long a session's access token lives: it is refreshed a quarter of that before.
const LIVES: u32 = 20;

pub(crate) fn provider(keys: &Arc<Keys>) -> Upstream {
    let (keys, given) = (Arc::clone(keys), AtomicU64::new(0));
    Upstream::answering(move |request| match request.target.as_str() {
        "/jwks" => Answer::json(&keys.set()),
        "/introspect" => Answer::After(THINKS, Box::new(Answer::json(&verdict(request)))),
        "/keys" => Answer::json(&jwks(&[Key::of("p256")])),
        "/token" => Answer::json(&tokens(request, given.fetch_add(1, Ordering::SeqCst))),
        "/v1/traces" => Answer::Http(200, Vec::new(), Vec::new()),
        _ => Answer::json(&json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://issuer.example/auth",
            "token_endpoint": "https://issuer.example/token",
            "jwks_uri": "https://issuer.example/keys",
        })),
    })
}

fn verdict(request: &Received) -> Value {
    let is_good = request.body.starts_with(b"token=good");
    if is_good {
        json!({"active": true, "sub": "olga", "aud": AUDIENCE, "token_type": "Bearer", "exp": now() + 600})
    } else {
        json!({"active": false})
    }
}

fn tokens(request: &Received, number: u64) -> Value {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let nonce = form.split('&').find_map(|pair| pair.strip_prefix("code=code."));
    let claims = with(claims(ISSUER, "soak"), &json!({"nonce": nonce}));
    json!({
        "access_token": format!("access-{number}"),
        "refresh_token": format!("refresh-{number}"),
        "token_type": "Bearer",
        "expires_in": LIVES,
        "id_token": Key::of("p256").sign("ES256", &claims),
    })
}
