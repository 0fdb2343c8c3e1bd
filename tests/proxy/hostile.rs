//! What a network can send: ten thousand requests in random order through every filter, four
//! workers, and the same VMs alive at the end, the right answer to each, and nothing at the upstream
//! that was refused at the proxy. Those of `oauth2-login` and `token-introspection` are with the rest of
//! their tests, beside the providers that they need.

mod complete;
mod connect;

use std::time::{Duration, Instant};

use serde_json::json;
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, claims, jwks, with};
use tests::upstream::{Answer, Upstream};

use crate::waiting::World;

/// A small generator (SplitMix64), so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }
}

/// A request, the status that is right for it, and whether the upstream may see it.
pub(crate) struct Case {
    name: &'static str,
    request: Request,
    status: u16,
    passes: bool,
}

/// All bytes from 0x80 to 0xff.
pub(crate) fn high_bytes() -> Vec<u8> {
    (0x80..=0xff).collect()
}

pub(crate) fn case(name: &'static str, request: Request, status: u16, passes: bool) -> Case {
    Case { name, request, status, passes }
}

/// Headers of 60 KiB in all, fewer than a hundred of them.
pub(crate) fn large(mut request: Request) -> Request {
    for index in 0..60 {
        request = request.header(&format!("x-large-{index}"), [b'x'; 1000]);
    }
    request
}

/// What `health-shortcut` answers, whoever asks.
fn probe_cases() -> Vec<Case> {
    vec![
        case("probe", Request::get("/livez"), 200, false),
        case("probe, HEAD", Request::new("HEAD", "/livez?verbose"), 200, false),
        case(
            "probe, high bytes",
            Request::get("/livez").header("x-high", high_bytes()),
            200,
            false,
        ),
        case("probe, POST", Request::new("POST", "/livez").body(&[b'x'; 20_000]), 405, false),
    ]
}

fn basic_auth_cases() -> Vec<Case> {
    let good = || Request::get("/").basic("carol:p");
    vec![
        case("good", good(), 200, true),
        case("none", Request::get("/"), 401, false),
        case("high bytes", good().header("x-high", high_bytes()), 200, true),
        case(
            "high bytes, refused",
            Request::get("/").header("authorization", high_bytes()),
            401,
            false,
        ),
        case("a name twice", good().header("x-twice", "a").header("x-twice", "b"), 200, true),
        case("twice", good().basic("carol:p"), 401, false),
        case(
            "connect",
            Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443"),
            401,
            false,
        ),
        case(
            "body, allowed",
            Request::new("POST", "/").basic("carol:p").body(&[b'x'; 20_000]),
            200,
            true,
        ),
        case("body, refused", Request::new("POST", "/").body(&[b'x'; 20_000]), 401, false),
        case("large, allowed", large(good()), 200, true),
        case("large, refused", large(Request::get("/")), 401, false),
        case("wrong", Request::get("/").basic("carol:x"), 401, false),
        case("forged", good().header("x-auth-subject", high_bytes()), 200, true),
        case(
            "path",
            Request::bare("GET", b"/%zz/%ff//..;/%00").header("host", "h").basic("carol:p"),
            200,
            true,
        ),
    ]
}

