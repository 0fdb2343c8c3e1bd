//! What the demo shows of the lines that exchanges leave, and of the switch for those who look closer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::envoy::Envoy;

use crate::ask::Ask;
use crate::steps::equal;
use crate::world::{Outcome, World, must};

/// How long a step waits for what comes in the background; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How the filter is set up, behind those who say who it is.
pub(crate) fn config() -> Value {
    json!({"output": "proxy_log", "debug": {"allow": [{"groups": ["ops"]}]}})
}

pub(crate) fn of_a_refusal(world: &World) -> Outcome {
    world.ask(&Ask::get("/prices?card=4111").header("authorization", "Basic d3Jvbmc="), 401)?;
    let (text, fields) = line_of(&world.envoy, "/prices", "")?;
    equal("http.status", &fields["http.status"], &json!(401))?;
    equal("the query", &text.contains("4111"), &false)?;
    let log = world.envoy.log();
    let probed = log.lines().any(|line| is_end(line) && line.contains("/livez"));
    equal("lines of probes", &probed, &false)?;
    world.says(&text);
    world.says("A refusal asks for the lines of its exchange, which are kept back otherwise. A probe has none.");
    Ok(())
}

pub(crate) fn debug_switch(world: &World) -> Outcome {
    let before = world.service.count();
    let ask = || Ask::get("/debug?debug-logs=on");
    world.ask(&ask().by("alice:demo"), 404)?;
    let answer = world.ask(&ask().by("carol:demo"), 200)?;
    equal("the answer", &answer.text().trim(), &r#"{"debug-logs":"on"}"#)?;
    world.ask(&Ask::get("/debug/pprof/heap").by("carol:demo"), 404)?;
    equal("requests at the service", &world.service.count(), &before)?;
    // All workers know it within a second.
    std::thread::sleep(Duration::from_millis(1100));
    world.ask(&Ask::get("/orders/debugged").by("carol:demo"), 200)?;
    let (text, _) = line_of(&world.envoy, "/orders/debugged", "")?;
    world.says(&text);
    world.says("Carol, of the group ops, may have lines of everything for a while. The service's profiles are nobody's.");
    world.ask(&Ask::get("/debug?debug-logs=off").by("carol:demo"), 200)?;
    Ok(())
}

/// The last line of an exchange, as it is and as what it says: one that has this and that in it. It comes
/// when the client has its answer already.
pub(crate) fn line_of(envoy: &Envoy, this: &str, that: &str) -> Outcome<(String, Value)> {
    let start = Instant::now();
    loop {
        let log = envoy.log();
        let of_it = |line: &&str| is_end(line) && line.contains(this) && line.contains(that);
        if let Some(line) = log.lines().rev().find(of_it) {
            let (_, line) = line.split_once('{').ok_or("it is no JSON")?;
            let line = format!("{{{line}");
            let fields = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            return Ok((line, fields));
        }
        must(start.elapsed() < PATIENCE, || format!("there is no line of {this}"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_end(line: &str) -> bool {
    line.contains("\"msg\":\"end\"")
}
