//! A configuration without the parts that cannot be read, for what comes after them.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::document::{Kind, Node, join};
use super::variables::Missing;

/// How many parts are left out before the rest is left alone.
const MOST: usize = 32;

/// Parts of a configuration that are left out, by their paths.
#[derive(Default)]
pub(super) struct Cut(BTreeSet<String>);

impl Cut {
    /// Leaves out a part as well; `false` where that leaves nothing, or has gone on for too long.
    pub(super) fn add(&mut self, path: &str) -> bool {
        !path.is_empty() && self.0.len() < MOST && self.0.insert(path.to_owned())
    }

    /// Whether only members of objects are left out, so that nothing else can miss them by their places
    /// in a list or by their names.
    pub(super) fn is_small(&self, missing: &[Missing]) -> bool {
        let is_member =
            |cut: &String| !cut.ends_with(']') && missing.iter().any(|one| one.path == *cut);
        self.0.iter().all(is_member)
    }

    /// Whether nothing is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a place is left out.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.0.iter().any(|cut| is_within(path, cut))
    }

    /// Whether something within a place is left out.
    pub(super) fn touches(&self, path: &str) -> bool {
        self.0.iter().any(|cut| is_within(cut, path))
    }

    /// What is left, and which of its paths was which.
    pub(super) fn apply(&self, config: &Node) -> (Value, HashMap<String, String>) {
        let mut paths = HashMap::new();
        let value = self.rest(config, ("", ""), &mut paths).unwrap_or_default();
        (value, paths)
    }

    fn rest(
        &self,
        node: &Node,
        (new, old): (&str, &str),
        paths: &mut HashMap<String, String>,
    ) -> Option<Value> {
        if self.0.contains(old) {
            return None;
        }
        paths.insert(new.to_owned(), old.to_owned());
        Some(match &node.kind {
            Kind::List(items) => {
                let mut rest = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let new = join(new, &format!("[{}]", rest.len()));
                    rest.extend(self.rest(item, (&new, &join(old, &format!("[{index}]"))), paths));
                }
                Value::Array(rest)
            }
            Kind::Object(members) => {
                let mut rest = Map::new();
                for member in members {
                    let place = (&*join(new, &member.name), &*join(old, &member.name));
                    let value = self.rest(&member.node, place, paths);
                    rest.extend(value.map(|value| (member.name.clone(), value)));
                }
                Value::Object(rest)
            }
            _ => node.value(),
        })
    }
}

/// Whether a path leads to another, or to something in it.
pub(crate) fn is_within(inner: &str, outer: &str) -> bool {
    let rest = inner.strip_prefix(outer);
    rest.is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}
