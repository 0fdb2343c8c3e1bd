//! Who has keys, and who of them may.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::config::{Invalid, Names, NonEmpty};
use shared::identity::{Credential, Identity};
use shared::time::Timestamp;

use crate::No;
use crate::config::{ConsumerEntry, KeyEntry, Settings};
use crate::keys::Digest;

/// All consumers, by their keys.
pub(crate) struct Consumers {
    by_key: HashMap<Digest, Key>,
}

/// A consumer.
pub(crate) struct Consumer {
    name: String,
    groups: Vec<String>,
    /// What its keys were given for.
    pub(crate) scopes: Vec<String>,
}

/// A key, without what has to be presented.
pub(crate) struct Key {
    /// Whose it is.
    pub(crate) consumer: Rc<Consumer>,
    /// How the others learn of the consumer.
    pub(crate) credential: Rc<Credential>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    place: Place,
}

/// Where a key is configured.
#[derive(Clone, Copy)]
struct Place {
    consumer: usize,
    key: usize,
}

impl Consumers {
    /// Everybody in `consumers`; `credential` makes the forms of an identity, once for each key.
    pub(crate) fn new(
        entries: &[ConsumerEntry],
        credential: impl Fn(Identity) -> Credential,
    ) -> Result<Self, Invalid> {
        let mut consumers = Self { by_key: HashMap::new() };
        let mut names = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            consumers
                .add(index, entry, &mut names, &credential)
                .map_err(|error| error.within(&format!("consumers[{index}]")))?;
        }
        Ok(consumers)
    }

    fn add<'a>(
        &mut self,
        index: usize,
        entry: &'a ConsumerEntry,
        names: &mut HashSet<&'a str>,
        credential: &impl Fn(Identity) -> Credential,
    ) -> Result<(), Invalid> {
        let consumer = Rc::new(Consumer::parse(entry)?);
        if !names.insert(&entry.name) {
            let message = format!("the consumer `{}` is named twice", entry.name);
            return Err(Invalid::at("name", message));
        }
        let mut ids = HashSet::new();
        for (key, entry) in entry.keys.iter().enumerate() {
            let place = Place { consumer: index, key };
            check_key(entry)
                .and_then(|()| new_among(&mut ids, &entry.id))
                .and_then(|()| self.add_key(&consumer, entry, place, credential))
                .map_err(|error| error.within(&format!("keys[{key}]")))?;
        }
        Ok(())
    }

    fn add_key(
        &mut self,
        consumer: &Rc<Consumer>,
        entry: &KeyEntry,
        place: Place,
        credential: &impl Fn(Identity) -> Credential,
    ) -> Result<(), Invalid> {
        let digest = Digest::parse(entry)?;
        if let Some(same) = self.by_key.get(&digest) {
            return Err(Invalid::at("", format!("is the same key as {}", same.place)));
        }
        let key = Key {
            consumer: Rc::clone(consumer),
            credential: Rc::new(credential(consumer.identity(entry))),
            not_before: entry.not_before,
            not_after: entry.not_after,
            place,
        };
        self.by_key.insert(digest, key);
        Ok(())
    }

    /// The key with this digest.
    pub(crate) fn find(&self, digest: &Digest) -> Option<&Key> {
        self.by_key.get(digest)
    }

    /// Refuses names that nobody has: a typing error would lock everybody out, or let nobody in.
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), Invalid> {
        let Settings { allow, scopes, .. } = settings;
        let listed = |of: fn(&AllowList) -> Option<&NonEmpty<String>>| {
            allow.named().and_then(of).map_or(&[][..], |names| names)
        };
        let (consumers, groups) = (listed(|a| a.consumers.as_ref()), listed(|a| a.groups.as_ref()));
        self.check_all("allow.consumers", consumers, "there is no consumer", |consumer, name| {
            consumer.name == *name
        })?;
        self.check_all("allow.groups", groups, "no consumer is of the group", |consumer, name| {
            consumer.groups.contains(name)
        })?;
        self.check_all("scopes", scopes, "no consumer holds the scope", |consumer, name| {
            consumer.scopes.contains(name)
        })
    }

    fn check_all(
        &self,
        field: &str,
        names: &[String],
        message: &str,
        has: impl Fn(&Consumer, &String) -> bool,
    ) -> Result<(), Invalid> {
        let known = |name| self.by_key.values().any(|key| has(&key.consumer, name));
        match names.iter().enumerate().find(|(_, name)| !known(name)) {
            Some((index, name)) => {
                Err(Invalid::at(format!("{field}[{index}]"), format!("{message} `{name}`")))
            }
            None => Ok(()),
        }
    }
}

