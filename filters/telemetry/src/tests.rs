//! The rules of the filter, as far as they are about requests, and configurations that are refused. What
//! is told at the end of an exchange is tested in the real proxy.

use std::time::Duration;

use serde_json::{Value, json};
use shared::effects::{Effect, Effects};
use shared::store::Store;
use shared::testing::{Bench, Outcome, Proxy};

use super::*;
use series::{Labels, Series};

fn bench(config: &Value) -> Bench<Telemetry> {
    let bench = Bench::configure(config).map_err(|error| error.to_string()).unwrap();
    bench.proxy.set_property(&["source", "address"], b"10.1.2.3:4567");
    bench
}

fn send(bench: &mut Bench<Telemetry>, path: &str) -> Outcome {
    bench.send(&[(":method", "GET"), (":path", path)])
}

fn refuse(config: &Value, message: &str) {
    let error = Bench::<Telemetry>::configure(config).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some(message));
}

const ON: &str = "200 gatehouse.telemetry.debug #debug_switched[result=on]";
const STRANGER: &str = "404 gatehouse.telemetry.debug_caller #refused[reason=debug_caller]";

fn switch(allow: &Value) -> Value {
    json!({"debug": {"allow": [allow]}})
}

#[test]
fn without_a_switch_there_is_none() {
    assert_eq!(send(&mut bench(&json!({})), "/debug?debug-logs=on").line(), "continue");
}

#[test]
fn the_switch_is_for_whom_it_names() {
    for (allow, line) in [
        (json!({"addresses": ["10.0.0.0/8"]}), ON),
        (json!({"addresses": ["10.1.2.4"]}), STRANGER),
        (json!({"groups": ["ops"]}), ON),
        (json!({"groups": ["root"]}), STRANGER),
        (json!({"subjects": ["alice"], "groups": ["ops"]}), ON),
        (json!({"subjects": ["bob"], "groups": ["ops"]}), STRANGER),
        (json!({"addresses": ["10.1.2.4"], "groups": ["ops"]}), STRANGER),
        (json!({"consumers": ["acme"]}), STRANGER),
    ] {
        let mut bench = bench(&switch(&allow));
        let evidence = br#"{"scheme": "jwt", "subject": "alice", "groups": ["ops"]}"#;
        bench.proxy.set_property(&["gatehouse.evidence.jwt-auth"], evidence);
        assert_eq!(send(&mut bench, "/debug?debug-logs=on").line(), line, "{allow}");
    }
}

#[test]
fn evidence_of_a_failure_is_nobodys() {
    let mut bench = bench(&switch(&json!({"subjects": ["alice"]})));
    let evidence = br#"{"refused": {"reason": "expired", "status": 401}, "subject": "alice"}"#;
    bench.proxy.set_property(&["gatehouse.evidence.jwt-auth"], evidence);
    assert_eq!(send(&mut bench, "/debug?debug-logs=on").line(), STRANGER);
}

