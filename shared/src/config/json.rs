//! JSON text to a value, members that come twice refused.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::de::SliceRead;
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::Invalid;

/// Parses JSON text; white space alone is `null`. A member that comes twice is an error.
pub fn parse(bytes: &[u8]) -> Result<Value, Invalid> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    read(bytes, |strict, json| strict.deserialize(json))
}

/// The members of an object, in their order: to compare the names of a few costs less than to hash them, as
/// [`parse`] does.
pub(crate) fn members(bytes: &[u8]) -> Result<Vec<(String, Value)>, Invalid> {
    let members = read(bytes, |strict, json| json.deserialize_map(Members(strict)))?;
    if members.len() > FEW {
        return match parse(bytes)? {
            Value::Object(members) => Ok(members.into_iter().collect()),
            _ => Err(Invalid::at("", "not an object")),
        };
    }
    let comes_before = |index, name| members.iter().take(index).any(|(known, _)| known == name);
    match members.iter().enumerate().find(|(index, (name, _))| comes_before(*index, name)) {
        Some((_, (name, _))) => Err(Invalid::at(name, COMES_TWICE)),
        None => Ok(members),
    }
}

const COMES_TWICE: &str = "comes twice";

/// Of so many members each name is compared with each. More are read once more, and hashed.
const FEW: usize = 32;

fn read<'a, T>(
    bytes: &'a [u8],
    how: impl FnOnce(
        Strict<'_>,
        &mut serde_json::Deserializer<SliceRead<'a>>,
    ) -> Result<T, serde_json::Error>,
) -> Result<T, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let twice = RefCell::new(None);
    let value = how(Strict(&twice), &mut json).and_then(|value| json.end().map(|()| value));
    match (twice.into_inner(), value) {
        (Some(path), _) => Err(Invalid::at(path, COMES_TWICE)),
        (None, Err(error)) => Err(Invalid::at("", format!("not valid JSON: {error}"))),
        (None, Ok(value)) => Ok(value),
    }
}

/// Reads a value, and notes the path of the first member that comes twice.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a RefCell<Option<String>>);

impl Strict<'_> {
    /// The note is made where the member is, and gets the rest of its path on the way up.
    fn within(self, part: &str) {
        if let Some(path) = self.0.borrow_mut().as_mut() {
            *path = Invalid::at(std::mem::take(path), "").within(part).path;
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let value = seq.next_element_seed(self);
            let index = values.len();
            match value.inspect_err(|_| self.within(&format!("[{index}]")))? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            // One look for the place of a member.
            match object.entry(name) {
                Entry::Occupied(known) => {
                    *self.0.borrow_mut() = Some(known.key().clone());
                    return Err(A::Error::custom("a member comes twice"));
                }
                Entry::Vacant(place) => {
                    let value = map.next_value_seed(self);
                    let value = value.inspect_err(|_| self.within(place.key()))?;
                    place.insert(value);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

/// Reads the members of an object.
struct Members<'a>(Strict<'a>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(FEW / 2);
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.0).inspect_err(|_| self.0.within(&name))?;
            members.push((name, value));
        }
        Ok(members)
    }
}
