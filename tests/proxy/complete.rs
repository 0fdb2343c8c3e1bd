//! `envoy/complete.yaml` in the real Envoy: each of its promises, by a request.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::{Connection, Request, Response};
use tests::envoy::Envoy;
use tests::modules::top;
use tests::tls::{Tunnel, handshake};
use tests::upstream::{Answer, Received, Upstream};

mod limits;
mod stop;

/// An Envoy with it, its service and its collector.
struct World {
    envoy: Envoy,
    upstream: Upstream,
    collector: Upstream,
    /// The main listener, through TLS.
    main: SocketAddr,
    certificate: TempDir,
}

fn text() -> String {
    fs::read_to_string(top().join("envoy/complete.yaml")).unwrap()
}

/// The file, its addresses free ones, its log in a file, some of it changed.
fn start(answer: fn(&Received) -> Answer, changes: &[(&str, &str)]) -> World {
    let (upstream, collector) = (Upstream::answering(answer), Upstream::start());
    let certificate = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    make_certificate(certificate.path(), "first.example");
    let secret = fs::read_to_string(top().join("envoy/tls.yaml")).unwrap();
    let folder = certificate.path().join("tls").display().to_string();
    let file = certificate.path().join("tls.yaml");
    fs::write(&file, secret.replace("envoy/tls", &folder)).unwrap();
    let mut text = text();
    for (from, to) in changes {
        assert!(text.contains(from), "complete.yaml has no {from}");
        text = text.replace(from, to);
    }
    let log = "file.v3.FileAccessLog\n                      path: '{folder}/access.log'";
    let port = |port: u16| format!("port_value: {port} ");
    for (from, to) in [
        (port(10080), port(0)),
        (port(10443), port(0)),
        (port(9902), port(0)),
        (port(9901), port(free_port())),
        (port(8080), port(upstream.address().port())),
        (port(4318), port(collector.address().port())),
        ("0.0.0.0".into(), "127.0.0.1".into()),
        ("dist/".into(), format!("{}/dist/", top().display())),
        ("envoy/tls.yaml".into(), file.display().to_string()),
        ("stream.v3.StdoutAccessLog".into(), log.into()),
    ] {
        text = text.replace(&from, &to);
    }
    let envoy = Envoy::of_yaml(&text, 2);
    let main = Tunnel::to(envoy.listener("main")).address();
    World { envoy, upstream, collector, main, certificate }
}

/// A port for what the file has to name twice.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn make_certificate(folder: &Path, name: &str) {
    let mut script = Command::new(top().join("scripts/certificate"));
    let output = script.arg(folder.join("tls")).arg(name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn echo(request: &Received) -> Answer {
    Answer::ok(&format!("{} {}\n", request.method, request.target))
}

fn carol(method: &str, target: &str) -> Request {
    Request::new(method, target).basic("carol:demo")
}

impl World {
    fn send(&self, request: &Request) -> Response {
        request.send(self.main)
    }

    /// What came of requests, and not of probes.
    fn requests(&self) -> Vec<Received> {
        let all = self.upstream.received();
        all.into_iter().filter(|request| request.target != "/livez").collect()
    }

    fn operations(&self, method: &str, target: &str) -> Response {
        Request::new(method, target).send(self.envoy.listener("operations"))
    }

    /// Waits until the collector has a span of a trace, and of which service it is.
    fn wait_for_span(&self, trace: &str) {
        let id = u128::from_str_radix(trace, 16).unwrap().to_be_bytes();
        let deadline = Instant::now() + Duration::from_secs(20);
        let has = |part: &[u8]| {
            self.collector.received().iter().any(|export| {
                export.target == "/v1/traces"
                    && export.body.windows(part.len()).any(|known| known == part)
            })
        };
        while !(has(&id) && has(b"service.name") && has(b"edge")) {
            assert!(Instant::now() < deadline, "no span of {trace}");
            sleep(Duration::from_millis(100));
        }
    }
}

/// The objects of the file that have a member.
fn with<'a>(value: &'a Value, member: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            if object.contains_key(member) {
                found.push(value);
            }
            object.values().for_each(|value| with(value, member, found));
        }
        Value::Array(values) => values.iter().for_each(|value| with(value, member, found)),
        _ => (),
    }
}