impl Consumer {
    fn parse(entry: &ConsumerEntry) -> Result<Self, Invalid> {
        check_name(&entry.name).map_err(|why| Invalid::at("name", why))?;
        check_all(
            "groups",
            &entry.groups,
            is_group,
            "a group is not empty and has no comma or control character",
        )?;
        check_all(
            "scopes",
            &entry.scopes,
            is_scope,
            "a scope is printable ASCII without spaces, `\"` and `\\`",
        )?;
        let ConsumerEntry { name, groups, scopes, .. } = entry;
        Ok(Self { name: name.clone(), groups: groups.clone(), scopes: scopes.clone() })
    }

    fn identity(&self, key: &KeyEntry) -> Identity {
        Identity {
            scheme: "api-key",
            subject: self.name.clone(),
            consumer: Some(self.name.clone()),
            scopes: self.scopes.clone(),
            groups: self.groups.clone(),
            expires: key.not_after,
            claims: Map::from_iter([("key".to_owned(), Value::from(key.id.as_str()))]),
        }
    }
}

impl Key {
    /// Whether the key is good at this moment.
    pub(crate) fn is_valid(&self, now: Timestamp) -> Result<(), No> {
        if self.not_before.is_some_and(|from| now < from) {
            return Err(No::NotYetValid);
        }
        if self.not_after.is_some_and(|until| now >= until) {
            return Err(No::Expired);
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consumers[{}].keys[{}]", self.consumer, self.key)
    }
}

/// Who of the consumers may: one named here, or of a group named here.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowList {
    consumers: Option<NonEmpty<String>>,
    groups: Option<NonEmpty<String>>,
}

impl Names for AllowList {
    fn is_empty(&self) -> bool {
        self.consumers.is_none() && self.groups.is_none()
    }
}

impl AllowList {
    pub(crate) fn check(&self, consumer: &Consumer) -> Result<(), No> {
        let named = listed(self.consumers.as_ref()).contains(&consumer.name);
        let groups = listed(self.groups.as_ref());
        let of_group = consumer.groups.iter().any(|group| groups.contains(group));
        if named || of_group { Ok(()) } else { Err(No::NotAllowed) }
    }
}

fn listed(names: Option<&NonEmpty<String>>) -> &[String] {
    names.map_or(&[], |names| names)
}

fn check_key(entry: &KeyEntry) -> Result<(), Invalid> {
    check_name(&entry.id).map_err(|why| Invalid::at("id", why))?;
    if entry.not_before.zip(entry.not_after).is_some_and(|(from, until)| from >= until) {
        return Err(Invalid::at("not_after", "is not later than `not_before`"));
    }
    Ok(())
}

fn new_among<'a>(ids: &mut HashSet<&'a str>, id: &'a str) -> Result<(), Invalid> {
    if ids.insert(id) {
        return Ok(());
    }
    Err(Invalid::at("id", format!("the consumer's key `{id}` is named twice")))
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.contains(char::is_control) || name.trim() != name {
        return Err("a name is not empty and has no control character, nor white space at an end");
    }
    Ok(())
}

fn check_all(
    field: &str,
    texts: &[String],
    is_good: impl Fn(&str) -> bool,
    why: &str,
) -> Result<(), Invalid> {
    match texts.iter().position(|text| !is_good(text)) {
        Some(index) => Err(Invalid::at(format!("{field}[{index}]"), why)),
        None => Ok(()),
    }
}

/// The upstream gets them with a comma between.
fn is_group(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ',' || c.is_control())
}

/// RFC 6749, 3.3. The upstream gets them with a space between.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}
