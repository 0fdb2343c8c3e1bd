//! `envoy/ecds/` in the real Envoy: configuration changed under load, without one wrong answer and without a
//! connection closed; and what is wrong changes nothing.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::client::{Connection, Request};
use tests::envoy::Envoy;
use tests::modules::top;
use tests::upstream::Upstream;

/// Good in one of the two configurations only.
const DAVE: &str = "- { name: dave, password: \"${DAVE_PASSWORD:-change me}\", groups: [ops] }";
const EVE: &str = "- { name: eve, password: \"change me\", groups: [ops] }";

struct World {
    envoy: Envoy,
    folder: TempDir,
    _upstream: Upstream,
}

fn read(name: &str) -> String {
    fs::read_to_string(top().join("envoy/ecds").join(name)).unwrap()
}

impl World {
    fn start() -> Self {
        let upstream = Upstream::start();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let resource = folder.path().join("basic-auth.yaml");
        fs::write(&resource, here(&read("basic-auth.yaml"))).unwrap();
        let text = read("bootstrap.yaml")
            .replace("port_value: 10000", "port_value: 0")
            .replace("port_value: 9901", "port_value: 0")
            .replace("port_value: 8080", &format!("port_value: {}", upstream.address().port()))
            .replace("envoy/ecds/basic-auth.yaml", &resource.display().to_string());
        Self { envoy: Envoy::of_yaml(&text, 2), folder, _upstream: upstream }
    }

    /// Puts another resource in the place of the one before, at once.
    fn replace(&self, from: &str, to: &str) {
        let text = here(&read("basic-auth.yaml"));
        assert!(text.contains(from), "no {from}");
        let place = self.folder.path().join("basic-auth.yaml");
        fs::write(place.with_extension("new"), text.replace(from, to)).unwrap();
        fs::rename(place.with_extension("new"), place).unwrap();
    }

    fn statistic(&self, event: &str) -> u64 {
        let all = self.envoy.stats("extension_config_discovery");
        let of = all.iter().filter(|(name, _)| name.ends_with(&format!(".{event}")));
        of.map(|(_, count)| count).sum()
    }

    fn wait(&self, what: &str, is: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is() {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.envoy.stats("discovery"));
            sleep(Duration::from_millis(10));
        }
    }
}

fn here(text: &str) -> String {
    text.replace("dist/", &format!("{}/dist/", top().display()))
}

/// Clients on connections of their own, which they keep until told to stop. Each counts its answers.
struct Load {
    ended: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                let mut count = 0;
                while !ended.load(Ordering::SeqCst) {
                    for (request, status) in [
                        (Request::get("/").basic("alice:secret"), 200),
                        (Request::get("/"), 401),
                        (Request::get("/public/x"), 200),
                    ] {
                        let answer = connection.send(&request).expect("a kept connection");
                        assert_eq!(answer.status, status, "{request:?}");
                        assert_eq!(answer.header("connection"), None);
                        count += 1;
                    }
                    sleep(Duration::from_millis(1));
                }
                count
            })
        };
        Self { clients: (0..4).map(client).collect(), ended }
    }

    /// How many answers came, all of them right.
    fn end(self) -> usize {
        self.ended.store(true, Ordering::SeqCst);
        self.clients.into_iter().map(|client| client.join().expect("only right answers")).sum()
    }
}

#[test]
fn changes_under_load_make_no_wrong_answer_and_close_no_connection() {
    let world = World::start();
    let address = world.envoy.address();
    let load = Load::start(address);
    let status =
        |user: &str| Request::get("/").basic(&format!("{user}:change me")).send(address).status;
    for round in 0..30 {
        let (from, to, user) =
            if round % 2 == 0 { (DAVE, EVE, "eve") } else { (DAVE, DAVE, "dave") };
        let before = world.statistic("update_success");
        world.replace(from, to);
        world.wait("the change", || world.statistic("update_success") > before);
        // Each worker takes it a moment later; from then on it is the only one.
        world.wait("its effect", || status(user) == 200);
        sleep(Duration::from_millis(20));
    }
    let answers = load.end();
    assert!(answers > 200, "{answers}");
    assert_eq!(world.envoy.stat("listener_manager.listener_modified"), Some(0));
    assert_eq!(world.envoy.stat("http.main.downstream_cx_drain_close"), Some(0));
}

#[test]
fn what_is_wrong_is_refused_and_what_was_there_stays() {
    let mut world = World::start();
    // A configuration that is refused is an error in the log.
    world.envoy.vm_may_fail();
    let address = world.envoy.address();
    let load = Load::start(address);
    let dave = || Request::get("/").basic("dave:change me").send(address).status;
    let mut refused = 0;
    for (from, to) in [
        ("realm: Example", "relm: Example"),
        ("failures: 5", "failures: 0"),
        (DAVE, "- { name: dave, password: \"${NOT_THERE}\" }"),
        ("dist/basic-auth.wasm", "dist/not-there.wasm"),
        ("typed_config:\n", "typed_confusion:\n"),
    ] {
        world.replace(from, to);
        let seen = || world.statistic("update_rejected") + world.statistic("config_fail");
        let count =
            || seen() + world.envoy.stats("update_failure").iter().map(|(_, n)| n).sum::<u64>();
        world.wait(to, || count() > refused);
        refused = count();
        assert_eq!(dave(), 200, "{to}");
    }
    assert!(world.envoy.log().contains("relm"), "the log says why");
    assert!(load.end() > 20);
    assert!(world.envoy.stats(".vm_reload").iter().all(|(_, count)| *count == 0));
}
