//! What a word without quotes stands for, as yaml-cpp in Envoy and go-yaml in Kubernetes have it.

use serde_json::Number;

use super::{Kind, Text};

/// The kind of a plain scalar.
pub(super) fn read(word: &str) -> Kind {
    let text = || Kind::Text(Text { text: word.to_owned(), is_literal: false });
    if matches!(word, "" | "~" | "null" | "Null" | "NULL") {
        return Kind::Null;
    }
    if let Some(value) = truth(word) {
        return Kind::Bool(value);
    }
    let Some(number) = number(word) else { return text() };
    match envoys(word, &number) {
        Some(text) => Kind::Worded(number, text),
        None => Kind::Number(number),
    }
}

/// The text in place of a number that is not whole or has more than 32 bits (`YamlUtility` in Envoy).
fn envoys(word: &str, number: &Number) -> Option<String> {
    let digits = word.trim_start_matches(['+', '-']);
    let is_octal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    // `08` is none to it.
    let is_known = !digits.starts_with('0') || digits.starts_with("0x") || is_octal;
    match number.as_i64().filter(|_| is_known) {
        Some(whole) if i32::try_from(whole).is_ok() => None,
        Some(whole) => Some(whole.to_string()),
        None => Some(word.to_owned()),
    }
}

/// In lower case, in upper case, or with a capital.
fn truth(word: &str) -> Option<bool> {
    let (head, tail) = word.split_at_checked(1)?;
    let is_flexible = tail.bytes().all(|byte| byte.is_ascii_lowercase())
        || (word.bytes().all(|byte| byte.is_ascii_uppercase()) && !head.is_empty());
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" if is_flexible => Some(true),
        "false" | "no" | "off" | "n" if is_flexible => Some(false),
        _ => None,
    }
}

fn number(word: &str) -> Option<Number> {
    let begins = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.');
    if !word.as_bytes().first().is_some_and(begins) {
        return None;
    }
    let (sign, digits) = match word.split_at_checked(1) {
        Some(("-", digits)) => ("-", digits),
        Some(("+", digits)) => ("", digits),
        _ => ("", word),
    };
    let radix = |digits: &str, radix| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
    let whole = match digits.strip_prefix("0x") {
        Some(hex) => radix(hex, 16),
        None => digits
            .strip_prefix('0')
            .filter(|octal| !octal.is_empty())
            .and_then(|octal| radix(octal, 8))
            .or_else(|| {
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| radix(digits, 10))?
            }),
    };
    let is_decimal = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    let part = || Number::from_f64(word.parse().ok().filter(|_| is_decimal)?);
    whole.map(Number::from).or_else(part)
}
