//! The rules of a chain, on filters that do what their configuration says.

mod toy;

use std::time::Duration;

use serde_json::{Value, json};

use self::toy::{BRIEF, KINDS, KNOWN, SECRETS};
use crate::bundle::{Choice, configure};
use crate::config::Environment;
use crate::driver::Step;
use crate::effects::Effects;
use crate::filter::{Answer, Birth, Ticket, WholeBody};
use crate::runner::Kind;
use crate::testing::{Proxy, Stack, Sum};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn chain(config: &Value) -> Stack {
    chain_of(KINDS, config)
}

fn chain_of(kinds: &[Kind], config: &Value) -> Stack {
    Stack::new(|birth| {
        let text = config.to_string();
        Ok(vec![configure(kinds, "chain", text.as_bytes(), &Environment::default(), birth)?])
    })
    .unwrap()
}

/// A chain of `a`, `b` and `c`, of which `b` does this.
fn abc(b: &str) -> Stack {
    chain(&json!({"chain": [
        {"a": {"removes": "x-client"}},
        {"b": {"does": b, "reads": "x-a"}},
        {"c": {"reads": "gatehouse.evidence.a"}},
    ]}))
}

fn header<'s>(sum: &'s Sum, name: &str) -> Option<&'s str> {
    sum.request.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

const REQUEST: [(&str, &str); 3] = [(":path", "/"), ("x-client", "1"), ("x-b", "forged")];
const OK: Answer<'_> = Answer::Failed(crate::filter::CallFailure::Broken);

#[test]
fn each_sees_the_request_as_those_in_front_leave_it() {
    let mut stack = abc("continue");
    let sum = stack.send(&REQUEST);
    assert_eq!(sum.verdict, "continue");
    assert_eq!(header(&sum, "x-b"), Some("was here"));
    assert_eq!(header(&sum, "x-c"), Some("seen"));
    assert_eq!(header(&sum, "x-client"), None);
    // Three headers set, one taken off, three pieces of state.
    assert_eq!(sum.writes, 7);
    let mut stack =
        chain(&json!({"chain": [{"b": {"removes": "x-client"}}, {"a": {"reads": "x-client"}}]}));
    assert_eq!(header(&stack.send(&REQUEST), "x-a"), Some("nothing"));
}

#[test]
fn headers_and_properties_are_read_once_for_all() {
    let mut stack = abc("continue");
    stack.send(&REQUEST);
    let mut reads = stack.proxy.reads();
    reads.sort();
    assert_eq!(reads, ["headers", "xds.route_metadata", "xds.virtual_host_metadata"]);
}

#[test]
fn what_two_write_is_written_once_as_the_last_wants_it() {
    let mut effects = Effects::default();
    let mut behind = Effects::default();
    effects.set_request_header("x".into(), b"1"[..].into());
    effects.set_state("x".into(), b"1"[..].into());
    effects.set_response_header("x".into(), b"1"[..].into());
    behind.remove_request_header("x".into());
    behind.set_state("x".into(), b"2"[..].into());
    behind.set_response_header("x".into(), b"2"[..].into());
    behind.set_response_header("y".into(), b"2"[..].into());
    behind.set_response_header("y".into(), b"3"[..].into());
    effects.settle(behind);
    assert_eq!(effects.to_string(), "<x: 1 -x x=2 <y: 3");
}

#[test]
fn a_refusal_ends_the_pass_and_drops_the_changes() {
    for (does, verdict) in [("refuse", "403 gatehouse.b.no"), ("answer", "204 answered")] {
        let mut stack = abc(does);
        let sum = stack.send(&REQUEST);
        assert_eq!((sum.verdict.as_str(), sum.request.len()), (verdict, 0), "{does}");
        assert_eq!(sum.counts.get("gatehouse.a.requests"), Some(&1));
        assert_eq!(sum.counts.get("gatehouse.c.requests"), None);
        assert_eq!(sum.writes, 2, "the state of a and b");
        // The response went no further than b; all are told of the end.
        assert_eq!(
            stack.respond("x-way"),
            (Some("a".into()), vec!["gatehouse.a.responses".into()])
        );
        assert_eq!(stack.log(), ["gatehouse.a.logs", "gatehouse.b.logs", "gatehouse.c.logs"]);
    }
}

