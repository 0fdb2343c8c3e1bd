//! `google.protobuf.Struct`, the form in which Envoy hands over YAML and metadata.

use std::collections::HashMap;

use prost::Message;
use prost_types::{Struct, value::Kind};
use serde_json::{Map, Number, Value};

/// `envoy.config.core.v3.Metadata`, as far as it concerns us.
#[derive(Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: HashMap<String, Struct>,
}

/// The object of a `Struct` in protobuf's wire form; `None` where the bytes are none.
pub(super) fn parse(bytes: &[u8]) -> Option<Map<String, Value>> {
    object(Struct::decode(bytes).ok()?)
}

/// `filter_metadata["gatehouse"]["<filter>"]` of an `envoy.config.core.v3.Metadata` in protobuf's
/// wire form. `Ok(None)` where it says nothing to the filter, `Err` where it is not an object.
pub fn filter_metadata(bytes: &[u8], filter: &str) -> Result<Option<Map<String, Value>>, String> {
    let mut metadata =
        Metadata::decode(bytes).map_err(|_| "the proxy's metadata cannot be read".to_owned())?;
    let Some(mut ours) = metadata.filter_metadata.remove("gatehouse") else { return Ok(None) };
    match ours.fields.remove(filter).and_then(|value| value.kind) {
        None => Ok(None),
        Some(Kind::StructValue(fields)) => {
            object(fields).map(Some).ok_or_else(|| "holds a number that JSON cannot".to_owned())
        }
        Some(_) => Err("is not an object".to_owned()),
    }
}

fn object(fields: Struct) -> Option<Map<String, Value>> {
    fields.fields.into_iter().map(|(name, value)| Some((name, json(value)?))).collect()
}

fn json(value: prost_types::Value) -> Option<Value> {
    Some(match value.kind? {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(value) => value.into(),
        Kind::NumberValue(value) => number(value)?,
        Kind::StringValue(value) => value.into(),
        Kind::ListValue(list) => list.values.into_iter().map(json).collect::<Option<_>>()?,
        Kind::StructValue(fields) => Value::Object(object(fields)?),
    })
}

/// A `Struct` has doubles only; whole ones were written as integers.
#[expect(clippy::cast_possible_truncation, reason = "whole, and within 53 bits")]
fn number(value: f64) -> Option<Value> {
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        return Some((value as i64).into());
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, read};
    use super::*;
    use prost_types::ListValue;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn kind(kind: Kind) -> prost_types::Value {
        prost_types::Value { kind: Some(kind) }
    }

    fn structure(fields: Vec<(&str, Kind)>) -> Struct {
        Struct { fields: fields.into_iter().map(|(n, k)| (n.to_owned(), kind(k))).collect() }
    }

    #[test]
    fn a_struct_reads_like_the_json_it_was_written_as() {
        let list =
            ListValue { values: vec![kind(Kind::BoolValue(true)), kind(Kind::NullValue(0))] };
        let bytes = structure(vec![
            ("text", Kind::StringValue("x".into())),
            ("whole", Kind::NumberValue(5.0)),
            ("part", Kind::NumberValue(0.5)),
            ("list", Kind::ListValue(list)),
            ("object", Kind::StructValue(structure(vec![("a", Kind::NumberValue(-1.0))]))),
        ])
        .encode_to_vec();
        let object = read(&bytes, &Environment::default()).unwrap();
        let expected = json!({"text": "x", "whole": 5, "part": 0.5, "list": [true, null], "object": {"a": -1}});
        assert_eq!(Value::Object(object), expected);
    }

    #[test]
    fn json_that_begins_with_a_line_feed_is_json() {
        let object = read(b"\n{\"a\": 1}\n", &Environment::default()).unwrap();
        assert_eq!(Value::Object(object), json!({"a": 1}));
    }

    #[test]
    fn bytes_that_are_neither_are_refused() {
        assert!(read(b"\n\xff\xff", &Environment::default()).is_err());
        assert!(read(b"\x0a\x03\x0a\x01a", &Environment::default()).is_err());
    }

    #[test]
    fn metadata_speaks_to_a_filter_by_name() {
        let ours = structure(vec![(
            "basic-auth",
            Kind::StructValue(structure(vec![("mode", Kind::StringValue("off".into()))])),
        )]);
        let bytes =
            Metadata { filter_metadata: [("gatehouse".to_owned(), ours)].into() }.encode_to_vec();
        let found = filter_metadata(&bytes, "basic-auth").unwrap().map(Value::Object);
        assert_eq!(found, Some(json!({"mode": "off"})));
        assert_eq!(filter_metadata(&bytes, "jwt-auth"), Ok(None));
        assert_eq!(filter_metadata(&[], "jwt-auth"), Ok(None));
    }

    #[test]
    fn metadata_that_is_no_object_is_an_error() {
        let ours = structure(vec![("basic-auth", Kind::BoolValue(false))]);
        let bytes =
            Metadata { filter_metadata: [("gatehouse".to_owned(), ours)].into() }.encode_to_vec();
        assert_eq!(filter_metadata(&bytes, "basic-auth"), Err("is not an object".to_owned()));
        assert!(filter_metadata(b"\xff", "basic-auth").is_err());
    }
}
