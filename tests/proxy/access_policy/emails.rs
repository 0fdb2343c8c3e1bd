//! People of a domain, behind a provider that knows others, too.

use serde_json::json;
use tests::envoy::Setup;

use super::{World, tokens, with};

#[test]
fn verified_addresses_of_the_domain_are_let_in_and_no_others() {
    let mut authenticator = tokens::config();
    authenticator["providers"][0]["claims"] = json!(["email", "email_verified"]);
    let policy = json!({
        "schemes": {"jwt": {"authenticator": "jwt-auth"}},
        "security": [{"jwt": []}],
        "allow": {"email_domains": ["example.com"]},
        "services": [{"name": "shop", "methods": [
            {"name": "home", "match": {"methods": ["GET"], "paths": ["/home"]}},
        ]}],
    });
    let setup = Setup::new().filter("jwt-auth", authenticator).filter("access-policy", policy);
    let world = World::of(setup);
    for (claims, status) in [
        (json!({"email": "ann@example.com", "email_verified": true}), 200),
        (json!({"email": "ann@Example.COM", "email_verified": true}), 200),
        (json!({"email": "ann@example.com", "email_verified": false}), 403),
        (json!({"email": "ann@example.com", "email_verified": "true"}), 403),
        (json!({"email": "ann@example.com"}), 403),
        (json!({"email": "ann@sub.example.com", "email_verified": true}), 403),
        (json!({"email": "ann@evil.example@example.com", "email_verified": true}), 403),
        (json!({}), 403),
    ] {
        let token = tokens::saying(&with(claims.clone(), json!({"sub": "ann"})));
        let header = format!("authorization: Bearer {token}");
        assert_eq!(world.status("GET /home", &[&header]), status, "{claims}");
    }
    assert_eq!(world.upstream.count(), 2);
    assert_eq!(world.envoy.counted("access-policy.refused.reason.not_allowed"), 6);
}
