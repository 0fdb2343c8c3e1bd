//! The clock of Envoy's machine moved under load, by a library in front of its libc (`clock.c`): hours and
//! days ahead, and back. Timers go on as they did, as where a machine's clock is set.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::modules::top;
use tests::tokens::{Key, claims, jwks, now, with};
use tests::upstream::{Answer, Upstream};

use super::dependency::Dependency;
use super::load::{Class, Load, class};
use super::{bearer, until};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Nothing is to be felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nothing {}

/// A clock that can be set.
struct Clock(TempDir);

impl Clock {
    fn new() -> Self {
        // Where an Envoy in a container sees it too.
        let clock = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let source = top().join("tests/proxy/faults/clock.c");
        let mut command = Command::new(compiler);
        command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(clock.file("clock.so")).arg(source);
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clock.set(0);
        clock
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// So many seconds off. Envoy maps the file: it stays the same one.
    fn set(&self, seconds: i64) {
        let path = self.file("seconds");
        let mut file = File::options().create(true).write(true).truncate(false).open(path).unwrap();
        file.write_all(&seconds.to_ne_bytes()).unwrap();
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .environment("LD_PRELOAD", &self.file("clock.so").display().to_string())
            .environment("GATEHOUSE_CLOCK", &self.file("seconds").display().to_string())
    }
}

struct World {
    clock: Clock,
    envoy: Envoy,
    upstream: Upstream,
    provider: Dependency,
    endpoint: Dependency,
    /// Whether the provider has taken back [`WITHDRAWN`].
    withdrawn: Arc<AtomicBool>,
}

/// An opaque token that is good at first.
const WITHDRAWN: &str = "good-until-withdrawn";

impl World {
    fn start(workers: u32) -> Self {
        let (clock, upstream) = (Clock::new(), Upstream::start());
        let provider = Dependency::http(|_| Answer::ok(&jwks(&[Key::of("p256")]).to_string()));
        let withdrawn = Arc::new(AtomicBool::new(false));
        let is_withdrawn = Arc::clone(&withdrawn);
        let endpoint = Dependency::http(move |request| {
            let is_it = request.body.starts_with(format!("token={WITHDRAWN}").as_bytes());
            if is_it && is_withdrawn.load(Ordering::SeqCst) {
                return Answer::json(&json!({"active": false}));
            }
            super::introspected(request, None)
        });
        let envoy = clock
            .setup()
            .filter("rate-limit", limits())
            .filter("jwt-auth", tokens())
            .filter("token-introspection", opaque())
            .upstream(&upstream)
            .cluster("provider", Some(provider.address()))
            .cluster("endpoint", Some(endpoint.address()))
            .log_field("at", "%START_TIME(%s)%")
            .workers(workers)
            .start();
        let world = Self { clock, envoy, upstream, provider, endpoint, withdrawn };
        until("keys are there", || world.status(&always(0)) == 200);
        world.upstream.clear();
        world
    }

    fn status(&self, request: &Request) -> u16 {
        request.clone().header("x-class", "-").send(self.envoy.address()).status
    }

    /// How many of ten requests of a key of the limit are let through.
    fn within(&self, key: &str) -> usize {
        let request = Request::get("/limited").header("x-key", key);
        (0..10).filter(|_| self.status(&request) == 200).count()
    }

    /// Moves the clock, and waits until Envoy has noticed.
    fn set(&self, seconds: i64) {
        self.clock.set(seconds);
        until("the clock is another", || {
            self.status(&Request::get("/"));
            let log = self.envoy.access_log(1);
            let at = log.last().unwrap()["at"].to_string().replace('"', "");
            let at: i64 = at.parse().unwrap();
            (at - now() as i64 - seconds).abs() < 120
        });
    }
}

/// Five in an hour.
fn limits() -> Value {
    json!({"limits": [{"name": "few", "match": {"paths": ["/limited"]}, "key": [{"header": "x-key"}],
        "quota": {"requests": 5, "per": "1h"}}]})
}

fn tokens() -> Value {
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/jwt"]}, "mode": "enforce"}],
        "providers": [{
            "name": "main", "issuer": "main", "audiences": ["api"], "algorithms": ["ES256"],
            "jwks": {"uri": "https://idp.example/keys", "cluster": "provider"},
        }],
    })
}

