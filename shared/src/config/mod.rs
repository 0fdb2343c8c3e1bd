//! From the bytes that the proxy hands over to values that cannot be wrong.
//!
//! 1. A configuration is JSON text, or a `google.protobuf.Struct` (which Envoy hands over as
//!    protobuf bytes). No configuration at all is the empty object.
//! 2. A member that comes twice is refused, and so is a field that nobody reads.
//! 3. Every string may refer to the environment: see [`environment`].
//! 4. An error names the path of the field (`users[1].hash: …`) and never shows a text that may be
//!    a secret.

pub mod environment;
mod fields;
pub(crate) mod json;
mod layers;
mod reader;
mod structs;
mod values;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use environment::Environment;
pub use fields::field_names;
pub use json::parse as parse_json;
#[cfg(feature = "schema")]
pub(crate) use layers::Common;
pub use layers::{Layers, Mode, Scope};
pub use structs::filter_metadata;
pub use values::{AllOr, Leeway, Names, NonEmpty, Period, Secret, Size};

/// A configuration that cannot be used: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The path of the field (`providers[1].jwks.refresh`); empty for the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Invalid {
    /// An error at `path`.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same error, its path read from within `outer`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        let path = match (outer, self.path.as_str()) {
            ("", _) => self.path,
            (_, "") => outer.to_owned(),
            (_, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
            (_, inner) => format!("{outer}.{inner}"),
        };
        Self { path, message: self.message }
    }
}

