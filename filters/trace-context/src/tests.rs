//! The rules, each with what holds and what does not.

mod configuration;
mod export;
mod forms;
mod identity;

use serde_json::{Value, json};
use shared::driver::Step;
use shared::effects::Effect;
use shared::testing::{Bench, Outcome};

use super::TraceContext;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn bench(config: Value) -> Bench<TraceContext> {
    Bench::configure(&config).unwrap()
}

/// A request under a configuration.
#[track_caller]
fn send(config: Value, headers: &[(&str, &str)]) -> Upstream {
    let outcome = bench(config).send(headers);
    assert_eq!(outcome.step, Step::Continue);
    Upstream::of(headers, &outcome)
}

/// What the upstream gets, and what else was done.
struct Upstream {
    headers: Vec<(String, String)>,
    effects: Vec<Effect>,
}

impl Upstream {
    fn of(headers: &[(&str, &str)], outcome: &Outcome) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        for effect in outcome.effects.iter() {
            match effect {
                Effect::SetRequestHeader(name, value) => {
                    headers.retain(|(known, _)| **known != **name);
                    headers.push((name.to_string(), text(value)));
                }
                Effect::RemoveRequestHeader(name) => headers.retain(|(known, _)| **known != **name),
                _ => {}
            }
        }
        headers.sort();
        Self { headers, effects: outcome.effects.iter().cloned().collect() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// `(trace, span, flags)` of the `traceparent`.
    fn parent(&self) -> (&str, &str, &str) {
        let value = self.header("traceparent").expect("a traceparent");
        let fields: Vec<_> = value.split('-').collect();
        assert_eq!((fields.len(), fields[0], value.len()), (4, "00", 55), "{value}");
        (fields[1], fields[2], fields[3])
    }

    fn state(&self, name: &str) -> Option<String> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::SetState(known, value) if **known == *name => {
                Some(String::from_utf8(value.to_vec()).unwrap())
            }
            _ => None,
        })
    }

    fn response(&self, name: &str) -> Option<String> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::SetResponseHeader(known, value) if **known == *name => {
                Some(String::from_utf8(value.to_vec()).unwrap())
            }
            _ => None,
        })
    }

    fn counts(&self) -> Vec<String> {
        let name = |effect: &Effect| match effect {
            Effect::Count(count) => Some(count.name().replacen("gatehouse.trace-context.", "", 1)),
            _ => None,
        };
        self.effects.iter().filter_map(name).collect()
    }
}

/// A configuration in which every trace is recorded that starts here.
fn always() -> Value {
    json!({"sampling": {"root": "always"}})
}

#[test]
fn a_trace_goes_on_with_a_span_of_the_proxys() {
    for flags in ["00", "01", "02", "03"] {
        let parent = format!("00-{TRACE}-{SPAN}-{flags}");
        let upstream = send(json!({}), &[("traceparent", &parent)]);
        let (trace, span, sent) = upstream.parent();
        assert_eq!((trace, sent), (TRACE, flags));
        assert_ne!(span, SPAN);
    }
}

#[test]
fn a_trace_starts_with_a_random_id() {
    let mut bench = bench(always());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let upstream = Upstream::of(&[], &bench.send::<&str, &str>(&[]));
        let (trace, span, flags) = upstream.parent();
        assert_eq!(flags, "03");
        assert!(seen.insert(trace.to_owned()) && seen.insert(span.to_owned()));
    }
}

