//! What names, paths, servers and scopes of a document say.

use std::collections::BTreeSet;

use serde_json::Value;

/// Service and method: `service#method`, with Goa's number of a further route left off; else the
/// first tag and the id.
pub(super) fn names(id: Option<&str>, operation: &Value, place: &str) -> (String, String) {
    if let Some((service, method)) = id.and_then(|id| id.split_once('#'))
        && !service.is_empty()
        && !method.is_empty()
    {
        let method = match method.rsplit_once('#') {
            Some((method, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => method,
            _ => method,
        };
        return (service.to_owned(), method.to_owned());
    }
    let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or("api");
    (tag.to_owned(), id.unwrap_or(place).to_owned())
}

/// `{name}`, or `*` where the name has characters that a template's has not.
pub(super) fn parameter(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { format!("{{{name}}}") } else { "*".to_owned() }
}

/// A pattern without the names of its templates.
pub(super) fn shape(pattern: &str) -> String {
    let segments = pattern.split('/').map(|part| if part.starts_with('{') { "*" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

/// The path that all servers have before the document's paths.
pub(super) fn base_path(document: &Value) -> Result<String, String> {
    let Some(Value::Array(servers)) = document.get("servers") else { return Ok(String::new()) };
    let mut bases = BTreeSet::new();
    for server in servers {
        let url = server.get("url").and_then(Value::as_str).unwrap_or_default();
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
            None => url,
        };
        if path.contains(['{', '?', '#']) {
            return Err(format!("servers: `{url}` has a variable in its path"));
        }
        bases.insert(path.trim_end_matches('/').to_owned());
    }
    if bases.len() > 1 {
        return Err("servers: they have different paths".into());
    }
    Ok(bases.pop_first().unwrap_or_default())
}

pub(super) fn has_all_scopes(scheme: &Value, scopes: &[&str]) -> bool {
    let flows = scheme.get("flows").and_then(Value::as_object).into_iter().flatten();
    let declared: BTreeSet<&str> = flows
        .filter_map(|(_, flow)| flow.get("scopes")?.as_object())
        .flat_map(|scopes| scopes.keys().map(String::as_str))
        .collect();
    declared.len() > 1 && declared.iter().all(|scope| scopes.contains(scope))
}

/// The header of a source, in lower case, and whether all of it is the credential; without a source
/// it is that of HTTP.
pub(super) fn header(source: Option<&str>) -> Option<(String, bool)> {
    let Some(source) = source else { return Some(("authorization".to_owned(), false)) };
    let rest = source.strip_prefix("{header: ")?;
    let name = rest.split([',', '}']).next()?.to_ascii_lowercase();
    Some((name, !rest.contains("prefix:")))
}

/// What the document says of a scheme, wherever it says it.
pub(super) fn described<'d>(document: &'d Value, key: &str, id: &str) -> Result<&'d Value, String> {
    let schemes = document.pointer("/components/securitySchemes");
    let Some(mut scheme) = schemes.and_then(|schemes| schemes.get(key)) else {
        return Err(format!(
            "requires `{key}`, which `components.securitySchemes` does not have; if it is a file \
             of Goa's, or open, say --public '{id}'"
        ));
    };
    if let Some(Value::String(reference)) = scheme.get("$ref") {
        let target = reference.strip_prefix("#/components/securitySchemes/");
        let target = target.and_then(|name| schemes?.get(name));
        scheme = target.ok_or_else(|| format!("`{key}` refers to `{reference}`"))?;
    }
    Ok(scheme)
}
