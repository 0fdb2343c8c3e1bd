//! The names of the fields that a type reads.

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The fields that the derived `Deserialize` of the struct `T` reads, under their written names.
pub fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Asking) {
        Err(Asked(fields)) => fields,
        Ok(_) => &[],
    }
}

/// A deserializer that has no data, and learns what it is asked for.
struct Asking;

#[derive(Debug)]
struct Asked(&'static [&'static str]);

impl<'de> Deserializer<'de> for Asking {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked(fields))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn learns_the_written_names() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its names matter")]
        struct Settings {
            realm: String,
            #[serde(default, rename = "type")]
            kind: u8,
        }
        assert_eq!(field_names::<Settings>(), ["realm", "type"]);
        assert!(field_names::<Vec<u8>>().is_empty());
    }
}
