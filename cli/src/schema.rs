//! `gatehouse schema`: what a configuration may hold, for editors.

use crate::arguments::SchemaArguments;
use crate::check;
use crate::output::{self, Failure, Outcome};

/// Prints the JSON Schema of a filter's configuration.
pub(crate) fn run(arguments: &SchemaArguments) -> Result<Outcome, Failure> {
    let name = &arguments.filter;
    // The arguments let no other name through.
    let schema = check::schema(name)
        .ok_or_else(|| Failure::because(format!("there is no filter {name}")))?;
    output::say(format_args!("{schema:#}"))?;
    Ok(Outcome::Well)
}
