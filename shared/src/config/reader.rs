//! A value to a type, with the path of what is wrong with it.
//!
//! serde's own reader of values quotes strings in its errors, which may be passwords in the wrong
//! place, and knows no paths; a wrapper that knows them doubles the code for every type, a sixth of
//! a module. This one adds the path as the error comes up.

use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value, map};

use super::{Invalid, PATH_ENDS, json};

/// Reads a type from a value.
pub(super) struct Reader(pub(super) Value);

impl Error for Invalid {
    /// One of our own comes with its path.
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        let text = format!("{message:#}");
        match text.split_once(PATH_ENDS) {
            Some((path, message)) => Self::at(path, message),
            None => Self::at("", text),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        in_words("type", found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        in_words("value", found, expected)
    }
}

/// What is wrong, in words of configurations in place of Rust's.
fn in_words(what: &str, found: Unexpected<'_>, expected: &dyn Expected) -> Invalid {
    let found = match found {
        Unexpected::Unit => Unexpected::Other("null"),
        Unexpected::Seq => Unexpected::Other("a list"),
        Unexpected::Map => Unexpected::Other("an object"),
        found => found,
    };
    let expected = expected.to_string();
    let expected = match expected.as_str() {
        "a sequence" => "a list",
        "a map" => "an object",
        "unit" => "no value",
        "u8" => "a whole number, 255 at most",
        "u16" => "a whole number, 65535 at most",
        "u32" => "a whole number, 4294967295 at most",
        "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        text if text.starts_with("struct ") => "an object",
        text if text.starts_with("a nonzero ") => "a whole number, 1 at least",
        text => text,
    };
    Invalid::at("", format!("invalid {what}: {found}, expected {expected}"))
}

impl Reader {
    fn wrong(&self, expected: &dyn Expected) -> Invalid {
        let found = match &self.0 {
            Value::Null => Unexpected::Other("null"),
            Value::Bool(_) => Unexpected::Other("a boolean"),
            Value::Number(_) => Unexpected::Other("a number"),
            Value::String(_) => Unexpected::Other("a string"),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Invalid::invalid_type(found, expected)
    }

    /// Numbers stop here, before a visitor quotes what may be a password without its quotes.
    fn read_text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            _ => Err(self.wrong(&visitor)),
        }
    }

    /// A number may be written as text: so Envoy hands over what YAML has with a fraction, or beyond
    /// 32 bits, and so does a variable of the environment.
    fn read_number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let Value::String(text) = &self.0 else { return self.deserialize_any(visitor) };
        let wrong = self.wrong(&visitor);
        match json::parse(text.as_bytes()) {
            // What is out of bounds may be a password in the wrong place, too.
            Ok(number @ Value::Number(_)) => {
                Self(number).deserialize_any(visitor).map_err(|_| wrong)
            }
            _ => Err(wrong),
        }
    }

    /// Strings stop here where none is wanted, before a visitor quotes them.
    fn read_other<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if self.0.is_string() { Err(self.wrong(&visitor)) } else { self.deserialize_any(visitor) }
    }
}

/// The kinds of value that are read so.
macro_rules! read {
    ($read:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
            self.$read(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(values) => visitor.visit_seq(Elements(values.into_iter().enumerate())),
            Value::Object(members) => visitor.visit_map(Members::new(members)),
        }
    }

    /// An empty value is what a template leaves behind, and would be taken for "no limit".
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if self.0.is_null() {
            return Err(Invalid::at("", "is null; leave the field out instead"));
        }
        visitor.visit_some(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.read_text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.read_text(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::String(text) => {
                let name = names.iter().find(|name| **name == text);
                let variant: StringDeserializer<Invalid> = text.into_deserializer();
                visitor.visit_enum(variant).map_err(|error| match name {
                    Some(name) if error.message.starts_with("invalid type: unit variant") => {
                        let message = format!("needs a value: write `{{ {name}: … }}`");
                        Invalid::at("", message)
                    }
                    _ => error,
                })
            }
            // `ratio: 0.1`: the variant, and what it holds.
            Value::Object(members) if members.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Members::new(members)))
            }
            _ => Err(self.wrong(&format!("one of `{}`", names.join("`, `")).as_str())),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        // A list would be taken for the fields in their order.
        if self.0.is_object() { self.deserialize_any(visitor) } else { Err(self.wrong(&visitor)) }
    }

    read! { read_other: deserialize_bool deserialize_unit deserialize_seq deserialize_map }

    read! {
        read_number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        char bytes byte_buf i128 u128 unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Elements(std::iter::Enumerate<std::vec::IntoIter<Value>>);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Invalid;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Invalid> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader(value))
            .map(Some)
            .map_err(|error| error.within(&format!("[{index}]")))
    }
}

struct Members {
    members: map::IntoIter,
    /// The one whose name has been read.
    open: Option<(String, Value)>,
}

impl Members {
    fn new(members: Map<String, Value>) -> Self {
        Self { members: members.into_iter(), open: None }
    }
}

impl<'de> MapAccess<'de> for Members {
    type Error = Invalid;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Invalid> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        let key: StringDeserializer<Invalid> = name.clone().into_deserializer();
        let read = seed.deserialize(key).map(Some).map_err(|error| error.within(&name));
        self.open = Some((name, value));
        read
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Invalid> {
        let (name, value) = self.open.take().unwrap_or_default();
        seed.deserialize(Reader(value)).map_err(|error| error.within(&name))
    }
}
