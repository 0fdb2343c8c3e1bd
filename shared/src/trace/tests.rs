//! Every form: what it takes, what it refuses, and that a trace survives any way through them.

mod baggage;
mod forms;
mod w3c;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::ids::Ids;
use super::{
    Decision, Found, Incoming, Outgoing, SpanId, TraceId, b3, datadog, google, jaeger, tracestate,
    w3c as w3c_form, xray,
};

/// A way to travel: printed as the next receiver gets it, and read by that one.
type Hop = fn(&Outgoing) -> Option<Found>;

const HOPS: [(&str, Hop); 7] = [
    ("w3c", |outgoing| w3c_form::parse(&w3c_form::print(outgoing))),
    ("b3", |outgoing| b3::parse(&b3::print(outgoing))),
    ("b3multi", |outgoing| {
        let state = b3::print_state(outgoing.decision);
        let of = |name: &str| state.filter(|(known, _)| *known == name).map(|(_, value)| value);
        b3::parse_multi(&b3::Multi {
            trace_id: Some(&outgoing.trace_id.hex()),
            span_id: Some(&outgoing.span_id.hex()),
            parent_span_id: None,
            sampled: of(b3::SAMPLED),
            flags: of(b3::FLAGS),
        })
    }),
    ("jaeger", |outgoing| jaeger::parse(&jaeger::print(outgoing))),
    ("datadog", |outgoing| {
        let printed = datadog::print(outgoing, None);
        datadog::parse(&datadog::Headers {
            trace_id: Some(printed.trace_id.as_bytes()),
            parent_id: Some(printed.parent_id.as_bytes()),
            priority: printed.priority.map(str::as_bytes),
            tags: Some(&printed.tags),
        })
    }),
    ("xray", |outgoing| xray::parse(&xray::print(outgoing))),
    ("google", |outgoing| google::parse(&google::print(outgoing))),
];

fn trace(found: Option<Found>) -> Option<Incoming> {
    match found? {
        Found::Trace(incoming) => Some(incoming),
        Found::Only(_) => None,
    }
}

/// Traces of all kinds: ids of 64 and 128 bits, small, large and random, and every decision.
fn traces() -> Vec<Outgoing> {
    let mut ids = Ids::new([3; 16]);
    let mut trace_ids = vec![1, u128::from(u64::MAX), 1 << 64 | 1, u128::MAX, 0xa << 124 | 1];
    let mut span_ids = vec![1, u64::MAX, 1 << 63];
    for _ in 0..200 {
        trace_ids.extend([ids.draw(), ids.draw() >> 64]);
        span_ids.push(ids.span_id().number());
    }
    let decisions = [Decision::Drop, Decision::Record, Decision::Debug];
    let make = |(index, number): (usize, &u128)| Outgoing {
        trace_id: TraceId::new(*number).unwrap(),
        span_id: SpanId::new(*span_ids.iter().cycle().nth(index).unwrap()).unwrap(),
        decision: *decisions.iter().cycle().nth(index).unwrap(),
        random: index % 2 == 0,
    };
    trace_ids.iter().filter(|number| **number != 0).enumerate().map(make).collect()
}

#[test]
fn every_form_keeps_ids_and_decision() {
    for outgoing in traces() {
        for (name, hop) in HOPS {
            let found = trace(hop(&outgoing)).unwrap_or_else(|| panic!("{name}: {outgoing:?}"));
            assert_eq!(found.trace_id, outgoing.trace_id, "{name}");
            assert_eq!(found.parent, Some(outgoing.span_id), "{name}");
            assert_eq!(found.decision.is_sampled(), outgoing.decision.is_sampled(), "{name}");
            let knows_debug = !["w3c", "xray", "google"].contains(&name);
            assert!(!knows_debug || found.decision == outgoing.decision, "{name} {outgoing:?}");
            assert_eq!(found.random, outgoing.random && name == "w3c");
        }
    }
}

#[test]
fn a_trace_survives_any_two_forms() {
    for outgoing in traces() {
        for (first, one) in HOPS {
            let found = trace(one(&outgoing)).unwrap();
            let again = Outgoing { decision: found.decision, ..outgoing };
            for (second, other) in HOPS {
                let found = trace(other(&again)).unwrap();
                let ids = (found.trace_id, found.parent, found.decision.is_sampled());
                let expected =
                    (outgoing.trace_id, Some(outgoing.span_id), outgoing.decision.is_sampled());
                assert_eq!(ids, expected, "{first} to {second}");
            }
        }
    }
}

#[test]
fn nothing_that_is_bent_panics_or_reads_as_an_id_of_zero() {
    let mut ids = Ids::new([5; 16]);
    let seeds: [&[u8]; 6] = [
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d-05e3ac9a4f6e3b90",
        b"5b8aa5a2d2c872e8321cf37308d69df2%3A051581bf3cb55c13:0:3",
        b"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        b"105445aa7843bc8bf206b12000100000/123456789;o=1",
        b"_dd.p.tid=640cfd8d00000000,_dd.p.dm=-4",
    ];
    for round in 0..20_000_usize {
        let mut bytes = seeds.iter().cycle().nth(round).unwrap().to_vec();
        for _ in 0..=round % 3 {
            let draw = ids.draw().to_le_bytes();
            let at = usize::from(draw[0]) % bytes.len();
            match draw[1] % 4 {
                0 => bytes[at] = draw[2],
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, draw[2]),
                _ => bytes[at] = b'0',
            }
        }
        for parse in [w3c_form::parse, b3::parse, jaeger::parse, xray::parse, google::parse] {
            let _ = parse(&bytes);
        }
        let digits = Some(bytes.as_slice());
        let headers = datadog::Headers {
            trace_id: Some(b"7"),
            parent_id: digits,
            priority: None,
            tags: digits,
        };
        let _ = datadog::parse(&headers);
        let _ = tracestate::combine([bytes.as_slice()].into_iter());
    }
}

#[test]
fn drawn_ids_are_all_different() {
    let mut ids = Ids::new([1; 16]);
    let drawn: std::collections::HashSet<_> = (0..10_000).map(|_| ids.trace_id()).collect();
    assert_eq!(drawn.len(), 10_000);
    let mut others = Ids::new([2; 16]);
    assert!((0..10_000).all(|_| !drawn.contains(&others.trace_id())));
    // Each bit is as often 1 as 0, give or take five standard deviations.
    for bit in 0..128 {
        let set = drawn.iter().filter(|id| id.number() >> bit & 1 == 1).count();
        assert!((4750..5250).contains(&set), "{bit}: {set}");
    }
}
