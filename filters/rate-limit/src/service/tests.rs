//! What is asked of a service and made of its answers, however wrong.

use std::time::Duration;

use proptest::prelude::*;
use prost::Message;
use serde_json::json;
use shared::filter::{Answer, CallFailure};
use shared::headers::Headers;
use shared::store::Store;
use shared::testing::Proxy;
use shared::time::Timestamp;

use super::client::{Client, Descriptor, Judgement, Over};
use super::grpc::{Failure, LONGEST};
use super::wire::{
    DescriptorStatus, HeaderValue, Quota, RateLimit, RateLimitRequest, RateLimitResponse, Span,
};

mod requests;

const OK: i32 = 1;
const OVER: i32 = 2;

/// What is known without a call.
#[derive(Debug, PartialEq, Eq)]
enum Recalled {
    Nothing,
    Granted,
    Over(Over),
}

struct World {
    proxy: Proxy,
    client: Client,
}

impl World {
    fn new() -> Self {
        let config = json!({"cluster": "limits", "domain": "test", "timeout": "30ms"});
        let config = serde_json::from_value(config).unwrap();
        Self { proxy: Proxy::default(), client: Client::new(&config, "slots", [7; 16]) }
    }

    fn now(&self) -> Timestamp {
        shared::view::Host::now(&self.proxy).unwrap()
    }

    fn recall(&self, descriptors: &[Descriptor]) -> Recalled {
        let (store, now) = (Store::new(&self.proxy), self.now());
        match self.client.over(store, descriptors, now) {
            Some(over) => Recalled::Over(over),
            None if self.client.take(store, descriptors, now) => Recalled::Granted,
            None => Recalled::Nothing,
        }
    }

    fn judge(&self, descriptors: &[Descriptor], answer: &Answer<'_>) -> Result<Judgement, Failure> {
        let headers = Headers::default();
        self.client.judge(Store::new(&self.proxy), descriptors, answer, &headers, self.now())
    }

    /// What a well-formed answer with this message is taken for.
    fn told(
        &self,
        descriptors: &[Descriptor],
        response: &RateLimitResponse,
    ) -> Result<Judgement, Failure> {
        self.bytes(descriptors, &framed(&response.encode_to_vec()))
    }

    fn bytes(&self, descriptors: &[Descriptor], body: &[u8]) -> Result<Judgement, Failure> {
        let (headers, trailers) = (grpc(), status("0"));
        let answer = Answer::Response { status: 200, headers: &headers, body, trailers: &trailers };
        self.judge(descriptors, &answer)
    }
}

fn grpc() -> Headers {
    [(":status", "200"), ("content-type", "application/grpc")].into_iter().collect()
}

fn status(code: &str) -> Headers {
    [("grpc-status", code)].into_iter().collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn descriptor(name: &str, cost: u32) -> Descriptor {
    let entries = vec![("limit".to_owned(), name.to_owned()), ("consumer".into(), "alice".into())];
    Descriptor { id: [1; 8], entries, cost, quota: Some((10, Duration::from_secs(60))) }
}

fn span(seconds: i64) -> Option<Span> {
    Some(Span { seconds, nanos: 0 })
}

fn one(code: i32, remaining: u32, reset: i64) -> DescriptorStatus {
    DescriptorStatus {
        code,
        current_limit: Some(RateLimit { requests_per_unit: 10, unit: 2, unit_multiplier: 0 }),
        limit_remaining: remaining,
        duration_until_reset: span(reset),
        quota: None,
    }
}

fn response(overall_code: i32, statuses: Vec<DescriptorStatus>) -> RateLimitResponse {
    RateLimitResponse { overall_code, statuses, ..RateLimitResponse::default() }
}

#[test]
fn asks_once_with_all_descriptors() {
    let call = World::new().client.call(&[descriptor("a", 1), descriptor("b", 7)]);
    assert_eq!((call.cluster.as_str(), call.method), ("limits", "POST"));
    assert_eq!(call.path, "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");
    assert_eq!(call.timeout, Duration::from_millis(30));
    for header in
        [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "30m")]
    {
        assert!(call.headers.contains(&(header.0, header.1.to_owned())), "{header:?}");
    }
    assert_eq!(call.body[..5], framed(&call.body[5..])[..5]);
    let request = RateLimitRequest::decode(&call.body[5..]).unwrap();
    assert_eq!((request.domain.as_str(), request.hits_addend), ("test", 7));
    let addends: Vec<_> =
        request.descriptors.iter().map(|one| one.hits_addend.unwrap().value).collect();
    assert_eq!(addends, [1, 7]);
    let limit = request.descriptors[0].limit.unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit), (10, 2));
    let entries = request.descriptors[1].entries.iter();
    let entries: Vec<_> = entries.map(|one| (one.key.as_str(), one.value.as_str())).collect();
    assert_eq!(entries, [("limit", "b"), ("consumer", "alice")]);
}

