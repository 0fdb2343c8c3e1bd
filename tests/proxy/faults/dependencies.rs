//! The key provider, the introspection endpoint, the rate-limit service and the collector, each broken in
//! each way, on one, two and eight workers.
//!
//! In a round each of the four is broken in another way, and one of them or none is well: after six rounds
//! each was broken in every way, beside others that were broken otherwise.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::grpc::Reply;
use tests::tokens::{Key, jwks};
use tests::upstream::{Answer, Upstream};

use super::dependency::{Dependency, Fault};
use super::load::{Class, Load, Window, class};
use super::{BUSY, TIMEOUT, bearer, token, until};

/// How long something is broken: longer than keys are good without their provider.
const BROKEN: Duration = Duration::from_millis(2500);
const OK: &[u8] = &[8, 1];
const OVER: &[u8] = &[8, 2];

/// What filters need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Provider,
    Endpoint,
    Limits,
    Collector,
}

const NEEDS: [Need; 4] = [Need::Provider, Need::Endpoint, Need::Limits, Need::Collector];
const FAULTS: [Option<Fault>; 6] = [
    Some(Fault::Stopped),
    Some(Fault::Frozen),
    Some(Fault::Garbage),
    Some(Fault::Nonsense),
    Some(Fault::Slow),
    None,
];

impl Need {
    /// How long after it is mended it may be felt, by the README of who needs it.
    fn bound(self) -> Duration {
        match self {
            // As long as it was broken, and a second; and a fetch that is under way.
            Self::Provider => BROKEN + Duration::from_secs(1) + TIMEOUT,
            // Whoever waits for an answer already.
            Self::Endpoint | Self::Limits => TIMEOUT,
            // A batch is tried again 1, 2, 4 and 8 seconds later.
            Self::Collector => Duration::from_secs(8) + TIMEOUT,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

struct World {
    envoy: Envoy,
    upstream: Upstream,
    /// In the order of [`NEEDS`].
    dependencies: [Dependency; 4],
}

impl World {
    fn start(workers: u32) -> Self {
        let upstream = Upstream::start();
        let dependencies = [
            Dependency::http(|_| Answer::ok(&jwks(&[Key::of("p256")]).to_string())),
            Dependency::http(|request| super::introspected(request, Some(600))),
            Dependency::grpc(|message| {
                let over = message.windows(3).any(|part| part == b"bad");
                Reply::message(if over { OVER } else { OK })
            }),
            Dependency::http(|_| Answer::ok("")),
        ];
        let address = |need: usize| Some(dependencies[need].address());
        let envoy = Setup::new()
            .filter("trace-context", traces())
            .filter("rate-limit", limits())
            .filter("jwt-auth", tokens())
            .filter("token-introspection", opaque())
            .cluster("provider", address(0))
            .cluster("endpoint", address(1))
            .cluster_of_grpc("limits", address(2))
            .cluster("collector", address(3))
            .upstream(&upstream)
            .workers(workers)
            .start();
        Self { envoy, upstream, dependencies }
    }

    fn batches(&self) -> u64 {
        self.envoy.counted("trace-context.batches.result.taken")
    }
}

fn traces() -> Value {
    json!({
        "sampling": {"root": "always"},
        "export": {"cluster": "collector", "interval": "100ms", "timeout": "1s", "max_queue": 100},
    })
}

fn limits() -> Value {
    json!({
        "limits": [{"name": "fleet", "match": {"paths": ["/fleet"]}, "key": [{"header": "x-key"}],
            "counted": "global", "quota": {"requests": 1, "per": "1s"}}],
        "service": {"cluster": "limits", "domain": "test", "timeout": "1s", "on_failure": "deny"},
    })
}

/// Of two providers: the keys of one are good for long without it, those of the other are not.
fn tokens() -> Value {
    let provider = |name: &str, max_stale: &str| {
        json!({
            "name": name,
            "issuer": name,
            "audiences": ["api"],
            "algorithms": ["ES256"],
            "jwks": {"uri": format!("https://idp.example/{name}"), "cluster": "provider", "refresh": "1s",
                "max_stale": max_stale, "refetch": "1s", "timeout": "1s"},
        })
    };
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/jwt"]}, "mode": "enforce"}],
        "providers": [provider("patient", "1d"), provider("strict", "1500ms")],
    })
}

fn opaque() -> Value {
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/opaque"]}, "mode": "enforce"}],
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "endpoint", "timeout": "1s"},
        "client": {"id": "test", "secret": "secret"},
        "audiences": ["api"],
        "cache": {"ttl": "10m", "negative_ttl": "10m"},
    })
}

