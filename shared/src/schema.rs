//! JSON Schemas (2020-12) of configurations, from the types that filters read. For the program; no
//! module has them.
//!
//! 1. What derives `Deserialize` derives `JsonSchema`; what reads a text of its own says here, with
//!    `written!`, what that text is like.
//! 2. A schema never refuses what the filter takes. It is kinder where a rule spans fields, or a
//!    text is looked at closely.
//! 3. Wherever a text has a form, it may be a reference to the environment (`${NAME}`) too.
//! 4. `null` is nothing that a field may be: it is left out instead.
//! 5. The top level has the fields of the filter's configuration, its settings, `mode`, `errors`,
//!    `rules` and `route_overrides`; a rule has the settings and a `match`.

use std::borrow::Cow;

use schemars::transform::{RecursiveTransform, Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use crate::address::Network;
use crate::config::{AllOr, Common, Leeway, NonEmpty, Period, Secret, Size};
use crate::filter::Plugin;
use crate::identity::HeaderName;
use crate::jose::Url;
use crate::matching::path::Pattern;
use crate::matching::{HeaderValue, Host, Matcher, Method};
use crate::reply::Realm;
use crate::sources::{Source, Sources};
use crate::time::Timestamp;

/// Gives a type the schema that stands in braces.
#[macro_export]
macro_rules! written {
    ($type:ty, $name:literal, { $($schema:tt)* }) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            // Another crate may have a type of that name.
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", $name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ $($schema)* })
            }
        }
    };
}

written!(Period, "Period", {
    "description": "A length of time such as `250ms`, `10s` or `1h30m`: more than zero, at most ten years.",
    "type": "string",
    "pattern": r"^\s*([0-9]+\s*[a-zA-Zµ]+\s*)+$",
});
written!(Leeway, "Leeway", {
    "description": "A length of time such as `60s`, from `0s` to `10m`.",
    "type": "string",
    "pattern": r"^\s*(0|([0-9]+\s*[a-zA-Zµ]+\s*)+)$",
});
written!(Size, "Size", {
    "description": "A number of bytes such as `64KiB` or `4MiB`: more than zero.",
    "type": "string",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*[a-zA-Z]*\s*$",
});
written!(Secret, "Secret", {
    "description": "A secret; write `${NAME}`, so that it stands in the environment.",
    "type": "string",
});
written!(HeaderName, "HeaderName", {
    "description": "The name of a header.",
    "type": "string",
    "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
});
written!(Timestamp, "Timestamp", {
    "description": "A moment in UTC such as `2027-01-01T00:00:00Z` (RFC 3339).",
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$",
});
written!(Url, "Url", {
    "description": "An address: `https://host[:port]/path[?query]`.",
    "type": "string",
    "pattern": r#"^https?://[^/?#@\s"\\][^#\s"\\]*$"#,
});
written!(Realm, "Realm", {
    "description": "Printable ASCII, not empty.",
    "type": "string",
    "pattern": "^[ -~]+$",
});
written!(Method, "Method", {
    "description": "A method of HTTP, in upper case.",
    "type": "string",
    "pattern": "^[A-Z-]+$",
});
written!(Host, "Host", {
    "description": "A host such as `api.example.com`, or `*.example.com` for all below, without a port.",
    "type": "string",
    "pattern": r"^(\*\.)?[^*/ ]+$",
});
written!(Pattern, "PathPattern", {
    "description": "A path; `*` or `{name}` is one segment, a last `/**` the rest.",
    "type": "string",
    "pattern": "^/",
});
written!(Network, "Network", {
    "description": "A network such as `10.0.0.0/8` or `fd00::/8`, or one address.",
    "type": "string",
    "pattern": "^[0-9a-fA-F.:]+(/[0-9]+)?$",
});
written!(Source, "Source", {
    "description": "Where a credential stands: `{ header: NAME }`, with `prefix: SCHEME` or without, `{ query: NAME }` or `{ cookie: NAME }`.",
    "type": "object",
    "oneOf": [
        {"required": ["header"], "properties": {
            "header": {"type": "string", "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
            "prefix": {"type": "string", "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
        }, "additionalProperties": false},
        {"required": ["query"], "properties": {"query": {"type": "string", "minLength": 1}},
            "additionalProperties": false},
        {"required": ["cookie"], "properties": {
            "cookie": {"type": "string", "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
        }, "additionalProperties": false},
    ],
});

impl JsonSchema for Sources {
    fn schema_name() -> Cow<'static, str> {
        "Sources".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        NonEmpty::<Source>::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for NonEmpty<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<T>(),
            "minItems": 1,
        })
    }
}

impl<T: JsonSchema> JsonSchema for AllOr<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("AllOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = generator.subschema_for::<T>();
        json_schema!({"anyOf": [{"const": "all"}, {"allOf": [named, {"minProperties": 1}]}]})
    }
}

