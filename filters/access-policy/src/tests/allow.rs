//! Whom `allow` names.

use serde_json::{Value, json};

use super::{bench, check, config, edited, key, known, refuse, showing};

#[test]
fn allow_names_who_may() {
    check(&key(), "GET /users/7", "passes");
    let other = showing(&[("api-key-auth", known("zenith", json!({"groups": ["dev"]})))]);
    check(&other, "GET /users/7", "403 not_allowed");
    let allow = |allow: Value| {
        let mut config = config();
        config["services"][0]["methods"][0]["allow"] = allow;
        let evidence = showing(&[(
            "api-key-auth",
            known("acme", json!({"consumer": "Acme", "claims": {"tenant": "a", "org": {"id": 7}}})),
        )]);
        let outcome = bench(&config, &evidence).send(&[(":method", "GET"), (":path", "/users")]);
        outcome.reply().map_or(200, |reply| reply.status)
    };
    for (names, status) in [
        (json!({"subjects": ["acme"]}), 200),
        (json!({"consumers": ["Acme"]}), 200),
        (json!({"consumers": ["acme"]}), 403),
        (json!({"groups": ["x"], "subjects": ["acme"]}), 200),
        (json!({"claims": {"tenant": ["b", "a"]}}), 200),
        (json!({"claims": {"tenant": ["a"], "org.id": [7]}}), 200),
        (json!({"claims": {"tenant": ["a"], "org.id": [8]}}), 403),
        (json!("all"), 200),
    ] {
        assert_eq!(allow(names.clone()), status, "{names}");
    }
}

#[test]
fn allow_names_domains_of_verified_addresses() {
    let status = |claims: Value| {
        let mut config = config();
        config["services"][0]["methods"][0]["allow"] =
            json!({"email_domains": ["example.com", "Example.ORG"]});
        let evidence = showing(&[("api-key-auth", known("acme", json!({"claims": claims})))]);
        let outcome = bench(&config, &evidence).send(&[(":method", "GET"), (":path", "/users")]);
        outcome.reply().map_or(200, |reply| reply.status)
    };
    let of = |address: &str| status(json!({"email": address, "email_verified": true}));
    for address in ["ann@example.com", "ann@EXAMPLE.com", "ann+x@example.org", "a b@example.com"] {
        assert_eq!(of(address), 200, "{address}");
    }
    for address in [
        "",
        "@example.com",
        "example.com",
        "ann@example.com.",
        "ann@example.com ",
        "ann@sub.example.com",
        "ann@notexample.com",
        "ann@example.community",
        "ann@evil.example@example.com",
        "\"ann@evil.example\"@example.com",
        "ann@example.com@evil.example",
        "ann@example.com\0",
        "ann@example.com>",
    ] {
        assert_eq!(of(address), 403, "{address}");
    }
    for verified in [json!(false), json!("true"), json!(1), json!(null), json!([true])] {
        let claims = json!({"email": "ann@example.com", "email_verified": verified});
        assert_eq!(status(claims), 403, "{verified}");
    }
    assert_eq!(status(json!({"email": "ann@example.com"})), 403);
    assert_eq!(status(json!({"email": ["ann@example.com"], "email_verified": true})), 403);
    assert_eq!(status(json!({})), 403);
}

#[test]
fn a_domain_of_addresses_is_written_as_one() {
    for domain in
        ["", "*.example.com", "@example.com", "example.com.", ".example.com", "a..b", "münchen.de"]
    {
        let message =
            format!("allow.email_domains[0]: `{domain}` is no domain such as `example.com`");
        refuse(&edited(|config| config["allow"] = json!({"email_domains": [domain]})), &message);
    }
}
