//! Who is told what of whom.

use super::*;
use crate::testing::Proxy;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn what_a_client_says_of_itself_is_taken_off_in_every_spelling() {
    let proxy = Proxy::with_request(&[
        ("x-auth-subject", "root"),
        ("x_auth_subject", "root"),
        ("x-auth_scopes", "all"),
        ("x.auth.groups", "ops"),
        ("x-auth-subjects", "harmless"),
    ]);
    let mut effects = Effects::default();
    IdentityHeaders::default().strip(&Request::new(&proxy), &mut effects);
    assert_eq!(
        effects.to_string(),
        "-x-auth-subject -x_auth_subject -x-auth_scopes -x.auth.groups"
    );
}

#[test]
fn what_is_told_of_under_a_name_of_any_length_is_taken_off() {
    for len in [1, 2, 31, 32, 63, 64, 65, 200] {
        let name = "a".repeat(len);
        let other = "b".repeat(len);
        let proxy = Proxy::with_request(&[(name.as_str(), "1"), (other.as_str(), "1")]);
        let mut effects = Effects::default();
        let more = [HeaderName::try_from(name.as_str()).unwrap()];
        IdentityHeaders::default().strip_also(&more, &Request::new(&proxy), &mut effects);
        assert_eq!(effects.to_string(), format!("-{name}"), "{len}");
    }
}

#[test]
fn every_authenticator_leaves_evidence_under_its_name() {
    for filter in AUTHENTICATORS.into_iter().chain(["other"]) {
        assert_eq!(evidence_path(filter), format!("gatehouse.evidence.{filter}"));
    }
}

#[test]
fn an_identity_goes_to_filter_state_and_upstream() {
    let identity = Identity {
        scheme: "basic",
        subject: "alice".into(),
        groups: vec!["ops".into(), "dev".into()],
        expires: Some(Timestamp::from_secs(5)),
        ..Identity::default()
    };
    let credential = Rc::new(Credential::new("basic-auth", identity, &IdentityHeaders::default()));
    let mut effects = Effects::default();
    let proxy = Proxy::default();
    let flow = conclude(
        "basic-auth",
        Finding::Known(credential),
        Verdict::Enforce,
        &Request::new(&proxy),
        &mut effects,
    );
    assert!(matches!(flow, Flow::Continue));
    assert_eq!(
        effects.to_string(),
        "gatehouse.evidence.basic-auth={\"scheme\":\"basic\",\"subject\":\"alice\",\
         \"groups\":[\"ops\",\"dev\"],\"expires\":5,\
         \"told\":[\"x-auth-subject\",\"x-auth-scheme\",\"x-auth-groups\"]} \
         gatehouse.subject=alice gatehouse.groups=ops,dev \
         +x-auth-subject: alice +x-auth-scheme: basic +x-auth-groups: ops,dev"
    );
}

#[test]
fn what_is_empty_goes_nowhere() {
    let identity = Identity {
        scheme: "jwt",
        subject: "alice".into(),
        consumer: Some(String::new()),
        scopes: vec![String::new()],
        groups: vec![String::new()],
        ..Identity::default()
    };
    let credential = Rc::new(Credential::new("jwt-auth", identity, &IdentityHeaders::default()));
    let (mut effects, proxy) = (Effects::default(), Proxy::default());
    let finding = Finding::Known(credential);
    conclude("jwt-auth", finding, Verdict::Enforce, &Request::new(&proxy), &mut effects);
    let line = effects.to_string();
    let (evidence, rest) = line.split_once(" gatehouse.subject=").unwrap();
    assert!(evidence.ends_with("\"told\":[\"x-auth-subject\",\"x-auth-scheme\"]}"), "{evidence}");
    assert_eq!(rest, "alice +x-auth-subject: alice +x-auth-scheme: jwt");
}

fn known(
    filter: &'static str,
    groups: &[&str],
    verdict: Verdict,
    proxy: &Proxy,
    effects: &mut Effects,
) {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let identity =
        Identity { scheme: "basic", subject: "alice".into(), groups, ..Identity::default() };
    let credential = Credential::new(filter, identity, &IdentityHeaders::default());
    let finding = Finding::Known(Rc::new(credential));
    conclude(filter, finding, verdict, &Request::new(proxy), effects);
}

/// A request after an authenticator has said of it: `x-auth-subject`, `x-auth-groups`.
fn told(verdict: Verdict) -> Proxy {
    let proxy = Proxy::with_request(&[
        ("x-auth-subject", "alice"),
        ("x-auth-groups", "ops"),
        ("x_auth_subject", "root"),
    ]);
    let mut effects = Effects::default();
    known("basic-auth", &["ops"], verdict, &proxy, &mut effects);
    for effect in effects.take() {
        if let Some((name, value)) = effect.state() {
            proxy.set_property(&[name], &value);
        }
    }
    proxy
}

