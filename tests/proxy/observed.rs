//! `envoy/docker-compose.yaml` and what watches over it. Its proxy in the real Envoy, with stand-ins for the rest, takes the
//! tour; of what it then counts, every metric that the dashboard and the alerts name is there.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::client::Request;
use tests::envoy::Envoy;
use tests::modules::top;
use tests::ratelimit::{Redis, Service};
use tests::tokens::{Key, jwks};
use tests::upstream::{Answer, Received, Upstream};

struct World {
    envoy: Envoy,
    identity: Upstream,
    collector: Upstream,
    _upstream: Upstream,
    _limits: (Service, Redis),
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Says what it got, as the image of docker-compose.yaml does.
fn say(request: &Received) -> Answer {
    let title = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            format!("{}{}", first.to_ascii_uppercase(), letters.as_str())
        })
    };
    let headers = request.headers.iter().map(|(name, value)| {
        let name: Vec<_> = name.split('-').map(title).collect();
        format!("{}: {}\n", name.join("-"), String::from_utf8_lossy(value))
    });
    Answer::ok(&headers.collect::<String>())
}

/// Keys and tokens where Dex has them.
fn identity() -> Upstream {
    let key = Key::of("rsa");
    Upstream::answering(move |request| match request.target.as_str() {
        "/dex/keys" => Answer::ok(&jwks([&key]).to_string()),
        "/dex/token" => {
            assert!(request.body.starts_with(b"grant_type=password"));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let claims = json!({"iss": "http://identity:5556/dex", "aud": "tour", "sub": "alice",
                "exp": now + 600});
            Answer::ok(&json!({"id_token": key.sign("RS256", &claims)}).to_string())
        }
        _ => Answer::status(404, ""),
    })
}

impl World {
    fn start() -> Self {
        let (upstream, identity, collector) =
            (Upstream::answering(say), identity(), Upstream::start());
        let redis = Redis::start();
        let limits = Service::start(&redis, &["gatehouse/per-subject=20/60:subject"]);
        let mut text = read("envoy/compose/envoy.yaml");
        let service = |name: &str, port: u16, to: SocketAddr| {
            let from = format!("address: {name}, port_value: {port} ");
            (from, format!("address: 127.0.0.1, port_value: {} ", to.port()))
        };
        let own = free_port();
        for (from, to) in [
            service("upstream", 80, upstream.address()),
            service("identity", 5556, identity.address()),
            service("otel-collector", 4318, collector.address()),
            service("ratelimit", 8081, limits.address()),
            // For a machine with more to do than this.
            ("timeout: 250ms".into(), "timeout: 5s".into()),
            ("port_value: 10000 ".into(), "port_value: 0 ".into()),
            ("port_value: 9902 ".into(), "port_value: 0 ".into()),
            ("port_value: 9901 ".into(), format!("port_value: {own} ")),
            ("0.0.0.0".into(), "127.0.0.1".into()),
            ("/etc/envoy/dist".into(), top().join("dist").display().to_string()),
            // So that there is something in shadow.
            (
                "services:\n".into(),
                "rules: [ { match: { methods: [DELETE] }, mode: shadow } ]\n                                  services:\n".into(),
            ),
        ] {
            assert!(text.contains(&from), "compose/envoy.yaml has no {from}");
            text = text.replace(&from, &to);
        }
        let (envoy, _limits) = (Envoy::of_yaml(&text, 2), (limits, redis));
        Self { envoy, identity, collector, _upstream: upstream, _limits }
    }

    fn tour(&self) -> Output {
        let mut tour = Command::new(top().join("envoy/tour"));
        tour.env("EDGE", format!("http://{}", self.envoy.listener("main")));
        tour.env("OPERATIONS", format!("http://{}", self.envoy.listener("operations")));
        tour.env("IDENTITY", format!("http://{}", self.identity.address()));
        tour.output().unwrap()
    }