#[test]
fn what_is_malformed_or_repeated_starts_anew() {
    for headers in [
        &[("traceparent", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")][..],
        &[("traceparent", PARENT), ("traceparent", PARENT)],
        &[("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
        &[("traceparent", "")],
    ] {
        let upstream = send(always(), headers);
        assert_ne!(upstream.parent().0, TRACE);
        assert_eq!(upstream.counts(), ["malformed.by.w3c"]);
        assert_eq!(upstream.names(), ["traceparent"]);
    }
}

#[test]
fn state_goes_on_with_its_parent() {
    let state = |values: &[&str], parent: &str| {
        let mut headers = vec![("traceparent", parent)];
        headers.extend(values.iter().map(|value| ("tracestate", *value)));
        send(json!({}), &headers).header("tracestate").map(str::to_owned)
    };
    assert_eq!(state(&["foo=1,bar=2"], PARENT).as_deref(), Some("foo=1,bar=2"));
    assert_eq!(state(&["foo=1", "", " bar=2 "], PARENT).as_deref(), Some("foo=1,bar=2"));
    for (values, parent) in [
        (&["foo=1"][..], ""),
        (&[""], PARENT),
        (&["foo=1", "BAR=2"], PARENT),
        (&[&"a=1,".repeat(33)], PARENT),
    ] {
        assert_eq!(state(values, parent), None, "{values:?}");
    }
    assert_eq!(send(json!({}), &[("tracestate", "foo=1")]).names(), ["traceparent"]);
}

#[test]
fn a_state_that_is_as_it_should_be_costs_nothing() {
    let upstream = send(json!({}), &[("traceparent", PARENT), ("tracestate", "foo=1,bar=2")]);
    let changes = |effect: &&Effect| {
        matches!(effect, Effect::SetRequestHeader(..) | Effect::RemoveRequestHeader(..))
    };
    assert_eq!(upstream.effects.iter().filter(changes).count(), 1);
}

#[test]
fn who_is_not_trusted_is_not_gone_on_with() {
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "foo=1"),
        ("baggage", "tenant=1"),
        ("b3", "1"),
        ("x-datadog-origin", "rum"),
        ("uberctx-user", "1"),
        ("jaeger-debug-id", "1"),
    ];
    for clear in [true, false] {
        let upstream = send(json!({"trust": "never", "clear": clear}), &headers);
        assert_eq!(upstream.names(), ["traceparent"]);
        assert_ne!(upstream.parent().0, TRACE);
        assert_eq!(upstream.counts(), ["untrusted"]);
    }
    assert!(send(json!({"trust": "never"}), &[]).counts().is_empty());
}

#[test]
fn trust_goes_by_the_address() {
    let mut bench = bench(json!({"trust": {"addresses": ["10.0.0.0/8", "2001:db8::1"]}}));
    let mut trusts = |source: &str| {
        bench.proxy.set_property(&["source", "address"], source.as_bytes());
        let headers = [("traceparent", PARENT)];
        Upstream::of(&headers, &bench.send(&headers)).parent().0 == TRACE
    };
    assert!(
        trusts("10.255.1.1:80") && trusts("[2001:db8::1]:80") && trusts("[::ffff:10.0.0.1]:80")
    );
    assert!(
        !trusts("11.0.0.1:80") && !trusts("[2001:db8::2]:80") && !trusts("") && !trusts("socket")
    );
}

#[test]
fn a_parent_that_is_kept_goes_on_as_it_came() {
    let keep = json!({"span": "keep", "sampling": {"parent": false, "root": "never"}});
    let upstream = send(keep.clone(), &[("traceparent", PARENT), ("tracestate", "a=1,, B=2")]);
    assert_eq!(upstream.header("traceparent"), Some(PARENT));
    assert_eq!(upstream.header("tracestate"), Some("a=1,, B=2"), "not modified either");
    assert_eq!(upstream.state("gatehouse.span_id").as_deref(), Some(SPAN));
    assert_eq!(send(keep, &[]).parent().2, "02");
}

#[test]
fn the_senders_decision_holds_unless_it_is_not_asked_for() {
    let flags = |config: Value, came: &str| {
        let parent = format!("00-{TRACE}-{SPAN}-{came}");
        send(config, &[("traceparent", &parent)]).parent().2.to_owned()
    };
    let root = |root: Value, parent: bool| json!({"sampling": {"parent": parent, "root": root}});
    assert_eq!(flags(root(json!("never"), true), "01"), "01");
    assert_eq!(flags(root(json!("always"), true), "00"), "00");
    assert_eq!(flags(root(json!("never"), false), "03"), "02");
    assert_eq!(flags(root(json!("always"), false), "00"), "01");
    // This trace's random part is 0x48eb211c80319c of 2^56: 28 of a hundred have a smaller one.
    assert_eq!(flags(root(json!({"ratio": 0.72}), false), "00"), "01");
    assert_eq!(flags(root(json!({"ratio": 0.71}), false), "01"), "00");
}

#[test]
fn two_a_second_are_recorded_where_nothing_is_said() {
    let mut bench = bench(json!({}));
    let mut recorded = 0;
    for _ in 0..3000 {
        bench.proxy.pass(std::time::Duration::from_millis(10));
        let upstream = Upstream::of(&[], &bench.send::<&str, &str>(&[]));
        recorded += usize::from(upstream.parent().2 == "03");
    }
    assert!((40..=80).contains(&recorded), "{recorded} in 30 seconds");
}

#[test]
fn the_context_is_left_in_filter_state() {
    let upstream = send(json!({"inject": ["b3"]}), &[("traceparent", PARENT)]);
    let span = upstream.state("gatehouse.span_id").unwrap();
    assert_eq!(upstream.state("gatehouse.trace_id").as_deref(), Some(TRACE));
    let whole = format!("00-{TRACE}-{span}-01");
    assert_eq!(upstream.state("gatehouse.traceparent"), Some(whole));
    assert_eq!(upstream.header("b3"), Some(&*format!("{TRACE}-{span}-1")));
}

#[test]
fn the_client_is_told_on_request() {
    let told = send(json!({"response": {"traceresponse": true}}), &[("traceparent", PARENT)]);
    assert_eq!(told.response("traceresponse").as_deref(), told.header("traceparent"));
    assert_eq!(send(json!({}), &[]).response("traceresponse"), None);
}

#[test]
fn in_shadow_it_counts_and_changes_nothing() {
    let headers = [("traceparent", "nonsense"), ("b3", "0")];
    let upstream = send(json!({"mode": "shadow"}), &headers);
    assert_eq!(upstream.counts(), ["malformed.by.w3c"]);
    assert_eq!(upstream.effects.len(), 1);
    assert!(send(json!({"mode": "off"}), &headers).effects.is_empty());
}

#[test]
fn where_the_proxy_fails_nothing_goes_on() {
    let mut bench = bench(json!({}));
    bench.proxy.fail();
    assert_eq!(bench.send::<&str, &str>(&[]).reply().unwrap().status, 503);
}