/// Byte for byte, as `protoc` encodes it.
#[test]
fn the_numbers_of_the_fields_are_envoys() {
    let call = World::new().client.call(&[descriptor("a", 300)]);
    let descriptor = [
        &b"\x0a\x0a\x0a\x05limit\x12\x01a"[..],
        b"\x0a\x11\x0a\x08consumer\x12\x05alice",
        b"\x12\x04\x08\x0a\x10\x02",
        b"\x1a\x03\x08\xac\x02",
    ]
    .concat();
    let length = u8::try_from(descriptor.len()).unwrap();
    let message = [&b"\x0a\x04test\x12"[..], &[length], &descriptor, b"\x18\xac\x02"].concat();
    assert_eq!(call.body, framed(&message));
}

#[test]
fn the_overall_code_is_the_verdict() {
    let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
    let under = world.told(&asked, &response(OK, vec![one(OK, 9, 60), one(OK, 3, 10)])).unwrap();
    assert_eq!(under.over, None);
    let standings: Vec<_> = under.standings.iter().map(|one| one.unwrap().remaining).collect();
    assert_eq!(standings, [9, 3]);
    let over = world.told(&asked, &response(OVER, vec![one(OK, 9, 60), one(OVER, 0, 10)])).unwrap();
    assert_eq!(over.over, Some(Over { places: vec![1], wait: Duration::from_secs(10) }));
}

#[test]
fn a_service_may_give_no_statuses() {
    let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
    assert_eq!(world.told(&asked, &response(OK, vec![])).unwrap().over, None);
    let over = world.told(&asked, &response(OVER, vec![])).unwrap().over.unwrap();
    assert_eq!(over, Over { places: vec![], wait: Duration::from_secs(1) });
    assert_eq!(world.recall(&asked), Recalled::Nothing);
}

#[test]
fn what_contradicts_itself_is_no_answer() {
    let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
    let cases = [
        response(0, vec![one(OK, 1, 1), one(OK, 1, 1)]),
        response(3, vec![]),
        response(-1, vec![]),
        response(OK, vec![one(OK, 1, 1)]),
        response(OK, vec![one(OK, 1, 1), one(OK, 1, 1), one(OK, 1, 1)]),
        response(OK, vec![one(OK, 1, 1), one(0, 1, 1)]),
        response(OVER, vec![one(OVER, 0, 1), one(7, 1, 1)]),
    ];
    for case in cases {
        assert_eq!(world.told(&asked, &case), Err(Failure::Malformed), "{case:?}");
    }
    assert_eq!(world.recall(&asked), Recalled::Nothing);
}

#[test]
fn what_is_no_message_of_grpc_is_no_answer() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    let good = framed(&response(OK, vec![one(OK, 1, 1)]).encode_to_vec());
    assert!(world.bytes(&asked, &good).is_ok());
    let mut bad = vec![vec![], vec![0; 4], b"<html>".to_vec(), [&good[..], b"\0"].concat()];
    bad.push([&good[..], &good].concat());
    // What follows would be a field of the message.
    bad.push([&good[..], b"\x08\x01"].concat());
    bad.push([&[1], &good[1..]].concat());
    bad.push(framed(b"\xff\xff\xff"));
    bad.extend((0..good.len()).map(|end| good[..end].to_vec()));
    for body in bad {
        assert_eq!(world.bytes(&asked, &body), Err(Failure::Malformed), "{body:?}");
    }
    // Nothing at all is a response with the code `UNKNOWN`.
    assert_eq!(world.bytes(&asked, &framed(b"")), Err(Failure::Malformed));
}

#[track_caller]
fn check(
    code: u16,
    headers: &[(&str, &str)],
    trailers: &[(&str, &str)],
    want: Result<(), Failure>,
) {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    let body = framed(&response(OK, vec![one(OK, 1, 1)]).encode_to_vec());
    let [headers, trailers]: [Headers; 2] =
        [headers, trailers].map(|pairs| pairs.iter().copied().collect());
    let answer =
        Answer::Response { status: code, headers: &headers, body: &body, trailers: &trailers };
    assert_eq!(world.judge(&asked, &answer).map(|_| ()), want);
}

