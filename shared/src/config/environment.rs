//! References to the environment in a configuration's strings.
//!
//! | written | stands for |
//! | --- | --- |
//! | `${NAME}` | the variable; refused where it is not set |
//! | `${NAME:-default}` | the variable; `default` where it is not set or empty |
//! | `${NAME:?message}` | the variable; refused with `message` where it is not set or empty |
//! | `$${` | the two characters `${` |
//!
//! A `$` before anything else is itself, so that password hashes need no escape. What a variable
//! holds is not looked at again for references.

use std::collections::HashMap;

use serde_json::Value;

use super::Invalid;

/// The variables that the proxy gives to the module.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Environment {
    /// Replaces every reference in every string of `value`. Names of members stay as they are.
    pub fn resolve(&self, value: &mut Value) -> Result<(), Invalid> {
        match value {
            Value::String(text) if text.contains("${") => {
                *text = self.expand(text).map_err(|message| Invalid::at("", message))?;
            }
            Value::Array(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self.resolve(value).map_err(|error| error.within(&format!("[{index}]")))?;
                }
            }
            Value::Object(object) => {
                for (name, value) in object.iter_mut() {
                    self.resolve(value).map_err(|error| error.within(name))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after;
                continue;
            }
            expanded.push_str(before);
            let (reference, after) =
                after.split_once('}').ok_or("`${` without the `}` that ends it")?;
            expanded.push_str(self.look_up(reference)?);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn look_up<'a>(&'a self, reference: &'a str) -> Result<&'a str, String> {
        let (name, alternative) = match reference.split_once(':') {
            Some((name, alternative)) => (name, Some(alternative)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err("`${…}` holds no name of a variable; write `$${` for the characters".into());
        }
        let set = self.0.get(name).map(String::as_str);
        let Some(alternative) = alternative else {
            return set.ok_or_else(|| format!("the environment variable {name} is not set"));
        };
        let set = set.filter(|value| !value.is_empty());
        match (alternative.strip_prefix('-'), alternative.strip_prefix('?')) {
            (Some(default), _) => Ok(set.unwrap_or(default)),
            (_, Some(message)) => set.ok_or_else(|| match message {
                "" => format!("the environment variable {name} is not set or empty"),
                message => format!("the environment variable {name}: {message}"),
            }),
            (None, None) => Err(format!("`${{{name}:` goes on with `-default}}` or `?message}}`")),
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn environment() -> Environment {
        [("NAME", "value"), ("EMPTY", ""), ("NESTED", "${NAME}")].into_iter().collect()
    }

    #[track_caller]
    fn check(text: &str, expanded: &str) {
        let mut value = json!(text);
        environment().resolve(&mut value).unwrap();
        assert_eq!(value, json!(expanded));
    }

    #[track_caller]
    fn refuse(text: &str, message: &str) {
        let mut value = json!({"a": ["x", text]});
        let error = environment().resolve(&mut value).expect_err("refused");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn a_reference_stands_for_its_variable() {
        check("<${NAME}> and ${NAME}", "<value> and value");
        check("${EMPTY}", "");
    }

    #[test]
    fn a_default_serves_where_the_variable_is_unset_or_empty() {
        check("${NAME:-other}", "value");
        check("${MISSING:-other}", "other");
        check("${EMPTY:-other}", "other");
        check("${MISSING:-}", "");
    }

    #[test]
    fn a_dollar_elsewhere_is_itself() {
        check("alice:$2y$05$abc", "alice:$2y$05$abc");
        check("$${NAME}", "${NAME}");
        check("$", "$");
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        check("${NESTED}", "${NAME}");
    }

    #[test]
    fn a_missing_variable_is_refused_by_name_and_path() {
        refuse("${MISSING}", "a[1]: the environment variable MISSING is not set");
        refuse(
            "${MISSING:?ask the operators}",
            "a[1]: the environment variable MISSING: ask the operators",
        );
        refuse("${EMPTY:?}", "a[1]: the environment variable EMPTY is not set or empty");
    }

    #[test]
    fn a_malformed_reference_is_refused() {
        refuse("${NAME", "a[1]: `${` without the `}` that ends it");
        refuse("${1}", "a[1]: `${…}` holds no name of a variable; write `$${` for the characters");
        refuse("${NAME:x}", "a[1]: `${NAME:` goes on with `-default}` or `?message}`");
    }
}
