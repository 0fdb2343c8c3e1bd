//! Who is known, and who of them may.

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::rc::Rc;

use serde::Deserialize;
use shared::config::{Invalid, Names, NonEmpty};
use shared::identity::{Credential, Identity};
use shared::time::Timestamp;

use crate::No;
use crate::config::{Config, UserEntry};
use crate::htpasswd::{self, AllowPlain};
use crate::password::PasswordHash;

/// Everybody who is known.
pub(crate) struct Users {
    by_name: HashMap<Vec<u8>, Rc<User>>,
    /// One hash of every kind that they have, each nobody's.
    decoys: Vec<PasswordHash>,
}

/// Somebody who is known.
pub(crate) struct User {
    name: String,
    groups: Vec<String>,
    hash: PasswordHash,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    /// How the others learn of the user.
    pub(crate) credential: Rc<Credential>,
}

/// What came of a name and a password.
pub(crate) enum Checked {
    Right(Rc<User>),
    WrongPassword,
    UnknownUser,
}

impl Users {
    /// Everybody in `htpasswd` and `users`.
    pub(crate) fn new(config: &Config, filter: &str) -> Result<Self, Invalid> {
        let mut entries = from_htpasswd(config)?;
        let mut names: HashSet<_> = entries.iter().map(|entry| entry.name.clone()).collect();
        for (index, entry) in config.users.iter().flat_map(|users| users.iter()).enumerate() {
            let named = Named::parse(entry).and_then(|named| named.new_among(&mut names));
            entries.push(named.map_err(|error| error.within(&format!("users[{index}]")))?);
        }
        if entries.is_empty() {
            return Err(Invalid::at("", "nobody can log in: `htpasswd` and `users` name no user"));
        }
        let decoys = decoys(entries.iter().map(|entry| &entry.hash))?;
        let users = entries.into_iter().map(|entry| {
            let user = entry.user(config, filter);
            (user.name.clone().into_bytes(), Rc::new(user))
        });
        Ok(Self { by_name: users.collect(), decoys })
    }

    /// Whether the password is the user's. A wrong answer costs one hash of every kind that there
    /// is, whoever is asked for, so that its time says neither who is known nor how.
    pub(crate) fn verify(&self, name: &[u8], password: &[u8]) -> Checked {
        let user = self.by_name.get(name);
        if let Some(user) = user
            && user.hash.verify(password)
        {
            return Checked::Right(Rc::clone(user));
        }
        let spent = user.map(|user| user.hash.scheme());
        for decoy in self.decoys.iter().filter(|decoy| Some(decoy.scheme()) != spent) {
            black_box(decoy.verify(password));
        }
        if user.is_some() { Checked::WrongPassword } else { Checked::UnknownUser }
    }

    /// Refuses names that nobody has: a typing error would lock everybody out, or let nobody in.
    pub(crate) fn check(&self, allow: &AllowList) -> Result<(), Invalid> {
        let groups: HashSet<_> = self.by_name.values().flat_map(|user| &user.groups).collect();
        for (index, name) in allow.users.iter().flat_map(|names| names.iter()).enumerate() {
            if !self.by_name.contains_key(name.as_bytes()) {
                return Err(Invalid::at(
                    format!("users[{index}]"),
                    format!("there is no user `{name}`"),
                ));
            }
        }
        for (index, name) in allow.groups.iter().flat_map(|names| names.iter()).enumerate() {
            if !groups.contains(name) {
                let message = format!("no user is of the group `{name}`");
                return Err(Invalid::at(format!("groups[{index}]"), message));
            }
        }
        Ok(())
    }
}

/// A wrong password costs all kinds, so there may not be many.
const MOST_KINDS: usize = 8;

fn decoys<'a>(
    hashes: impl Iterator<Item = &'a PasswordHash>,
) -> Result<Vec<PasswordHash>, Invalid> {
    let mut decoys: Vec<PasswordHash> = Vec::new();
    for hash in hashes {
        if decoys.iter().all(|decoy| decoy.scheme() != hash.scheme()) {
            decoys.push(PasswordHash::dummy(hash));
        }
    }
    if decoys.len() > MOST_KINDS {
        let message = format!(
            "the passwords are hashed in {} ways or costs, more than {MOST_KINDS}: a wrong one would cost them all",
            decoys.len()
        );
        return Err(Invalid::at("", message));
    }
    Ok(decoys)
}