#[test]
fn grpc_status_is_in_the_trailers_or_alone() {
    let kind = ("content-type", "application/grpc");
    let status = |code| ("grpc-status", code);
    check(200, &[kind], &[status("0")], Ok(()));
    check(200, &[("content-type", "application/grpc+proto")], &[status("0")], Ok(()));
    check(200, &[kind, status("0")], &[], Ok(()));
    check(200, &[kind], &[], Err(Failure::Malformed));
    check(200, &[kind, status("0")], &[("x", "y")], Err(Failure::Malformed));
    check(200, &[kind], &[status("0"), status("0")], Err(Failure::Malformed));
    check(200, &[kind], &[status("00")], Err(Failure::Refused));
    check(200, &[kind], &[status("")], Err(Failure::Refused));
    check(200, &[kind, status("0")], &[status("13")], Err(Failure::Refused));
    check(200, &[kind, status("12")], &[], Err(Failure::Refused));
    check(200, &[kind, status("14")], &[], Err(Failure::Unavailable));
    check(200, &[kind], &[status("4")], Err(Failure::Unavailable));
    check(200, &[("content-type", "text/html")], &[status("0")], Err(Failure::Malformed));
    check(200, &[("content-type", "application/grpcx")], &[status("0")], Err(Failure::Malformed));
    check(200, &[], &[status("0")], Err(Failure::Malformed));
    check(404, &[kind], &[status("0")], Err(Failure::Malformed));
    check(503, &[kind], &[], Err(Failure::Unavailable));
    check(504, &[], &[], Err(Failure::Unavailable));
}

#[test]
fn a_call_that_fails_is_told_by_its_failure() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    for (failure, want) in [
        (CallFailure::Rejected, Failure::Unavailable),
        (CallFailure::NoHost, Failure::Unavailable),
        (CallFailure::Broken, Failure::Unavailable),
        (CallFailure::TooLong, Failure::Malformed),
    ] {
        assert_eq!(world.judge(&asked, &Answer::Failed(failure)), Err(want));
    }
    const { assert!(LONGEST >= 16 * 1024) };
}

#[test]
fn a_key_that_is_over_is_not_asked_about_until_it_resets() {
    let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
    world.told(&asked, &response(OVER, vec![one(OVER, 0, 10), one(OK, 5, 60)])).unwrap();
    world.proxy.pass(Duration::from_secs(4));
    let over = Over { places: vec![1], wait: Duration::from_secs(6) };
    let asked = [descriptor("b", 1), descriptor("a", 1)];
    assert_eq!(world.recall(&asked), Recalled::Over(over));
    assert_eq!(world.recall(&asked[..1]), Recalled::Nothing);
    world.proxy.pass(Duration::from_secs(6));
    assert_eq!(world.recall(&asked), Recalled::Nothing);
}

#[test]
fn what_was_said_of_another_quota_or_by_another_service_is_not_known() {
    let mut world = World::new();
    let both = [descriptor("a", 1), descriptor("b", 1)];
    world.told(&both, &response(OVER, vec![one(OVER, 0, 3600), one(OK, 5, 3600)])).unwrap();
    assert_ne!(world.recall(&both), Recalled::Nothing);
    let other = both.clone().map(|known| Descriptor { id: [2; 8], ..known });
    assert_eq!(world.recall(&other), Recalled::Nothing);
    let config = json!({"cluster": "others", "domain": "test"});
    world.client = Client::new(&serde_json::from_value(config).unwrap(), "slots", [7; 16]);
    assert_eq!(world.recall(&both), Recalled::Nothing);
}

#[test]
fn with_something_remaining_only_that_request_was_too_much() {
    let (world, asked) = (World::new(), [descriptor("a", 50)]);
    let over = world.told(&asked, &response(OVER, vec![one(OVER, 7, 10)])).unwrap();
    assert!(over.over.is_some());
    assert_eq!(world.recall(&[descriptor("a", 1)]), Recalled::Nothing);
}

#[test]
fn a_limit_that_the_service_only_watches_is_not_remembered() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    assert_eq!(world.told(&asked, &response(OK, vec![one(OVER, 0, 10)])).unwrap().over, None);
    assert_eq!(world.recall(&asked), Recalled::Nothing);
}

fn granting(requests: u32, until: Timestamp, id: &str) -> Option<Quota> {
    let valid_until = span(i64::try_from(until.secs()).unwrap());
    Some(Quota { requests, valid_until, id: id.into() })
}

