//! VMs that are made to trap under load, with the test module `trap`: real filters in one VM with one that
//! traps. Envoy loads a VM again when a request comes and `base_interval` has passed since it was loaded
//! last (`FAIL_RELOAD`); until then it answers 503. A request that waits in a VM when that traps is answered by
//! nobody: `stream_idle_timeout` ends it.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Connection, Request};
use tests::envoy::{Envoy, Setup};
use tests::tokens::{Key, jwks};
use tests::upstream::{Answer, Received, Upstream};

use super::dependency::{Dependency, Fault};
use super::load::{self, Class, Load, Window};
use super::{BUSY, TIMEOUT, bearer, token, until};

/// `base_interval`, a second unless it is configured, and half of it for the jitter.
const RELOAD: Duration = Duration::from_millis(1500);
/// What may be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine;

struct World {
    envoy: Envoy,
    upstream: Upstream,
    provider: Dependency,
    endpoint: Dependency,
}

impl World {
    fn start(workers: u32, endpoint: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let upstream = Upstream::start();
        let provider = Dependency::http(|_| Answer::ok(&jwks(&[Key::of("p256")]).to_string()));
        let endpoint = Dependency::http(endpoint);
        let envoy = Setup::new()
            .filter("trap", chain())
            .upstream(&upstream)
            .cluster("provider", Some(provider.address()))
            .cluster("endpoint", Some(endpoint.address()))
            .connection_manager(json!({"stream_idle_timeout": "3s"}))
            .workers(workers)
            .vm_may_fail()
            .start();
        let world = Self { envoy, upstream, provider, endpoint };
        let token = token(&Key::of("p256"), "main", 0);
        until("keys are there", || world.status(&bearer("/jwt", &token)) == 200);
        world.upstream.clear();
        world
    }

    fn status(&self, request: &Request) -> u16 {
        request.send(self.envoy.address()).status
    }

    fn reloads(&self, event: &str) -> u64 {
        self.envoy.stat(&format!("wasm.trap.vm_reload_{event}")).unwrap_or_default()
    }

    /// A connection to each of two workers, and another to the first of them.
    fn connections(&self) -> [Connection; 3] {
        let taken = |worker: u32| {
            let all = self.envoy.stats(&format!(".worker_{worker}.downstream_cx_total"));
            all.iter().map(|(_, count)| count).sum::<u64>()
        };
        let [mut first, mut second] = [Vec::new(), Vec::new()];
        while first.len() < 2 || second.is_empty() {
            let before = [taken(0), taken(1)];
            let connection = Connection::open(self.envoy.address()).unwrap();
            until("it is accepted", || [taken(0), taken(1)] != before);
            let of_its_worker = if taken(0) > before[0] { &mut first } else { &mut second };
            of_its_worker.push(connection);
        }
        let mut all = first.into_iter().take(2).chain(second);
        [(); 3].map(|()| all.next().unwrap())
    }
}

fn chain() -> Value {
    let only = |path: &str, mut config: Value| {
        config["mode"] = json!("off");
        config["rules"] = json!([{"match": {"paths": [path]}, "mode": "enforce"}]);
        config
    };
    let keys = json!({"uri": "https://idp.example/keys", "cluster": "provider", "timeout": "1s"});
    let provider = json!({"name": "main", "issuer": "main", "audiences": ["api"],
        "algorithms": ["ES256"], "jwks": keys});
    json!({"chain": [
        {"trap": {}},
        {"rate-limit": {"limits": [{"name": "few", "match": {"paths": ["/few"]},
            "quota": {"requests": 20, "per": "1d"}}]}},
        {"jwt-auth": only("/jwt", json!({"providers": [provider]}))},
        {"token-introspection": only("/opaque", json!({
            "endpoint": {"uri": "https://idp.example/introspect", "cluster": "endpoint", "timeout": "1s"},
            "client": {"id": "test", "secret": "secret"},
            "audiences": ["api"],
        }))},
    ]})
}

fn verdict(request: &Received) -> Answer {
    super::introspected(request, Some(600))
}

fn trap() -> Request {
    Request::get("/trapped").header("x-trap", "1").header("x-class", "trap")
}

/// Traps the VM of whatever worker gets it, so many times at once.
fn trap_at_once(to: SocketAddr, times: usize) {
    std::thread::scope(|scope| {
        for _ in 0..times {
            scope.spawn(|| assert_eq!(trap().send(to).status, 503));
        }
    });
}

