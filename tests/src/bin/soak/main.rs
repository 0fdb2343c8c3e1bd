//! The soak: half an hour of steady mixed load on two real Envoys, one with every filter in a chain, one
//! with every filter as a module of its own, while keys rotate and configurations change.
//!
//!     soak [MINUTES [REQUESTS_PER_SECOND]]      30 and 200, of which each Envoy gets a half
//!
//! It ends well, with 0, where
//!
//! 1. every answer was one that its class of requests may get ([`classes`]);
//! 2. the upstream got every request that was let through, and none of a class that is refused;
//! 3. no VM was loaded again, and every change of the configuration was taken;
//! 4. memory is flat ([`memory`]).

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "it takes time")]

mod browser;
mod classes;
mod client;
mod config;
mod keys;
mod memory;
mod provider;
mod report;
mod world;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use world::World;

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_secs(5);
/// How often the provider of tokens changes its keys, cookies theirs, and all filters their configuration.
const CHANGE: Duration = Duration::from_secs(20);
/// How many clients of each Envoy's there are, each on a connection that it keeps.
const CLIENTS: u32 = 4;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut number = |default: f64| {
        words.next().map_or(default, |word| word.parse().expect("minutes, requests per second"))
    };
    let (minutes, rate) = (number(30.0), number(200.0));
    let world = World::start();
    let began = Instant::now();
    let length = Duration::from_secs_f64(minutes * 60.0);
    report::begin(&world, minutes, rate);
    thread::scope(|scope| {
        for target in 0..world.targets.len() {
            for _ in 0..CLIENTS {
                let pause = Duration::from_secs_f64(2.0 * f64::from(CLIENTS) / rate);
                let world = &world;
                scope.spawn(move || client::run(world, target, pause));
            }
        }
        let _ending = Ending(&world);
        attend(&world, began, length);
    });
    world.settle();
    if report::end(&world, length) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lets the clients end where this thread does, in whatever way.
struct Ending<'a>(&'a World);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

/// Changes keys and configurations, and looks at memory, until it is over.
fn attend(world: &World, began: Instant, length: Duration) {
    let (mut changed, mut settled) = (began, true);
    let row = (length / 30).max(SAMPLE);
    let mut shown = began;
    while began.elapsed() < length {
        sleep(SAMPLE);
        world.sample(began);
        if shown.elapsed() + SAMPLE / 2 >= row {
            shown = Instant::now();
            report::row(world);
        }
        if changed.elapsed() >= CHANGE {
            changed = Instant::now();
            settled = false;
            world.change();
        } else if !settled && changed.elapsed() >= keys::GRACE {
            settled = true;
            world.keys.settle();
        }
    }
}