#[test]
fn a_response_goes_the_other_way() {
    let mut stack = abc("continue");
    stack.send(&REQUEST);
    let (way, counts) = stack.respond("x-way");
    assert_eq!(way.as_deref(), Some("ca"));
    assert_eq!(counts, ["gatehouse.c.responses", "gatehouse.a.responses"]);
}

#[test]
fn a_request_goes_on_where_it_waited() {
    let mut stack = abc("wait");
    assert_eq!(stack.send(&REQUEST).verdict, "wait");
    let sum = stack.answer(&OK);
    assert_eq!(sum.verdict, "continue");
    assert_eq!(header(&sum, "x-b-answered"), Some("was here"), "as `a` left it");
    assert_eq!(header(&sum, "x-c"), Some("seen"));
    for filter in ["a", "b", "c"] {
        assert_eq!(sum.counts.get(&format!("gatehouse.{filter}.requests")), Some(&1));
    }
    let mut stack = abc("hold");
    assert_eq!(stack.send(&REQUEST).verdict, "hold");
    let sum = stack.news();
    assert_eq!((sum.verdict.as_str(), header(&sum, "x-c")), ("continue", Some("seen")));
}

#[test]
fn the_foremost_that_wants_it_reads_the_body() {
    for (bc, reader) in
        [(["read", "continue"], "b"), (["read", "read"], "b"), (["wait", "read"], "c")]
    {
        for (body, goes_on) in [(WholeBody::Bytes(b"x"), true), (WholeBody::TooLong, false)] {
            let [b, c] = bc;
            let mut stack =
                chain(&json!({"chain": [{"a": {}}, {"b": {"does": b}}, {"c": {"does": c}}]}));
            let sum = stack.send(&REQUEST);
            let sum = if b == "wait" { stack.answer(&OK) } else { sum };
            assert_eq!((sum.verdict.as_str(), header(&sum, "x-c")), ("continue", Some("was here")));
            let (step, counts) = stack.body(body).unwrap();
            assert_eq!(step == Step::Continue, goes_on);
            assert_eq!(counts[0], format!("gatehouse.{reader}.bodies"));
            let (step, _) = stack.body(body).unwrap();
            assert!(matches!(step, Step::Reply(_)), "there is one body");
        }
    }
}

#[test]
fn who_refuses_behind_a_reader_has_the_last_word() {
    let mut stack = chain(&json!({"chain": [{"a": {"does": "read"}}, {"b": {"does": "refuse"}}]}));
    assert_eq!(stack.send(&REQUEST).verdict, "403 gatehouse.b.no");
}

#[test]
fn an_exchange_is_forgotten_however_it_ends() {
    for (ab, waits) in [
        (["continue", "continue"], false),
        (["read", "continue"], false),
        (["read", "refuse"], false),
        (["read", "hold"], true),
        (["wait", "refuse"], true),
    ] {
        let [a, b] = ab;
        for kinds in [KINDS, BRIEF] {
            let config = json!({"chain": [{"a": {"does": a}}, {"b": {"does": b}}]});
            let mut stack = chain_of(kinds, &config);
            stack.send(&REQUEST);
            if waits {
                stack.answer(&OK);
            }
            stack.forget();
            assert_eq!(KNOWN.with_borrow(|known| *known), 0, "{a} {b}");
        }
    }
}

#[test]
fn one_more_than_may_wait_is_refused_but_for_a_filter_in_shadow() {
    let mut stack = abc("hold");
    stack.send(&REQUEST);
    assert_eq!(stack.too_many_held().verdict, "503 gatehouse.b.too_many_waiting");
    let config = json!({"chain": [{"b": {"does": "hold", "mode": "shadow"}}, {"c": {}}]});
    let mut stack = chain(&config);
    stack.send(&REQUEST);
    let sum = stack.too_many_held();
    assert_eq!((sum.verdict.as_str(), header(&sum, "x-c")), ("continue", Some("was here")));
}