#[test]
fn a_quota_is_used_up_without_a_call() {
    let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 2)]);
    let until = world.now().after(Duration::from_secs(10));
    let [mut a, mut b] = [one(OK, 9, 60), one(OK, 9, 60)];
    (a.quota, b.quota) = (granting(5, until, ""), granting(5, until, ""));
    world.told(&asked, &response(OK, vec![a, b])).unwrap();
    assert_eq!(world.recall(&asked), Recalled::Granted);
    assert_eq!(world.recall(&asked), Recalled::Granted);
    // The second has one left, and wants two: what the first one gave is given back.
    assert_eq!(world.recall(&asked), Recalled::Nothing);
    assert_eq!(world.recall(&[descriptor("a", 3)]), Recalled::Granted);
    assert_eq!(world.recall(&[descriptor("a", 1)]), Recalled::Nothing);
}

#[test]
fn a_quota_of_all_is_of_these_all_together() {
    let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
    let mut answer = response(OK, vec![]);
    answer.quota = granting(1, world.now().after(Duration::from_secs(10)), "");
    world.told(&asked, &answer).unwrap();
    assert_eq!(world.recall(&asked[..1]), Recalled::Nothing);
    assert_eq!(world.recall(&asked), Recalled::Granted);
    assert_eq!(world.recall(&asked), Recalled::Nothing);
}

#[test]
fn a_quota_ends() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    let mut status = one(OK, 9, 60);
    status.quota = granting(5, world.now().after(Duration::from_secs(10)), "");
    world.told(&asked, &response(OK, vec![status])).unwrap();
    world.proxy.pass(Duration::from_secs(10));
    assert_eq!(world.recall(&asked), Recalled::Nothing);
}

#[test]
fn a_quota_that_others_share_or_that_has_no_end_is_not_used() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    let until = world.now().after(Duration::from_secs(10));
    let endless = Some(Quota { requests: 5, valid_until: None, id: String::new() });
    let past = granting(5, Timestamp::from_secs(5), "");
    for quota in [granting(5, until, "shared"), granting(0, until, ""), endless, past] {
        let mut status = one(OK, 9, 60);
        status.quota = quota;
        world.told(&asked, &response(OK, vec![status])).unwrap();
        assert_eq!(world.recall(&asked), Recalled::Nothing);
    }
}

#[test]
fn absurd_numbers_are_bounded() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    for reset in [span(i64::MAX), span(i64::MIN), Some(Span { seconds: -1, nanos: i32::MAX }), None]
    {
        let mut status = one(OVER, u32::MAX, 0);
        status.duration_until_reset = reset;
        let over = world.told(&asked, &response(OVER, vec![status])).unwrap().over.unwrap();
        assert!((1..=86_400).contains(&over.wait.as_secs()), "{over:?}");
    }
}

#[test]
fn headers_are_taken_as_far_as_they_are_harmless() {
    let (world, asked) = (World::new(), [descriptor("a", 1)]);
    let header =
        |key: &str| HeaderValue { key: key.into(), value: "1".into(), raw_value: Vec::new() };
    let mut answer = response(OK, vec![]);
    answer.response_headers_to_add = vec![header("X-Plan"), header(":status")];
    answer.request_headers_to_add = vec![header("x-plan"), header("x-auth-subject")];
    let judged = world.told(&asked, &answer).unwrap();
    assert_eq!(judged.response_headers.len(), 1);
    assert_eq!(&*judged.request_headers[0].0, "x-plan");
    assert_eq!(judged.request_headers.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes is an answer or is none; it never grants or blocks for longer than a day.
    #[test]
    fn no_bytes_do_harm(body in prop::collection::vec(any::<u8>(), 0..300), frame in any::<bool>()) {
        let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
        let body = if frame { framed(&body) } else { body };
        let _ = world.bytes(&asked, &body);
        world.proxy.pass(Duration::from_secs(86_400));
        prop_assert_eq!(world.recall(&asked), Recalled::Nothing);
    }

    /// A good message with some bytes of it changed.
    #[test]
    fn no_changed_byte_does_harm(at in 0_usize..60, byte in any::<u8>(), code in 1..3) {
        let (world, asked) = (World::new(), [descriptor("a", 1), descriptor("b", 1)]);
        let mut status = one(code, 0, 10);
        status.quota = granting(9, world.now().after(Duration::from_secs(9)), "");
        let mut body = framed(&response(code, vec![status, one(OK, 1, 1)]).encode_to_vec());
        let at = at.min(body.len().saturating_sub(1));
        body[at] = byte;
        if let Ok(judged) = world.bytes(&asked, &body) {
            let over = judged.over.unwrap_or_default();
            prop_assert!(over.places.iter().all(|place| *place < 2));
            prop_assert!(over.wait <= Duration::from_secs(86_400));
        }
        world.proxy.pass(Duration::from_secs(86_400));
        prop_assert_eq!(world.recall(&asked), Recalled::Nothing);
    }
}
