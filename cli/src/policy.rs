//! `gatehouse policy`: the policy of an OpenAPI 3 document.

mod openapi;

use serde_json::Value;
use shared::config::Invalid;

use crate::arguments::{Dialect as Spoken, PolicyArguments};
use crate::check::{Source, errors, is_within};
use crate::output::{self, Failure, Outcome};
use crate::render::yaml_of;
use openapi::{Dialect, Fault, Options, Place, derive};

/// Derives the policy, checks it with the code that the module runs, and prints it.
pub(crate) fn run(arguments: &PolicyArguments) -> Result<Outcome, Failure> {
    let Some(source) = Source::read(&arguments.file)? else { return Ok(Outcome::Unwell) };
    let document = source.value();
    let dialect = match arguments.dialect {
        Spoken::Goa => Dialect::Goa,
        Spoken::Openapi => Dialect::OpenApi,
    };
    let options = Options {
        public: arguments.public.iter().cloned().collect(),
        catch_all: arguments.catch_all.iter().cloned().collect(),
        first: arguments.first.iter().cloned().collect(),
        interchangeable: arguments.interchangeable.iter().cloned().collect(),
        oauth2: arguments.oauth2.clone(),
    };
    let derived = match derive(&document, dialect, &options) {
        Ok(derived) => derived,
        Err(ambiguous) => {
            for Fault { place, message } in &ambiguous.0 {
                source.complain_at(place, message);
            }
            return Ok(Outcome::Unwell);
        }
    };
    let text = print(&derived.policy, arguments.json);
    let errors = errors(&text, "access-policy");
    for error in &errors {
        // A method of the policy is an operation of the document.
        let operation = derived.places.iter().find(|(method, _)| is_within(&error.path, method));
        let Some((method, Place { path, id })) = operation else {
            source.complain_at("", error);
            continue;
        };
        let within = error.path.strip_prefix(method.as_str()).unwrap_or_default();
        let error = Invalid::at(within.trim_start_matches('.'), &error.message);
        source.complain_at(path, format_args!("{id}: {error}"));
    }
    if !errors.is_empty() {
        return Ok(Outcome::Unwell);
    }
    for line in &derived.report {
        output::note(line);
    }
    output::print(text.as_bytes())?;
    Ok(Outcome::Well)
}

fn print(policy: &Value, json: bool) -> String {
    if json { format!("{policy:#}\n") } else { format!("# access-policy\n{}", yaml_of(policy)) }
}
