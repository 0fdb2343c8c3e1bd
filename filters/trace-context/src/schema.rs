//! The schemas of what reads a text, a number or a list in a way of its own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use shared::config::{NonEmpty, Size};

use crate::config::{Baggage, Extract, Form, Inject, Key, Longest, Rate, Ratio, Source};

shared::written!(Ratio, "Ratio", {
    "description": "More than 0, at most 1.",
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 1,
});
shared::written!(Rate, "Rate", {
    "description": "More than 0, at most a million.",
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 1_000_000,
});
shared::written!(Longest, "Longest", {"type": "integer", "minimum": 8, "maximum": 1024});
shared::written!(Key, "Key", {
    "description": "A key such as `tenant`, or what keys begin with such as `user.*`.",
    "type": "string",
    "pattern": r#"^[^\s*",;=\\]*\*?$"#,
});

impl JsonSchema for Extract {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Extract".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        once_each::<Source>(generator)
    }
}

impl JsonSchema for Inject {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Inject".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        once_each::<Form>(generator)
    }
}

fn once_each<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = NonEmpty::<T>::json_schema(generator);
    schema.insert("uniqueItems".into(), true.into());
    schema
}

impl JsonSchema for Baggage {
    fn schema_name() -> Cow<'static, str> {
        "Baggage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What of the baggage is passed on.",
            "type": "object",
            "properties": {
                "allow": {
                    "description": "Which keys; default all.",
                    "type": "array",
                    "items": generator.subschema_for::<Key>(),
                    "minItems": 1,
                },
                "max_bytes": {
                    "description": "How much: a number of bytes or a size, at most `64KiB`.",
                    "anyOf": [
                        {"type": "integer", "minimum": 1, "maximum": 65_536},
                        generator.subschema_for::<Size>(),
                    ],
                },
                "max_members": {
                    "description": "How many members.",
                    "type": "integer",
                    "minimum": 1,
                },
            },
            "additionalProperties": false,
        })
    }
}
