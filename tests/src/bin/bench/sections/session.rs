//! A browser that has signed in.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, now, with};
use tests::upstream::{Answer, Received, Upstream};

use super::native;
use crate::load::Load;
use crate::plan::{Section, Variant, bare};

const ISSUER: &str = "https://idp.example";
const CALLBACK: &str = "/oauth2/callback";
/// For as long as a run may take.
const LONG: u64 = 8 * 3600;

/// Cookies are good in every Envoy with the same keys: one sign-in is enough.
pub(super) fn section(requests: u32) -> Section {
    let provider = Upstream::answering(answer);
    let idp = |setup: Setup| setup.cluster("idp", Some(provider.address()));
    let secrets = tempfile::tempdir().expect("a temporary folder");
    let natively = idp(bare().native(oauth2(secrets.path())));
    let ours = idp(bare().filter("oauth2-login", login()));
    let session = |setup: &Setup| sign_in(&setup.start());
    // Envoy's cookies are for one host. Each filter finds its own among those of a browser that has both.
    let cookies = format!("cookie: theme=dark; {}; {}", session(&natively), session(&ours));
    Section::new(
        "A browser that has signed in, at every request; the upstream gets the access token.",
        Load::same(&[":authority: test.example".to_owned(), cookies], requests),
        vec![
            Variant::no_filter(),
            Variant::envoys("Envoy's oauth2", natively).stat("http.main.oauth_success"),
            Variant::empty(),
            Variant::ours("oauth2-login", ours).counts("oauth2-login.allowed"),
        ],
    )
    .with(provider)
    .with(secrets)
}

fn login() -> Value {
    json!({
        "issuer": ISSUER,
        "discovery": {"cluster": "idp"},
        "client": {"id": "bench", "secret": "bench"},
        "external_url": "https://app.example",
        "redirect_path": CALLBACK,
        "session": {"keys": ["q3Fv8sX1LzP0mYd7Rk2Tn9Wb4Hc6Jg5Ea+Uo/Ii1KsM="], "idle": "8h"},
        "forward": {"access_token": "authorization", "claims": {"x-auth-email": "email"}},
    })
}

/// Envoy's own, which reads its secrets from files.
fn oauth2(folder: &Path) -> Value {
    let secret = |name: &str| {
        let secret = json!({"resources": [{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": name,
            "generic_secret": {"secret": {"inline_string": "a secret of the bench, long enough"}},
        }]});
        let path = folder.join(format!("{name}.json"));
        fs::write(&path, secret.to_string()).expect("written");
        json!({"name": name, "sds_config": {"path_config_source": {"path": path}}})
    };
    let config = json!({"config": {
        "token_endpoint": {"uri": "http://idp/token", "cluster": "idp", "timeout": "5s"},
        "authorization_endpoint": "https://idp.example/auth",
        "redirect_uri": format!("https://app.example{CALLBACK}"),
        "redirect_path_matcher": {"path": {"exact": CALLBACK}},
        "signout_path": {"path": {"exact": "/oauth2/logout"}},
        "credentials": {
            "client_id": "bench",
            "token_secret": secret("token"),
            "hmac_secret": secret("hmac"),
        },
        "auth_scopes": ["openid"],
        "forward_bearer_token": true,
    }});
    native("login", "oauth2.v3.OAuth2", config)
}

/// The provider, which lets everybody in.
fn answer(request: &Received) -> Answer {
    let key = Key::of("p256");
    let says = match request.target.as_str() {
        "/keys" => jwks([&key]),
        "/token" => tokens(&key, &String::from_utf8_lossy(&request.body)),
        _ => json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/keys",
        }),
    };
    Answer::ok(&says.to_string())
}

fn tokens(key: &Key, form: &str) -> Value {
    let code = form.split('&').find_map(|pair| pair.strip_prefix("code=code."));
    let more = json!({"nonce": code, "email": "alice@app.example", "exp": now() + LONG});
    json!({
        "access_token": "an-opaque-token-of-some-length-2YotnFZFEjr1zCsicMWpAA",
        "token_type": "Bearer",
        "expires_in": LONG,
        "id_token": key.sign("ES256", &with(claims(ISSUER, "bench"), &more)),
    })
}

/// The cookies of a browser that came back from the provider.
fn sign_in(envoy: &Envoy) -> String {
    let begun = Request::get("/").send(envoy.address());
    let location = begun.header("location").unwrap_or_else(|| panic!("no redirect: {begun}"));
    let parameter = |name: &str| {
        let mut pairs = location.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value).unwrap_or_default()
    };
    let (state, nonce) = (parameter("state"), parameter("nonce"));
    let callback = format!("{CALLBACK}?code=code.{nonce}&state={state}");
    let arrived = Request::get(&callback).header("cookie", cookies(&begun)).send(envoy.address());
    assert!([302, 303].contains(&arrived.status), "{arrived}");
    cookies(&arrived)
}

/// The cookies that a browser keeps of an answer.
fn cookies(answer: &Response) -> String {
    let cookies = answer.all("set-cookie").into_iter().map(String::from_utf8_lossy);
    let kept =
        cookies.filter(|cookie| !cookie.contains("Max-Age=0") && !cookie.contains("=deleted;"));
    let pairs = kept.filter_map(|cookie| Some(cookie.split_once(';')?.0.to_owned()));
    pairs.collect::<Vec<_>>().join("; ")
}