    /// What Prometheus sees, once it has something: Envoy merges histograms every five seconds.
    fn scrape_with(&self, part: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let page =
                Request::get("/stats/prometheus").send(self.envoy.listener("operations")).text();
            if page.contains(part) {
                return page;
            }
            assert!(Instant::now() < deadline, "no {part} in\n{page}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The queries of the dashboard and of the alerts.
fn queries() -> Vec<String> {
    fn strings(value: &Value, name: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (member, value) in object {
                    if member == name {
                        found.extend(value.as_str().map(str::to_owned));
                    }
                    strings(value, name, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| strings(value, name, found)),
            _ => (),
        }
    }
    let mut found = Vec::new();
    strings(&serde_json::from_str(&read("envoy/dashboard.json")).unwrap(), "expr", &mut found);
    strings(&serde_norway::from_str(&read("envoy/alerts.yaml")).unwrap(), "expr", &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The words of a query that are names.
fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn the_tour_shows_what_it_says_and_all_that_is_watched_exists() {
    let world = World::start();
    let tour = world.tour();
    let said = String::from_utf8_lossy(&tour.stdout);
    assert!(tour.status.success(), "{said}{}", String::from_utf8_lossy(&tour.stderr));
    assert!(said.contains("X-Auth-Subject: acme") && said.contains("gatehouse_refused{"), "{said}");
    assert!(!said.to_lowercase().contains("\n  x-api-key"), "{said}");
    Request::new("DELETE", "/orders").send(world.envoy.listener("main"));
    let spans = |export: &Received| export.target == "/v1/traces";
    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.collector.received().iter().any(spans) {
        assert!(Instant::now() < deadline, "the collector has no spans");
        std::thread::sleep(Duration::from_millis(100));
    }

    let scrape = world.scrape_with("gatehouse_duration_ms_bucket{");
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    let metrics: BTreeSet<_> = lines.clone().filter_map(|line| line.split('{').next()).collect();
    let labels: BTreeSet<_> = lines
        .flat_map(|line| line.split(['{', ',']).skip(1).filter_map(|label| label.split_once("=\"")))
        .map(|(label, _)| label)
        .collect();
    let mut named = BTreeSet::new();
    for query in queries() {
        for word in words(&query)
            .filter(|word| word.starts_with("gatehouse_") || word.starts_with("envoy_"))
        {
            let is_pattern = query.contains(&format!("\"{word}."));
            let is_label = labels.contains(word);
            let is_there =
                |metric: &&str| *metric == word || (is_pattern && metric.starts_with(word));
            assert!(is_label || metrics.iter().any(is_there), "no {word}, as in: {query}");
            named.insert(word.to_owned());
        }
        // What is grouped or chosen by.
        for by in query.split("by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            let known = |label: &str| {
                ["instance", "le", "__name__"].contains(&label) || labels.contains(label)
            };
            for label in by.split(", ") {
                assert!(known(label), "no label {label}, as in: {query}");
            }
        }
    }
    // And nothing that our filters count here is left out.
    for metric in metrics.iter().filter(|metric| metric.starts_with("gatehouse_")) {
        let histogram = metric.strip_suffix("_sum").or_else(|| metric.strip_suffix("_count"));
        let buckets = histogram.map(|name| format!("{name}_bucket"));
        let is_shown =
            named.contains(*metric) || buckets.is_some_and(|buckets| named.contains(&buckets));
        assert!(is_shown, "envoy/dashboard.json does not show {metric}");
    }
}

/// Runs a program that `make setup` brings.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).current_dir(top()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program}: {error}; run `scripts/setup deploy`"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn prometheus_takes_its_files_and_the_alerts_come_when_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.yaml");
    let alerts = top().join("envoy/alerts.yaml").display().to_string();
    fs::write(&file, read("tests/proxy/observed/alerts.yaml").replace("ALERTS", &alerts)).unwrap();
    let file = file.display().to_string();
    for arguments in [
        ["check", "rules", "envoy/alerts.yaml"].as_slice(),
        &["check", "config", "--syntax-only", "envoy/compose/prometheus.yaml"],
        &["test", "rules", &file],
    ] {
        let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".into());
        let (well, said) = run(&promtool, arguments);
        assert!(well, "promtool {arguments:?}: {said}");
    }
}

#[test]
fn compose_takes_its_file_and_mounts_what_is_there() {
    let is_plugin = Command::new("docker").args(["compose", "version"]).output();
    let is_plugin = is_plugin.is_ok_and(|output| output.status.success());
    let file = ["-f", "envoy/docker-compose.yaml", "config"];
    let (well, said) = if is_plugin {
        run("docker", &[["compose"].as_slice(), &file].concat())
    } else {
        run("docker-compose", &file)
    };
    assert!(well, "{said}");
    let text = said.split_once("services:").expect("what it made of it").1;
    let whole: Value = serde_norway::from_str(&format!("services:{text}")).unwrap();
    let services = whole["services"].as_object().unwrap();
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{image}: no version")).1;
        assert!(!["latest", "master", "main"].contains(&tag), "{image}");
        // Long or short, whichever program it was.
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume["source"].as_str().or_else(|| volume.as_str()?.split(':').next());
            let source = source.expect("a source");
            assert!(std::path::Path::new(source).is_file(), "{name} mounts {source}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.to_string();
            assert!(port.contains("127.0.0.1"), "{name} listens to the world: {port}");
        }
    }
    assert_eq!(services.len(), 8);
}
