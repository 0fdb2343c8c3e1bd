//! `gatehouse`: what belongs to the filters and does not run in a proxy.
//!
//! 1. `check` finds what is wrong with a configuration before a proxy has it, with the code that the
//!    modules run.
//! 2. `hash` and `keygen` make what configurations hold in place of secrets.
//! 3. `policy` makes a policy of an OpenAPI document, `render` what people deploy of one short file.
//! 4. `image` makes of modules what Istio and Envoy Gateway pull, `capabilities` what Envoy lets them do.
//! 5. `schema` prints what a configuration may hold, for editors.
//! 6. `drain` ends an Envoy without ending its requests.
//!
//! It ends with 0 where all is well, 1 where it is not, 2 where it could not tell.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a program has a clock and an environment; a filter has not"
)]

mod arguments;
mod capabilities;
mod check;
mod drain;
mod hash;
mod image;
mod keygen;
mod module;
mod output;
mod policy;
mod render;
mod schema;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use output::{Failure, Outcome};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Drain(arguments) => drain::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Capabilities(arguments) => capabilities::run(&arguments),
        Command::Completions { shell } => completions(shell),
    };
    match outcome {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Unwell) => ExitCode::from(1),
        // Who reads no further has what they wanted: `gatehouse policy api.yaml | head`.
        Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::from(2),
        Err(Failure::Because(why)) => {
            output::complain(&why);
            ExitCode::from(2)
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "gatehouse", &mut text);
    output::print(&text)?;
    Ok(Outcome::Well)
}
