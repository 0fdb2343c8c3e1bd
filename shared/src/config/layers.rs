//! Where a setting applies, from the narrowest place to the widest.
//!
//! 1. The route's metadata, the virtual host's (`filter_metadata["gatehouse"]["<filter>"]`), the
//!    first rule that matches, the top level. A field that a narrower place names replaces the
//!    field of the wider one, whole; what it does not name stays.
//! 2. What no rule names falls to the top level. Nothing is open because a rule was added.
//! 3. All places are read with the same code; a mistake in the configuration refuses it, a mistake
//!    in metadata (which the proxy accepts unseen) refuses the requests it would apply to.
//! 4. `route_overrides: false`, at the top level, leaves metadata unread: who may write a route may
//!    change nothing then, and two calls to the proxy at every request are saved.
//! 5. Only a filter's settings can be set anew. What makes the plugin (its users, its caches) is
//!    set once, at the top level. Where both have a field of one name, it is the plugin's there, and
//!    a setting everywhere else: `providers` are described at the top, and named by a rule.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Invalid, field_names, filter_metadata, interpret};
use crate::matching::Matcher;
use crate::matching::path::BadPath;
use crate::reply::{Format, Refusal};
use crate::view::Request;

/// What a filter does with its decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Acts on it.
    #[default]
    Enforce,
    /// Counts and logs it, and lets pass.
    Shadow,
    /// Makes none.
    Off,
}

/// The settings that apply to a request.
#[derive(Debug)]
pub struct Scope<S> {
    /// What to do with the decision (`mode`).
    pub mode: Mode,
    /// The form of refusals (`errors`).
    pub errors: Format,
    /// The filter's own.
    pub settings: S,
}

/// The fields that every filter has in every place.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Common {
    /// What becomes of the decision; default `enforce`.
    #[serde(default)]
    mode: Mode,
    /// The form of refusals; default `problem`.
    #[serde(default)]
    errors: Format,
}

/// The places of a configuration in which settings stand.
pub struct Layers<S> {
    filter: &'static str,
    top: Rc<Scope<S>>,
    written: Map<String, Value>,
    rules: Vec<Rule<S>>,
    reads_metadata: bool,
    overrides: RefCell<Overrides<S>>,
}

/// What was made of each kind of metadata, mistakes included.
type Overrides<S> = HashMap<Override, Result<Rc<Scope<S>>, Invalid>>;

struct Rule<S> {
    matcher: Matcher,
    scope: Rc<Scope<S>>,
    written: Map<String, Value>,
}

/// The rule that matched and the metadata laid over it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Override {
    rule: Option<usize>,
    virtual_host: Vec<u8>,
    route: Vec<u8>,
}

/// The field in which rules stand.
const RULES: &str = "rules";

/// The field that says whether metadata is read.
const ROUTE_OVERRIDES: &str = "route_overrides";

/// The fields of the top level that are read before all others.
const READ: [&str; 2] = [RULES, ROUTE_OVERRIDES];

/// Metadata comes from the proxy's configuration, so there are as many kinds as routes.
const MOST_OVERRIDES: usize = 1024;

impl<S: DeserializeOwned> Layers<S> {
    /// Splits a configuration into its layers of settings and the rest, which is the plugin's own.
    /// `known` are the fields that the rest may have.
    pub fn split(
        filter: &'static str,
        mut object: Map<String, Value>,
        known: &[&str],
    ) -> Result<(Self, Map<String, Value>), Invalid> {
        let rules = object.remove(RULES);
        let reads_metadata = match object.remove(ROUTE_OVERRIDES) {
            None => true,
            Some(Value::Bool(reads)) => reads,
            Some(_) => return Err(Invalid::at(ROUTE_OVERRIDES, "is neither `true` nor `false`")),
        };
        let fields = Fields { settings: settings_fields::<S>(), own: known, read: &READ };
        fields.check(&object, "")?;
        let (rest, written): (Map<_, _>, Map<_, _>) =
            object.into_iter().partition(|(name, _)| known.contains(&name.as_str()));
        let top = Rc::new(scope(written.clone())?);
        let rules = parse_rules(rules, &written, &fields)?;
        let overrides = RefCell::default();
        Ok((Self { filter, top, written, rules, reads_metadata, overrides }, rest))
    }

    /// The settings for a request, or how it is refused where there are none to be had.
    pub fn scope(&self, request: &Request<'_>) -> Result<Rc<Scope<S>>, Refusal> {
        let rule = self.rule(request).map_err(|BadPath| Refusal::ambiguous_path())?;
        if !self.reads_metadata {
            return Ok(self.of_rule(rule));
        }
        let [route, virtual_host] = request.metadata();
        if route.is_empty() && virtual_host.is_empty() {
            return Ok(self.of_rule(rule));
        }
        let (virtual_host, route) = (virtual_host.clone(), route.clone());
        self.overridden(Override { rule, virtual_host, route })
    }

    /// The settings of the top level.
    pub fn top(&self) -> &Scope<S> {
        &self.top
    }

    /// The settings of every place that the configuration names, with the path of the place.
    pub fn all(&self) -> impl Iterator<Item = (String, &Scope<S>)> {
        let rules = self.rules.iter().enumerate();
        let rules = rules.map(|(index, rule)| (format!("rules[{index}]"), &*rule.scope));
        std::iter::once((String::new(), &*self.top)).chain(rules)
    }

