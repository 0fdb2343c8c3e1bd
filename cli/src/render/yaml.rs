//! YAML as people read it, with comments, which no library writes.

use std::fmt::Write as _;

use serde_json::Value;

/// Lines that grow.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Lines of a template, each as far in as `indent`, empty ones left out.
    pub(super) fn add(&mut self, indent: usize, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(self.0, "{:indent$}{line}", "");
        }
    }

    /// A value as a block.
    pub(super) fn value(&mut self, indent: usize, value: &Value) {
        let mut text = String::new();
        block(&mut text, indent, value);
        self.0.push_str(&text);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A text as a scalar: plain where nobody could take it for something else.
pub(super) fn text(text: &str) -> String {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain =
        first && text.bytes().all(plain) && !word.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) if object.is_empty() => Some("{}".to_owned()),
        Value::Array(list) if list.is_empty() => Some("[]".to_owned()),
        Value::Object(_) | Value::Array(_) => None,
        Value::String(string) => Some(text(string)),
        other => Some(other.to_string()),
    }
}

/// Short lists and objects of scalars, in one line.
fn inline(value: &Value) -> Option<String> {
    let line = match value {
        Value::Array(list) if !list.is_empty() => {
            let parts: Option<Vec<_>> = list.iter().map(scalar).collect();
            format!("[{}]", parts?.join(", "))
        }
        Value::Object(object) if !object.is_empty() => {
            let part = |(name, value): (&String, &Value)| {
                let value = scalar(value).or_else(|| inline(value).filter(|_| value.is_array()))?;
                Some(format!("{}: {value}", text(name)))
            };
            let parts: Option<Vec<_>> = object.iter().map(part).collect();
            format!("{{ {} }}", parts?.join(", "))
        }
        _ => return scalar(value),
    };
    (line.len() <= 96).then_some(line)
}

fn block(out: &mut String, indent: usize, value: &Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = text(name);
                if let Some(line) = inline(value) {
                    let _ = writeln!(out, "{:indent$}{name}: {line}", "");
                } else {
                    let _ = writeln!(out, "{:indent$}{name}:", "");
                    block(out, indent.saturating_add(2), value);
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                if let Some(line) = inline(value) {
                    let _ = writeln!(out, "{:indent$}- {line}", "");
                    continue;
                }
                let mut inner = String::new();
                block(&mut inner, indent.saturating_add(2), value);
                let body = inner.trim_start();
                let _ = write!(out, "{:indent$}- {body}", "");
            }
        }
        other => {
            let _ = writeln!(out, "{:indent$}{}", "", scalar(other).unwrap_or_default());
        }
    }
}