impl User {
    /// Whether the user's password is good at this moment.
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

/// Who of the known ones may: a user named here, or of a group named here.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowList {
    users: Option<NonEmpty<String>>,
    groups: Option<NonEmpty<String>>,
}

impl Names for AllowList {
    fn is_empty(&self) -> bool {
        self.users.is_none() && self.groups.is_none()
    }
}

impl AllowList {
    /// Whether the user may.
    pub(crate) fn check(&self, user: &User) -> Result<(), No> {
        let named = self.users.iter().any(|names| names.contains(&user.name));
        let of_group =
            self.groups.iter().any(|names| user.groups.iter().any(|group| names.contains(group)));
        if named || of_group { Ok(()) } else { Err(No::NotAllowed) }
    }
}

/// What the configuration says of a user.
struct Named<'a> {
    name: String,
    hash: PasswordHash,
    entry: Option<&'a UserEntry>,
}

impl<'a> Named<'a> {
    fn parse(entry: &'a UserEntry) -> Result<Self, Invalid> {
        let name = entry.name.clone();
        if !is_name(&name) {
            return Err(Invalid::at(
                "name",
                "a name is not empty, has no colon or control character, and no space at an end",
            ));
        }
        let hash = match (&entry.hash, &entry.password) {
            (Some(hash), None) => PasswordHash::parse(hash.expose())
                .map_err(|why| Invalid::at("hash", why.to_string()))?,
            (None, Some(password)) => PasswordHash::plain(password.expose())
                .map_err(|why| Invalid::at("password", why.to_string()))?,
            _ => return Err(Invalid::at("", "has either `hash` or `password`")),
        };
        if entry.not_before.zip(entry.not_after).is_some_and(|(from, until)| from >= until) {
            return Err(Invalid::at("not_after", "is not later than `not_before`"));
        }
        if entry
            .groups
            .iter()
            .any(|group| group.is_empty() || group.contains(|c: char| c == ',' || c.is_control()))
        {
            return Err(Invalid::at(
                "groups",
                "a group is not empty and has no comma or control character",
            ));
        }
        Ok(Self { name, hash, entry: Some(entry) })
    }

    fn new_among(self, names: &mut HashSet<String>) -> Result<Self, Invalid> {
        if !names.insert(self.name.clone()) {
            return Err(Invalid::at("name", format!("the user `{}` is named twice", self.name)));
        }
        Ok(self)
    }

    fn user(self, config: &Config, filter: &str) -> User {
        let groups = self.entry.map(|entry| entry.groups.clone()).unwrap_or_default();
        let not_after = self.entry.and_then(|entry| entry.not_after);
        let identity = Identity {
            scheme: "basic",
            subject: self.name.clone(),
            groups: groups.clone(),
            expires: not_after,
            ..Identity::default()
        };
        User {
            credential: Rc::new(Credential::new(filter, identity, &config.identity_headers)),
            name: self.name,
            groups,
            hash: self.hash,
            not_before: self.entry.and_then(|entry| entry.not_before),
            not_after,
        }
    }
}

/// Spaces at an end would be gone from the header in which the upstream reads the name.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(':')
        && !name.chars().any(char::is_control)
        && name.trim() == name
}

fn from_htpasswd(config: &Config) -> Result<Vec<Named<'_>>, Invalid> {
    let Some(text) = &config.htpasswd else { return Ok(Vec::new()) };
    let plain = if config.insecure_allow_plain { AllowPlain::Yes } else { AllowPlain::No };
    let users = htpasswd::parse(text.expose(), plain)
        .map_err(|error| Invalid::at("htpasswd", error.to_string()))?;
    Ok(users.into_iter().map(|(name, hash)| Named { name, hash, entry: None }).collect())
}
