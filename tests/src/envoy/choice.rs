//! A filter may be tested as its own module, in the one that has all, and in a chain.
//!
//! `GATEHOUSE_TEST_AS` says which: `alone` (or nothing), `bundle`, or `chain`. In a chain are all
//! filters of ours that a test puts behind each other. One suite runs over all three: nothing that a
//! test sees from outside may differ.

use serde_json::{Value, json};

use super::parts::{wasm, wasm_of};
use crate::modules::{BUNDLE, filters};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Alone,
    Bundle,
    Chain,
}

fn choice() -> Choice {
    match std::env::var("GATEHOUSE_TEST_AS").as_deref() {
        Err(_) | Ok("" | "alone") => Choice::Alone,
        Ok("bundle") => Choice::Bundle,
        Ok("chain") => Choice::Chain,
        Ok(other) => panic!("GATEHOUSE_TEST_AS is `{other}`"),
    }
}

/// The form in which a proxy hands over a configuration.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// JSON text, as Istio does.
    Text,
    /// A `Struct`, as YAML in a bootstrap is.
    Struct,
}

impl Form {
    pub(super) fn of(self, config: &Value) -> Value {
        match self {
            Self::Text => {
                json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": config.to_string()})
            }
            Self::Struct => {
                json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": config})
            }
        }
    }

    fn read(self, any: &Value) -> Value {
        match self {
            Self::Text => {
                serde_json::from_str(any["value"].as_str().unwrap_or_default()).expect("JSON")
            }
            Self::Struct => any["value"].clone(),
        }
    }
}

/// Puts a filter of ours behind the others.
pub(super) fn push(all: &mut Vec<Value>, name: &str, config: Value, form: Form) {
    let is_ours = filters().iter().any(|known| known == name);
    match choice() {
        Choice::Bundle if is_ours => all.push(wasm_of(BUNDLE, name, name, form.of(&config))),
        Choice::Chain if is_ours => match all.last_mut().and_then(|last| open(last, name, form)) {
            Some((any, mut chain)) => {
                chain["chain"].as_array_mut().expect("a list").push(json!({name: config}));
                *any = form.of(&chain);
            }
            None => {
                let chain = json!({"chain": [{name: config}]});
                all.push(wasm_of(BUNDLE, name, "chain", form.of(&chain)));
            }
        },
        _ => all.push(wasm(name, form.of(&config))),
    }
}

/// The configuration of a chain that there is, if the filter is not in it yet.
fn open<'a>(last: &'a mut Value, name: &str, form: Form) -> Option<(&'a mut Value, Value)> {
    // One of the proxy's own has none, and is to get none.
    let config = last["typed_config"].get_mut("config")?;
    if config["root_id"] != "chain" {
        return None;
    }
    let any = &mut config["configuration"];
    let chain = form.read(any);
    let has_it = chain["chain"].as_array()?.iter().any(|entry| !entry[name].is_null());
    (!has_it).then_some((any, chain))
}

/// The errors of plugins' configurations in Envoy's log.
pub(super) fn errors(log: &str) -> impl Iterator<Item = &str> {
    let lines = log.lines().filter_map(|line| line.split_once("configuration refused: "));
    lines.map(|(_, error)| error)
}

/// An error of a filter, its path as its own module would say it.
pub(super) fn as_alone(error: &str) -> String {
    let inner = error.strip_prefix("chain[").and_then(|rest| rest.split_once("].")).and_then(
        |(_, rest)| {
            let name = filters().into_iter().find(|name| rest.starts_with(name.as_str()))?;
            let rest = &rest[name.len()..];
            rest.strip_prefix(": ").or_else(|| rest.strip_prefix('.')).or(Some(rest))
        },
    );
    inner.filter(|_| choice() == Choice::Chain).unwrap_or(error).to_owned()
}