#[test]
fn the_numbers_are_those_of_the_guide() {
    let file: Value = serde_norway::from_str(&text()).unwrap();
    let mut managers = Vec::new();
    with(&file, "stat_prefix", &mut managers);
    assert_eq!(managers.len(), 3);
    for manager in &managers {
        for (field, value) in [
            ("request_headers_timeout", "10s"),
            ("request_timeout", "30s"),
            ("normalize_path", "true"),
        ] {
            assert_eq!(manager[field].to_string().trim_matches('"'), value, "{field}");
        }
        assert_eq!(manager["common_http_protocol_options"]["idle_timeout"], "120s");
    }
    let main = managers.iter().find(|manager| manager["stat_prefix"] == "main").unwrap();
    assert_eq!(main["max_request_headers_kb"], 1024);
    assert_eq!(main["drain_timeout"], "30s");
    let route = &main["route_config"]["virtual_hosts"][0]["routes"][0]["route"];
    assert_eq!(route["timeout"], "60s");
    let mut plugins = Vec::new();
    with(&file, "vm_config", &mut plugins);
    let kinds: Vec<_> = plugins.iter().map(|plugin| &plugin["root_id"]).collect();
    assert_eq!(kinds, ["chain", "health-shortcut"]);
    for plugin in &plugins {
        assert_eq!(plugin["failure_policy"], "FAIL_RELOAD");
        assert_eq!(plugin["vm_config"], plugins[0]["vm_config"], "they share a VM");
    }
    let chain = plugins[0]["configuration"]["value"]["chain"].as_array().unwrap();
    let names: Vec<_> = chain.iter().flat_map(|entry| entry.as_object().unwrap().keys()).collect();
    let expected = [
        "health-shortcut",
        "trace-context",
        "telemetry",
        "basic-auth",
        "api-key-auth",
        "jwt-auth",
        "access-policy",
        "rate-limit",
    ];
    assert_eq!(names, expected);
}

