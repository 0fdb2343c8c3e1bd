//! It is stopped as `envoy/kubernetes.yaml` stops it, under load: the very command of its `preStop` hook.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde::Deserialize as _;

use super::*;
use crate::drain::{has_ended, program};

fn deployment() -> Value {
    let text = fs::read_to_string(top().join("envoy/kubernetes.yaml")).unwrap();
    let first = serde_norway::Deserializer::from_str(&text).next().unwrap();
    Value::deserialize(first).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().unwrap().iter();
    all.map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// What follows a word.
fn after<'a>(arguments: &'a [String], word: &str) -> &'a str {
    let at = arguments.iter().position(|argument| argument == word).expect(word);
    &arguments[at + 1]
}

#[test]
fn the_pod_waits_for_the_hook_and_its_probes_are_those_of_the_listener() {
    let pod = &deployment()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let hook = strings(&container["lifecycle"]["preStop"]["exec"]["command"]);
    let wait: u64 = after(&hook, "--wait").trim_end_matches('s').parse().unwrap();
    let drain: u64 = after(&strings(&container["args"]), "--drain-time-s").parse().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > wait + 5);
    assert!(drain >= wait);
    let world = start(echo, &[]);
    for probe in ["readinessProbe", "livenessProbe"] {
        let target = container[probe]["httpGet"]["path"].as_str().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while world.operations("GET", target).status != 200 {
            assert!(Instant::now() < deadline, "{target}: {}", world.operations("GET", target));
            sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn it_ends_under_load_without_losing_a_request() {
    let slowly = |request: &Received| {
        sleep(Duration::from_millis(if request.target == "/livez" { 0 } else { 100 }));
        echo(request)
    };
    let mut world = start(slowly, &[]);
    world.envoy.vm_may_fail();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let closed = Arc::new(AtomicUsize::new(0));
    let main = world.main;
    let client = |_| {
        let (stop, done, closed) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&closed));
        thread::spawn(move || {
            let mut connection = Connection::open(main).unwrap();
            while !stop.load(Ordering::SeqCst) {
                let answer = connection.send(&carol("GET", "/files/a")).expect("an answer");
                assert_eq!(answer.status, 200);
                done.fetch_add(1, Ordering::SeqCst);
                // A client goes elsewhere when it is told so.
                if answer.header("connection").is_some_and(|value| value == "close") {
                    closed.fetch_add(1, Ordering::SeqCst);
                    connection = Connection::open(main).unwrap();
                }
            }
        })
    };
    let clients: Vec<_> = (0..6).map(client).collect();
    program();
    sleep(Duration::from_millis(500));
    let hook = strings(
        &deployment()["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]
            ["command"],
    );
    let mut command = Command::new(program());
    command.args(&hook[1..]).args(["--admin", &world.envoy.admin().to_string(), "--quiet", "1s"]);
    let begun = done.load(Ordering::SeqCst);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    // The load balancer takes a while to hear that it is not ready.
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.operations("GET", "/readyz").status != 503 {
        assert!(Instant::now() < deadline, "it stays ready");
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_secs(3));
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no request was lost");
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.starts_with("drained in"), "{said}");
    assert!(done.load(Ordering::SeqCst) > begun + 20, "there was load while it drained");
    assert!(closed.load(Ordering::SeqCst) > 0, "clients were told to go");
    assert!(has_ended(&world.envoy), "it runs on; {said}");
}