/// One that is refused while what it needs is broken.
fn needing(needs: Need, class: Class<Need>) -> Class<Need> {
    Class { needs: Some(needs), broken: &[503], ..class }
}

fn classes() -> Vec<Class<Need>> {
    let key = || Key::of("p256");
    let known = token(&key(), "patient", 0);
    let limited = |name: &'static str| {
        move |n: u64| Request::get("/fleet").header("x-key", format!("{name}-{n}"))
    };
    vec![
        class("open", 200, |_| Request::get("/")),
        class("token, known", 200, move |_| bearer("/jwt", &known)),
        class("token, new", 200, move |n| bearer("/jwt", &token(&key(), "patient", n))),
        class("token, forged", 401, |n| {
            bearer("/jwt", &token(&Key::of("p256-other").called("p256"), "patient", n))
        }),
        class("token, its key unknown", 401, |n| {
            bearer("/jwt", &token(&Key::of("p256-other"), "patient", n))
        }),
        class("no token", 401, |_| Request::get("/jwt")),
        needing(
            Need::Provider,
            class("strict token", 200, move |n| bearer("/jwt", &token(&key(), "strict", n))),
        ),
        needing(
            Need::Provider,
            class("strict token, forged", 401, |n| {
                bearer("/jwt", &token(&Key::of("p256-other").called("p256"), "strict", n))
            }),
        ),
        class("opaque, known", 200, |_| bearer("/opaque", "good")),
        class("opaque, known as bad", 401, |_| bearer("/opaque", "bad")),
        needing(
            Need::Endpoint,
            class("opaque, new", 200, |n| bearer("/opaque", &format!("good-{n}"))),
        ),
        needing(
            Need::Endpoint,
            class("opaque, made up", 401, |n| bearer("/opaque", &format!("made-up-{n}"))),
        ),
        needing(Need::Limits, class("within its limit", 200, limited("good"))),
        needing(Need::Limits, class("over its limit", 429, limited("bad"))),
    ]
}

/// Lets every worker see what is known.
fn prime(world: &World) {
    for _ in 0..120 {
        for (path, token, status) in [("/opaque", "good", 200), ("/opaque", "bad", 401)] {
            assert_eq!(bearer(path, token).send(world.envoy.address()).status, status);
        }
    }
    let strict = token(&Key::of("p256"), "strict", 0);
    until("keys are fetched", || bearer("/jwt", &strict).send(world.envoy.address()).status == 200);
    world.upstream.clear();
}

fn rounds(workers: u32) {
    let world = World::start(workers);
    prime(&world);
    let load = Load::new(classes());
    let windows = load.run(world.envoy.address(), || {
        let mut windows = Vec::new();
        for round in 0..FAULTS.len() {
            sleep(Duration::from_millis(400));
            break_and_mend(&world, &load, round, &mut windows);
        }
        sleep(Duration::from_millis(400));
        windows
    });
    load.show(workers);
    load.check(&windows, &world.upstream);
}

fn break_and_mend(world: &World, load: &Load<Need>, round: usize, windows: &mut Vec<Window<Need>>) {
    let faults: Vec<_> = (0..NEEDS.len())
        .filter_map(|need| {
            let fault = FAULTS[(round + need) % FAULTS.len()]?;
            Some((NEEDS[need], &world.dependencies[need], fault))
        })
        .collect();
    let from = Instant::now();
    for (_, dependency, fault) in &faults {
        dependency.break_by(*fault);
    }
    sleep(BROKEN);
    let (to, batches) = (Instant::now(), world.batches());
    for (_, dependency, _) in &faults {
        dependency.mend();
    }
    for (need, _, fault) in &faults {
        let bound = need.bound() + BUSY;
        windows.push(Window {
            what: *need,
            how: format!("{need} {fault:?}"),
            from,
            to,
            bound,
            is_felt: true,
            loses_answers: false,
        });
        load.recover(*need, to, bound);
        if *need == Need::Collector {
            until("spans are taken again", || world.batches() > batches);
            assert!(to.elapsed() < bound, "{fault:?}: {:?}", to.elapsed());
        }
    }
}

#[test]
fn one_worker() {
    rounds(1);
}

#[test]
fn two_workers() {
    rounds(2);
}

#[test]
fn eight_workers() {
    rounds(8);
}
