//! The proxy's own spans: what is sent, when, and what happens where it is not taken.

mod spans;

use shared::driver::Run;
use shared::effects::Effects;
use shared::filter::{Answer, Call, CallFailure};
use shared::headers::Headers;
use shared::view::Exchange;

use super::*;

fn exporting() -> Bench<TraceContext> {
    bench(json!({
        "sampling": {"root": "always"},
        "export": {"cluster": "collector", "max_queue": 4, "max_batch": 2},
    }))
}

/// A request that ends with a status.
fn exchange(bench: &mut Bench<TraceContext>, headers: &[(&str, &str)], status: u64) -> Effects {
    let (mut run, _): (Run<TraceContext>, _) = bench.begin(headers);
    bench.proxy.set_property(&["response", "code"], &status.to_le_bytes());
    let mut effects = Effects::default();
    bench.instance.on_log(&mut run, &Exchange::new(&bench.proxy), &mut effects);
    effects
}

/// The one call of a tick.
#[track_caller]
fn tick(bench: &mut Bench<TraceContext>) -> (u32, Call) {
    let mut calls = bench.tick();
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

fn answer(bench: &mut Bench<TraceContext>, id: u32, status: u16) -> usize {
    let headers = Headers::default();
    bench
        .answer(
            id,
            &Answer::Response {
                status,
                headers: &headers,
                body: b"",
                trailers: &Headers::default(),
            },
        )
        .len()
}

fn holds(call: &Call, part: &[u8]) -> bool {
    call.body.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_batch_goes_to_the_collector_at_a_tick() {
    let mut bench = exporting();
    assert!(bench.tick().is_empty(), "nothing to send");
    let headers = [
        (":method", "GET"),
        (":path", "/users/7?token=secret"),
        (":authority", "shop:8443"),
        ("traceparent", PARENT),
        ("tracestate", "foo=1"),
        ("authorization", "Bearer secret"),
    ];
    let effects = exchange(&mut bench, &headers, 200);
    assert_eq!(effects.to_string(), "#spans");
    let (_, call) = tick(&mut bench);
    assert_eq!((&*call.cluster, call.method, &*call.path), ("collector", "POST", "/v1/traces"));
    assert_eq!(call.headers, [("content-type", "application/x-protobuf".to_owned())]);
    let span = 0xb7ad_6b71_6920_3331_u64.to_be_bytes();
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    for part in [&trace[..], &span, b"/users/7", b"shop", b"foo=1", b"unknown_service:envoy"] {
        assert!(holds(&call, part), "{:?}", String::from_utf8_lossy(part));
    }
    assert!(!holds(&call, b"secret") && !holds(&call, b"token"));
}

#[test]
fn only_what_is_recorded_is_exported() {
    let mut bench = exporting();
    let parent = PARENT.replace("-01", "-00");
    assert_eq!(exchange(&mut bench, &[("traceparent", &parent)], 200).to_string(), "");
    assert!(bench.tick().is_empty());
}

#[test]
fn whatever_a_request_is_made_of_its_span_is_well_formed() {
    use prost::Message as _;
    let mut bench = exporting();
    let high = [b'/', 0xff, 0xfe];
    let mut long = vec![b'/'];
    long.extend([0xc3, 0xa9].repeat(5000));
    for path in [&high[..], &long, b"", b"/%00"] {
        let headers = [(":method", b"G\xffT".as_slice()), (":path", path), ("user-agent", &long)];
        let (mut run, _) = bench.begin(&headers);
        let mut effects = Effects::default();
        bench.instance.on_log(&mut run, &Exchange::new(&bench.proxy), &mut effects);
        let (id, call) = tick(&mut bench);
        // Protobuf's strings are UTF-8, or the whole batch is refused.
        prost_well_formed(&call.body);
        assert!(call.body.len() < 4096, "{}", call.body.len());
        assert_eq!(answer(&mut bench, id, 200), 0);
    }

    fn prost_well_formed(body: &[u8]) {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Any {
            #[prost(bytes = "vec", repeated, tag = "1")]
            parts: Vec<Vec<u8>>,
        }
        assert_eq!(Any::decode(body).unwrap().parts.len(), 1);
        assert!(!String::from_utf8_lossy(body).contains("G\u{fffd}\u{fffd}T"));
    }
}

#[test]
fn a_full_queue_takes_no_more() {
    let mut bench = exporting();
    let dropped: Vec<_> = (0..6).map(|_| exchange(&mut bench, &[], 200).to_string()).collect();
    let full = "#spans_dropped[reason=queue_full]";
    assert_eq!(dropped, ["#spans", "#spans", "#spans", "#spans", full, full]);
}

#[test]
fn batches_follow_one_another() {
    let mut bench = exporting();
    for _ in 0..4 {
        exchange(&mut bench, &[], 200);
    }
    let (first, _) = tick(&mut bench);
    assert!(bench.tick().is_empty(), "one at a time");
    assert_eq!(answer(&mut bench, first + 7, 200), 0, "an answer for another plugin");
    assert_eq!(answer(&mut bench, first, 200), 1, "the next one, which is full, at once");
    assert_eq!(answer(&mut bench, first + 1, 200), 0);
    assert!(bench.tick().is_empty());
}

#[test]
fn a_collector_that_is_down_is_tried_again_and_given_up() {
    let mut bench = exporting();
    exchange(&mut bench, &[], 200);
    let mut pauses = Vec::new();
    let mut last = None;
    for _ in 0..5 {
        let mut waited = 0;
        let (id, call) = loop {
            if let Some(call) = bench.tick().pop() {
                break call;
            }
            bench.proxy.pass(std::time::Duration::from_secs(1));
            waited += 1;
        };
        pauses.push(waited);
        assert!(last.is_none_or(|last| last == call.body), "the same batch");
        last = Some(call.body);
        assert!(bench.answer(id, &Answer::Failed(CallFailure::NoHost)).is_empty());
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8]);
    bench.proxy.pass(std::time::Duration::from_secs(100));
    assert!(bench.tick().is_empty(), "given up");
    exchange(&mut bench, &[], 200);
    tick(&mut bench);
}

#[test]
fn a_collector_says_how_long_to_leave_it_alone() {
    let mut bench = exporting();
    exchange(&mut bench, &[], 200);
    let (id, _) = tick(&mut bench);
    let headers: Headers = [("retry-after", "30")].into_iter().collect();
    bench.answer(
        id,
        &Answer::Response {
            status: 503,
            headers: &headers,
            body: b"",
            trailers: &Headers::default(),
        },
    );
    bench.proxy.pass(std::time::Duration::from_secs(29));
    assert!(bench.tick().is_empty());
    bench.proxy.pass(std::time::Duration::from_secs(1));
    tick(&mut bench);
}

#[test]
fn what_is_refused_is_not_sent_again() {
    for status in [400, 401, 404, 413, 500] {
        let mut bench = exporting();
        exchange(&mut bench, &[], 200);
        let (id, _) = tick(&mut bench);
        answer(&mut bench, id, status);
        bench.proxy.pass(std::time::Duration::from_secs(100));
        assert!(bench.tick().is_empty(), "{status}");
    }
}
