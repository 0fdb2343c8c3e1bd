//! Keys that are fetched, and the requests that wait for them.

use shared::driver::Run;
use shared::filter::{Call, CallFailure};
use shared::headers::Headers;

use super::*;

fn remote() -> Value {
    let jwks = json!({"uri": "https://idp.example/keys", "cluster": "idp"});
    with(provider(), json!({"jwks": jwks}))
}

fn keys(ids: &[(u8, &str)]) -> String {
    let keys: Vec<_> = ids.iter().map(|(number, id)| pair(*number).jwk(id)).collect();
    json!({"keys": keys}).to_string()
}

fn answer(bench: &mut Bench<JwtAuth>, id: u32, status: u16, body: &str) -> Vec<(u32, Call)> {
    let headers = Headers::default();
    let (body, trailers) = (body.as_bytes(), &headers);
    bench.answer(id, &Answer::Response { status, headers: &headers, body, trailers })
}

/// A request with its token, while it is held.
struct Held {
    run: Run<JwtAuth>,
    token: String,
}

fn begin(bench: &mut Bench<JwtAuth>, token: &str) -> (Held, String) {
    let (run, outcome) = bench.begin(&bearer(token));
    (Held { run, token: token.to_owned() }, outcome.line())
}

fn news(bench: &mut Bench<JwtAuth>, held: &mut Held) -> Outcome {
    bench.proxy.set_request(&bearer(&held.token));
    bench.news(&mut held.run)
}

fn pass(bench: &Bench<JwtAuth>, secs: u64) {
    bench.proxy.pass(Duration::from_secs(secs));
}

/// One that has fetched the key `a`.
fn ready() -> Bench<JwtAuth> {
    let mut bench = bench(&of(remote()));
    let calls = bench.tick();
    assert_eq!(calls.len(), 1);
    assert!(answer(&mut bench, calls[0].0, 200, &keys(&[(1, "a")])).is_empty());
    bench
}

fn signed_by(number: u8, id: &str) -> String {
    pair(number).sign(&with(header(), json!({"kid": id})), &payload())
}