#[test]
fn an_answer_that_nobody_waits_for_refuses() {
    let mut stack = abc("continue");
    assert_eq!(stack.answer(&OK).verdict, "503 gatehouse.a.unexpected_answer");
}

#[test]
fn a_read_that_fails_refuses() {
    let mut stack = abc("continue");
    stack.proxy.fail();
    assert_eq!(stack.send(&REQUEST).verdict, "503 gatehouse.a.host_failure");
}

#[test]
fn a_filter_in_shadow_lets_pass_and_the_next_decides() {
    let mut stack = chain(&json!({"chain": [
        {"a": {"does": "refuse", "mode": "shadow"}}, {"b": {"does": "refuse", "mode": "off"}},
        {"c": {"does": "refuse"}},
    ]}));
    let sum = stack.send(&REQUEST);
    assert_eq!(sum.verdict, "403 gatehouse.c.no");
    assert_eq!(sum.counts.get("gatehouse.a.shadow_refused.reason.no"), Some(&1));
}

#[test]
fn ticks_and_calls_are_each_filters_own() {
    let mut stack = chain(&json!({"chain": [{"a": {"tick": 1}}, {"b": {}}, {"c": {"tick": 3}}]}));
    let mut asked = |seconds: u64| {
        stack.proxy.pass(Duration::from_secs(seconds));
        let calls = stack.tick();
        calls.into_iter().map(|(ticket, call)| (ticket.place, call.authority)).collect::<Vec<_>>()
    };
    let call = |place, name: &str| (place, name.to_owned());
    assert_eq!(asked(0), [call(0, "a"), call(1, "b"), call(2, "c")]);
    assert_eq!(asked(1), [call(0, "a")]);
    assert_eq!(asked(1), [call(0, "a")]);
    assert_eq!(asked(1), [call(0, "a"), call(2, "c")]);
    assert_eq!(asked(2), [call(0, "a"), call(1, "b")]);
    // A clock that is set back stops nobody.
    stack.proxy.set_now(crate::time::Timestamp::from_secs(1));
    assert_eq!(stack.tick().len(), 3);
    assert_eq!(stack.tell(Ticket { place: 2, id: 40 }, &OK), ["gatehouse.c.told"]);
    assert!(stack.tell(Ticket { place: 9, id: 40 }, &OK).is_empty());
}

#[test]
fn who_holds_a_request_is_told_of_every_tick() {
    let mut stack = abc("hold");
    let mut asked = || {
        stack.proxy.pass(Duration::from_millis(50));
        stack.tick().into_iter().map(|(ticket, _)| ticket.place).collect::<Vec<_>>()
    };
    assert_eq!([asked(), asked()], [vec![0, 1, 2], vec![]]);
    stack.send(&REQUEST);
    let mut asked = || {
        stack.proxy.pass(Duration::from_millis(50));
        stack.tick().into_iter().map(|(ticket, _)| ticket.place).collect::<Vec<_>>()
    };
    assert_eq!([asked(), asked()], [[1], [1]]);
    stack.news();
    assert!(stack.tick().is_empty());
}

#[test]
fn evidence_stays_in_the_chain_where_it_is_to() {
    let config = |shares| {
        json!({"share_evidence": shares, "chain": [
            {"a": {}}, {"b": {"reads": "gatehouse.evidence.a"}},
        ]})
    };
    for (shares, writes) in [(true, 4), (false, 2)] {
        let sum = chain(&config(shares)).send(&REQUEST);
        assert_eq!((header(&sum, "x-b"), sum.writes), (Some("seen"), writes));
    }
}

