//! Which filter a plugin is, in a module that has several.
//!
//! 1. The plugin's root id (Istio's `pluginName`) names a filter, whose configuration is then written
//!    as for the filter's own module; or it is `chain`.
//! 2. A root id that names none says nothing: the configuration's `filter: NAME` chooses, its other
//!    fields being the filter's; or its `chain: […]` does. Where a root id and a field contradict each
//!    other, and where neither is there, the configuration is refused.
//! 3. A chain is a list of filters in their order, each an object of one field: the filter's name, and
//!    what its own module would be configured with. `share_evidence: false` beside it keeps what
//!    authenticators found from the filters outside of the chain.
//! 4. Each filter may be there once: its metrics, its evidence, its slots of the shared store and its
//!    metadata go by its name.
//! 5. An error in a filter names its place: `chain[3].jwt-auth.providers[0].issuer: …`.

use serde_json::{Map, Value};

use crate::chain::{self, Chain};
use crate::config::{self, Environment, Invalid};
use crate::filter::Birth;
use crate::runner::{Kind, Runner};

/// The field that names the filter.
const FILTER: &str = "filter";
/// The field, and the root id, of a chain.
const CHAIN: &str = chain::NAME;
/// The field that says whether evidence leaves the chain.
const SHARE_EVIDENCE: &str = "share_evidence";

/// What a plugin is.
#[derive(Clone, Debug)]
pub enum Choice<'k> {
    /// One filter.
    One(Part<'k>),
    /// Filters in a row.
    Chain {
        /// In their order; at least one.
        parts: Vec<Part<'k>>,
        /// Whether filters behind the chain get to see their evidence.
        shares_evidence: bool,
    },
}

/// A filter and its configuration.
#[derive(Clone, Debug)]
pub struct Part<'k> {
    /// Which it is.
    pub kind: &'k Kind,
    /// What its own module would be configured with.
    pub object: Map<String, Value>,
}

impl<'k> Choice<'k> {
    /// Finds out what a plugin of this root id and configuration is.
    pub fn of(
        kinds: &'k [Kind],
        root_id: &str,
        mut object: Map<String, Value>,
    ) -> Result<Self, Invalid> {
        let by_root = find(kinds, root_id);
        if by_root.is_none() && (root_id == CHAIN || object.contains_key(CHAIN)) {
            return Self::chain(kinds, object);
        }
        let by_field = match object.remove(FILTER) {
            None => None,
            Some(Value::String(name)) => {
                Some(find(kinds, &name).ok_or_else(|| unknown(kinds).within(FILTER))?)
            }
            Some(_) => return Err(Invalid::at(FILTER, "is not the name of a filter")),
        };
        match (by_root, by_field) {
            (Some(root), Some(field)) if root.name() != field.name() => {
                let message = format!("the root id says `{}`", root.name());
                Err(Invalid::at(FILTER, message))
            }
            (Some(kind), _) | (_, Some(kind)) => Ok(Self::One(Part { kind, object })),
            (None, None) => Err(undecided(kinds, root_id)),
        }
    }

    fn chain(kinds: &'k [Kind], mut object: Map<String, Value>) -> Result<Self, Invalid> {
        let shares_evidence = match object.remove(SHARE_EVIDENCE) {
            None => true,
            Some(Value::Bool(shares)) => shares,
            Some(_) => return Err(Invalid::at(SHARE_EVIDENCE, "is neither `true` nor `false`")),
        };
        let list = match object.remove(CHAIN) {
            Some(Value::Array(list)) if !list.is_empty() => list,
            Some(_) => return Err(Invalid::at(CHAIN, "is not a list of at least one filter")),
            None => return Err(Invalid::at("", format!("missing field `{CHAIN}`"))),
        };
        if let Some(other) = object.keys().next() {
            let message = format!("unknown field; beside `{CHAIN}` there is `{SHARE_EVIDENCE}`");
            return Err(Invalid::at(other.as_str(), message));
        }
        let mut parts: Vec<Part<'k>> = Vec::new();
        for (place, entry) in list.into_iter().enumerate() {
            let within = |error: Invalid| error.within(&format!("{CHAIN}[{place}]"));
            let part = part(kinds, entry).map_err(within)?;
            let name = part.kind.name();
            if let Some(first) = parts.iter().position(|known| known.kind.name() == name) {
                let message = format!("is in the chain already, as {CHAIN}[{first}]");
                return Err(within(Invalid::at(name, message)));
            }
            parts.push(part);
        }
        Ok(Self::Chain { parts, shares_evidence })
    }

