//! A real service, with a real Redis behind it: what is counted is right, whatever happens to them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::{Envoy, Setup};
use tests::modules::top;
use tests::ratelimit::{Redis, Service};
use tests::upstream::Upstream;

const LIMIT: &str = "fleet/per-client=50/3600:header.x-client";

fn config(on_failure: &str, timeout: &str) -> Value {
    json!({
        "limits": [{"name": "per-client", "key": [{"header": "x-client"}], "counted": "global",
                    "quota": {"requests": 50, "per": "1h"},
                    "cost": {"header": "x-cost", "greatest": 50}}],
        "service": {"cluster": "limits", "domain": "fleet", "timeout": timeout, "on_failure": on_failure},
    })
}

fn envoy(service: &Service, upstream: &Upstream, config: Value) -> Envoy {
    let setup = Setup::new().filter("rate-limit", config).upstream(upstream);
    setup.cluster_of_grpc("limits", Some(service.address())).start()
}

fn get(envoy: &Envoy, client: &str) -> u16 {
    Request::get("/").header("x-client", client).send(envoy.address()).status
}

/// How many of so many requests that come at once are let through.
fn at_once(envoys: &[&Envoy], clients: &[&str], each: usize) -> usize {
    let passed = Arc::new(AtomicUsize::new(0));
    let threads = envoys.iter().flat_map(|envoy| {
        let address = envoy.address();
        (0..4).map(move |_| address)
    });
    let threads: Vec<_> = threads
        .map(|address| {
            let clients: Vec<_> = clients.iter().map(|client| (*client).to_owned()).collect();
            let passed = Arc::clone(&passed);
            thread::spawn(move || {
                for client in clients.iter().cycle().take(each * clients.len()) {
                    let status = Request::get("/").header("x-client", client).send(address).status;
                    passed.fetch_add(usize::from(status == 200), Ordering::SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    passed.load(Ordering::SeqCst)
}

#[test]
fn two_envoys_share_one_quota_to_the_last_request() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let service = Service::start(&redis, &[LIMIT]);
    let config = config("deny", "10s");
    let (one, other) =
        (envoy(&service, &upstream, config.clone()), envoy(&service, &upstream, config));
    assert_eq!(at_once(&[&one, &other], &["alice", "bob"], 30), 100);
    assert_eq!(upstream.count(), 100);
    // Both know by now that both are over, and ask no more.
    let calls = service.calls().len();
    for envoy in [&one, &other] {
        assert_eq!((get(envoy, "alice"), get(envoy, "bob")), (429, 429));
    }
    assert_eq!(service.calls().len(), calls);
    assert!(calls < 240, "{calls} calls for 240 requests");
}

/// `envoy/rate-limit-service.yaml`: with the service, and without it.
#[test]
fn the_bootstrap_with_a_service_runs() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let limit = "gatehouse/per-tenant=5/3600:header.x-tenant";
    let mut service = Service::start(&redis, &[limit]);
    let text = fs::read_to_string(top().join("envoy/rate-limit-service.yaml")).unwrap();
    let text = text
        .replace("port_value: 10000", "port_value: 0")
        .replace("port_value: 9901", "port_value: 0")
        .replace("port_value: 8080", &format!("port_value: {}", upstream.address().port()))
        .replace("port_value: 8081", &format!("port_value: {}", service.address().port()))
        // For a machine with more to do than this.
        .replace("timeout: 20ms", "timeout: 5s")
        .replace("dist/", &format!("{}/dist/", top().display()));
    let envoys = [Envoy::of_yaml(&text, 2), Envoy::of_yaml(&text, 2)];
    let get = |at: usize, tenant: &str| {
        let request = Request::get("/").header("x-tenant", tenant);
        request.send(envoys[at % 2].address()).status
    };
    let statuses: Vec<_> = (0..8).map(|at| get(at, "acme")).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    service.stop();
    let statuses: Vec<_> = (0..12).map(|at| get(at, "zenith")).collect();
    assert_eq!(statuses, [[200; 10].as_slice(), &[429, 429]].concat());
}

#[test]
fn a_cost_is_charged_as_it_is() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let service = Service::start(&redis, &[LIMIT]);
    let envoy = envoy(&service, &upstream, config("deny", "10s"));
    let get = |cost: &str| {
        let request = Request::get("/").header("x-client", "alice").header("x-cost", cost);
        request.send(envoy.address())
    };
    let left = |response: &tests::client::Response| {
        let field = response.header("ratelimit").unwrap();
        field.split_once("r=").unwrap().1.split(';').next().unwrap().to_owned()
    };
    let first = get("30");
    assert_eq!((first.status, left(&first).as_str()), (200, "20"));
    assert_eq!(get("30").status, 429);
    // Too much for that request, not for one that costs less.
    let second = get("20");
    assert_eq!((second.status, left(&second).as_str()), (200, "0"));
    assert_eq!(get("1").status, 429);
    let calls = service.calls();
    assert!(
        calls[0].contains("value: 30") && calls[0].contains("requests_per_unit: 50"),
        "{calls:?}"
    );
    assert!(calls[0].contains("10000m"), "{}", calls[0]);
}

/// What becomes of requests while the service cannot answer, and that it counts on afterwards.
fn check(break_it: impl Fn(&mut Service, &Redis), mend_it: impl Fn(&mut Service, &Redis)) {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let mut service = Service::start(&redis, &["fleet/per-client=2/3600:header.x-client"]);
    let start = |on_failure| {
        let mut config = config(on_failure, "500ms");
        config["limits"][0]["quota"]["requests"] = json!(2);
        config["limits"][0]["cost"] = json!(1);
        envoy(&service, &upstream, config)
    };
    let envoys = ["deny", "allow", "local"].map(|on_failure| (on_failure, start(on_failure)));
    // The first of two, one minute of a loaded machine allowing.
    for (on_failure, envoy) in &envoys {
        eventually(|| get(envoy, on_failure) == 200);
    }
    break_it(&mut service, &redis);
    for (on_failure, envoy) in &envoys {
        let got = [0; 4].map(|_| get(envoy, &format!("{on_failure}-broken")));
        let want = match *on_failure {
            "deny" => [503; 4],
            "allow" => [200; 4],
            _ => [200, 200, 429, 429],
        };
        assert_eq!(got, want, "{on_failure}");
    }
    mend_it(&mut service, &redis);
    for (on_failure, envoy) in &envoys {
        let key = format!("{on_failure}-mended");
        // Envoy connects anew when it is asked to.
        let before = envoy.counted("rate-limit.service.result.ok");
        eventually(|| {
            get(envoy, &key);
            envoy.counted("rate-limit.service.result.ok") > before
        });
    }
}

fn eventually(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "never");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_service_that_ends_and_comes_back() {
    check(|service, _| service.stop(), |service, _| service.start_again());
}

#[test]
fn a_service_that_is_frozen() {
    check(|service, _| service.freeze(), |service, _| service.thaw());
}

#[test]
fn a_redis_that_is_frozen() {
    check(|_, redis| redis.freeze(), |_, redis| redis.thaw());
}

#[test]
fn a_restart_under_load_lets_nobody_through_uncounted() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let mut service = Service::start(&redis, &["fleet/per-client=100/3600:header.x-client"]);
    let mut config = config("deny", "2s");
    config["limits"][0]["quota"]["requests"] = json!(100);
    let envoy = envoy(&service, &upstream, config);
    let (address, done) = (envoy.address(), Arc::new(AtomicBool::new(false)));
    let clients = (0..4).map(|_| {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            let mut seen = std::collections::BTreeMap::<u16, usize>::new();
            while !done.load(Ordering::SeqCst) {
                let status = Request::get("/").header("x-client", "alice").send(address).status;
                *seen.entry(status).or_default() += 1;
            }
            seen
        })
    });
    let clients: Vec<_> = clients.collect();
    eventually(|| upstream.count() > 5);
    service.stop();
    thread::sleep(Duration::from_millis(300));
    service.start_again();
    eventually(|| envoy.counted("rate-limit.service.result.known") > 0);
    done.store(true, Ordering::SeqCst);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for seen in clients.into_iter().map(|client| client.join().unwrap()) {
        seen.into_iter().for_each(|(status, count)| *statuses.entry(status).or_default() += count);
    }
    // A request whose answer was lost was charged and refused: never the other way round.
    let passed = statuses.get(&200).copied().unwrap_or_default();
    assert!(passed <= 100 && passed >= 90, "{statuses:?}");
    assert_eq!(upstream.count(), passed);
    assert!(statuses.keys().all(|status| matches!(status, 200 | 429 | 503)), "{statuses:?}");
}
