//! `gatehouse policy`: the policy of an OpenAPI 3 document.

mod openapi;

use serde_json::Value;

use crate::arguments::{Dialect as Spoken, PolicyArguments};
use crate::check::{Level, problems, read_value};
use crate::output::{self, Failure, Outcome};
use crate::render::yaml_of;
use openapi::{Dialect, Options, derive};

/// Derives the policy, checks it with the code that the module runs, and prints it.
pub(crate) fn run(arguments: &PolicyArguments) -> Result<Outcome, Failure> {
    let document = read_value(&arguments.file)?;
    let dialect = match arguments.dialect {
        Spoken::Goa => Dialect::Goa,
        Spoken::Openapi => Dialect::OpenApi,
    };
    let options = Options {
        public: arguments.public.iter().cloned().collect(),
        catch_all: arguments.catch_all.iter().cloned().collect(),
        oauth2: arguments.oauth2.clone(),
    };
    let derived = match derive(&document, dialect, &options) {
        Ok(derived) => derived,
        Err(ambiguous) => {
            ambiguous.0.iter().for_each(|why| output::complain(why));
            return Ok(Outcome::Unwell);
        }
    };
    let text = print(&derived.policy, arguments.json);
    let errors = problems(&text, Some("access-policy"));
    let errors = errors.into_iter().filter(|(level, _)| *level == Level::Error);
    let errors: Vec<_> = errors.map(|(_, why)| why).collect();
    if !errors.is_empty() {
        errors.iter().for_each(|why| output::complain(why));
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