/// Between path and message where an error passes through serde as a text.
const PATH_ENDS: char = '\0';

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path if f.alternate() => write!(f, "{path}{PATH_ENDS}{}", self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for Invalid {}

/// Reads the proxy's bytes: JSON text or a `Struct`, references to the environment resolved.
pub fn read(bytes: &[u8], environment: &Environment) -> Result<Map<String, Value>, Invalid> {
    let mut value = match json::parse(bytes) {
        Ok(value) => value,
        // A `Struct` begins with the tag of its first field, which to JSON is a line feed.
        Err(_) if bytes.first() == Some(&b'\n') && structs::parse(bytes).is_some() => {
            Value::Object(structs::parse(bytes).unwrap_or_default())
        }
        Err(error) => return Err(error),
    };
    environment.resolve(&mut value)?;
    match value {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(Map::new()),
        _ => Err(Invalid::at("", "the configuration is not an object")),
    }
}

/// Turns a value into a `T`; the error names the path within it.
pub fn interpret<T: DeserializeOwned>(value: Value) -> Result<T, Invalid> {
    T::deserialize(reader::Reader(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        port: u16,
    }

    #[track_caller]
    fn check(text: &str, message: &str) {
        let error = read(text.as_bytes(), &Environment::default())
            .and_then(|object| interpret::<Outer>(Value::Object(object)))
            .expect_err("refused");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn names_the_path_of_what_is_wrong() {
        check(
            r#"{"inner": [{"port": 1}, {"port": -1}]}"#,
            "inner[1].port: invalid value: integer `-1`, expected a whole number, 65535 at most",
        );
        check(r#"{"inner": [{}]}"#, "inner[0]: missing field `port`");
        check(
            r#"{"inner": [{"prot": 1}]}"#,
            "inner[0].prot: unknown field `prot`, expected `port`",
        );
    }

    #[test]
    fn never_quotes_a_string_of_the_wrong_kind() {
        check(
            r#"{"inner": ["hunter2\", expected \"x"]}"#,
            "inner[0]: invalid type: a string, expected an object",
        );
        check(
            r#"{"inner": [{"port": "hunter2"}]}"#,
            "inner[0].port: invalid type: a string, expected a whole number, 65535 at most",
        );
    }

    #[test]
    fn a_number_may_be_written_as_text() {
        let read = |text: &str| {
            let value = serde_json::json!({"inner": [{"port": text}]});
            interpret::<Outer>(value).map(|outer| outer.inner[0].port)
        };
        assert_eq!(read("8080"), Ok(8080));
        assert_eq!(interpret::<f64>("0.25".into()), Ok(0.25));
        assert_eq!(interpret::<u64>("5000000000".into()), Ok(5_000_000_000));
        let message = "invalid type: a string, expected a whole number, 65535 at most";
        for text in
            ["", " ", "-1", "65536", "0.5", "0x10", "8080 hunter2", "\"8080\"", "[1]", "null"]
        {
            assert_eq!(read(text), Err(Invalid::at("inner[0].port", message)), "{text}");
        }
    }

    #[test]
    fn an_enum_is_a_word_or_an_object_of_one_member() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Share {
            All,
            Part(u8),
        }
        let read = |text| interpret::<Share>(serde_json::from_str(text).unwrap());
        assert_eq!(read(r#""all""#), Ok(Share::All));
        assert_eq!(read(r#"{"part": 7}"#), Ok(Share::Part(7)));
        for (text, message) in [
            (
                r#"{"part": -1}"#,
                "part: invalid value: integer `-1`, expected a whole number, 255 at most",
            ),
            (r#"{"pat": 1}"#, "pat: unknown variant `pat`, expected `all` or `part`"),
            (r#"{"part": 1, "all": 1}"#, "invalid type: an object, expected one of `all`, `part`"),
            (r#"{"all": 1}"#, "all: invalid type: integer `1`, expected no value"),
            (r#""part""#, "needs a value: write `{ part: … }`"),
            ("{}", "invalid type: an object, expected one of `all`, `part`"),
            ("[]", "invalid type: a list, expected one of `all`, `part`"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_error_of_a_type_that_is_made_of_another_keeps_its_path() {
        #[derive(Debug, Deserialize)]
        #[serde(try_from = "Inner")]
        struct Even;
        impl TryFrom<Inner> for Even {
            type Error = Invalid;
            fn try_from(Inner { port }: Inner) -> Result<Self, Invalid> {
                if port % 2 == 0 { Ok(Self) } else { Err(Invalid::at("port", "is odd")) }
            }
        }
        let read = |value: Value| interpret::<Vec<Even>>(value).map(|read| read.len());
        assert_eq!(read(serde_json::json!([{"port": 2}])), Ok(1));
        assert_eq!(
            read(serde_json::json!([{"port": 2}, {"port": 3}])),
            Err(Invalid::at("[1].port", "is odd"))
        );
    }

    #[test]
    fn what_is_wanted_is_said_in_the_words_of_configurations() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its errors are looked at")]
        struct All {
            list: Option<Vec<bool>>,
            object: Option<std::collections::BTreeMap<String, bool>>,
            number: Option<std::num::NonZeroU32>,
        }
        for (text, message) in [
            (r#"{"list": 1}"#, "list: invalid type: integer `1`, expected a list"),
            (r#"{"list": [null]}"#, "list[0]: invalid type: null, expected a boolean"),
            (r#"{"object": []}"#, "object: invalid type: a list, expected an object"),
            (
                r#"{"number": 0}"#,
                "number: invalid value: integer `0`, expected a whole number, 1 at least",
            ),
            ("[]", "invalid type: a list, expected an object"),
        ] {
            let error = interpret::<All>(serde_json::from_str(text).unwrap()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn refuses_a_member_that_comes_twice() {
        check(r#"{"inner": [{"port": 1, "port": 2}]}"#, "inner[0].port: comes twice");
    }

    #[test]
    fn refuses_what_is_no_object() {
        check("[]", "the configuration is not an object");
        check("{", "not valid JSON: EOF while parsing an object at line 1 column 1");
    }

    #[test]
    fn nothing_is_the_empty_object() {
        for text in ["", " \n", "{}", "null"] {
            assert!(read(text.as_bytes(), &Environment::default()).unwrap().is_empty());
        }
    }
}