fn api_key_cases() -> Vec<Case> {
    let good = || Request::get("/?a=%zz&api_key=acme+key&b");
    let key = |value: &[u8]| Request::get("/").header("x-api-key", value);
    vec![
        case("good", good(), 200, true),
        case(
            "good, in a cookie",
            Request::get("/").header("cookie", "a;;=; key=acme key"),
            200,
            true,
        ),
        case("none", Request::get("/?&&=&%=%&api_key2=acme+key"), 401, false),
        case("high bytes", good().header("x-high", high_bytes()), 200, true),
        case("high bytes, refused", key(&high_bytes()), 401, false),
        case("high bytes in a cookie", good().header("cookie", high_bytes()), 200, true),
        case("high bytes as a cookie", key(b"").header("cookie", b"key=\xff"), 401, false),
        case("twice", key(b"acme key").header("x-api-key", "acme key"), 401, false),
        case("in two places", good().header("x-api-key", "acme key"), 401, false),
        case("empty", key(b""), 401, false),
        case("broken escape", Request::get("/?api_key=acme+key%"), 401, false),
        case("long", key(&[b'x'; 50_000]), 401, false),
        case(
            "many parameters",
            Request::get(&format!("/?{}", "api_key&".repeat(2000))),
            401,
            false,
        ),
        case("many cookies", good().header("cookie", "x=1;".repeat(5000)), 200, true),
        case(
            "connect",
            Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443"),
            401,
            false,
        ),
        case("body, refused", Request::new("POST", "/").body(&[b'x'; 20_000]), 401, false),
        case("large, allowed", large(good()), 200, true),
        case("forged", good().header("x-auth-consumer", high_bytes()), 200, true),
    ]
}

/// Of a provider whose keys are fetched, which a token of an unknown key has fetched anew.
fn jwt_cases() -> Vec<Case> {
    let of = |others: serde_json::Value| {
        Key::of("p256").sign("ES256", &with(claims("https://issuer", "shop"), &others))
    };
    let token = of(json!({}));
    let (text, signature) = token.rsplit_once('.').unwrap();
    let bearer =
        |token: &[u8]| Request::get("/").header("authorization", [b"Bearer ", token].concat());
    let good = || bearer(token.as_bytes());
    let unknown = Key::of("p256-other").sign("ES256", &claims("https://issuer", "shop"));
    let header = |length: usize| format!("{}.{text}.{signature}", "x".repeat(length));
    let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let nested = of(json!({"nested": nested}));
    vec![
        case("good", good(), 200, true),
        case("good, never seen", bearer(of(json!({"jti": "1"})).as_bytes()), 200, true),
        case("good, in the query", Request::get(&format!("/?t={token}&%zz")), 200, true),
        case("nested", bearer(nested.as_bytes()), 200, true),
        case("none", Request::get("/"), 401, false),
        case("high bytes", good().header("x-high", high_bytes()), 200, true),
        case("high bytes, refused", bearer(&high_bytes()), 401, false),
        // Envoy makes one of two.
        case("twice", good().header("authorization", "Bearer x"), 401, false),
        case("in two places", Request::get("/?t=").header("authorization", "Bearer x"), 400, false),
        case("empty", Request::get("/?t="), 401, false),
        case("dots", bearer(&[b'.'; 10_000]), 401, false),
        case("long", bearer(header(30_000).as_bytes()), 401, false),
        case("four parts", bearer(header(10).as_bytes()), 401, false),
        case("no signature", bearer(format!("{text}.").as_bytes()), 401, false),
        case(
            "another signature",
            bearer(format!("{text}.{}", "A".repeat(86)).as_bytes()),
            401,
            false,
        ),
        case("unknown key", bearer(unknown.as_bytes()), 401, false),
        case("expired", bearer(of(json!({"exp": 1})).as_bytes()), 401, false),
        case("endless", bearer(of(json!({"exp": 1e300})).as_bytes()), 200, true),
        case("before all time", bearer(of(json!({"exp": -1e300})).as_bytes()), 401, false),
        case(
            "connect",
            Request::bare("CONNECT", b"x.example:443").header("host", "x.example:443"),
            401,
            false,
        ),
        case(
            "body, allowed",
            Request::new("POST", &format!("/?t={token}")).body(&[b'x'; 20_000]),
            200,
            true,
        ),
        case("body, refused", Request::new("POST", "/?t=x").body(&[b'x'; 20_000]), 401, false),
        case("large, allowed", large(good()), 200, true),
        case("large, refused", large(Request::get("/")), 401, false),
        case("forged", good().header("x-auth-scopes", high_bytes()), 200, true),
    ]
}