#[test]
fn the_switch_goes_off_by_itself() {
    let mut bench = bench(&switch(&json!({"addresses": ["10.0.0.0/8"]})));
    assert_eq!(send(&mut bench, "/debug?debug-logs=on").line(), ON);
    let state = |bench: &mut Bench<Telemetry>| {
        String::from_utf8(send(bench, "/debug").reply().unwrap().body.clone()).unwrap()
    };
    bench.proxy.pass(Duration::from_secs(899));
    assert_eq!(state(&mut bench), r#"{"debug-logs":"on"}"#);
    bench.proxy.pass(Duration::from_secs(2));
    assert_eq!(state(&mut bench), r#"{"debug-logs":"off"}"#);
}

#[test]
fn the_switch_is_off_where_the_clock_has_jumped_back() {
    let mut bench = bench(&switch(&json!({"addresses": ["10.0.0.0/8"]})));
    assert_eq!(send(&mut bench, "/debug?debug-logs=on").line(), ON);
    let now = shared::view::Host::now(&bench.proxy).unwrap();
    for (secs, state) in [(2, "on"), (3, "off"), (3_600, "off")] {
        let earlier = now.nanos().saturating_sub(secs * 1_000_000_000);
        bench.proxy.set_now(Timestamp::from_nanos(earlier));
        let body = send(&mut bench, "/debug").reply().unwrap().body.clone();
        assert_eq!(String::from_utf8(body).unwrap(), format!("{{\"debug-logs\":\"{state}\"}}"));
    }
}

#[test]
fn an_exchange_as_slow_as_is_said_asks_for_its_line() {
    let line = |config: &Value, millis: u64, of_proxys: &[&str]| {
        let mut bench = bench(config);
        let (mut run, _) = bench.begin(&[(":method", "GET"), (":path", "/x"), ("user-agent", "u")]);
        bench.proxy.set_response(&[(":status", "200")]);
        bench.proxy.set_property(&["request", "duration"], &(millis * 1_000_000).to_le_bytes());
        bench.proxy.set_property(of_proxys, b"1");
        let mut effects = Effects::default();
        bench.instance.on_log(&mut run, &Exchange::new(&bench.proxy), &mut effects);
        let line = effects.iter().find_map(|effect| match effect {
            Effect::SetState(_, line) => Some(String::from_utf8(line.to_vec()).unwrap()),
            _ => None,
        });
        line.unwrap_or_default()
    };
    let nothing = &["nothing"];
    let asked = json!({"slower_than": "250ms"});
    assert_eq!(line(&asked, 249, nothing), "");
    assert!(line(&asked, 250, nothing).contains(r#""http.time_ms":250"#));
    assert_eq!(line(&json!({}), 3_600_000, nothing), "", "nothing asks");
    assert_eq!(line(&asked, 250, &["gatehouse.probe"]), "", "a probe has no line");
    let skipped = json!({"slower_than": "250ms", "skip": {"paths": ["/x"]}});
    assert_eq!(line(&skipped, 249, nothing), "");
    assert_ne!(line(&skipped, 250, nothing), "");
    // Of all lines, those are whole that something asks for.
    let all = json!({"lines": "all", "slower_than": "250ms"});
    for (millis, is_whole) in [(249, false), (250, true)] {
        let line = line(&all, millis, nothing);
        assert_eq!(line.contains("http.header.user-agent"), is_whole, "{line}");
    }
}

#[test]
fn of_a_query_what_is_allowed_is_shown_and_nothing_that_is_joined_to_it() {
    let bench = bench(&json!({"query": {"allow": ["page", "x"]}}));
    let url =
        |target: &str| String::from_utf8(bench.instance.plugin.url(target.as_bytes())).unwrap();
    assert_eq!(url("/a?page=1&code=2&x=&pages=3"), "/a?page=1&x=");
    assert_eq!(url("/a?page=1;access_token=secret&x=2;token=secret&x;y"), "/a?page=1&x=2");
    assert_eq!(url("/a?%70age=1"), "/a");
}

#[test]
fn a_path_that_may_be_the_switchs_is_nobodys() {
    let mut bench = bench(&switch(&json!({"addresses": ["10.0.0.0/8"]})));
    let path = "404 gatehouse.telemetry.debug_path #refused[reason=debug_path]";
    assert_eq!(send(&mut bench, "//debug?debug-logs=on").line(), path);
    assert_eq!(send(&mut bench, "/debug;x?debug-logs=on").line(), path);
    assert_eq!(send(&mut bench, "/%64ebug?debug-logs=on").line(), ON);
    assert_eq!(send(&mut bench, "/debug/x").line(), "continue");
}

#[test]
fn profiles_are_for_those_who_may() {
    let refused = "404 gatehouse.telemetry.pprof #refused[reason=pprof]";
    assert_eq!(send(&mut bench(&json!({})), "/debug/pprof/heap").line(), refused);
    let some = json!({"pprof": {"allow": [{"addresses": ["10.0.0.0/8"]}]}});
    assert_eq!(send(&mut bench(&some), "/debug/pprof/heap").line(), "continue");
    let others = json!({"pprof": {"allow": [{"addresses": ["11.0.0.0/8"]}]}});
    assert_eq!(send(&mut bench(&others), "/%64ebug/pprof/heap").line(), refused);
}

#[test]
fn mistakes_are_refused() {
    refuse(
        &json!({"debug": {"allow": []}}),
        "debug.allow: a list of at least one, and this one is empty",
    );
    refuse(&json!({"debug": {"allow": [{}]}}), "debug.allow[0]: names nobody");
    refuse(
        &json!({"debug": {"allow": [{"groups": ["ops"]}], "for": "2d"}}),
        "debug.for: longer than a day",
    );
    refuse(
        &json!({"headers": {"allow": ["accept", "Cookie"]}}),
        "headers.allow[1]: `cookie` holds credentials; no line shows it",
    );
    for name in ["x-access-token", "X-Vault-Token", "x-amzn-oidc-jwt", "api_key", "DPoP", "Referer"]
    {
        let message = format!("`{}` holds credentials; no line shows it", name.to_lowercase());
        let config = json!({"headers": {"allow": [name]}});
        refuse(&config, &format!("headers.allow[0]: {message}"));
    }
    refuse(
        &json!({"query": {"allow": ["page", "access_token"]}}),
        "query.allow[1]: `access_token` holds credentials; no line shows it",
    );
    refuse(&json!({"payloads": {}}), "payloads: are shown while `debug` is on, and there is none");
    refuse(
        &json!({"lines": "none", "slower_than": "1s"}),
        "slower_than: asks for lines, and `lines` is `none`",
    );
    refuse(&json!({"metrics": {"max_series": 0}}), "metrics.max_series: 0 is not from 1 to 4096");
    let tiers = json!({"metrics": {"tiers": [{"name": "gold"}]}});
    refuse(&tiers, "metrics.tiers[0]: names neither `consumers` nor `groups`");
}

fn count(series: &mut Series, service: &str, proxy: &Proxy) {
    let labels = Labels { service: service.as_bytes(), method: b"m", class: "2xx", tier: "none" };
    series.count(&labels, Some(5_000_000), Store::new(proxy), &mut Effects::default());
}

fn flushed(series: &mut Series) -> String {
    let mut effects = Effects::default();
    series.flush(&mut effects);
    let text = effects.to_string();
    let mut parts: Vec<_> = text.split(' ').map(str::to_owned).collect();
    parts.sort();
    parts
        .join(" ")
        .replace("gatehouse.t.requests;", "")
        .replace(";method=m;status=2xx;tier=none", "")
}

#[test]
fn workers_agree_on_their_series() {
    let proxy = Proxy::default();
    let worker = || Series::new("t", "slots", 2);
    let (mut one, mut other) = (worker(), worker());
    count(&mut one, "a", &proxy);
    count(&mut other, "b", &proxy);
    count(&mut one, "c", &proxy);
    count(&mut one, "d", &proxy);
    count(&mut other, "a", &proxy);
    count(&mut other, "a", &proxy);
    let others = "#service=other;method=other;status=2xx;tier=other=2";
    assert_eq!(flushed(&mut one), format!("#service=a=1 {others}"));
    assert_eq!(flushed(&mut other), "#service=a=2 #service=b=1");
    assert_eq!(flushed(&mut one), "", "counts are handed over once");
    assert_eq!(proxy.shared_bytes(), "slots/series".len() + 16);
}

#[test]
fn without_a_store_all_is_other() {
    let proxy = Proxy::default();
    proxy.fail();
    let mut series = Series::new("t", "slots", 2);
    count(&mut series, "a", &proxy);
    assert_eq!(flushed(&mut series), "#service=other;method=other;status=2xx;tier=other=1");
}

#[test]
fn refusals_share_the_bound() {
    let proxy = Proxy::default();
    let mut series = Series::new("t", "slots", 2);
    count(&mut series, "a", &proxy);
    for reason in ["expired", "malformed", "missing", "expired"] {
        let mut effects = Effects::default();
        series.count_refusal(b"jwt-auth", reason.as_bytes(), Store::new(&proxy), &mut effects);
    }
    let refusals = "#gatehouse.t.refusals;source=jwt-auth;reason=expired=2 \
        #gatehouse.t.refusals;source=other;reason=other=2";
    assert_eq!(flushed(&mut series), format!("{refusals} #service=a=1"));
}