#[test]
fn what_an_authenticator_in_front_has_told_stays() {
    let proxy = told(Verdict::Enforce);
    let mut effects = Effects::default();
    IdentityHeaders::default().strip(&Request::new(&proxy), &mut effects);
    assert_eq!(effects.to_string(), "-x_auth_subject");
    let proxy = told(Verdict::Defer);
    let mut effects = Effects::default();
    IdentityHeaders::default().strip(&Request::new(&proxy), &mut effects);
    assert_eq!(effects.to_string(), "-x-auth-subject -x-auth-groups -x_auth_subject");
}

#[test]
fn of_two_that_enforce_the_one_behind_speaks() {
    let proxy = told(Verdict::Enforce);
    let mut effects = Effects::default();
    IdentityHeaders::default().strip(&Request::new(&proxy), &mut effects);
    known("jwt-auth", &[], Verdict::Enforce, &proxy, &mut effects);
    let line = effects.to_string();
    assert!(line.contains(" -x-auth-groups ") && line.contains(" gatehouse.groups= "), "{line}");
    assert!(line.ends_with("+x-auth-subject: alice +x-auth-scheme: basic"), "{line}");
}

/// The one in front tells the upstream under names that the one behind does not know.
#[test]
fn it_does_so_whatever_the_names_of_the_first() {
    let proxy = Proxy::with_request(&[("x-first-scheme", "basic"), ("x-first-groups", "ops")]);
    let headers: IdentityHeaders = serde_json::from_value(serde_json::json!({
        "subject": "x-first-subject", "groups": "x-first-groups", "scheme": "x-first-scheme",
    }))
    .unwrap();
    // A client that is no user has no subject.
    let identity = Identity { scheme: "basic", groups: vec!["ops".into()], ..Identity::default() };
    let first = Finding::Known(Rc::new(Credential::new("basic-auth", identity, &headers)));
    let mut effects = Effects::default();
    conclude("basic-auth", first, Verdict::Enforce, &Request::new(&proxy), &mut effects);
    for effect in effects.take() {
        if let Some((name, value)) = effect.state() {
            proxy.set_property(&[name], &value);
        }
    }
    let mut effects = Effects::default();
    IdentityHeaders::default().strip(&Request::new(&proxy), &mut effects);
    known("jwt-auth", &[], Verdict::Enforce, &proxy, &mut effects);
    let line = effects.to_string();
    for change in [" -x-first-scheme ", " -x-first-groups ", " gatehouse.groups= "] {
        assert!(line.contains(change), "{change}: {line}");
    }
}

#[test]
fn a_deferred_success_says_what_the_upstream_is_to_be_told() {
    let mut effects = Effects::default();
    known("basic-auth", &["ops"], Verdict::Defer, &Proxy::default(), &mut effects);
    assert_eq!(
        effects.to_string(),
        "gatehouse.evidence.basic-auth={\"scheme\":\"basic\",\"subject\":\"alice\",\
         \"groups\":[\"ops\"],\"headers\":{\"x-auth-subject\":\"alice\",\
         \"x-auth-scheme\":\"basic\",\"x-auth-groups\":\"ops\"}}"
    );
}

#[test]
fn a_deferred_failure_leaves_evidence_and_passes() {
    let mut effects = Effects::default();
    let refusal = Refusal::unauthorized("missing", "Basic");
    let proxy = Proxy::default();
    let flow = conclude(
        "basic-auth",
        Finding::Refused(refusal),
        Verdict::Defer,
        &Request::new(&proxy),
        &mut effects,
    );
    assert!(matches!(flow, Flow::Continue));
    assert_eq!(
        effects.to_string(),
        "#deferred[reason=missing] gatehouse.evidence.basic-auth={\"refused\":{\"reason\":\
         \"missing\",\"status\":401,\"headers\":[[\"www-authenticate\",\"Basic\"]]}}"
    );
}

#[test]
fn evidence_says_that_no_credential_was_presented() {
    let mut effects = Effects::default();
    let refusal = Refusal::unauthorized("missing", "Basic").of_nothing();
    let proxy = Proxy::default();
    let request = Request::new(&proxy);
    conclude("basic-auth", Finding::Refused(refusal), Verdict::Defer, &request, &mut effects);
    assert!(effects.to_string().ends_with("\"Basic\"]],\"missing\":true}}"), "{effects}");
}
