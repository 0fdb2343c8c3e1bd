//! Limits by what a token says, and requests that cost what a header says.

use tests::tokens::{Key, claims, jwks, with};

use super::*;

/// Behind an authenticator of tokens that selects the claim `tenant`, with two routes by name.
fn behind_tokens(config: Value) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    let provider = json!({
        "name": "main",
        "issuer": "https://issuer.example",
        "any_audience": true,
        "algorithms": ["ES256"],
        "jwks": {"inline": jwks(&[Key::of("p256")])},
        "claims": ["tenant"],
    });
    let route = |name: &str| json!({"name": name, "match": {"prefix": format!("/{name}")}, "route": {"cluster": "upstream"}});
    let setup = Setup::new()
        .filter("jwt-auth", json!({"providers": [provider]}))
        .filter("rate-limit", config)
        .route(route("orders"))
        .route(route("users"))
        .upstream(&upstream)
        .workers(4);
    (setup.start(), upstream)
}

/// What becomes of so many requests with a token of these claims.
fn statuses(envoy: &Envoy, path: &str, more: &Value, count: usize) -> Vec<u16> {
    let all = with(claims("https://issuer.example", ""), more);
    let token = Key::of("p256").sign("ES256", &all);
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    (0..count).map(|_| request.send(envoy.address()).status).collect()
}

#[test]
fn each_tenant_has_its_quota_on_each_route() {
    let key = json!({"key": [{"claim": "tenant"}, "route"]});
    let (envoy, upstream) = behind_tokens(limit(for_good(2), key));
    for tenant in ["acme", "globex"] {
        for path in ["/orders", "/users"] {
            // Whoever of the tenant it is, and at whatever path of the route.
            let of = |subject: &str| json!({"tenant": tenant, "sub": subject});
            let deeper = format!("{path}/7");
            assert_eq!(statuses(&envoy, path, &of("alice"), 1), [200], "{tenant} {path}");
            assert_eq!(
                statuses(&envoy, &deeper, &of("bob"), 3),
                [200, 429, 429],
                "{tenant} {path}"
            );
        }
    }
    assert_eq!(upstream.count(), 8);
}

#[test]
fn a_group_of_a_token_has_another_quota() {
    let tiers = json!({"key": [{"claim": "tenant"}], "tiers": {"gold": for_good(4)}});
    let (envoy, _upstream) = behind_tokens(limit(for_good(2), tiers));
    let admitted = |more: Value| {
        let all = statuses(&envoy, "/orders", &more, 6);
        assert!(all.is_sorted(), "{all:?}");
        all.iter().filter(|status| **status == 200).count()
    };
    assert_eq!(admitted(json!({"tenant": "acme", "groups": ["staff"]})), 2);
    assert_eq!(admitted(json!({"tenant": "globex", "groups": ["staff", "gold"]})), 4);
    assert_eq!(admitted(json!({"tenant": "initech"})), 2);
}

#[test]
fn a_cost_that_is_too_great_or_none_is_the_greatest() {
    let cost = json!({"cost": {"header": "x-cost", "greatest": 50}});
    let (envoy, upstream) = start(4, limit(json!({"requests": 200, "per": "1h"}), cost));
    let send = |values: &[&str]| {
        let request = Request::get("/");
        let request = values.iter().fold(request, |request, value| request.header("x-cost", value));
        let answer = request.send(envoy.address());
        let left = answer.header("ratelimit").unwrap();
        let left = left.split(';').find_map(|part| part.strip_prefix("r=")).unwrap().to_owned();
        (answer.status, left)
    };
    for (values, status, left) in [
        (&["999"][..], 200, "150"),
        (&["9"], 200, "141"),
        (&["0"], 200, "91"),
        (&["1", "1"], 200, "41"),
        (&["-1"], 429, "41"),
        (&["999"], 429, "41"),
        (&["41"], 200, "0"),
        (&["1"], 429, "0"),
    ] {
        assert_eq!(send(values), (status, left.to_owned()), "{values:?}");
    }
    assert_eq!(upstream.count(), 5);
}
