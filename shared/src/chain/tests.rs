//! The rules of a chain, on filters that do what their configuration says.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bundle::{Choice, configure};
use crate::config::{Environment, Invalid, Layers, Scope};
use crate::driver::Step;
use crate::effects::Effects;
use crate::filter::{Answer, Background, Birth, Call, Filter, Flow, Plugin, Ticket, WholeBody};
use crate::reply::{Refusal, Reply};
use crate::runner::{Kind, Phases};
use crate::testing::{Proxy, Stack, Sum};
use crate::view::{Exchange, Request, Response};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The filters `a`, `b` and `c`.
struct Toy<const N: usize>(Config);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    tick: Option<u64>,
}

#[derive(Deserialize)]
struct Settings {
    /// `continue`, `refuse`, `answer`, `wait`, `hold` or `read`.
    #[serde(default = "go_on")]
    does: String,
    /// What it copies into its own header: a header, or state.
    reads: Option<String>,
    /// A header that it takes off.
    removes: Option<String>,
}

fn go_on() -> String {
    "continue".to_owned()
}

#[derive(Default)]
struct Play<const N: usize>;

impl<const N: usize> Plugin for Toy<N> {
    const NAME: &'static str = ["a", "b", "c"][N];
    type Config = Config;
    type Settings = Settings;
    type Filter = Play<N>;

    fn new(config: Config, _: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        SECRETS.with_borrow_mut(|secrets| secrets.insert(birth.secret));
        Ok(Self(config))
    }

    fn tick(&self) -> Option<Duration> {
        self.0.tick.map(Duration::from_secs)
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        background.call(40, Call::get("c", Self::NAME, "/", Duration::from_secs(1)));
    }

    fn on_background_answer(&mut self, id: u32, _: &Answer<'_>, background: &mut Background<'_>) {
        assert_eq!(id, 40);
        background.effects.count("told");
    }
}

thread_local! {
    /// The secrets that filters were given.
    static SECRETS: RefCell<BTreeSet<[u8; 16]>> = RefCell::default();
}

impl<const N: usize> Play<N> {
    const NAME: &'static str = Toy::<N>::NAME;

    fn set(what: &str, value: &[u8], effects: &mut Effects) {
        effects.set_request_header(format!("x-{}{what}", Self::NAME).into(), value.into());
    }
}

impl<const N: usize> Filter for Play<N> {
    type Plugin = Toy<N>;

    fn on_request(
        &mut self,
        _: &mut Toy<N>,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Settings { does, reads, removes } = &scope.settings;
        let read = reads.as_deref().map(|name| {
            let header = request.headers().first(name).map(<[u8]>::to_vec);
            header.or_else(|| request.property(&[name])).unwrap_or_else(|| b"nothing".to_vec())
        });
        Self::set("", &read.unwrap_or_else(|| b"was here".to_vec()), effects);
        if let Some(name) = removes {
            effects.remove_request_header(name.as_str().into());
        }
        effects.set_state(format!("gatehouse.evidence.{}", Self::NAME).into(), b"seen"[..].into());
        effects.set_response_header("x-early".into(), Self::NAME.as_bytes().into());
        effects.count("requests");
        match does.as_str() {
            "refuse" => Flow::Refuse(Refusal::forbidden("no")),
            "answer" => Flow::Answer(Reply {
                status: 204,
                details: "answered".into(),
                headers: vec![],
                body: vec![],
                grpc_status: None,
            }),
            "wait" => Flow::Wait(Call::get("c", "h", "/", Duration::from_secs(1))),
            "hold" => Flow::Hold,
            "read" => Flow::Read(10),
            _ => Flow::Continue,
        }
    }

    fn on_answer(
        &mut self,
        _: &mut Toy<N>,
        _: &Scope<Settings>,
        _: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let in_front = request.headers().first("x-a").unwrap_or(b"nothing");
        Self::set("-answered", in_front, effects);
        Flow::Continue
    }

    fn on_news(
        &mut self,
        _: &mut Toy<N>,
        _: &Scope<Settings>,
        _: &Request<'_>,
        _: &mut Effects,
    ) -> Flow {
        Flow::Continue
    }

    fn on_whole_body(
        &mut self,
        _: &mut Toy<N>,
        _: &Scope<Settings>,
        body: WholeBody<'_>,
        _: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        effects.count("bodies");
        match body {
            WholeBody::Bytes(_) => Flow::Continue,
            _ => Flow::Refuse(Refusal::forbidden("body")),
        }
    }

    fn on_response(&mut self, _: &mut Toy<N>, response: &Response<'_>, effects: &mut Effects) {
        let before = response.headers().first("x-way").unwrap_or_default();
        let way = [before, Self::NAME.as_bytes()].concat();
        effects.set_response_header("x-way".into(), way.into());
        effects.count("responses");
    }

    fn on_log(&mut self, _: &mut Toy<N>, _: &Exchange<'_>, effects: &mut Effects) {
        effects.count("logs");
    }
}

const KINDS: &[Kind] = &[
    Kind::of::<Toy<0>>(Phases::REQUEST.response().log()),
    Kind::of::<Toy<1>>(Phases::REQUEST.wait().log()),
    Kind::of::<Toy<2>>(Phases::REQUEST.response().log()),
];

fn chain(config: &Value) -> Stack {
    Stack::new(|birth| {
        let text = config.to_string();
        Ok(vec![configure(KINDS, "chain", text.as_bytes(), &Environment::default(), birth)?])
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