fn opaque() -> Value {
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/opaque"]}, "mode": "enforce"}],
        "endpoint": {"uri": "https://idp.example/introspect", "cluster": "endpoint", "timeout": "5s"},
        "client": {"id": "test", "secret": "secret"},
        "audiences": ["api"],
    })
}

/// A token of the time between two moments, in seconds from now.
fn between(from: i64, to: i64, number: u64) -> Request {
    let at = |seconds: i64| now().saturating_add_signed(seconds);
    let times = json!({"iat": at(from), "nbf": at(from), "exp": at(to), "jti": number.to_string()});
    bearer("/jwt", &Key::of("p256").sign("ES256", &with(claims("main", "api"), &times)))
}

/// A token that is good at all times here.
fn always(number: u64) -> Request {
    between(-30 * DAY, 30 * DAY, number)
}

fn classes() -> Vec<Class<Nothing>> {
    let forged = |n: u64| {
        let key = Key::of("p256-other").called("p256");
        let times = json!({"iat": 0, "exp": now() + 1_000_000_000, "jti": n.to_string()});
        bearer("/jwt", &key.sign("ES256", &with(claims("main", "api"), &times)))
    };
    vec![
        class("open", 200, |_| Request::get("/")),
        class("token, known", 200, |_| always(0)),
        class("token, new", 200, always),
        class("token, expired", 401, |n| between(-30 * DAY, -20 * DAY, n)),
        class("token, of the future", 401, |n| between(20 * DAY, 30 * DAY, n)),
        class("token, forged", 401, forged),
        class("opaque, known", 200, |_| bearer("/opaque", "good")),
        class("opaque, new", 200, |n| bearer("/opaque", &format!("good-{n}"))),
        class("opaque, made up", 401, |n| bearer("/opaque", &format!("made-up-{n}"))),
    ]
}

fn moves(workers: u32) {
    let world = World::start(workers);
    let load = Load::new(classes());
    load.run(world.envoy.address(), || {
        let hour = between(0, HOUR, 1);
        assert_eq!(world.status(&hour), 200);
        assert_eq!(world.within("ahead"), 5);
        let (keys, asked) = (world.provider.count(), world.endpoint.count());

        world.set(2 * HOUR);
        assert_eq!(world.status(&hour), 401, "expired, however good it was found before");
        assert_eq!(world.within("ahead"), 5, "two hours have passed");
        assert_eq!(world.within("back"), 5);
        until("keys are old", || world.provider.count() > keys);

        // Keys are older than they may be: whoever needs them waits for new ones.
        world.set(3 * DAY);
        assert_eq!(world.status(&hour), 401);
        assert_eq!(world.status(&between(0, 4 * DAY, 2)), 200);
        let opaque = bearer("/opaque", WITHDRAWN);
        // More often than there are workers: most of them remember it then.
        (0..4 * workers).for_each(|_| assert_eq!(world.status(&opaque), 200));
        world.withdrawn.store(true, Ordering::SeqCst);

        // Back: what was used up then stays used up for an hour, and no longer.
        world.set(0);
        assert_eq!(world.status(&hour), 200);
        assert_eq!(world.status(&between(2 * DAY, 4 * DAY, 3)), 401, "not yet valid");
        for _ in 0..4 * workers {
            assert_eq!(
                world.status(&opaque),
                401,
                "what was answered in time to come counts no more"
            );
        }
        assert_eq!(world.within("back"), 0, "nobody gains by a clock that is set back");
        world.set(HOUR + 60);
        assert_eq!(world.within("back"), 5, "an empty bucket is full an hour later");
        world.set(0);

        world.set(-3 * DAY);
        assert_eq!(world.status(&hour), 401, "not yet valid");
        assert_eq!(world.within("before"), 5);
        assert!(world.endpoint.count() > asked);
        world.set(0);
        sleep(Duration::from_millis(300));
    });
    load.show(workers);
    world.upstream.received().iter().for_each(|request| {
        assert!(request.header("x-class").is_some());
    });
    load.check(&[], &world.upstream);
}

#[test]
fn one_worker() {
    moves(1);
}

#[test]
fn two_workers() {
    moves(2);
}

#[test]
fn eight_workers() {
    moves(8);
}
