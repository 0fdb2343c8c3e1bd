//! Operations that take nobody as well: whoever shows nothing is let through, and nobody else.

use super::*;

/// Who is signed in is greeted, with a token or with a key and a password.
fn greeting() -> Value {
    edited(|config| {
        config["services"][0]["methods"][3]["security"] =
            json!(["anonymous", {"jwt": ["read"]}, {"api_key": [], "basic": []}]);
    })
}

#[track_caller]
fn check(evidence: &[(&str, Value)], verdict: &str) -> String {
    let outcome =
        bench(&greeting(), evidence).send(&[(":method", "GET"), (":path", "/users/public")]);
    let got = outcome.reply().map_or_else(
        || "passes".to_owned(),
        |reply| format!("{} {}", reply.status, reply.details.rsplit('.').next().unwrap()),
    );
    assert_eq!(got, verdict, "{}", outcome.line());
    outcome.line()
}

/// What authenticators leave that were shown nothing.
fn nobody() -> Vec<(&'static str, Value)> {
    let mut evidence = nothing().to_vec();
    for (_, value) in &mut evidence {
        value["refused"]["missing"] = json!(true);
    }
    evidence
}

fn nobody_but(authenticator: &str, value: Value) -> Vec<(&'static str, Value)> {
    let mut evidence = nobody();
    evidence.iter_mut().find(|(name, _)| *name == authenticator).unwrap().1 = value;
    evidence
}

#[test]
fn who_shows_nothing_goes_on_as_nobody() {
    let line = check(&nobody(), "passes");
    let expected = "continue gatehouse.service=users gatehouse.method=public #allowed #anonymous";
    assert_eq!(line, expected);
}

#[test]
fn what_a_client_says_of_itself_is_taken_off_all_the_same() {
    let headers = [(":method", "GET"), (":path", "/users/public"), ("x-auth-subject", "root")];
    let line = bench(&greeting(), &nobody()).send(&headers).line();
    assert!(line.starts_with("continue ") && line.contains("-x-auth-subject"), "{line}");
}

#[test]
fn an_alternative_that_holds_comes_first_wherever_the_word_stands() {
    let token = known("alice", json!({"scopes": ["read"]}));
    let line = check(&nobody_but("jwt-auth", token), "passes");
    assert!(line.contains("+x-auth-subject: alice") && !line.contains("#anonymous"), "{line}");
    let mut both = nobody_but("api-key-auth", known("acme", json!({})));
    both[0].1 = known("carol", json!({}));
    assert!(check(&both, "passes").contains("+x-auth-subject: acme"));
}

#[test]
fn a_credential_that_is_no_good_is_refused_and_no_nobody() {
    let bad = |reason: &str, status: u16| nobody_but("jwt-auth", refused(reason, status, "Bearer"));
    for reason in ["expired", "signature", "malformed", "repeated"] {
        check(&bad(reason, 401), "401 unauthenticated");
    }
    check(&bad("repeated", 400), "401 unauthenticated");
    check(&bad("no_keys", 503), "503 authenticator_unavailable");
    check(&bad("throttled", 429), "429 throttled");
    // Bad in another alternative than the first, and not the first of its schemes.
    check(&nobody_but("basic-auth", refused("expired", 401, "Basic")), "401 unauthenticated");
}

#[test]
fn evidence_that_does_not_say_that_nothing_was_shown_is_of_a_bad_credential() {
    // As a module leaves it that knows of no such thing: the reason alone does not do.
    check(&nobody_but("jwt-auth", refused("missing", 401, "Bearer")), "401 unauthenticated");
    let mut no = refused("missing", 401, "Bearer");
    no["refused"]["missing"] = json!(false);
    check(&nobody_but("jwt-auth", no.clone()), "401 unauthenticated");
    no["refused"]["missing"] = json!("true");
    check(&nobody_but("jwt-auth", no), "503 authenticator_missing");
}

#[test]
fn a_good_credential_that_is_not_enough_is_refused() {
    let token = known("alice", json!({"scopes": ["write"]}));
    check(&nobody_but("jwt-auth", token), "403 insufficient_scope");
    // Half of an alternative.
    check(&nobody_but("api-key-auth", known("acme", json!({}))), "401 unauthenticated");
}