fn asking_cases() -> Vec<Case> {
    let ask = |whom: &str| Request::get("/").header("x-ask", whom);
    vec![
        case("yes", ask("asked/yes"), 200, true),
        case("no", ask("asked/no"), 403, false),
        case("again", ask("asked/again"), 503, false),
        case("reset", ask("asked/reset"), 503, false),
        case("garbage", ask("asked/garbage"), 503, false),
        case("dead", ask("dead/yes"), 503, false),
        case("empty", ask("empty/yes"), 503, false),
        case("unknown", ask("unknown/yes"), 503, false),
        case("high bytes", Request::get("/").header("x-ask", high_bytes()), 503, false),
        case("twice", ask("asked/yes").header("x-ask", "asked/yes"), 403, false),
        case(
            "body, yes",
            Request::new("POST", "/").header("x-ask", "asked/yes").body(&[b'x'; 20_000]),
            200,
            true,
        ),
        case(
            "body, no",
            Request::new("POST", "/").header("x-ask", "asked/no").body(&[b'x'; 20_000]),
            403,
            false,
        ),
        case("large", large(ask("asked/yes")), 200, true),
        case(
            "connect",
            Request::bare("CONNECT", b"x.example:443")
                .header("host", "x")
                .header("x-ask", "asked/no"),
            403,
            false,
        ),
    ]
}

/// Of clusters that take a request and do not answer: rare, for each takes as long as the time limit.
fn hanging_cases() -> Vec<Case> {
    let ask = |method: &str, whom: &str| Request::new(method, "/").header("x-ask", whom);
    vec![
        case("hang", ask("GET", "asked/hang"), 503, false),
        case("hang, body", ask("POST", "asked/hang").body(&[b'x'; 20_000]), 503, false),
        case("silent", ask("GET", "silent/yes"), 503, false),
    ]
}

/// Longer than the time limit of any call here by far, and a small part of how long a client waits.
const LONGEST: Duration = Duration::from_secs(5);

/// Sends `count` of the cases in random order from four threads at once; how many may pass.
pub(crate) fn send_all(envoy: &Envoy, cases: &[Case], count: usize) -> usize {
    let send = |seed: u64| {
        let mut dice = Dice(seed);
        let mut connection = None;
        let mut passed = 0;
        for _ in 0..count / 4 {
            let case = &cases[dice.roll(cases.len())];
            let mut open = match connection.take() {
                Some(open) if dice.roll(8) > 0 => open,
                _ => Connection::open(envoy.address()).unwrap(),
            };
            let begin = Instant::now();
            // A connection may have been closed after a refusal, as HTTP allows.
            let answer = open.send(&case.request).or_else(|_| {
                open = Connection::open(envoy.address()).unwrap();
                open.send(&case.request)
            });
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert_eq!(answer.status, case.status, "{}: {answer}", case.name);
            assert!(begin.elapsed() < LONGEST, "{}: {:?}", case.name, begin.elapsed());
            passed += usize::from(case.passes);
            let closes = answer.header("connection").as_deref() == Some("close");
            connection = (!closes).then_some(open);
        }
        passed
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4).map(|seed| scope.spawn(move || send(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

pub(crate) fn vms(envoy: &Envoy) -> (Option<u64>, Option<u64>) {
    (envoy.stat("wasm.envoy.wasm.runtime.v8.created"), envoy.stat("wasm.wasm_vm_count"))
}

#[test]
fn ten_thousand_hostile_requests_through_basic_auth() {
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter("health-shortcut", json!({"endpoints": [{"path": "/livez", "report": "liveness"}]}))
        .filter("basic-auth", json!({"users": [{"name": "carol", "password": "p"}]}))
        .upstream(&upstream)
        .connection_manager(
            json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "max_request_headers_kb": 96}),
        )
        .workers(4)
        .start();
    let before = vms(&envoy);
    let cases: Vec<_> = basic_auth_cases().into_iter().chain(probe_cases()).collect();
    let passed = send_all(&envoy, &cases, 10_000);
    assert_eq!(upstream.count(), passed);
    assert_eq!(vms(&envoy), before);
}

#[test]
fn ten_thousand_hostile_requests_through_api_key_auth() {
    let config = json!({
        "sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "key"}],
        "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme key"}]}],
    });
    no_key_goes_upstream(Setup::new().filter("api-key-auth", config), &api_key_cases());
}

