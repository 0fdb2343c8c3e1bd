//! What names, paths, servers and scopes of a document say.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What a path may have besides its operations, and nothing comes of.
pub(super) const OF_PATHS: [&str; 3] = ["summary", "description", "parameters"];
/// What an operation may have (OpenAPI 3.1, 4.8.10).
pub(super) const OF_OPERATIONS: [&str; 12] = [
    "tags",
    "summary",
    "description",
    "externalDocs",
    "operationId",
    "parameters",
    "requestBody",
    "responses",
    "callbacks",
    "deprecated",
    "security",
    "servers",
];

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
    let tag = operation.pointer("/tags/0").and_then(Value::as_str).filter(|tag| !tag.is_empty());
    let tag = tag.unwrap_or("api");
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

/// Why a document is none that is read here, and where it says so.
pub(super) fn version(document: &Value) -> Result<(), (&'static str, &'static str)> {
    match document.get("openapi") {
        Some(Value::String(version)) if version.starts_with("3.") => Ok(()),
        Some(Value::Number(_)) => {
            Err(("openapi", "`openapi` is a number: write it in quotes, as in \"3.1.0\""))
        }
        None if document.get("swagger").is_some() => {
            Err(("swagger", "is Swagger 2.0: make an OpenAPI 3 document of it before"))
        }
        _ => Err(("openapi", "is no OpenAPI 3 document: `openapi` is not 3.x")),
    }
}

/// The first member that has a name which is none of these, and no extension's.
pub(super) fn stranger<'m>(members: &'m Map<String, Value>, known: &[&str]) -> Option<&'m str> {
    let mut names = members.keys().map(String::as_str);
    names.find(|name| !name.starts_with("x-") && !known.contains(name))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(items: impl IntoIterator<Item = impl Into<String>>) -> String {
    let mut items: Vec<String> = items.into_iter().map(Into::into).collect();
    let last = items.pop().unwrap_or_default();
    if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) }
}

/// The path that all servers have before the document's paths.
pub(super) fn base_path(document: &Value) -> Result<String, String> {
    let servers = match document.get("servers") {
        None => return Ok(String::new()),
        Some(Value::Array(servers)) => servers,
        Some(_) => return Err("servers: is no list".into()),
    };
    let mut bases = BTreeSet::new();
    for server in servers {
        let url = server.get("url").and_then(Value::as_str).ok_or("servers: one has no `url`")?;
        bases.insert(path_of(url).map_err(|why| format!("servers: `{url}` {why}"))?);
    }
    if bases.len() > 1 {
        return Err("servers: they have different paths".into());
    }
    Ok(bases.pop_first().unwrap_or_default().to_owned())
}

/// The path of a URL, or of a reference to one (RFC 3986, 4.2), without the slash at its end.
fn path_of(url: &str) -> Result<&str, &'static str> {
    if url.contains(['?', '#']) {
        return Err("has a query or a fragment");
    }
    let behind_scheme = url.split_once("://").filter(|(scheme, _)| !scheme.contains('/'));
    let path = match behind_scheme.map(|(_, rest)| rest).or_else(|| url.strip_prefix("//")) {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    if path.contains(['{', '}', '*']) {
        return Err("has a variable or a wildcard in its path");
    }
    if !path.is_empty() && !path.starts_with('/') {
        return Err("is relative to a place that is not known");
    }
    Ok(path.trim_end_matches('/'))
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

/// What the document says of a scheme, wherever it says it, and under which name it does.
pub(super) fn described<'k>(
    document: &'k Value,
    key: &'k str,
    id: &str,
) -> Result<(&'k str, &'k Value), String> {
    let schemes = document.pointer("/components/securitySchemes");
    let mut name_of = key;
    let Some(mut scheme) = schemes.and_then(|schemes| schemes.get(key)) else {
        return Err(format!(
            "requires `{key}`, which `components.securitySchemes` does not have; if it is a file \
             of Goa's, or open, say --public '{id}'"
        ));
    };
    if let Some(Value::String(reference)) = scheme.get("$ref") {
        let name = reference.strip_prefix("#/components/securitySchemes/");
        let target = name.and_then(|name| Some((name, schemes?.get(name)?)));
        (name_of, scheme) = target.ok_or_else(|| format!("`{key}` refers to `{reference}`"))?;
    }
    Ok((name_of, scheme))
}
