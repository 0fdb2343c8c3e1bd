//! Secrets where everybody reads them who reads the file.

use super::{At, Code, Report};
use crate::check::site::Site;
use crate::check::variables::references;

/// Fields that hold nothing but secrets.
const SECRETS: [&str; 6] =
    ["password", "client_secret", "secret", "cookie_secret", "signing_key", "encryption_key"];

/// Looks for secrets that do not come from the environment.
pub(in crate::check) fn check(site: &Site<'_>, report: &mut Report) {
    let Some((config, prefix)) = site.config.tree() else { return };
    for at in secrets(&config) {
        let text = at.text().unwrap_or_default();
        let references = references(text);
        if references.is_empty() {
            let message = "a secret in plain text: write `${NAME}` and give the VM that variable";
            Code::PlainSecret.report_in(prefix, &at, message, report);
        }
        for reference in references {
            if reference.default.is_some_and(|default| !default.is_empty()) {
                let message = format!(
                    "where {} is not set, the secret is the one that is written here",
                    reference.name
                );
                Code::DefaultSecret.report_in(prefix, &at, message, report);
            }
            let inline = site.environment.set.iter().find(|(name, _)| name == reference.name);
            if let Some((_, value)) = inline {
                let message = "a secret in plain text: let the proxy take it from its environment";
                Code::PlainSecret.report(value, message, report);
            }
        }
    }
}

/// The places of secrets that are there.
fn secrets<'a>(config: &At<'a>) -> Vec<At<'a>> {
    let mut found = Vec::new();
    for at in config.all() {
        let is_symmetric = at.get("kty").and_then(|kind| kind.text()) == Some("oct");
        found.extend(at.get("k").filter(|_| is_symmetric));
        // api-key-auth: `consumers[].keys[].value`.
        let is_key = at.path.ends_with(']') && at.path.contains("keys[");
        found.extend(at.get("value").filter(|_| is_key));
        // oauth2-login: `session.keys[]`.
        found.extend(Some(at.clone()).filter(|_| at.path.contains("session.keys[")));
        found.extend(SECRETS.iter().filter_map(|name| at.get(name)));
    }
    found.retain(|at| at.text().is_some_and(|text| !text.is_empty()));
    found
}