#[test]
fn keys_are_fetched_before_the_first_request() {
    let mut bench = bench(&of(remote()));
    assert_eq!(bench.instance.plugin.tick(), Some(Duration::from_secs(1)));
    let calls = bench.tick();
    let [(0, call)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((call.cluster.as_str(), call.path.as_str()), ("idp", "/keys"));
    assert_eq!(call.timeout, Duration::from_secs(5));
    assert!(answer(&mut bench, 0, 200, &keys(&[(1, "a")])).is_empty());
    assert!(bench.tick().is_empty());
    assert_eq!(send(&mut bench, &token(json!({}))).line(), ALICE);
}

#[test]
fn nothing_is_fetched_where_keys_are_inline() {
    let mut bench = bench(&of(provider()));
    assert_eq!(bench.instance.plugin.tick(), None);
    assert!(bench.tick().is_empty());
}

#[test]
fn the_first_request_waits_for_the_keys() {
    let mut bench = bench(&of(remote()));
    let (mut first, line) = begin(&mut bench, &token(json!({})));
    assert_eq!(line, "hold call GET idp/keys");
    let (mut second, line) = begin(&mut bench, &token(json!({})));
    assert_eq!(line, "hold");
    assert_eq!(news(&mut bench, &mut first).line(), "hold");
    answer(&mut bench, 0, 200, &keys(&[(1, "a")]));
    assert_eq!(news(&mut bench, &mut first).line(), ALICE);
    assert_eq!(news(&mut bench, &mut second).line(), ALICE.replace("by=signature", "by=cache"));
}

#[test]
fn a_request_that_is_held_is_not_read_again_for_no_news() {
    let mut bench = bench(&of(remote()));
    let (mut held, _) = begin(&mut bench, &token(json!({})));
    let headers = |bench: &Bench<JwtAuth>| {
        bench.proxy.reads().iter().filter(|read| *read == "headers").count()
    };
    let before = headers(&bench);
    for _ in 0..20 {
        assert_eq!(news(&mut bench, &mut held).line(), "hold");
    }
    assert_eq!(headers(&bench), before);
    // When the fetch has taken too long, it is no news either way that is waited for.
    pass(&bench, 60);
    assert_ne!(news(&mut bench, &mut held).line(), "hold");
    assert!(headers(&bench) > before);
}

#[test]
fn what_is_wrong_anyway_waits_for_nothing() {
    let mut bench = bench(&of(remote()));
    for (more, reason) in [
        (json!({"iss": "https://evil.example"}), "401 issuer"),
        (json!({"exp": NOW - 60}), "401 expired"),
        (json!({"aud": "x"}), "401 audience"),
    ] {
        let outcome = send(&mut bench, &token(more));
        assert_eq!(short(&outcome), reason);
        assert!(!outcome.line().contains("call"));
    }
    assert_eq!(verdict(&mut bench, "a.b.c"), "401 malformed");
    let token = pair(1).sign(&with(header(), json!({"alg": "ES384"})), &payload());
    assert_eq!(verdict(&mut bench, &token), "401 algorithm");
}

#[test]
fn a_key_that_is_not_known_causes_one_call_and_waits() {
    let mut bench = ready();
    pass(&bench, 10);
    let (mut run, line) = begin(&mut bench, &signed_by(2, "b"));
    assert_eq!(line, "hold call GET idp/keys");
    let (mut other, line) = begin(&mut bench, &signed_by(3, "c"));
    assert_eq!(line, "hold");
    // Known keys do not wait.
    assert_eq!(verdict(&mut bench, &token(json!({}))), "continue");
    answer(&mut bench, 0, 200, &keys(&[(1, "a"), (2, "b")]));
    assert_eq!(news(&mut bench, &mut run).line(), ALICE);
    assert_eq!(short(&news(&mut bench, &mut other)), "401 unknown_key");
}

#[test]
fn it_causes_a_call_at_most_once_in_refetch() {
    let mut bench = ready();
    let (mut run, line) = begin(&mut bench, &signed_by(2, "b"));
    assert_eq!(line, "hold call GET idp/keys");
    answer(&mut bench, 0, 200, &keys(&[(1, "a")]));
    assert_eq!(short(&news(&mut bench, &mut run)), "401 unknown_key");
    for id in ["b", "c", "d"] {
        let outcome = send(&mut bench, &signed_by(2, id));
        assert_eq!(short(&outcome), "401 unknown_key");
        assert!(!outcome.line().contains("call"));
    }
}

#[test]
fn one_exchange_waits_for_one_such_fetch() {
    let mut bench = ready();
    pass(&bench, 10);
    let (mut run, _) = begin(&mut bench, &signed_by(2, "b"));
    answer(&mut bench, 0, 200, &keys(&[(1, "a")]));
    pass(&bench, 60);
    assert_eq!(short(&news(&mut bench, &mut run)), "401 unknown_key");
}

#[test]
fn a_token_of_the_wrong_signature_causes_no_call() {
    let mut bench = ready();
    pass(&bench, 10);
    let outcome = send(&mut bench, &signed_by(2, "a"));
    assert_eq!(outcome.line().split(' ').count(), 4, "{}", outcome.line());
    assert_eq!(short(&outcome), "401 signature");
}

#[test]
fn without_keys_it_is_503() {
    let mut bench = bench(&of(remote()));
    let (mut run, line) = begin(&mut bench, &token(json!({})));
    assert_eq!(line, "hold call GET idp/keys");
    assert!(answer(&mut bench, 0, 503, "").is_empty());
    let outcome = news(&mut bench, &mut run);
    assert_eq!(
        outcome.line(),
        "503 gatehouse.jwt-auth.no_keys -authorization #refused[reason=no_keys]"
    );
    assert_eq!(outcome.header("www-authenticate"), None);
    // Nobody asks again before it is time.
    assert_eq!(short(&send(&mut bench, &token(json!({})))), "503 no_keys");
    assert!(bench.tick().is_empty());
    pass(&bench, 1);
    assert_eq!(begin(&mut bench, &token(json!({}))).1, "hold call GET idp/keys");
    bench.answer(0, &Answer::Failed(CallFailure::NoHost));
    assert_eq!(verdict(&mut bench, &token(json!({}))), "503 no_keys");
}

#[test]
fn the_old_keys_serve_while_the_provider_is_down() {
    let mut bench = ready();
    pass(&bench, 600);
    let calls = bench.tick();
    assert_eq!(calls.len(), 1);
    answer(&mut bench, 0, 500, "");
    let later = token(json!({"exp": NOW + 100_000_000}));
    assert_eq!(verdict(&mut bench, &later), "continue");
    pass(&bench, 24 * 3600 - 600);
    assert_eq!(verdict(&mut bench, &later), "continue");
    pass(&bench, 1);
    let (mut run, line) = begin(&mut bench, &later);
    assert_eq!(line, "hold call GET idp/keys");
    answer(&mut bench, 0, 500, "");
    assert_eq!(short(&news(&mut bench, &mut run)), "503 no_keys");
}

#[test]
fn a_token_is_remembered_only_as_long_as_the_keys_are_the_same() {
    let mut bench = ready();
    let token = token(json!({"exp": NOW + 10_000}));
    assert_eq!(verdict(&mut bench, &token), "continue");
    pass(&bench, 10);
    let (mut run, _) = begin(&mut bench, &signed_by(2, "b"));
    assert!(send(&mut bench, &token).line().contains("by=cache"));
    // The key is taken back: the token is good no more, at once.
    answer(&mut bench, 0, 200, &keys(&[(2, "b")]));
    assert_eq!(short(&news(&mut bench, &mut run)), "continue");
    assert_eq!(verdict(&mut bench, &token), "401 unknown_key");
}

#[test]
fn a_document_leads_to_the_keys() {
    let discovery = json!({"cluster": "idp", "jwks_cluster": "keys"});
    let provider = with(provider(), json!({"jwks": null, "discovery": discovery}));
    let mut bench = bench(&json!({"providers": [other_provider(), provider]}));
    let (mut run, line) = begin(&mut bench, &token(json!({})));
    assert_eq!(line, "hold call GET idp/.well-known/openid-configuration");
    let document = json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/jwks"}).to_string();
    let calls = answer(&mut bench, 2, 200, &document);
    let [(3, call)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((call.cluster.as_str(), call.path.as_str()), ("keys", "/jwks"));
    assert_eq!(news(&mut bench, &mut run).line(), "hold");
    answer(&mut bench, 3, 200, &keys(&[(1, "a")]));
    assert_eq!(news(&mut bench, &mut run).line(), ALICE);
}

#[test]
fn a_document_of_another_issuer_brings_no_keys() {
    let discovery = json!({"discovery": {"cluster": "idp"}, "jwks": null});
    let mut bench = bench(&of(with(provider(), discovery)));
    assert_eq!(bench.tick().len(), 1);
    let document = json!({"issuer": "https://evil.example", "jwks_uri": "https://evil.example/k"});
    assert!(answer(&mut bench, 0, 200, &document.to_string()).is_empty());
    assert_eq!(verdict(&mut bench, &token(json!({}))), "503 no_keys");
}

#[test]
fn symmetric_keys_that_are_fetched_are_left_out() {
    let mut bench = bench(&of(remote()));
    bench.tick();
    let jwk = json!({"kty": "oct", "kid": "h", "alg": "HS256", "k": b64([9; 32])});
    let set = json!({"keys": [jwk, pair(1).jwk("a")]}).to_string();
    answer(&mut bench, 0, 200, &set);
    assert_eq!(verdict(&mut bench, &token(json!({}))), "continue");
}

#[test]
fn an_answer_to_nothing_is_none() {
    let mut bench = bench(&of(remote()));
    assert!(answer(&mut bench, 7, 200, &keys(&[(1, "a")])).is_empty());
    assert!(answer(&mut bench, u32::MAX, 200, "").is_empty());
    assert_eq!(begin(&mut bench, &token(json!({}))).1, "hold call GET idp/keys");
}

#[test]
fn a_rule_for_other_providers_has_nothing_fetched() {
    let config = json!({"providers": [remote(), other_provider()]});
    let rules = json!([{"match": {"paths": ["/"]}, "providers": ["other"]}]);
    let outcome = send(&mut bench(&with(config, json!({"rules": rules}))), &token(json!({})));
    assert_eq!(short(&outcome), "401 issuer");
    assert!(!outcome.line().contains("call"));
}

#[test]
fn a_deferred_verdict_waits_too() {
    let mut bench = bench(&with(of(remote()), json!({"verdict": "defer"})));
    let (mut run, line) = begin(&mut bench, &token(json!({})));
    assert_eq!(line, "hold call GET idp/keys");
    answer(&mut bench, 0, 500, "");
    let line = news(&mut bench, &mut run).line();
    assert!(line.contains("#deferred[reason=no_keys]"), "{line}");
}