#[test]
fn one_that_has_not_run_is_told_of() {
    check(&[], "503 authenticator_missing");
    for index in 0..3 {
        let mut evidence = nobody();
        evidence.remove(index);
        check(&evidence, "503 authenticator_missing");
    }
}

#[test]
fn what_is_not_asked_for_is_not_looked_at() {
    let config = edited(|config| {
        config["services"][0]["methods"][3]["security"] = json!([{"jwt": []}, "anonymous"]);
    });
    let mut evidence = nobody_but("basic-auth", refused("wrong_password", 401, "Basic"));
    evidence.remove(1);
    let line =
        bench(&config, &evidence).send(&[(":method", "GET"), (":path", "/users/public")]).line();
    assert!(line.starts_with("continue ") && line.ends_with("#anonymous"), "{line}");
}

#[test]
fn what_an_authenticator_in_front_has_told_of_another_is_taken_back() {
    let config = edited(|config| {
        config["services"][0]["methods"][3]["security"] = json!([{"jwt": []}, "anonymous"]);
    });
    let told = json!({"scheme": "api-key", "subject": "acme", "told": ["x-auth-subject"]});
    let bench = bench(&config, &nobody_but("api-key-auth", told));
    bench.proxy.set_property(&["gatehouse.subject"], b"acme");
    let mut bench = bench;
    let headers = [(":method", "GET"), (":path", "/users/public"), ("x-auth-subject", "acme")];
    let line = bench.send(&headers).line();
    for taken in ["continue ", "-x-auth-subject", "gatehouse.subject= ", "#anonymous"] {
        assert!(line.contains(taken), "{taken}: {line}");
    }
}

#[test]
fn a_service_and_the_api_may_take_nobody_and_a_method_may_not() {
    let config = edited(|config| {
        config["security"] = json!([{"basic": []}, "anonymous"]);
        config["services"][0]["security"] = json!([{"api_key": []}, "anonymous"]);
        config["services"][0]["methods"][4]["security"] = json!([{"api_key": []}]);
    });
    for (path, status) in
        [("/files/a", 200), ("/users", 200), ("/users/admin", 401), ("/users/7", 401)]
    {
        let outcome = bench(&config, &nobody()).send(&[(":method", "GET"), (":path", path)]);
        assert_eq!(outcome.reply().map_or(200, |reply| reply.status), status, "{path}");
    }
}

#[test]
fn mistakes_are_named() {
    let of = |security: Value| with(json!({"security": security}));
    refuse(&of(json!(["anonymous"])), "security: `anonymous` alone; write `none`");
    let twice = json!(["anonymous", {"basic": []}, "anonymous"]);
    refuse(&of(twice), "security: `anonymous` comes twice");
    refuse(&of(json!([{"basic": []}, "none"])), "security[1]: is not `anonymous`");
    refuse(&of(json!("anonymous")), "security: is not `none`");
    refuse(&of(json!(["anonymous", {"basik": []}])), "security[1].basik: is none of `schemes`");
    refuse(
        &of(json!([{"basic": []}, {}])),
        "security[1]: an alternative without a scheme; write `anonymous`",
    );
}

#[test]
fn nobody_is_not_let_in_beside_those_who_may() {
    let own = |allow: Value, security: Value| {
        edited(|config| {
            let method = &mut config["services"][0]["methods"][0];
            method["allow"] = allow;
            method["security"] = security;
        })
    };
    let optional = json!([{"api_key": []}, "anonymous"]);
    let message = "names some, where `anonymous` lets in who shows nothing";
    refuse(
        &own(json!({"groups": ["ops"]}), optional.clone()),
        &format!("services[0].methods[0].allow: {message}"),
    );
    // What it has from its service or the API as well, either of them.
    let mut inherited = own(json!("all"), optional);
    inherited["allow"] = json!({"groups": ["ops"]});
    assert!(Bench::<AccessPolicy>::configure(&inherited).is_ok());
    inherited["services"][0]["methods"][0].as_object_mut().unwrap().remove("allow");
    refuse(
        &inherited,
        &format!(
            "services[0].methods[0]: the `allow` of its service or the API {message}; write `allow: all`"
        ),
    );
    refuse(
        &edited(|config| config["services"][0]["security"] = json!([{"api_key": []}, "anonymous"])),
        &format!("services[0].methods[4].allow: {message}"),
    );
}