fn class(
    name: &'static str,
    good: u16,
    request: impl Fn(u64) -> Request + Send + Sync + 'static,
) -> Class<Machine> {
    Class { needs: Some(Machine), broken: &[503], ..load::class(name, good, request) }
}

fn classes() -> Vec<Class<Machine>> {
    let key = || Key::of("p256");
    let known = token(&key(), "main", 0);
    vec![
        class("open", 200, |_| Request::get("/")),
        class("token, known", 200, move |_| bearer("/jwt", &known)),
        class("token, new", 200, move |n| bearer("/jwt", &token(&key(), "main", n))),
        class("token, forged", 401, |n| {
            bearer("/jwt", &token(&Key::of("p256-other").called("p256"), "main", n))
        }),
        class("no token", 401, |_| Request::get("/jwt")),
        class("opaque, new", 200, |n| bearer("/opaque", &format!("good-{n}"))),
        class("opaque, made up", 401, |n| bearer("/opaque", &format!("made-up-{n}"))),
        class("over its limit", 429, |_| Request::get("/few")),
    ]
}

fn traps(workers: u32) {
    let world = World::start(workers, |request| {
        Answer::After(Duration::from_millis(20), Box::new(verdict(request)))
    });
    let few = Request::get("/few");
    assert!((0..20).all(|_| world.status(&few) == 200));
    world.upstream.clear();
    let load = Load::new(classes());
    let windows = load.run(world.envoy.address(), || {
        // One VM, two in a row, and all of them again and again.
        let times = [1, 2, 8 * workers as usize];
        let windows: Vec<_> = times
            .iter()
            .map(|times| {
                sleep(Duration::from_millis(600));
                let from = Instant::now();
                trap_at_once(world.envoy.address(), *times);
                let (to, bound) = (Instant::now(), RELOAD + BUSY);
                load.recover(Machine, to, bound);
                let how = format!("{times} traps");
                Window { what: Machine, how, from, to, bound, is_felt: false, loses_answers: true }
            })
            .collect();
        sleep(RELOAD);
        windows
    });
    load.show(workers);
    load.check(&windows, &world.upstream);
    assert!(!world.upstream.counts().contains_key("/trapped"));
    assert!(world.reloads("success") >= 3, "{:?}", world.envoy.stats("vm_reload"));
    assert_eq!(world.reloads("failure"), 0);
}

#[test]
fn one_worker() {
    traps(1);
}

#[test]
fn two_workers() {
    traps(2);
}

#[test]
fn eight_workers() {
    traps(8);
}

/// A VM that is loaded again has read no keys of its own: it takes those that the others fetched.
#[test]
fn keys_outlive_the_vms_while_their_provider_is_down() {
    let world = World::start(2, verdict);
    world.provider.break_by(Fault::Stopped);
    trap_at_once(world.envoy.address(), 16);
    sleep(RELOAD);
    let token = token(&Key::of("p256"), "main", 0);
    let statuses: Vec<_> = (0..30).map(|_| world.status(&bearer("/jwt", &token))).collect();
    assert_eq!(statuses, [200; 30]);
    assert!(world.reloads("success") >= 2, "{:?}", world.envoy.stats("vm_reload"));
}

/// The worker that asks about a token loses its VM: who waits for its answer asks when an answer would have
/// had to be there.
#[test]
fn a_claim_of_a_vm_that_is_gone_holds_the_others_up_for_the_time_limit() {
    let late = Duration::from_millis(600);
    let world = World::start(2, move |request| Answer::After(late, Box::new(verdict(request))));
    let [mut asks, mut traps, mut waits] = world.connections();
    let request = bearer("/opaque", "good-claimed");
    asks.send_bytes(&request.clone().header("x-class", "asks").bytes()).unwrap();
    until("it is asked about", || world.endpoint.count() == 1);
    waits.send_bytes(&request.header("x-class", "waits").bytes()).unwrap();
    sleep(Duration::from_millis(100));
    let trapped = Instant::now();
    assert_eq!(traps.send(&trap()).unwrap().status, 503);
    assert_eq!(waits.receive().unwrap().status, 200);
    assert!(trapped.elapsed() < TIMEOUT + late + BUSY, "{:?}", trapped.elapsed());
    assert_eq!(asks.receive().unwrap().status, 503);
    assert_eq!((world.endpoint.count(), world.upstream.count()), (2, 1));
    assert_eq!(world.upstream.last().header("x-class").as_deref(), Some("waits"));
}
