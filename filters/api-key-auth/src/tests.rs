//! The rules of the filter, one test each, and its configuration errors.

use serde_json::{Value, json};
use shared::config::Environment;
use shared::testing::{Bench, Outcome};
use shared::time::Timestamp;

use super::*;

/// `acme` of the group `gold` with an old and a new key, `zenith` with neither group nor scope.
fn config() -> Value {
    json!({
        "realm": "Example",
        "sources": [
            {"header": "x-api-key"},
            {"header": "authorization", "prefix": "Bearer"},
            {"query": "api_key"},
            {"cookie": "api_key"},
        ],
        "consumers": [
            {
                "name": "acme",
                "groups": ["gold"],
                "scopes": ["api:read", "api:write"],
                "keys": [
                    {"id": "old", "value": "acme-old-key", "not_after": "2027-06-01T00:00:00Z"},
                    // `printf %s acme-new-key | sha256sum`
                    {
                        "id": "new",
                        "sha256": "0583EC586FEBB995F9B252CE260BEF3360C0D576F521C208A6F5235476878CB2",
                        "not_before": "2027-01-01T00:00:00Z",
                    },
                ],
            },
            {"name": "zenith", "keys": [{"id": "a", "value": "zénith key"}]},
        ],
    })
}

fn with(more: Value) -> Value {
    let mut config = config();
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// One consumer with these keys.
fn keys(keys: Value) -> Value {
    json!({"consumers": [{"name": "acme", "keys": keys}]})
}

fn bench(config: &Value) -> Bench<ApiKeyAuth> {
    Bench::configure(config).map_err(|error| error.to_string()).unwrap()
}

fn send(bench: &mut Bench<ApiKeyAuth>, key: &str) -> Outcome {
    bench.send(&[(":path", "/"), ("x-api-key", key)])
}

#[track_caller]
fn check(key: &str, line: &str) {
    assert_eq!(send(&mut bench(&config()), key).line(), line);
}

const ACME: &str = "continue #allowed -x-api-key \
    gatehouse.evidence.api-key-auth={\"scheme\":\"api-key\",\"subject\":\"acme\",\"consumer\":\"acme\",\
    \"scopes\":[\"api:read\",\"api:write\"],\"groups\":[\"gold\"],\"expires\":1811808000,\
    \"claims\":{\"key\":\"old\"},\"told\":[\"x-auth-subject\",\"x-auth-scheme\",\
    \"x-auth-consumer\",\"x-auth-scopes\",\"x-auth-groups\"]} \
    gatehouse.subject=acme gatehouse.consumer=acme gatehouse.scopes=api:read api:write \
    gatehouse.groups=gold \
    +x-auth-subject: acme +x-auth-scheme: api-key +x-auth-consumer: acme \
    +x-auth-scopes: api:read api:write +x-auth-groups: gold";

const ZENITH: &str = "continue #allowed -x-api-key \
    gatehouse.evidence.api-key-auth={\"scheme\":\"api-key\",\"subject\":\"zenith\",\
    \"consumer\":\"zenith\",\"claims\":{\"key\":\"a\"},\
    \"told\":[\"x-auth-subject\",\"x-auth-scheme\",\"x-auth-consumer\"]} \
    gatehouse.subject=zenith gatehouse.consumer=zenith \
    +x-auth-subject: zenith +x-auth-scheme: api-key +x-auth-consumer: zenith";

fn refused(status: u16, reason: &str, off: &str) -> String {
    format!("{status} gatehouse.api-key-auth.{reason} {off}#refused[reason={reason}]")
}

#[test]
fn a_known_key_lets_through_and_tells_whose_it_is() {
    check("acme-old-key", ACME);
    check("  acme-old-key ", ACME);
    check("zénith key", ZENITH);
}

#[test]
fn a_key_configured_as_its_digest_is_the_key() {
    let new = ACME.replace("\"expires\":1811808000,", "").replace("\"old\"", "\"new\"");
    check("acme-new-key", &new);
}

#[test]
fn a_key_stands_in_any_of_the_sources_and_is_taken_off() {
    for (header, value, off) in [
        ("authorization", "bearer  acme-old-key", "-authorization"),
        (":path", "/a?x=1&api_key=acme%2Dold-key&y", "+:path: /a?x=1&y"),
        ("cookie", "a=b; api_key=acme-old-key; c=d", "+cookie: a=b; c=d"),
    ] {
        let outcome = bench(&config()).send(&[(header, value)]);
        assert_eq!(outcome.line(), ACME.replace("-x-api-key", off));
    }
}

#[test]
fn the_source_is_the_header_x_api_key_where_none_is_named() {
    let mut config = config();
    config.as_object_mut().unwrap().remove("sources");
    assert_eq!(send(&mut bench(&config), "acme-old-key").line(), ACME);
    let elsewhere = bench(&config).send(&[(":path", "/?api_key=acme-old-key")]);
    assert_eq!(elsewhere.line(), refused(401, "missing", ""));
}

#[test]
fn no_key_gets_the_challenge() {
    let outcome = bench(&config()).send(&[(":path", "/")]);
    assert_eq!(outcome.line(), refused(401, "missing", ""));
    assert_eq!(outcome.header("www-authenticate"), Some(r#"Bearer realm="Example""#));
}

#[test]
fn the_challenge_names_the_schemes_that_there_are() {
    let challenge = |sources: Value| {
        let outcome = bench(&with(json!({"sources": sources}))).send(&[(":path", "/")]);
        outcome.header("www-authenticate").unwrap().to_owned()
    };
    assert_eq!(challenge(json!([{"query": "k"}])), r#"ApiKey realm="Example""#);
    let token = json!({"header": "authorization", "prefix": "Token"});
    let key = json!({"header": "authorization", "prefix": "Key"});
    assert_eq!(challenge(json!([token, key])), r#"Token realm="Example", Key realm="Example""#);
}

#[test]
fn more_than_one_key_is_refused() {
    let twice = [("x-api-key", "acme-old-key"), ("x-api-key", "acme-old-key")];
    let outcome = bench(&config()).send(&twice);
    assert_eq!(outcome.line(), refused(401, "repeated", "-x-api-key "));
    let two = [("x-api-key", "acme-old-key"), ("cookie", "api_key=acme-old-key")];
    let outcome = bench(&config()).send(&two);
    assert_eq!(outcome.line(), refused(401, "repeated", "-x-api-key -cookie "));
}

#[test]
fn an_empty_key_is_refused() {
    check(" ", &refused(401, "empty", "-x-api-key "));
}

#[test]
fn what_cannot_be_a_key_is_malformed() {
    let outcome = bench(&config()).send(&[(":path", "/?api_key=%zz&x")]);
    assert_eq!(outcome.line(), refused(401, "malformed", "+:path: /?x "));
    let long = "k".repeat(shared::sources::MAX_CREDENTIAL + 1);
    check(&long, &refused(401, "malformed", "-x-api-key "));
}

#[test]
fn an_unknown_key_is_refused() {
    for key in ["acme-old-ke", "acme-old-key2", "Acme-old-key", "Bearer acme-old-key", "acme"] {
        check(key, &refused(401, "unknown_key", "-x-api-key "));
    }
    let digest = config()["consumers"][0]["keys"][1]["sha256"].as_str().unwrap().to_owned();
    check(&digest, &refused(401, "unknown_key", "-x-api-key "));
    let outcome = bench(&config()).send(&[("x-api-key", &b"\xff\xfe\x00"[..])]);
    assert_eq!(outcome.line(), refused(401, "unknown_key", "-x-api-key "));
}

#[test]
fn refused_keys_look_alike_from_outside() {
    let mut bench = bench(&config());
    bench.proxy.set_now(Timestamp::from_secs(1_900_000_000));
    let (unknown, expired) = (send(&mut bench, "nobodys-key"), send(&mut bench, "acme-old-key"));
    let (unknown, expired) = (unknown.reply().unwrap(), expired.reply().unwrap());
    assert_eq!((&unknown.body, &unknown.headers), (&expired.body, &expired.headers));
}

#[test]
fn a_key_is_good_within_its_time_and_another_takes_over() {
    let mut bench = bench(&config());
    let mut at = |secs: u64, key: &str| {
        bench.proxy.set_now(Timestamp::from_secs(secs));
        let line = send(&mut bench, key).line();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(at(1_798_761_599, "acme-new-key"), "401 gatehouse.api-key-auth.not_yet_valid");
    assert_eq!(at(1_798_761_600, "acme-new-key"), "continue #allowed");
    assert_eq!(at(1_811_807_999, "acme-old-key"), "continue #allowed");
    assert_eq!(at(1_811_808_000, "acme-old-key"), "401 gatehouse.api-key-auth.expired");
    assert_eq!(at(1_811_808_000, "acme-new-key"), "continue #allowed");
}

#[test]
fn only_whom_allow_names_may() {
    let mut gold = bench(&with(json!({"allow": {"groups": ["gold"]}})));
    assert_eq!(send(&mut gold, "acme-old-key").line(), ACME);
    let not_allowed = refused(403, "not_allowed", "-x-api-key ");
    assert_eq!(send(&mut gold, "zénith key").line(), not_allowed);
    let mut zenith = bench(&with(json!({"allow": {"consumers": ["zenith"]}})));
    assert_eq!(send(&mut zenith, "zénith key").line(), ZENITH);
    assert_eq!(send(&mut zenith, "acme-old-key").line(), not_allowed);
    let either = json!({"allow": {"consumers": ["zenith"], "groups": ["gold"]}});
    let mut either = bench(&with(either));
    assert_eq!(send(&mut either, "zénith key").line(), ZENITH);
    assert_eq!(send(&mut either, "acme-old-key").line(), ACME);
}

#[test]
fn all_of_the_scopes_have_to_be_held() {
    let mut both = bench(&with(json!({"scopes": ["api:read", "api:write"]})));
    assert_eq!(send(&mut both, "acme-old-key").line(), ACME);
    let refusal = refused(403, "insufficient_scope", "-x-api-key ");
    assert_eq!(send(&mut both, "zénith key").line(), refusal);
    let mut more = with(json!({"scopes": ["api:read", "admin"]}));
    more["consumers"][1]["scopes"] = json!(["admin"]);
    assert_eq!(send(&mut bench(&more), "acme-old-key").line(), refusal);
    assert_eq!(send(&mut bench(&more), "zénith key").line(), refusal);
}

#[test]
fn a_rule_can_ask_for_other_scopes_or_for_none() {
    let mut bench = bench(&with(json!({
        "scopes": ["api:read"],
        "rules": [
            {"match": {"paths": ["/open"]}, "scopes": []},
            {"match": {"paths": ["/off"]}, "mode": "off"},
        ],
    })));
    let mut status = |path: &str, key: &str| {
        let outcome = bench.send(&[(":path", path), ("x-api-key", key)]);
        outcome.reply().map_or(200, |reply| reply.status)
    };
    assert_eq!([status("/", "zénith key"), status("/", "acme-old-key")], [403, 200]);
    assert_eq!([status("/open", "zénith key"), status("/open", "nobodys-key")], [200, 401]);
    assert_eq!(status("/off", "nobodys-key"), 200);
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let spoofed = [("x-auth-consumer", "root"), ("x_auth_scopes", "all"), (":path", "/open")];
    let rules = json!([{"match": {"paths": ["/open"]}, "mode": "off"}]);
    let outcome = bench(&with(json!({"rules": rules}))).send(&spoofed);
    assert_eq!(outcome.line(), "continue -x-auth-consumer -x_auth_scopes");
}

#[test]
fn the_upstream_gets_the_key_only_where_asked() {
    let config = with(json!({"forward_credentials": true}));
    let line = send(&mut bench(&config), "acme-old-key").line();
    assert_eq!(line, ACME.replace("-x-api-key ", ""));
}

#[test]
fn a_deferred_verdict_leaves_evidence_takes_keys_off_and_lets_through() {
    let mut bench = bench(&with(json!({"verdict": "defer"})));
    let line = send(&mut bench, "nobodys-key").line();
    let evidence = "gatehouse.evidence.api-key-auth={\"refused\":{\"reason\":\"unknown_key\",\
        \"status\":401,\"headers\":[[\"www-authenticate\",\"Bearer realm=\\\"Example\\\"\"]]}}";
    assert_eq!(line, format!("continue -x-api-key #deferred[reason=unknown_key] {evidence}"));
    let line = send(&mut bench, "acme-old-key").line();
    let known =
        "continue #allowed -x-api-key gatehouse.evidence.api-key-auth={\"scheme\":\"api-key\"";
    assert!(line.starts_with(known) && !line.contains("+x-auth-"), "{line}");
}

#[test]
fn evidence_says_whether_a_key_was_presented() {
    let mut bench = bench(&with(json!({"verdict": "defer"})));
    let mut says =
        |headers: &[(&str, &str)]| bench.send(headers).line().contains("\"missing\":true");
    assert!(says(&[(":path", "/")]));
    for bad in ["", "nobodys-key"] {
        assert!(!says(&[("x-api-key", bad)]), "{bad}");
    }
    assert!(!says(&[("x-api-key", "nobodys-key"), ("x-api-key", "nobodys-key")]));
}

#[test]
fn shadow_mode_counts_and_changes_nothing_for_the_upstream() {
    let mut bench = bench(&with(json!({"mode": "shadow"})));
    assert_eq!(
        send(&mut bench, "nobodys-key").line(),
        "continue #shadow_refused[reason=unknown_key]"
    );
    assert!(!send(&mut bench, "acme-old-key").line().contains("-x-api-key"));
}

#[test]
fn a_proxy_that_does_not_answer_is_never_passed_by() {
    for mode in ["enforce", "shadow"] {
        let mut bench = bench(&with(json!({"mode": mode})));
        bench.proxy.fail();
        let line = send(&mut bench, "acme-old-key").line();
        assert!(line.starts_with("503 gatehouse.api-key-auth.host_failure"), "{line}");
    }
}

#[test]
fn identity_headers_have_the_names_that_are_configured() {
    let config = with(json!({"identity_headers": {"consumer": "x-tenant"}}));
    let line = send(&mut bench(&config), "zénith key").line();
    assert!(line.contains("+x-tenant: zenith") && !line.contains("x-auth-consumer"), "{line}");
}

#[test]
fn ten_thousand_keys_are_known() {
    let keys: Vec<_> = (0..10_000)
        .map(|index| json!({"id": index.to_string(), "value": format!("key-number-{index}")}))
        .collect();
    let mut bench = bench(&json!({"consumers": [{"name": "acme", "keys": keys}]}));
    for index in [0, 5_000, 9_999] {
        let line = send(&mut bench, &format!("key-number-{index}")).line();
        assert!(line.contains(&format!("\"claims\":{{\"key\":\"{index}\"}}")), "{line}");
    }
    let unknown = refused(401, "unknown_key", "-x-api-key ");
    assert_eq!(send(&mut bench, "key-number-10000").line(), unknown);
}

#[test]
fn keys_come_from_the_environment() {
    let environment: Environment =
        [("ACME_KEY", "from-the-environment"), ("EMPTY", "")].into_iter().collect();
    let configure = |value: &str| {
        let config = keys(json!([{"id": "a", "value": value}]));
        Bench::<ApiKeyAuth>::configure_in(&config, &environment)
    };
    let mut bench = configure("${ACME_KEY}").map_err(|error| error.to_string()).unwrap();
    assert!(send(&mut bench, "from-the-environment").line().starts_with("continue"));
    let error = |value| configure(value).err().expect("refused").to_string();
    assert_eq!(error("${EMPTY}"), "consumers[0].keys[0].value: is empty");
    assert_eq!(
        error("${MISSING}"),
        "consumers[0].keys[0].value: the environment variable MISSING is not set"
    );
}

#[track_caller]
fn refuse(config: &Value, message: &str) {
    let error = Bench::<ApiKeyAuth>::configure(config).err().expect("refused");
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_header_that_tells_who_it_is_is_no_place_for_keys() {
    for name in ["x-api-key", "X_API_Key"] {
        refuse(
            &with(json!({"identity_headers": {"consumer": name}})),
            "identity_headers.consumer: is where a credential is looked for",
        );
    }
}

#[test]
fn mistakes_in_consumers_are_named() {
    refuse(&json!({}), "missing field `consumers`");
    refuse(&json!({"consumers": []}), "consumers: a list of at least one, and this one is empty");
    refuse(&json!({"consumers": [{"name": "a"}]}), "consumers[0]: missing field `keys`");
    refuse(&keys(json!([])), "consumers[0].keys: a list of at least one, and this one is empty");
    let one = |more: Value| {
        let mut consumer = json!({"name": "a", "keys": [{"id": "a", "value": "long enough"}]});
        for (name, value) in more.as_object().unwrap() {
            consumer[name] = value.clone();
        }
        json!({"consumers": [consumer]})
    };
    for name in ["", " a", "a ", "a\tb", "\u{a0}a"] {
        refuse(
            &one(json!({"name": name})),
            "consumers[0].name: a name is not empty and has no control character, nor white space \
             at an end",
        );
    }
    for group in ["", "a,b", "a\u{0}"] {
        refuse(
            &one(json!({"groups": ["a", group]})),
            "consumers[0].groups[1]: a group is not empty and has no comma or control character",
        );
    }
    for scope in ["", "a b", "a\"b", "a\\b", "é"] {
        refuse(
            &one(json!({"scopes": [scope]})),
            "consumers[0].scopes[0]: a scope is printable ASCII without spaces, `\"` and `\\`",
        );
    }
    let mut twice = config();
    twice["consumers"][1]["name"] = json!("acme");
    refuse(&twice, "consumers[1].name: the consumer `acme` is named twice");
}

#[test]
fn mistakes_in_keys_are_named() {
    let digest = "ab".repeat(32);
    for key in [json!({"id": "a"}), json!({"id": "a", "value": "long enough", "sha256": digest})] {
        refuse(&keys(json!([key])), "consumers[0].keys[0]: has either `value` or `sha256`");
    }
    for (value, why) in [
        ("", "is empty"),
        ("1234567", "is not from 8 to 16384 bytes long"),
        (" 12345678", "has a control character, or white space at an end"),
        ("12345678\n", "has a control character, or white space at an end"),
        ("1234\u{0}5678", "has a control character, or white space at an end"),
    ] {
        let config = keys(json!([{"id": "a", "value": value}]));
        refuse(&config, &format!("consumers[0].keys[0].value: {why}"));
    }
    for digest in [
        "",
        "ab",
        &digest.replacen('a', "", 1),
        &format!("{digest}a"),
        &digest.replacen('a', "g", 1),
    ] {
        let config = keys(json!([{"id": "a", "sha256": digest}]));
        refuse(&config, "consumers[0].keys[0].sha256: is not 64 hexadecimal digits");
    }
    refuse(
        &keys(json!([{"id": "a\n", "value": "long enough"}])),
        "consumers[0].keys[0].id: a name is not empty and has no control character, nor white \
         space at an end",
    );
    refuse(
        &keys(json!([
            {"id": "a", "value": "long enough"}, {"id": "a", "value": "long enough too"},
        ])),
        "consumers[0].keys[1].id: the consumer's key `a` is named twice",
    );
    refuse(
        &keys(
            json!([{"id": "a", "value": "long enough", "not_before": "2027-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"}]),
        ),
        "consumers[0].keys[0].not_after: is not later than `not_before`",
    );
    refuse(
        &keys(json!([{"id": "a", "key": "long enough"}])),
        "consumers[0].keys[0].key: unknown field `key`, expected one of `id`, `value`, `sha256`, \
         `not_before`, `not_after`",
    );
}

#[test]
fn the_same_key_twice_is_refused_with_both_places() {
    refuse(
        &keys(json!([{"id": "a", "value": "long enough"}, {"id": "b", "value": "long enough"}])),
        "consumers[0].keys[1]: is the same key as consumers[0].keys[0]",
    );
    let mut hashed = config();
    hashed["consumers"][1]["keys"][0]["value"] = json!("acme-new-key");
    refuse(&hashed, "consumers[1].keys[0]: is the same key as consumers[0].keys[1]");
}

#[test]
fn mistakes_in_the_settings_are_named() {
    refuse(
        &with(json!({"allow": {"consumers": ["acme", "acne"]}})),
        "allow.consumers[1]: there is no consumer `acne`",
    );
    refuse(
        &with(json!({"rules": [{"match": {"paths": ["/"]}, "allow": {"groups": ["old"]}}]})),
        "rules[0].allow.groups[0]: no consumer is of the group `old`",
    );
    refuse(
        &with(json!({"scopes": ["api:reed"]})),
        "scopes[0]: no consumer holds the scope `api:reed`",
    );
    refuse(&with(json!({"realm": ""})), "realm: a realm is printable ASCII, and not empty");
    refuse(
        &with(json!({"rules": [{"match": {"paths": ["/"]}, "sources": [{"query": "q"}]}]})),
        "rules[0].sources: is set once, at the top level, and not by a rule",
    );
    refuse(
        &with(json!({"sources": [{"query": "a"}, {"query": "a"}]})),
        "sources: the query parameter `a` comes twice",
    );
    refuse(
        &with(json!({"sources": [{"query": "a", "cookie": "b"}]})),
        "sources[0]: has one of `header`, `query` and `cookie`",
    );
    refuse(
        &with(json!({"consumer": []})),
        "consumer: unknown field; known are mode, errors, realm, verdict, allow, scopes, \
         forward_credentials, sources, consumers, identity_headers, rules, route_overrides",
    );
}

#[test]
fn no_error_shows_a_key() {
    let hunter = "hunter2-hunter2";
    for config in [
        keys(json!([hunter])),
        keys(json!(hunter)),
        keys(json!([{"id": "a", "value": {"value": hunter}}])),
        keys(json!([{"id": "a", "value": [hunter]}])),
        keys(json!([{"id": "a", "sha256": hunter}])),
        keys(json!([{"id": "a", "value": format!(" {hunter}")}])),
        keys(json!([{"id": "a", "value": hunter, "sha256": hunter}])),
        keys(json!([{"id": "a", "value": hunter}, {"id": "b", "value": hunter}])),
    ] {
        let error = Bench::<ApiKeyAuth>::configure(&config).err().expect("refused").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
