//! What the demo shows of traces.

use serde_json::{Value, json};
use tests::client::Response;

use crate::ask::Ask;
use crate::steps::{came, equal};
use crate::world::{Outcome, World, must};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OPEN: &str = "/public/prices";

/// How the filter is set up, before all others.
pub(crate) fn config() -> Value {
    json!({
        "extract": ["w3c", "b3"],
        "sampling": {"root": {"per_second": 2}},
        "response": {"traceresponse": true},
        "request_id": {"accept": "never"},
    })
}

/// The trace that the service was told of, which is also what the client is told.
fn trace_of(world: &World, answer: &Response) -> Outcome<String> {
    let told = answer.header("traceresponse").unwrap_or_default();
    came(&world.service.last(), "traceparent", Some(&told))?;
    Ok(told.get(3..35).unwrap_or_default().to_owned())
}

pub(crate) fn goes_on(world: &World) -> Outcome {
    let b3 = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1";
    let answer = world.ask(&Ask::get(OPEN).header("b3", b3), 200)?;
    equal("the trace", &trace_of(world, &answer)?.as_str(), &TRACE)?;
    came(&world.service.last(), "b3", None)?;
    let id = answer.header("x-request-id");
    must(id.is_some(), || "there is no x-request-id".into())?;
    came(&world.service.last(), "x-request-id", id.as_deref())?;
    world.says(
        "What came as B3 goes to the service as W3C, the same trace with the proxy's span in it.",
    );
    Ok(())
}

pub(crate) fn broken(world: &World) -> Outcome {
    let upper_case = "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01";
    let answer = world.ask(&Ask::get(OPEN).header("traceparent", upper_case), 200)?;
    let trace = trace_of(world, &answer)?;
    must(trace.len() == 32 && trace != TRACE, || format!("the trace is {trace}"))?;
    let counter = "trace-context.malformed.by.w3c";
    equal(counter, &world.envoy.counted(counter), &1)?;
    world.says("Upper case is no traceparent: a new trace starts, and that is counted.");
    Ok(())
}