    /// The filters, each with the path of its configuration.
    pub fn parts(&self) -> impl Iterator<Item = (String, &Part<'k>)> {
        let (is_chain, parts) = match self {
            Self::One(part) => (false, std::slice::from_ref(part)),
            Self::Chain { parts, .. } => (true, parts.as_slice()),
        };
        parts.iter().enumerate().map(move |(place, part)| {
            let path = format!("{CHAIN}[{place}].{}", part.kind.name());
            (if is_chain { path } else { String::new() }, part)
        })
    }

    /// Takes the configurations into effect, or says what is wrong with one.
    pub fn configure(self, birth: &Birth<'_>) -> Result<Box<dyn Runner>, Invalid> {
        let mut runners = Vec::new();
        for (path, Part { kind, object }) in self.parts() {
            // What one filter shares with other workers, or makes ids of, is of no use against another.
            let secret = birth.secret_for(kind.name());
            let Birth { name, now, host, .. } = *birth;
            let runner = kind.configure(object.clone(), &Birth { name, secret, now, host });
            runners.push(runner.map_err(|error| error.within(&path))?);
        }
        match self {
            Self::Chain { shares_evidence, .. } => {
                Ok(Box::new(Chain::new(runners, shares_evidence)))
            }
            Self::One(_) => runners.pop().ok_or_else(|| Invalid::at("", "there is no filter")),
        }
    }
}

/// Takes the configuration of a plugin into effect, whichever filter it is.
pub fn configure(
    kinds: &[Kind],
    root_id: &str,
    bytes: &[u8],
    environment: &Environment,
    birth: &Birth<'_>,
) -> Result<Box<dyn Runner>, Invalid> {
    Choice::of(kinds, root_id, config::read(bytes, environment)?)?.configure(birth)
}

/// One entry of a chain.
fn part(kinds: &[Kind], entry: Value) -> Result<Part<'_>, Invalid> {
    let one = |object: Map<String, Value>| {
        let mut members = object.into_iter();
        members.next().filter(|_| members.len() == 0)
    };
    let (name, value) =
        entry.as_object().cloned().and_then(one).ok_or_else(|| {
            Invalid::at("", "is not an object of one field, the name of a filter")
        })?;
    let kind = find(kinds, &name).ok_or_else(|| unknown(kinds).within(&name))?;
    match value {
        Value::Object(object) => Ok(Part { kind, object }),
        _ => {
            Err(Invalid::at(name, "is not an object; where all is to be as it is by default, `{}`"))
        }
    }
}

fn find<'k>(kinds: &'k [Kind], name: &str) -> Option<&'k Kind> {
    kinds.iter().find(|kind| kind.name() == name)
}

fn names(kinds: &[Kind]) -> String {
    kinds.iter().map(Kind::name).collect::<Vec<_>>().join(", ")
}

fn unknown(kinds: &[Kind]) -> Invalid {
    Invalid::at("", format!("there is no such filter; there are {}", names(kinds)))
}

fn undecided(kinds: &[Kind], root_id: &str) -> Invalid {
    let root = if root_id.is_empty() {
        "there is no root id".to_owned()
    } else {
        // A root id is a name, and no secret.
        format!("the root id `{root_id}` names none of them")
    };
    let names = names(kinds);
    let message = format!(
        "which filter is meant? {root}, and there is neither `{FILTER}` nor `{CHAIN}`; there are {names}"
    );
    Invalid::at("", message)
}