#[test]
fn plain_http_leads_to_https_which_browsers_remember() {
    let world = start(echo, &[]);
    let plain = Request::new("POST", "/users?x=1").send(world.envoy.listener("redirect"));
    assert_eq!(plain.status, 308);
    assert_eq!(plain.header("location").as_deref(), Some("https://test.example:10443/users?x=1"));
    for (request, status) in [(carol("GET", "/files/a"), 200), (Request::get("/files/a"), 401)] {
        let answer = world.send(&request);
        assert_eq!(answer.status, status);
        let remembered = answer.header("strict-transport-security");
        assert_eq!(remembered.as_deref(), Some("max-age=31536000; includeSubDomains"));
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(world.requests().len(), 1);
}

#[test]
fn tls_is_recent_speaks_http_2_and_takes_new_certificates() {
    let world = start(echo, &[]);
    let main = world.envoy.listener("main");
    let (done, said) = handshake(main, &["-alpn", "h2,http/1.1"]);
    assert!(done && said.contains("ALPN protocol: h2") && said.contains("first.example"), "{said}");
    assert!(handshake(main, &["-tls1_2"]).0);
    let (done, said) = handshake(main, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(!done && said.contains("alert"), "{said}");
    make_certificate(world.certificate.path(), "second.example");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !handshake(main, &[]).1.contains("second.example") {
        assert!(Instant::now() < deadline, "it keeps the old certificate");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn all_see_one_path() {
    let world = start(echo, &[]);
    for (target, status) in [
        ("/files/x/../a", 200),
        ("//files//a", 200),
        ("/files/a%2fb", 400),
        ("/files/..%2f..%2fetc", 400),
        ("/nowhere", 404),
    ] {
        assert_eq!(world.send(&carol("GET", target)).status, status, "{target}");
    }
    let forged = carol("GET", "/files/a").header("x_auth_subject", "root");
    assert_eq!(world.send(&forged).status, 400);
    let forged = carol("GET", "/files/a")
        .header("x-auth-subject", "root")
        .header("x-original-url", "/users/admin")
        .header("x-forwarded-for", "203.0.113.9");
    assert_eq!(world.send(&forged).status, 200);
    let got = world.requests();
    assert!(got.iter().all(|request| request.target == "/files/a"), "{got:?}");
    let last = got.last().unwrap();
    assert_eq!(last.header("x-auth-subject").as_deref(), Some("carol"));
    assert_eq!(last.header("x-original-url"), None);
    assert_eq!(got.len(), 3);
}

#[test]
fn every_exchange_has_a_line_and_a_span_and_probes_have_none() {
    let world = start(echo, &[]);
    assert_eq!(world.send(&Request::get("/livez")).status, 200);
    assert_eq!(world.send(&carol("GET", "/files/a?secret=1")).status, 200);
    let refused = world.send(&Request::get("/users"));
    assert_eq!(refused.status, 401);
    // Two of telemetry, which the sampled traces ask for, among two of the access log.
    let lines = world.envoy.access_log(4);
    assert_eq!(lines.len(), 4, "{lines:?}");
    let (told, lines): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["msg"] == "end");
    let expected = json!({
        "method": "GET", "path": "/files/a", "status": 200, "service": "files", "operation": "read",
        "subject": "carol", "upstream": "upstream", "client": "127.0.0.1", "protocol": "HTTP/1.1",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&lines[0][name], value, "{name}");
    }
    assert_eq!(lines[1]["details"], "gatehouse.access-policy.unauthenticated");
    assert_eq!(told[1]["reason"], lines[1]["details"]);
    assert_eq!(
        [&told[0]["trace_id"], &told[1]["trace_id"]],
        [&lines[0]["trace_id"], &lines[1]["trace_id"]]
    );
    // The upstream, the client, the log and the collector name the same trace.
    let parent = world.requests()[0].header("traceparent").expect("a traceparent");
    assert_eq!(parent.split('-').nth(1).unwrap(), lines[0]["trace_id"]);
    let response = refused.header("traceresponse").expect("a traceresponse");
    assert_eq!(response.split('-').nth(1).unwrap(), lines[1]["trace_id"]);
    for line in lines {
        world.wait_for_span(line["trace_id"].as_str().unwrap());
    }
}

/// What the file says in comments: Envoy's own tracer in place of trace-context.
#[test]
fn the_tracer_can_be_envoys_own() {
    let text = text();
    let lines = || text.split_inclusive('\n');
    let block = |first: &str, rest: &str| {
        let from = lines().skip_while(|line| !line.contains(first));
        let rest = from.clone().skip(1).take_while(|line| line.starts_with(rest));
        from.take(1).chain(rest).collect::<String>()
    };
    let tracer = block("#tracing:", "                #");
    assert_eq!(tracer.lines().count(), 9, "{tracer}");
    let ours = block("- trace-context:", "                                  ");
    let world = start(
        echo,
        &[
            (&tracer, &tracer.replace('#', "")),
            (&ours, ""),
            ("%FILTER_STATE(wasm.gatehouse.trace_id:PLAIN)%", "%TRACE_ID%"),
        ],
    );
    assert_eq!(world.send(&carol("GET", "/files/a")).status, 200);
    let parent = world.requests()[0].header("traceparent").expect("a traceparent");
    // The line of telemetry may come first.
    let of_envoy =
        |count| world.envoy.access_log(count).into_iter().find(|line| line["msg"].is_null());
    let line = of_envoy(1).or_else(|| of_envoy(2)).unwrap();
    assert_eq!(line["trace_id"], parent.split('-').nth(1).unwrap());
    world.wait_for_span(line["trace_id"].as_str().unwrap());
}

#[test]
fn who_asks_for_more_than_their_part_waits_and_others_do_not() {
    let quota = "quota: { requests: 100, per: 1s, burst: 200 }";
    let world = start(echo, &[(quota, "quota: { requests: 3, per: 1h }")]);
    let statuses: Vec<_> = (0..4).map(|_| world.send(&carol("GET", "/files/a")).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    let refused = world.send(&carol("GET", "/files/a"));
    assert!(refused.header("retry-after").is_some() && refused.header("traceresponse").is_some());
    assert_eq!(
        world.send(&Request::get("/users").header("x-api-key", "acme demo key")).status,
        200
    );
    assert_eq!(world.requests().len(), 4);
    // Counts are handed to the proxy once a second.
    let deadline = Instant::now() + Duration::from_secs(20);
    let has = |page: &str, words: &[&str]| {
        page.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    let refusals = ["gatehouse_refusals{", "source=\"rate-limit\"", "reason=\"limited\"", " 2"];
    let passed = ["gatehouse_requests{", "service=\"users\"", "tier=\"gold\"", " 1"];
    loop {
        let page = world.operations("GET", "/stats/prometheus").text();
        if has(&page, &refusals) && has(&page, &passed) {
            break;
        }
        assert!(Instant::now() < deadline, "{page}");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn operations_have_probes_and_metrics_and_nothing_else() {
    let world = start(echo, &[]);
    assert_eq!(world.send(&Request::get("/users")).status, 401);
    let metrics = world.operations("GET", "/stats/prometheus").text();
    let counted = metrics.lines().find(|line| line.starts_with("gatehouse_refused{")).unwrap();
    assert!(counted.contains("filter=\"access-policy\"") && counted.ends_with(" 1"), "{counted}");
    for (method, target) in [
        ("POST", "/quitquitquit"),
        ("GET", "/config_dump"),
        ("POST", "/stats/prometheus"),
        ("GET", "/"),
    ] {
        assert_eq!(world.operations(method, target).status, 404, "{method} {target}");
    }
    let ready = |status: u16| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while world.operations("GET", "/readyz").status != status {
            assert!(Instant::now() < deadline, "{}", world.operations("GET", "/readyz"));
            sleep(Duration::from_millis(50));
        }
    };
    ready(200);
    world.envoy.post("/healthcheck/fail");
    ready(503);
    assert_eq!(world.operations("GET", "/livez").status, 200);
    world.envoy.post("/healthcheck/ok");
    ready(200);
}
