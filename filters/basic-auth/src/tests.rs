//! The rules of the filter, one test each, and its configuration errors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::testing::{Bench, Outcome};
use shared::time::Timestamp;
use std::time::Duration;

use super::*;

/// `htpasswd -nbB -C 4 alice secret`
const ALICE: &str = "$2y$04$ZKIgeQ/EIyEj3GELApEeEOOEyaWZ0RHu7skFY1yQnhnDGM15SBhgm";

/// `carol` of the group `ops` and `dave` of none; passwords `carol:s` and `pässword`.
fn config() -> Value {
    json!({
        "realm": "Example",
        "users": [
            {"name": "carol", "password": "carol:s", "groups": ["ops"], "not_after": "2027-06-01T00:00:00Z"},
            {"name": "dave", "password": "pässword", "not_before": "2027-01-01T00:00:00Z"},
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

fn bench(config: &Value) -> Bench<BasicAuth> {
    let bench = Bench::configure(config).map_err(|error| error.to_string()).unwrap();
    bench.proxy.set_property(&["source", "address"], b"10.0.0.1:1000");
    bench
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn send(bench: &mut Bench<BasicAuth>, authorization: &str) -> Outcome {
    bench.send(&[(":path", "/"), ("authorization", authorization)])
}

#[track_caller]
fn check(authorization: &str, line: &str) {
    assert_eq!(send(&mut bench(&config()), authorization).line(), line);
}

const CAROL: &str = "continue #allowed[by=hash] -authorization \
    gatehouse.evidence.basic-auth={\"scheme\":\"basic\",\"subject\":\"carol\",\"groups\":[\"ops\"],\"expires\":1811808000,\
    \"told\":[\"x-auth-subject\",\"x-auth-scheme\",\"x-auth-groups\"]} \
    gatehouse.subject=carol gatehouse.groups=ops \
    +x-auth-subject: carol +x-auth-scheme: basic +x-auth-groups: ops";

fn refused(reason: &str, off: &str) -> String {
    format!("401 gatehouse.basic-auth.{reason} {off}#refused[reason={reason}]")
}

#[test]
fn a_right_password_lets_through_and_tells_who_it_is() {
    check(&basic("carol:carol:s"), CAROL);
}

#[test]
fn the_scheme_is_written_in_any_case_and_with_any_number_of_spaces() {
    for scheme in ["basic ", "BASIC ", "bAsIc     "] {
        check(&basic("carol:carol:s").replace("Basic ", scheme), CAROL);
    }
    check(&format!("  {}  ", basic("carol:carol:s")), CAROL);
}

#[test]
fn passwords_are_utf8() {
    let outcome = send(&mut bench(&config()), &basic("dave:pässword"));
    assert!(outcome.line().starts_with("continue"), "{}", outcome.line());
}

#[test]
fn no_credentials_get_the_challenge() {
    let outcome = bench(&config()).send(&[(":path", "/")]);
    assert_eq!(outcome.line(), refused("missing", ""));
    assert_eq!(
        outcome.header("www-authenticate"),
        Some(r#"Basic realm="Example", charset="UTF-8""#)
    );
}

#[test]
fn two_authorization_headers_are_refused() {
    let good = basic("carol:carol:s");
    let twice = [("authorization", good.as_str()), ("authorization", &good)];
    let line = bench(&config()).send(&twice).line();
    assert_eq!(line, refused("repeated", "-authorization "));
}

#[test]
fn another_scheme_is_refused_and_left_where_it_is() {
    for header in ["Bearer xyz", "Basically abc", "", "Digest"] {
        check(header, &refused("other_scheme", ""));
    }
}

#[test]
fn what_is_no_pair_in_strict_base64_is_malformed() {
    let long = format!("Basic {}", "A".repeat(800));
    let no_colon = basic("carol");
    let control = basic("carol:a\u{0}b");
    let unpadded = basic("carol:carol:s!").trim_end_matches('=').to_owned();
    for header in [
        "Basic",
        "Basic   ",
        "Basic !!!!",
        "Basic YTpi=",
        "Basic YTpi YTpi",
        &long,
        &no_colon,
        &control,
        &unpadded,
    ] {
        let off = "-authorization ";
        check(
            header,
            &format!("401 gatehouse.basic-auth.malformed {off}#refused[reason=malformed]"),
        );
    }
}

#[test]
fn wrong_passwords_and_unknown_users_look_alike_from_outside() {
    let mut bench = bench(&config());
    let wrong = send(&mut bench, &basic("carol:x"));
    let unknown = send(&mut bench, &basic("mallory:x"));
    assert_eq!(wrong.line(), refused("wrong_password", "-authorization "));
    assert_eq!(unknown.line(), refused("unknown_user", "-authorization "));
    assert_eq!(wrong.reply().unwrap().body, unknown.reply().unwrap().body);
    assert_eq!(wrong.reply().unwrap().headers, unknown.reply().unwrap().headers);
}

#[test]
fn an_empty_password_is_a_password() {
    check(&basic("carol:"), &refused("wrong_password", "-authorization "));
    let empty = "a:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="; // htpasswd -nbs a ''
    let outcome = send(&mut bench(&json!({"htpasswd": empty})), &basic("a:"));
    assert!(outcome.line().starts_with("continue"), "{}", outcome.line());
}

#[test]
fn the_first_colon_splits() {
    check(&basic("carol:carol:s"), CAROL);
    check(&basic(":carol"), &refused("unknown_user", "-authorization "));
}

#[test]
fn a_password_is_good_within_its_time() {
    let mut bench = bench(&config());
    bench.proxy.set_now(Timestamp::from_secs(1_790_000_000));
    assert_eq!(
        send(&mut bench, &basic("dave:pässword")).line(),
        refused("not_yet_valid", "-authorization ")
    );
    bench.proxy.set_now(Timestamp::from_secs(1_811_807_999));
    assert_eq!(send(&mut bench, &basic("carol:carol:s")).line(), CAROL);
    bench.proxy.set_now(Timestamp::from_secs(1_811_808_000));
    assert_eq!(
        send(&mut bench, &basic("carol:carol:s")).line(),
        refused("expired", "-authorization ")
    );
}

#[test]
fn only_whom_allow_names_may() {
    let config = with(json!({"allow": {"groups": ["ops"]}}));
    assert_eq!(send(&mut bench(&config), &basic("carol:carol:s")).line(), CAROL);
    let outcome = send(&mut bench(&config), &basic("dave:pässword"));
    assert_eq!(
        outcome.line(),
        "403 gatehouse.basic-auth.not_allowed -authorization #refused[reason=not_allowed]"
    );
    let config = with(json!({"allow": {"users": ["dave"]}}));
    assert!(send(&mut bench(&config), &basic("dave:pässword")).line().starts_with("continue"));
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let spoofed = [("x-auth-subject", "root"), ("x_auth_groups", "ops"), (":path", "/open")];
    let rules = json!([{"match": {"paths": ["/open"]}, "mode": "off"}]);
    let outcome = bench(&with(json!({"rules": rules}))).send(&spoofed);
    assert_eq!(outcome.line(), "continue -x-auth-subject -x_auth_groups");
}

#[test]
fn credentials_go_on_only_where_asked() {
    let config = with(json!({"forward_credentials": true}));
    let line = send(&mut bench(&config), &basic("carol:carol:s")).line();
    assert_eq!(line, CAROL.replace("-authorization ", ""));
}

#[test]
fn a_good_credential_is_hashed_once_until_its_time_in_the_cache_ends() {
    let mut bench = bench(&with(json!({"verified_cache": {"ttl": "1m"}})));
    let by = |bench: &mut Bench<BasicAuth>| {
        let line = send(bench, &basic("carol:carol:s")).line();
        if line.contains("by=cache") { "cache" } else { "hash" }
    };
    assert_eq!([by(&mut bench), by(&mut bench)], ["hash", "cache"]);
    bench.proxy.pass(Duration::from_secs(60));
    assert_eq!([by(&mut bench), by(&mut bench)], ["hash", "cache"]);
}

#[test]
fn a_remembered_credential_still_expires() {
    let mut bench = bench(&config());
    bench.proxy.set_now(Timestamp::from_secs(1_811_807_999));
    assert_eq!(send(&mut bench, &basic("carol:carol:s")).line(), CAROL);
    bench.proxy.pass(Duration::from_secs(1));
    assert_eq!(
        send(&mut bench, &basic("carol:carol:s")).line(),
        refused("expired", "-authorization ")
    );
}

fn throttled(by: &str) -> Bench<BasicAuth> {
    bench(&with(json!({"throttle": {"failures": 2, "window": "1m", "by": by}})))
}

fn status(bench: &mut Bench<BasicAuth>, pair: &str) -> u16 {
    send(bench, &basic(pair)).reply().map_or(200, |reply| reply.status)
}

#[test]
fn too_many_wrong_attempts_are_not_even_checked() {
    let mut bench = throttled("address");
    let statuses = ["carol:1", "dave:2", "carol:3"].map(|pair| status(&mut bench, pair));
    assert_eq!(statuses, [401, 401, 429]);
    let outcome = send(&mut bench, &basic("carol:carol:s"));
    assert_eq!(
        outcome.line(),
        "429 gatehouse.basic-auth.throttled -authorization #refused[reason=throttled]"
    );
    assert_eq!(outcome.header("retry-after"), Some("60"));
    bench.proxy.pass(Duration::from_secs(60));
    assert_eq!(status(&mut bench, "carol:carol:s"), 200);
}

#[test]
fn right_attempts_do_not_count() {
    let mut bench = throttled("address");
    for ttl in 0..5 {
        bench.proxy.pass(Duration::from_secs(ttl));
        assert_eq!(status(&mut bench, "dave:pässword"), 200);
    }
    assert_eq!(["a:1", "a:2"].map(|pair| status(&mut bench, pair)), [401, 401]);
}

#[test]
fn what_was_found_good_before_is_not_throttled() {
    let mut bench = throttled("address");
    assert_eq!(status(&mut bench, "carol:carol:s"), 200);
    let wrong = ["a:1", "a:2", "a:3"].map(|pair| status(&mut bench, pair));
    assert_eq!(wrong, [401, 401, 429]);
    assert_eq!(status(&mut bench, "carol:carol:s"), 200);
}

#[test]
fn what_one_client_may_use_uncounted_is_counted_for_another() {
    let mut bench = throttled("address");
    assert_eq!(status(&mut bench, "carol:carol:s"), 200);
    bench.proxy.set_property(&["source", "address"], b"10.0.0.2:1000");
    let guesses = ["carol:1", "carol:2", "carol:3", "carol:carol:s"];
    assert_eq!(guesses.map(|pair| status(&mut bench, pair)), [401, 401, 429, 429]);
}

#[test]
fn attempts_are_counted_by_what_is_configured() {
    let others = |by: &str, pair: &str, address: &[u8]| {
        let mut bench = throttled(by);
        assert_eq!(["carol:1", "carol:2"].map(|pair| status(&mut bench, pair)), [401, 401]);
        bench.proxy.set_property(&["source", "address"], address);
        status(&mut bench, pair)
    };
    assert_eq!(others("address", "dave:x", b"10.0.0.1:7"), 429);
    assert_eq!(others("address", "carol:x", b"10.0.0.2:7"), 401);
    assert_eq!(others("user", "carol:x", b"10.0.0.2:7"), 429);
    assert_eq!(others("user", "dave:x", b"10.0.0.1:7"), 401);
    assert_eq!(others("address_and_user", "carol:x", b"10.0.0.1:7"), 429);
    assert_eq!(others("address_and_user", "carol:x", b"10.0.0.2:7"), 401);
}

#[test]
fn attempts_that_cannot_be_counted_are_refused() {
    let mut bench = throttled("address");
    bench.proxy.lose_races(usize::MAX);
    assert_eq!(status(&mut bench, "carol:carol:s"), 503);
}

#[test]
fn a_deferred_verdict_leaves_evidence_and_lets_through() {
    let mut bench = bench(&with(json!({"verdict": "defer"})));
    let line = send(&mut bench, "Bearer x").line();
    assert!(
        line.starts_with(
            "continue #deferred[reason=other_scheme] gatehouse.evidence.basic-auth={\"refused\""
        ),
        "{line}"
    );
    let line = send(&mut bench, &format!("basic\t{}", STANDARD.encode("carol:x"))).line();
    assert!(line.starts_with("continue -authorization #deferred"), "{line}");
    let line = bench.send(&[("authorization", "Bearer x"), ("authorization", "Basic x")]).line();
    assert!(line.starts_with("continue -authorization #deferred[reason=repeated]"), "{line}");
    let line = send(&mut bench, &basic("carol:carol:s")).line();
    let known = "gatehouse.evidence.basic-auth={\"scheme\":\"basic\"";
    assert!(line.contains(known) && !line.contains("+x-auth-subject"), "{line}");
}

#[test]
fn evidence_says_whether_a_credential_was_presented() {
    let mut bench = bench(&with(json!({"verdict": "defer"})));
    let mut says =
        |headers: &[(&str, &str)]| bench.send(headers).line().contains("\"missing\":true");
    assert!(says(&[(":path", "/")]));
    // Another scheme's is none of this one: whether its authenticator stands in front or behind.
    for other in ["Bearer x", "garbage", ""] {
        assert!(says(&[("authorization", other)]), "{other}");
    }
    for bad in ["Basic", "Basic !", &basic("carol:x"), &basic("nobody:x")] {
        assert!(!says(&[("authorization", bad)]), "{bad}");
    }
    assert!(!says(&[("authorization", "Bearer x"), ("authorization", "Bearer y")]));
}

#[test]
fn shadow_mode_counts_and_changes_nothing_for_the_upstream() {
    let mut bench = bench(&with(json!({"mode": "shadow"})));
    assert_eq!(
        send(&mut bench, &basic("carol:x")).line(),
        "continue #shadow_refused[reason=wrong_password]"
    );
}

#[test]
fn a_proxy_that_does_not_answer_is_never_passed_by() {
    for mode in ["enforce", "shadow"] {
        let mut bench = bench(&with(json!({"mode": mode})));
        bench.proxy.fail();
        let line = send(&mut bench, &basic("carol:carol:s")).line();
        assert!(line.starts_with("503 gatehouse.basic-auth.host_failure"), "{line}");
    }
}

#[test]
fn htpasswd_lines_and_the_environment_are_read() {
    let environment: Environment = [("DAVE_PASSWORD", "p")].into_iter().collect();
    let config = json!({
        "htpasswd": format!("# staff\nalice:{ALICE}\n"),
        "users": [{"name": "dave", "password": "${DAVE_PASSWORD}"}],
    });
    let mut bench = Bench::<BasicAuth>::configure_in(&config, &environment).unwrap();
    for pair in ["alice:secret", "dave:p"] {
        assert!(send(&mut bench, &basic(pair)).line().starts_with("continue"), "{pair}");
    }
}

#[track_caller]
fn refuse(config: &Value, message: &str) {
    let error = Bench::<BasicAuth>::configure(config).err().expect("refused");
    assert_eq!(error.to_string(), message);
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    refuse(&json!({}), "nobody can log in: `htpasswd` and `users` name no user");
    refuse(&json!({"htpasswd": ""}), "nobody can log in: `htpasswd` and `users` name no user");
    refuse(&json!({"users": []}), "users: a list of at least one, and this one is empty");
    refuse(&json!({"htpasswd": "alice"}), "htpasswd: line 1: has no colon");
    refuse(
        &json!({"htpasswd": "alice:secret"}),
        "htpasswd: line 1: what follows the colon: is plain text or of an unknown format",
    );
    refuse(&json!({"users": [{"name": "a"}]}), "users[0]: has either `hash` or `password`");
    refuse(
        &json!({"users": [{"name": "a", "password": "p", "hash": "x"}]}),
        "users[0]: has either `hash` or `password`",
    );
    refuse(
        &json!({"users": [{"name": "a", "hash": "secret"}]}),
        "users[0].hash: is plain text or of an unknown format",
    );
    refuse(
        &json!({"users": [{"name": "a:b", "password": "p"}]}),
        "users[0].name: a name is not empty, has no colon or control character, and no space at an end",
    );
    refuse(
        &json!({"htpasswd": format!("a:{ALICE}"), "users": [{"name": "a", "password": "p"}]}),
        "users[0].name: the user `a` is named twice",
    );
    refuse(
        &json!({"users": [{"name": "a", "password": "p", "not_before": "2027-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"}]}),
        "users[0].not_after: is not later than `not_before`",
    );
    refuse(
        &json!({"users": [{"name": "a", "password": "p", "groups": ["x,y"]}]}),
        "users[0].groups: a group is not empty and has no comma or control character",
    );
    refuse(
        &json!({"users": [{"name": "a", "password": ["p"]}]}),
        "users[0].password: invalid type: a list, expected a string",
    );
}

#[test]
fn a_header_that_tells_who_it_is_means_nothing_else() {
    for (part, name, why) in [
        ("subject", "Host", "is a header that means something else"),
        ("scheme", "content_length", "is a header that means something else"),
        ("groups", "authorization", "is a header that means something else"),
        ("consumer", "X-Auth-Groups", "is the header of another part, too"),
    ] {
        let users = json!([{"name": "a", "password": "p"}]);
        let config = json!({"users": users, "identity_headers": {part: name}});
        refuse(&config, &format!("identity_headers.{part}: {why}"));
    }
}

#[test]
fn mistakes_in_the_settings_are_named() {
    refuse(&with(json!({"allow": {"users": ["caro"]}})), "allow.users[0]: there is no user `caro`");
    refuse(
        &with(json!({"rules": [{"match": {"paths": ["/"]}, "allow": {"groups": ["op"]}}]})),
        "rules[0].allow.groups[0]: no user is of the group `op`",
    );
    refuse(&with(json!({"realm": "a\nb"})), "realm: a realm is printable ASCII, and not empty");
    refuse(
        &with(json!({"verified_cache": {"entries": 0}})),
        "verified_cache.entries: 0 is not from 1 to 65536",
    );
    refuse(
        &with(json!({"throttle": {"failures": 0, "window": "1m"}})),
        "throttle.failures: invalid value: integer `0`, expected a whole number, 1 at least",
    );
    refuse(
        &with(json!({"throttle": {"failures": 1, "window": "0s"}})),
        "throttle.window: a period of zero; leave the field out instead",
    );
    refuse(&with(json!({"throttle": null})), "throttle: is null; leave the field out instead");
    refuse(
        &with(json!({"allow": {"users": null}})),
        "allow.users: is null; leave the field out instead",
    );
    refuse(
        &with(json!({"rules": [{"match": {"paths": null, "methods": ["GET"]}}]})),
        "rules[0].match.paths: is null; leave the field out instead",
    );
    refuse(&with(json!({"allow": {}})), "allow: names nobody; write `all` to allow everybody");
    refuse(&with(json!({"allow": "none"})), "allow: is not `all`");
    refuse(
        &with(json!({"users": [{"name": "a", "password": 5}]})),
        "users[0].password: invalid type: a number, expected a string",
    );
    refuse(
        &with(json!({"users": [{"name": " a", "password": "b"}]})),
        "users[0].name: a name is not empty, has no colon or control character, and no space at an end",
    );
    refuse(&with(json!({"throttle": {"failures": 1}})), "throttle: missing field `window`");
    refuse(
        &with(json!({"identity_headers": {"subject": "x y"}})),
        "identity_headers.subject: `x y` is not the name of a header",
    );
    refuse(
        &with(json!({"user": []})),
        "user: unknown field; known are mode, errors, realm, verdict, allow, forward_credentials, htpasswd, \
         users, insecure_allow_plain, throttle, verified_cache, identity_headers, rules, route_overrides",
    );
}

#[test]
fn no_error_shows_a_secret() {
    for config in [
        json!({"htpasswd": "alice hunter2"}),
        json!({"htpasswd": "alice:hunter2"}),
        json!({"users": ["alice:hunter2"]}),
        json!({"users": [{"name": "a", "hash": "hunter2"}]}),
        json!({"users": [{"name": "a", "password": {"value": "hunter2"}}]}),
        json!({"users": "alice:hunter2"}),
        json!({"users": [{"name": "a", "password": 4711_0815}]}),
        json!({"users": [{"name": "a", "hash": 4711_0815.5}]}),
        json!({"users": [{"name": "a", "password": [4711_0815]}]}),
        json!({"htpasswd": 4711_0815}),
    ] {
        let error = Bench::<BasicAuth>::configure(&config).err().expect("refused").to_string();
        assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
    }
}