impl JsonSchema for Matcher {
    fn schema_name() -> Cow<'static, str> {
        "Match".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which requests a rule is for: all that is named must hold.",
            "type": "object",
            "properties": {
                "hosts": NonEmpty::<Host>::json_schema(generator),
                "paths": NonEmpty::<Pattern>::json_schema(generator),
                "methods": NonEmpty::<Method>::json_schema(generator),
                "headers": {
                    "type": "object",
                    "propertyNames": {"not": {"pattern": "^[xX]-[aA][uU][tT][hH]-"}},
                    "additionalProperties": generator.subschema_for::<HeaderValue>(),
                },
                "routes": NonEmpty::<String>::json_schema(generator),
                "clusters": NonEmpty::<String>::json_schema(generator),
            },
            "additionalProperties": false,
            "minProperties": 1,
        })
    }
}

/// The schema of a filter's configuration.
pub fn of<P: Plugin>() -> Value
where
    P::Config: JsonSchema,
    P::Settings: JsonSchema,
{
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (own, own_required) = object(P::Config::json_schema(&mut generator));
    let (mut settings, required) = object(P::Settings::json_schema(&mut generator));
    settings.extend(object(Common::json_schema(&mut generator)).0);
    let matcher = generator.subschema_for::<Matcher>();
    let mut rule = settings.clone();
    rule.insert("match".into(), matcher.to_value());
    let mut top = settings;
    // Where both have a field of one name, it is the plugin's at the top.
    top.extend(own);
    top.insert(
        "rules".into(),
        json!({
            "description": "What applies to some requests; the first that matches.",
            "type": "array",
            "minItems": 1,
            "items": {"$ref": "#/$defs/Rule"},
        }),
    );
    top.insert(
        "route_overrides".into(),
        json!({
            "description": "Whether metadata of routes and virtual hosts is read; default yes.",
            "type": "boolean",
        }),
    );
    let mut definitions = generator.take_definitions(true);
    definitions.insert(
        "Rule".into(),
        json!({
            "description": "What applies to the requests that it matches.",
            "type": "object",
            "properties": rule,
            "required": ["match"],
            "additionalProperties": false,
        }),
    );
    let required = [own_required, required].concat();
    let mut schema = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": P::NAME,
        "type": "object",
        "properties": top,
        "required": required,
        "additionalProperties": false,
        "$defs": definitions,
    });
    RecursiveTransform(without_null).transform(&mut schema);
    OrVariable.transform(&mut schema);
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.insert(VARIABLE.into(), json!({
            "description": "A reference to the environment: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`.",
            "type": "string",
            "pattern": r"\$\{",
        }));
    }
    schema.to_value()
}

/// What stands for a reference to the environment.
const VARIABLE: &str = "Variable";

/// The properties of an object's schema, and those that it requires.
fn object(mut schema: Schema) -> (Map<String, Value>, Vec<Value>) {
    let properties = match schema.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    let required = match schema.remove("required") {
        Some(Value::Array(required)) => required,
        _ => Vec::new(),
    };
    (properties, required)
}

/// Optional fields are left out: the reader refuses `null`.
fn without_null(schema: &mut Schema) {
    let is_null =
        |kind: &Value| *kind == "null" || kind.get("type").is_some_and(|kind| kind == "null");
    for word in ["type", "anyOf", "enum"] {
        let Some(Value::Array(kinds)) = schema.get_mut(word) else { continue };
        kinds.retain(|kind| !is_null(kind) && !kind.is_null());
        if let ([only], "type") = (kinds.as_slice(), word) {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// A text of some form may be a reference to the environment.
struct OrVariable;

impl Transform for OrVariable {
    fn transform(&mut self, schema: &mut Schema) {
        let variable = || json!({"$ref": format!("#/$defs/{VARIABLE}")});
        // The words of an enumeration, each with its description.
        if schema.get("oneOf").is_some_and(are_words) {
            if let Some(Value::Array(mut words)) = schema.remove("oneOf") {
                words.push(variable());
                schema.insert("anyOf".into(), Value::Array(words));
            }
            return;
        }
        // Words and objects: a reference may be either, so that it is of more than one.
        if schema.get("oneOf").is_some_and(has_word)
            && let Some(kinds) = schema.remove("oneOf")
        {
            schema.insert("anyOf".into(), kinds);
        }
        transform_subschemas(self, schema);
        if !has_form(schema) {
            return;
        }
        let mut form = Map::new();
        for word in ["type", "enum", "const", "pattern", "minLength"] {
            form.extend(schema.remove(word).map(|value| (word.to_owned(), value)));
        }
        schema.insert("anyOf".into(), json!([form, variable()]));
    }
}

fn are_words(value: &Value) -> bool {
    value.as_array().is_some_and(|schemas| schemas.iter().all(is_word))
}

fn has_word(value: &Value) -> bool {
    value.as_array().is_some_and(|schemas| schemas.iter().any(is_word))
}

fn is_word(schema: &Value) -> bool {
    schema.get("const").or_else(|| schema.get("enum")?.get(0)).is_some_and(Value::is_string)
}

fn has_form(schema: &Schema) -> bool {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.iter().all(Value::is_string),
        (_, Some(value)) => value.is_string(),
        _ => schema.get("pattern").is_some() && schema.get("type").is_some(),
    }
}