#[track_caller]
fn refused(root_id: &str, config: &Value, message: &str) {
    let proxy = Proxy::default();
    let birth = Birth { name: "x", secret: [0; 16], now: Default::default(), host: &proxy };
    let text = config.to_string();
    let result = configure(KINDS, root_id, text.as_bytes(), &Environment::default(), &birth);
    assert_eq!(result.err().map(|error| error.to_string()).as_deref(), Some(message));
}

#[test]
fn a_mistake_is_named_with_its_place() {
    refused("chain", &json!({}), "missing field `chain`");
    refused("", &json!({"chain": []}), "chain: is not a list of at least one filter");
    let message = "chain[1]: is not an object of one field, the name of a filter";
    refused("", &json!({"chain": [{"a": {}}, "b"]}), message);
    refused("", &json!({"chain": [{"a": {}}, {}]}), message);
    refused("", &json!({"chain": [{"a": {}}, {"b": {}, "c": {}}]}), message);
    refused(
        "",
        &json!({"chain": [{"d": {}}]}),
        "chain[0].d: there is no such filter; there are a, b, c",
    );
    let message = "chain[0].a: is not an object; where all is to be as it is by default, `{}`";
    refused("", &json!({"chain": [{"a": null}]}), message);
    let message = "chain[1].a: is in the chain already, as chain[0]";
    refused("", &json!({"chain": [{"a": {}}, {"a": {}}]}), message);
    let message = "chain[1].b.tick: invalid type: a string, expected a whole number";
    refused("", &json!({"chain": [{"a": {}}, {"b": {"tick": "x"}}]}), message);
    let message = "mode: unknown field; beside `chain` there is `share_evidence`";
    refused("", &json!({"chain": [{"a": {}}], "mode": "off"}), message);
    let message = "share_evidence: is neither `true` nor `false`";
    refused("", &json!({"chain": [{"a": {}}], "share_evidence": "no"}), message);
}

#[test]
fn a_root_id_or_a_field_says_which_filter_it_is() {
    let chosen = |root_id: &str, config: Value| {
        let object = config.as_object().unwrap().clone();
        let choice = Choice::of(KINDS, root_id, object).unwrap();
        choice
            .parts()
            .map(|(path, part)| format!("{path}/{}", part.kind.name()))
            .collect::<Vec<_>>()
    };
    assert_eq!(chosen("b", json!({})), ["/b"]);
    assert_eq!(chosen("b", json!({"filter": "b"})), ["/b"]);
    assert_eq!(chosen("", json!({"filter": "c", "does": "refuse"})), ["/c"]);
    assert_eq!(chosen("my-plugin", json!({"filter": "c"})), ["/c"]);
    let both = json!({"chain": [{"c": {}}, {"a": {}}]});
    assert_eq!(chosen("", both.clone()), ["chain[0].c/c", "chain[1].a/a"]);
    assert_eq!(chosen("my-plugin", both), ["chain[0].c/c", "chain[1].a/a"]);

    let ask = "which filter is meant? ";
    let there_are = "and there is neither `filter` nor `chain`; there are a, b, c";
    refused("", &json!({}), &format!("{ask}there is no root id, {there_are}"));
    let names_none = "the root id `d` names none of them";
    refused("d", &json!({"does": "refuse"}), &format!("{ask}{names_none}, {there_are}"));
    refused("a", &json!({"filter": "b"}), "filter: the root id says `a`");
    refused("", &json!({"filter": "d"}), "filter: there is no such filter; there are a, b, c");
    refused("", &json!({"filter": 1}), "filter: is not the name of a filter");
    refused(
        "",
        &json!({"filter": "a", "chain": [{"b": {}}]}),
        "filter: unknown field; beside `chain` there is `share_evidence`",
    );
}

#[test]
fn no_filter_has_the_secret_of_another() {
    SECRETS.take();
    let worker = [7; 16];
    abc("continue");
    let mut secrets = SECRETS.take();
    assert_eq!(secrets.len(), 3);
    secrets.insert(worker);
    assert_eq!(secrets.len(), 4, "what ids are made of in one is known to everybody");
}