fn no_key_goes_upstream(setup: Setup, cases: &[Case]) {
    let upstream = Upstream::start();
    let envoy = setup
        .upstream(&upstream)
        .connection_manager(
            json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "max_request_headers_kb": 96}),
        )
        .workers(4)
        .start();
    let before = vms(&envoy);
    let passed = send_all(&envoy, cases, 10_000);
    assert_eq!(upstream.count(), passed);
    let kept = upstream.received().iter().any(|got| {
        let head = String::from_utf8_lossy(&got.head).into_owned();
        head.contains("api_key") || head.contains("acme key")
    });
    assert!(!kept, "a key went upstream");
    assert_eq!(vms(&envoy), before);
}

#[test]
fn ten_thousand_hostile_requests_through_a_chain() {
    let issuer = json!({"name": "main", "issuer": "https://issuer", "algorithms": ["ES256"],
        "audiences": ["shop"], "jwks": {"inline": jwks(&[Key::of("p256")])}});
    // What the last filter refuses, all in front of it have let pass.
    let chain = json!({"chain": [
        {"health-shortcut": {"endpoints": [{"path": "/livez", "report": "liveness"}]}},
        {"basic-auth": {"users": [{"name": "carol", "password": "p"}], "mode": "shadow"}},
        {"jwt-auth": {"providers": [issuer], "verdict": "defer"}},
        {"api-key-auth": {
            "sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "key"}],
            "consumers": [{"name": "acme", "keys": [{"id": "a", "value": "acme key"}]}],
        }},
    ]});
    let cases: Vec<_> = api_key_cases().into_iter().chain(probe_cases()).collect();
    no_key_goes_upstream(Setup::new().bundled("chain", "chain", &chain), &cases);
}

#[test]
fn ten_thousand_hostile_requests_through_jwt_auth() {
    let (upstream, keys) = (Upstream::start(), jwks(&[Key::of("p256")]).to_string());
    let provider = Upstream::answering(move |_| Answer::ok(&keys));
    let config = json!({"providers": [{
        "name": "main",
        "issuer": "https://issuer",
        "audiences": ["shop"],
        "algorithms": ["ES256"],
        "sources": [{"header": "authorization", "prefix": "Bearer"}, {"query": "t"}],
        "jwks": {
            "uri": "https://issuer/keys",
            "cluster": "provider",
            "refresh": "1s",
            "refetch": "1s",
        },
    }]});
    let envoy = Setup::new()
        .filter("jwt-auth", config)
        .upstream(&upstream)
        .cluster("provider", Some(provider.address()))
        .connection_manager(
            json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}], "max_request_headers_kb": 96}),
        )
        .workers(4)
        .start();
    let before = vms(&envoy);
    let passed = send_all(&envoy, &jwt_cases(), 10_000);
    assert_eq!(upstream.count(), passed);
    let kept = upstream.received().iter().any(|got| {
        let head = String::from_utf8_lossy(&got.head).into_owned();
        head.contains("eyJ") || head.contains("t=")
    });
    assert!(!kept, "a token went upstream");
    assert_eq!(vms(&envoy), before);
}

#[test]
fn ten_thousand_hostile_requests_through_a_filter_that_waits() {
    let world = World::new();
    let before = vms(&world.envoy);
    let passed = std::thread::scope(|scope| {
        let abandoning = scope.spawn(|| {
            for _ in 0..200 {
                let request = Request::get("/").header("x-ask", "asked/slow");
                request.abandon(world.envoy.address(), Duration::from_millis(2));
            }
        });
        let often = (0..32).flat_map(|_| asking_cases());
        let cases: Vec<_> = often.chain(hanging_cases()).collect();
        let passed = send_all(&world.envoy, &cases, 10_000);
        abandoning.join().unwrap();
        passed
    });
    assert_eq!(world.upstream.count(), passed);
    assert_eq!(vms(&world.envoy), before);
}
