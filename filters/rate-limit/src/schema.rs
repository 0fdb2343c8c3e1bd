//! The schemas of what reads a text or an object in a way of its own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use shared::config::{Period, Size};
use shared::identity::HeaderName;
use shared::matching::path::Pattern;

use crate::config::{
    Address, Cost, HeaderCost, Hops, KeyPart, LimitName, Memory, Prefix, Settings, Written,
};
use crate::service::{Name, Timeout};

shared::written!(LimitName, "LimitName", {
    "description": "1 to 64 letters, digits, `-` and `_`.",
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{1,64}$",
});
shared::written!(Name, "Name", {"type": "string", "minLength": 1});
shared::written!(Hops, "Hops", {"type": "integer", "minimum": 0, "maximum": 16});

impl JsonSchema for Settings {
    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

impl JsonSchema for Memory {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Memory".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Size>()
    }
}

impl JsonSchema for Timeout {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timeout".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Period>()
    }
}

impl<const MOST: u8> JsonSchema for Prefix<MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Prefix{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MOST})
    }
}

impl JsonSchema for KeyPart {
    fn schema_name() -> Cow<'static, str> {
        "KeyPart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What is counted apart: a word, or an object with one member.",
            "anyOf": [
                {"type": "string", "enum": [
                    "consumer", "subject", "client_address", "route", "cluster", "service",
                    "service_method", "host", "method",
                ]},
                {
                    "type": "object",
                    "properties": {
                        "client_address": generator.subschema_for::<Address>(),
                        "header": generator.subschema_for::<HeaderName>(),
                        "query": {"type": "string", "minLength": 1},
                        "cookie": {"type": "string", "minLength": 1},
                        "claim": {"type": "string"},
                        "path": generator.subschema_for::<Pattern>(),
                    },
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Cost {
    fn schema_name() -> Cow<'static, str> {
        "Cost".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number from 1, or the header that says it.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": u32::MAX},
                generator.subschema_for::<HeaderCost>(),
            ],
        })
    }
}
