//! JSON with its lines.

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Number;

use super::{Budget, DEEPEST, Kind, Member, Node, Syntax, Text};

/// JSON by the letter of RFC 8259.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a JSON text.
pub(super) fn read(text: &str) -> Result<Node, Syntax> {
    let most = |message| Syntax { line: 1, message };
    room(text).map_err(most)?;
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| {
        Syntax { line: error.line_display(), message: format!("not valid JSON: {}", error.kind()) }
    })?;
    let value = parsed.value.ok_or_else(|| Syntax {
        line: 1,
        message: "not valid JSON: there is nothing".to_owned(),
    })?;
    let root = Lines::of(text).node(value, 0)?;
    root.add_to(&mut Budget::default(), 0).map_err(most)?;
    Ok(root)
}

/// Whether a text has no more values than it may, before they are made.
fn room(text: &str) -> Result<(), String> {
    let (mut budget, mut is_text, mut is_escaped) = (Budget::default(), false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => budget.take(0)?,
            _ => {}
        }
    }
    Ok(())
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at).collect())
    }

    fn at(&self, position: usize) -> usize {
        self.0.partition_point(|end| *end < position).saturating_add(1)
    }

    fn node(&self, value: Value<'_>, depth: usize) -> Result<Node, Syntax> {
        let line = self.at(range(&value).start);
        if depth > DEEPEST {
            return Err(Syntax { line, message: "nested too deeply".to_owned() });
        }
        let below = depth.saturating_add(1);
        let kind = match value {
            Value::NullKeyword(_) => Kind::Null,
            Value::BooleanLit(value) => Kind::Bool(value.value),
            Value::NumberLit(number) => Kind::Number(self.number(number.value, line)?),
            Value::StringLit(text) => {
                Kind::Text(Text { text: text.value.into_owned(), is_literal: false })
            }
            Value::Array(list) => {
                let items = list.elements.into_iter().map(|item| self.node(item, below));
                Kind::List(items.collect::<Result<_, _>>()?)
            }
            Value::Object(object) => {
                let members =
                    object.properties.into_iter().map(|member| self.member(member, below));
                Kind::Object(members.collect::<Result<_, _>>()?)
            }
        };
        Ok(Node { line, kind })
    }

    fn member(&self, member: ObjectProp<'_>, depth: usize) -> Result<Member, Syntax> {
        let (name, line) = (member.name.as_str().to_owned(), self.at(member.range.start));
        let node = self.node(member.value, depth)?;
        Ok(Member { name, line, is_word: false, is_ignored: false, node })
    }

    fn number(&self, text: &str, line: usize) -> Result<Number, Syntax> {
        serde_json::from_str(text).map_err(|_| Syntax {
            line,
            message: "not valid JSON: a number out of range".to_owned(),
        })
    }
}

const fn range(value: &Value<'_>) -> jsonc_parser::common::Range {
    match value {
        Value::StringLit(value) => value.range,
        Value::NumberLit(value) => value.range,
        Value::BooleanLit(value) => value.range,
        Value::Object(value) => value.range,
        Value::Array(value) => value.range,
        Value::NullKeyword(value) => value.range,
    }
}
