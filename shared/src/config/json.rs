//! JSON text to a value, members that come twice refused.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Invalid;

/// Parses JSON text; white space alone is `null`.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Invalid> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let strict: Strict = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() {
            let path = Some(error.path().to_string()).filter(|path| path != ".");
            let message = error.inner().to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            return Invalid::at(path.unwrap_or_default(), message);
        }
        not_json(error.inner())
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(strict.0)
}

fn not_json(error: &serde_json::Error) -> Invalid {
    Invalid::at("", format!("not valid JSON: {error}"))
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
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
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{name}` comes twice")));
            }
            let Strict(value) = map.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
