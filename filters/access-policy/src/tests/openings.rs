//! What is said at configuration of what is there without a credential.

use super::*;

/// Of the policies of the top level and of rules.
fn said(policies: &[Value]) -> String {
    let settings = |policy: &Value| shared::config::interpret::<Settings>(policy.clone()).unwrap();
    let settings: Vec<_> = policies.iter().map(settings).collect();
    crate::openings::line(settings.iter().map(|settings| &settings.policy))
}

fn offering(methods: &[(&str, Value)]) -> Value {
    let methods: Vec<_> = methods
        .iter()
        .map(|(name, security)| {
            let place = json!({"methods": ["GET"], "paths": [format!("/{name}")]});
            json!({"name": name, "match": place, "security": security})
        })
        .collect();
    json!({
        "schemes": {"jwt": {"authenticator": "jwt-auth"}},
        "services": [{"name": "s", "methods": methods}],
    })
}

#[test]
fn what_is_open_and_what_takes_nobody_too_are_named() {
    let (token, optional) = (json!([{"jwt": []}]), json!([{"jwt": []}, "anonymous"]));
    let policy = offering(&[
        ("docs", json!("none")),
        ("mine", token.clone()),
        ("about", json!("none")),
        ("home", optional.clone()),
    ]);
    assert_eq!(
        said(std::slice::from_ref(&policy)),
        "open by `security: none`: s.about, s.docs; to nobody too by `anonymous`: s.home"
    );
    // A rule has the services of the top level, unless it has its own.
    assert_eq!(
        said(&[policy.clone(), policy, offering(&[("mine", optional)])]),
        "open by `security: none`: s.about, s.docs; to nobody too by `anonymous`: s.home, s.mine"
    );
    assert_eq!(
        said(&[offering(&[("mine", token)])]),
        "open by `security: none`: nothing; to nobody too by `anonymous`: nothing"
    );
}

#[test]
fn a_long_list_is_cut() {
    let names: Vec<_> = (100..900).map(|number| format!("method-{number}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), json!("none"))).collect();
    let line = said(&[offering(&all)]);
    assert!(line.len() < 1200, "{}", line.len());
    assert!(
        line.contains(": s.method-100, s.method-101, ") && line.contains(", 727 more; "),
        "{line}"
    );
    let long = "x".repeat(5000);
    let line = said(&[offering(&[(&long, json!("none"))])]);
    assert!(line.starts_with("open by `security: none`: 1 more; "), "{}", line.len());
}