    fn rule(&self, request: &Request<'_>) -> Result<Option<usize>, BadPath> {
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.matcher.matches(request)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn of_rule(&self, rule: Option<usize>) -> Rc<Scope<S>> {
        let rule = rule.and_then(|index| self.rules.get(index));
        Rc::clone(rule.map_or(&self.top, |rule| &rule.scope))
    }

    fn overridden(&self, key: Override) -> Result<Rc<Scope<S>>, Refusal> {
        let refused = |_: &Invalid| Refusal::misconfigured();
        let mut known = self.overrides.borrow_mut();
        if let Some(found) = known.get(&key) {
            return found.as_ref().map(Rc::clone).map_err(refused);
        }
        let made = self.lay_over(&key);
        if let Err(error) = &made {
            log::error!(
                "{}: metadata refused, and with it the requests it is for: {error}",
                self.filter
            );
        }
        if known.len() >= MOST_OVERRIDES {
            known.clear();
        }
        let outcome = made.as_ref().map(Rc::clone).map_err(refused);
        known.insert(key, made);
        outcome
    }

    fn lay_over(&self, key: &Override) -> Result<Rc<Scope<S>>, Invalid> {
        let mut place = "";
        let mut written = None;
        for (bytes, name) in
            [(&key.virtual_host, "virtual_host_metadata"), (&key.route, "route_metadata")]
        {
            let metadata =
                filter_metadata(bytes, self.filter).map_err(|why| Invalid::at(name, why))?;
            let Some(metadata) = metadata else { continue };
            check_override::<S>(&metadata, name)?;
            place = name;
            written.get_or_insert_with(|| self.written_of(key.rule)).extend(metadata);
        }
        match written {
            None => Ok(self.of_rule(key.rule)),
            Some(written) => scope(written).map(Rc::new).map_err(|error| error.within(place)),
        }
    }

    /// Whether what metadata says for the filter can be laid over what the configuration says.
    pub fn check_override(&self, metadata: &Map<String, Value>) -> Result<(), Invalid> {
        check_override::<S>(metadata, "")?;
        let rules = self.rules.iter().map(|rule| &rule.written);
        for below in std::iter::once(&self.written).chain(rules) {
            let mut written = below.clone();
            written.extend(metadata.clone());
            scope::<S>(written)?;
        }
        Ok(())
    }

    fn written_of(&self, rule: Option<usize>) -> Map<String, Value> {
        let rule = rule.and_then(|index| self.rules.get(index));
        rule.map_or(&self.written, |rule| &rule.written).clone()
    }
}

/// The names that may stand in a place.
struct Fields<'a> {
    settings: Vec<&'static str>,
    own: &'a [&'a str],
    /// Those that may stand there, too, and have been taken out.
    read: &'a [&'a str],
}

impl Fields<'_> {
    fn check(&self, object: &Map<String, Value>, place: &str) -> Result<(), Invalid> {
        let known = |name: &&String| {
            self.settings.contains(&name.as_str()) || self.own.contains(&name.as_str())
        };
        let Some(unknown) = object.keys().find(|name| !known(name)) else { return Ok(()) };
        let own = self.own.iter().copied().filter(|name| !self.settings.contains(name));
        let names: Vec<&str> =
            self.settings.iter().copied().chain(own).chain(self.read.iter().copied()).collect();
        let message = format!("unknown field; known are {}", names.join(", "));
        Err(Invalid::at(unknown.as_str(), message).within(place))
    }
}

fn check_override<S: DeserializeOwned>(
    metadata: &Map<String, Value>,
    place: &str,
) -> Result<(), Invalid> {
    Fields { settings: settings_fields::<S>(), own: &[], read: &[] }.check(metadata, place)
}

fn settings_fields<S: DeserializeOwned>() -> Vec<&'static str> {
    [field_names::<Common>(), field_names::<S>()].concat()
}

fn scope<S: DeserializeOwned>(mut written: Map<String, Value>) -> Result<Scope<S>, Invalid> {
    let common: Map<_, _> =
        field_names::<Common>().iter().filter_map(|name| written.remove_entry(*name)).collect();
    let Common { mode, errors } = interpret(Value::Object(common))?;
    Ok(Scope { mode, errors, settings: interpret(Value::Object(written))? })
}

fn parse_rules<S: DeserializeOwned>(
    rules: Option<Value>,
    top: &Map<String, Value>,
    fields: &Fields<'_>,
) -> Result<Vec<Rule<S>>, Invalid> {
    let rules = match rules {
        None => return Ok(Vec::new()),
        Some(Value::Array(rules)) if !rules.is_empty() => rules,
        Some(_) => return Err(Invalid::at(RULES, "not a list of at least one rule")),
    };
    let parse = |(index, rule)| {
        parse_rule(rule, top, fields).map_err(|error| error.within(&format!("rules[{index}]")))
    };
    rules.into_iter().enumerate().map(parse).collect()
}

fn parse_rule<S: DeserializeOwned>(
    rule: Value,
    top: &Map<String, Value>,
    fields: &Fields<'_>,
) -> Result<Rule<S>, Invalid> {
    let Value::Object(mut object) = rule else { return Err(Invalid::at("", "not an object")) };
    let matcher = object.remove("match").ok_or_else(|| Invalid::at("", "missing field `match`"))?;
    let matcher = interpret(matcher).map_err(|error| error.within("match"))?;
    let is_own = |name: &str| fields.own.contains(&name) && !fields.settings.contains(&name);
    if let Some(own) = object.keys().find(|name| is_own(name)) {
        return Err(Invalid::at(own.as_str(), "is set once, at the top level, and not by a rule"));
    }
    Fields { settings: fields.settings.clone(), own: &[], read: &[] }.check(&object, "")?;
    let mut written = top.clone();
    written.extend(object);
    let scope = Rc::new(scope(written.clone())?);
    Ok(Rule { matcher, scope, written })
}

#[cfg(test)]
mod tests;
