//! `trace-context` beside libraries that are not ours (`tests/oracle/trace.py`): the propagators of
//! OpenTelemetry, and Datadog's.
//!
//! 1. A context that a library writes, in any form, is the one that a library reads at the upstream,
//!    in every form: the trace and the decision the same, the span the proxy's.
//! 2. A `traceparent` that is broken goes on where OpenTelemetry's own reader lets it, and not elsewhere.
//!
//! `GATEHOUSE_ORACLE_SEED=N` makes other contexts.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Map;

use super::*;
use crate::jwt_differential::python;

const COUNT: &str = "700";
const FORMS: [&str; 7] = ["w3c", "b3", "b3multi", "jaeger", "datadog", "xray", "google"];

/// What the oracle says to arguments and an input.
fn oracle(arguments: &[&str], input: &Value) -> Value {
    let mut command = Command::new(python());
    command.arg(tests::modules::top().join("tests/oracle/trace.py")).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a Python that runs; run `make setup`");
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the oracle ended with {}:\n{said}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn seed() -> String {
    std::env::var("GATEHOUSE_ORACLE_SEED").unwrap_or_else(|_| "1729".to_owned())
}

#[test]
fn what_libraries_write_in_one_form_libraries_read_in_every_other() {
    let carriers = oracle(&["carriers", &seed(), COUNT], &Value::Null);
    let carriers = carriers.as_array().unwrap();
    let world = World::new(json!({
        "extract": ["w3c", "b3", "jaeger", "datadog", "xray", "google"],
        "inject": FORMS,
    }));
    let mut connection = Connection::open(world.envoy.address()).unwrap();
    let mut upstream = Vec::new();
    for carrier in carriers {
        let headers = carrier["headers"].as_object().unwrap();
        let request = headers.iter().fold(Request::get("/"), |request, (name, value)| {
            request.header(name, value.as_str().unwrap())
        });
        assert_eq!(connection.send(&request).unwrap().status, 200);
        let headers: Map<_, _> = world
            .upstream
            .last()
            .headers
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value).unwrap().into()))
            .collect();
        let all: Map<_, _> = FORMS
            .iter()
            .map(|form| ((*form).to_owned(), Value::Object(of_form(form, &headers))))
            .collect();
        upstream.push(Value::Object(all));
    }
    let read = oracle(&["read"], &Value::Array(upstream));
    for (carrier, read) in carriers.iter().zip(read.as_array().unwrap()) {
        let span = &read["w3c"]["span"];
        assert_ne!(*span, carrier["span"], "the proxy's own");
        for form in FORMS {
            let expected =
                json!({"trace": carrier["trace"], "span": span, "sampled": carrier["sampled"]});
            assert_eq!(read[form], expected, "seed {}: {carrier} as {form}", seed());
        }
    }
    assert_eq!(carriers.len().to_string(), COUNT);
}

/// The headers of a form alone: some libraries read others too.
fn of_form(form: &str, headers: &Map<String, Value>) -> Map<String, Value> {
    let prefix = match form {
        "w3c" => "trace",
        "b3" => "b3",
        "b3multi" => "x-b3-",
        "jaeger" => "uber-",
        "datadog" => "x-datadog-",
        "xray" => "x-amzn-",
        _ => "x-cloud-",
    };
    headers
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

#[test]
fn a_broken_traceparent_goes_on_where_others_let_it() {
    let cases = oracle(&["bent", &seed(), "1500"], &Value::Null);
    let world = World::new(json!({}));
    let mut connection = Connection::open(world.envoy.address()).unwrap();
    let mut counts = [0, 0];
    for case in cases.as_array().unwrap() {
        let value = case["traceparent"].as_str().unwrap();
        let request = Request::get("/").header("traceparent", value);
        assert_eq!(connection.send(&request).unwrap().status, 200);
        let trace = parent(&world.upstream.last()).0;
        let went_on = value.get(3..35) == Some(&*trace);
        assert_eq!(Value::Bool(went_on), case["goes_on"], "seed {}: {value}", seed());
        counts[usize::from(went_on)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 200), "{counts:?}");
}
