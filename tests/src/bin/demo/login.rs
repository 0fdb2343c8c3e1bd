//! The step with a sign-in: an Envoy of its own, with a provider that lets everybody in.

use std::time::Duration;

use serde_json::json;
use tests::client::Response;
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, with};
use tests::upstream::{Answer, Received, Upstream};

use crate::ask::Ask;
use crate::steps::{came, equal};
use crate::world::{Outcome, World, must};

const ISSUER: &str = "https://idp.example";

/// How long the provider's access tokens last.
const LIFE: Duration = Duration::from_secs(3);

/// A browser that is not signed in, the provider's page left out: its user has typed a password there.
pub(crate) fn sign_in(world: &World) -> Outcome {
    let before = world.service.count();
    world.ask_login(&Ask::get("/account").header("sec-fetch-mode", "cors"), 401)?;
    let begun = world.ask_login(&Ask::get("/account"), 303)?;
    let location = begun.header("location").unwrap_or_default();
    must(location.starts_with("https://idp.example/auth?"), || location.clone())?;
    let parameter = |name: &str| {
        let pairs = location.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        pairs.clone().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap_or_default()
    };
    let (state, nonce) = (parameter("state"), parameter("nonce"));
    let callback = format!("/oauth2/callback?code=code.{nonce}&state={state}");
    let back = Ask::get(callback).header("cookie", cookie(&begun));
    let arrived = world.ask_login(&back, 303)?;
    let here = Some("https://app.example/account".to_owned());
    equal("the way back", &arrived.header("location"), &here)?;
    let session = cookie(&arrived);
    equal("requests at the service", &world.service.count(), &before)?;
    world
        .ask_login(&Ask::get("/account").header("cookie", format!("theme=dark; {session}")), 200)?;
    came(&world.service.last(), "x-auth-subject", Some("alice"))?;
    came(&world.service.last(), "cookie", Some("theme=dark"))?;
    let forged = session.replacen("=1.", "=1.A", 1);
    world.ask_login(&Ask::get("/account").header("cookie", forged), 303)?;
    for (name, count) in world.login.stats("wasmcustom.gatehouse.") {
        if count > 0 {
            println!("    {name}: {count}");
        }
    }
    equal("oauth2-login.signed_in", &world.login.counted("oauth2-login.signed_in"), &1)?;
    world.says(
        "A browser is sent to the provider and comes back with a session, sealed in a cookie.",
    );
    *world.session.lock().map_err(|error| error.to_string())? = session;
    Ok(())
}

/// The session of the step before: its tokens end soon.
pub(crate) fn refresh_and_leave(world: &World) -> Outcome {
    let session = world.session.lock().map_err(|error| error.to_string())?.clone();
    std::thread::sleep(LIFE);
    let account = |cookie: &str| Ask::get("/account").header("cookie", cookie);
    // The first to find that finds the tokens too old fetches new ones; the second waits for the same.
    let answer = world.ask_login(&account(&session), 200)?;
    let fresh = cookie(&answer);
    must(!fresh.is_empty() && fresh != session, || "there is no new cookie".into())?;
    world.ask_login(&account(&session), 200)?;
    let counter = "oauth2-login.refreshed.result.ok";
    equal(counter, &world.login.counted(counter), &1)?;
    let elsewhere = Ask::of("POST", "/oauth2/logout").header("origin", "https://evil.example");
    world.ask_login(&elsewhere.header("cookie", &fresh), 403)?;
    let here = Ask::of("POST", "/oauth2/logout").header("origin", "https://app.example");
    let left = world.ask_login(&here.header("cookie", &fresh), 303)?;
    let location = left.header("location").unwrap_or_default();
    must(location.starts_with("https://idp.example/end?"), || location.clone())?;
    equal("the cookies that stay", &cookie(&left).as_str(), &"")?;
    world.says("A session's tokens are fetched anew once, whoever asks; signing out ends it at the provider, too.");
    Ok(())
}

/// The cookie that a browser keeps of an answer.
fn cookie(answer: &Response) -> String {
    let cookies = answer.all("set-cookie").into_iter().map(String::from_utf8_lossy);
    // That of who has just signed in ends by itself.
    let kept =
        cookies.filter(|cookie| !cookie.contains("Max-Age=0") && !cookie.contains(".arrived="));
    let pairs = kept.filter_map(|cookie| Some(cookie.split_once(';')?.0.to_owned()));
    pairs.collect::<Vec<_>>().join("; ")
}

pub(crate) fn provider() -> Upstream {
    Upstream::answering(answer)
}

fn answer(request: &Received) -> Answer {
    let key = Key::of("p256");
    let answer = match request.target.as_str() {
        "/keys" => jwks([&key]),
        "/token" => {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let code = form.split('&').find_map(|pair| pair.strip_prefix("code=code."));
            let claims = with(claims(ISSUER, "demo"), &json!({"nonce": code}));
            json!({
                "access_token": "an access token",
                "refresh_token": format!("a token for another{}", form.len()),
                "token_type": "Bearer",
                "expires_in": LIFE.as_secs(),
                "id_token": key.sign("ES256", &claims),
            })
        }
        _ => json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "end_session_endpoint": "https://idp.example/end",
            "jwks_uri": "https://idp.example/keys",
        }),
    };
    Answer::ok(&answer.to_string())
}

pub(crate) fn start(service: &Upstream, provider: &Upstream) -> Envoy {
    let config = json!({
        "issuer": ISSUER,
        "discovery": {"cluster": "idp"},
        "client": {"id": "demo", "secret": "${CLIENT_SECRET}"},
        "external_url": "https://app.example",
        "session": {"keys": ["${COOKIE_KEY}"]},
        "logout": {"path": "/oauth2/logout"},
    });
    let variables = json!({"key_values": {
        "CLIENT_SECRET": "demo",
        "COOKIE_KEY": "q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM=",
    }});
    Setup::new()
        .filter("oauth2-login", config)
        .with_plugin(|plugin| plugin["vm_config"]["environment_variables"] = variables)
        .upstream(service)
        .cluster("idp", Some(provider.address()))
        .start()
}
