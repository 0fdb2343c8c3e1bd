//! The demo: the real Envoy in front of a small service, with all filters as modules of their own, with
//! the chain of a service in production, and with a sign-in of browsers. It sends real requests and shows
//! each as a command that can be typed, with its answer and what that shows.
//!
//! 1. Every step checks what it shows. At the first that is not so the demo says what, and ends
//!    with 1.
//! 2. On a terminal Envoy stays up at the end, until Enter or Ctrl-C.
//! 3. Colour is for a terminal, and not with `NO_COLOR`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::disallowed_methods, reason = "test code")]

mod ask;
mod chain;
mod checks;
mod guide;
mod lines;
mod login;
mod opaque;
mod steps;
mod tokens;
mod traces;
mod world;

use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;

use steps::STEPS;
use world::{Outcome, World};

fn main() -> ExitCode {
    println!("starting Envoy …");
    let world = World::start(has_colour());
    println!("{}", world.addresses());
    match show(&world) {
        Ok(()) => {
            if stdout().is_terminal() {
                stay_up(&world);
            }
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("\n{what}");
            ExitCode::FAILURE
        }
    }
}

fn has_colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !unwanted
}

fn show(world: &World) -> Outcome {
    for (number, (title, step)) in (1..).zip(STEPS) {
        println!("\n{}", world.strong(&format!("{number}. {title}")));
        step(world).map_err(|what| format!("step {number}, {title}: {what}"))?;
    }
    println!("\nAll {} steps showed what they should.", STEPS.len());
    Ok(())
}

fn stay_up(world: &World) {
    println!("\n{}", world.strong("Envoy stays up. Try:"));
    for line in world.ideas() {
        println!("    {line}");
    }
    println!("Enter or Ctrl-C ends it.");
    // Where there is nobody to press Enter, that is the end, too.
    let _ = stdin().read_line(&mut String::new());
}
