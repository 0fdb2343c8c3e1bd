//! `rate-limit` with a service, as it is built: what asking costs, and answers of any bytes.

use tests::grpc::framed;
use tests::host::{Action, Answer, Headers, Host, Outcome};

const CONFIG: &str = r#"{
    "limits": [{"name": "a", "key": [{"header": "k"}], "counted": "global", "quota": {"requests": 10, "per": "1h"}}],
    "service": {"cluster": "limits", "domain": "test"}
}"#;

fn start() -> Host {
    let mut host = Host::load("rate-limit").unwrap().cluster("limits");
    host.configure(CONFIG).unwrap();
    host
}

/// A request, and the token of the call that it waits for, if it does.
fn send(host: &mut Host, key: &str) -> (Outcome, Option<u32>) {
    let head = [(":method", "GET"), (":path", "/"), (":authority", "shop"), ("k", key)];
    let outcome = host.request(&head).expect("no trap");
    let token = host.pending().first().map(|call| call.token);
    (outcome, token)
}

fn grpc(body: &[u8], trailers: &[(&str, &[u8])]) -> Answer {
    let headers = Headers::new(&[(":status", "200"), ("content-type", "application/grpc")]);
    Answer { headers, body: body.to_vec(), trailers: Headers::new(trailers) }
}

/// `OK`, one status of `OK` with 7 remaining; and `OVER_LIMIT` with none, for a minute.
const UNDER: &[u8] = b"\x08\x01\x12\x04\x08\x01\x18\x07";
const OVER: &[u8] = b"\x08\x02\x12\x06\x08\x02\x22\x02\x08\x3c";

#[track_caller]
fn answered(host: &mut Host, key: &str, answer: Answer) -> Option<u32> {
    let (outcome, token) = send(host, key);
    assert_eq!((outcome.action, outcome.local_reply.is_none()), (Action::Pause, true));
    let outcome = host.answer(token.expect("a call"), answer).expect("no trap");
    outcome.local_reply.map(|reply| reply.status)
}

#[test]
fn an_answer_decides() {
    let mut host = start();
    let ok: &[(&str, &[u8])] = &[("grpc-status", b"0")];
    assert_eq!(answered(&mut host, "x", grpc(&framed(UNDER), ok)), None);
    assert_eq!(answered(&mut host, "x", grpc(&framed(OVER), ok)), Some(429));
    // It is known now.
    let (outcome, token) = send(&mut host, "x");
    assert_eq!((outcome.local_reply.map(|reply| reply.status), token), (Some(429), None));
    assert_eq!(answered(&mut host, "y", grpc(&framed(UNDER), ok)), None);
}

#[test]
fn no_answer_refuses_or_traps() {
    let mut host = start();
    let (_, token) = send(&mut host, "x");
    let reply = host.time_out(token.expect("a call")).expect("no trap").local_reply;
    assert_eq!(reply.map(|reply| reply.status), Some(503));
    let (_, token) = send(&mut host, "x");
    let reply = host.reset_call(token.expect("a call")).expect("no trap").local_reply;
    assert_eq!(reply.map(|reply| reply.status), Some(503));
}

/// Numbers that look drawn, the same at every run.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

#[test]
fn no_bytes_trap() {
    let (mut host, mut drawn) = (start(), Drawn(7));
    for round in 0..600 {
        let mut body = framed(if round % 2 == 0 { UNDER } else { OVER });
        for _ in 0..drawn.below(4) {
            let at = drawn.below(body.len());
            body[at] = drawn.byte();
        }
        if round % 5 == 0 {
            body = (0..drawn.below(64)).map(|_| drawn.byte()).collect();
        }
        let junk: Vec<_> = (0..drawn.below(6)).map(|_| drawn.byte()).collect();
        let status: &[u8] = if round % 3 == 0 { &junk } else { b"0" };
        let answer = grpc(&body, &[("grpc-status", status)]);
        let status = answered(&mut host, &format!("key {round}"), answer);
        assert!(matches!(status, None | Some(429 | 503)), "{status:?}");
    }
    let ok: &[(&str, &[u8])] = &[("grpc-status", b"0")];
    assert_eq!(answered(&mut host, "still there", grpc(&framed(UNDER), ok)), None);
}

#[test]
fn asking_and_knowing_cost_so_much_and_no_more() {
    let mut host = start();
    let ok: &[(&str, &[u8])] = &[("grpc-status", b"0")];
    // What is defined once.
    answered(&mut host, "w", grpc(&framed(UNDER), ok));
    answered(&mut host, "x", grpc(&framed(OVER), ok));
    send(&mut host, "x");
    host.reset();
    answered(&mut host, "y", grpc(&framed(UNDER), ok));
    let (asked, calls) = (host.fuel_used(), host.calls().values().sum::<u64>());
    host.reset();
    send(&mut host, "x");
    let (known, more) = (host.fuel_used(), host.calls().values().sum::<u64>());
    assert!(asked < 60_000 && calls <= 20, "{asked} instructions, {calls} host calls");
    assert!(known < 70_000 && more <= 11, "{known} instructions, {more} host calls");
}
