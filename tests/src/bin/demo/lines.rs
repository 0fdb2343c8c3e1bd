//! What the demo shows of the lines that exchanges leave.

use serde_json::{Value, json};

use crate::ask::Ask;
use crate::steps::equal;
use crate::world::{Outcome, World};

/// How the filter is set up, behind those who say who it is.
pub(crate) fn config() -> Value {
    json!({"output": "proxy_log"})
}

pub(crate) fn of_a_refusal(world: &World) -> Outcome {
    world.ask(&Ask::get("/prices?card=4111").header("authorization", "Basic d3Jvbmc="), 401)?;
    let log = world.envoy.log();
    let of_it = |line: &&str| line.contains("\"msg\":\"end\"") && line.contains("/prices");
    let line = log.lines().rev().find(of_it).ok_or("there is no line")?;
    let (_, line) = line.split_once('{').ok_or("it is no JSON")?;
    let line = format!("{{{line}");
    let fields: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    equal("http.status", &fields["http.status"], &json!(401))?;
    equal("the query", &line.contains("4111"), &false)?;
    world.says(&line);
    world.says("A refusal asks for the lines of its exchange, which are kept back otherwise.");
    Ok(())
}
