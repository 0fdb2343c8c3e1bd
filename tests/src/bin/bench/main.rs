//! What a filter costs: CPU time of the Envoy process per request, in one run, variants in turns.
//!
//! One worker, answers from Envoy itself (no upstream), kept HTTP/1.1 connections, and every round
//! with new processes: where a process happens to lie in memory is worth microseconds. What is sent
//! is a [`Load`], the same for all variants of a section. The first variant of a section has no
//! filter: it is the twin that all are compared with, round by round. `empty` is a Wasm filter on the
//! plain SDK that does nothing, and `floor` one that makes the calls to the proxy that no authenticator
//! can do without. Differences are medians over the rounds with the quartiles beside them; on a shared
//! machine a tenth of a microsecond is noise.
//!
//! `BENCH_ROUNDS` and `BENCH_REQUESTS` change the size of a run, `BENCH_SECTION=chain` takes the
//! sections alone whose names contain it. The result is written to
//! `target/bench.json` too.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "its size is set by the environment")]

mod chain;
mod load;
mod report;
mod tokens;
mod variants;

use load::Load;
use report::report;
use tests::envoy::Setup;

/// What is sent, and the ways to set Envoy up for it; the first without a filter.
struct Section {
    name: &'static str,
    load: Load,
    variants: Vec<Variant>,
}

/// A way to set Envoy up.
struct Variant {
    name: &'static str,
    targets: Vec<Target>,
    /// What it counts at every request but the first, where that shows that it did what its name says.
    counter: Option<&'static str>,
    /// How many other paths it is asked for first, each once.
    seen: u32,
    setup: Setup,
}

/// The most that a variant may cost, compared with another of its section.
#[derive(Clone, Copy)]
enum Target {
    /// So many microseconds above it.
    Above(&'static str, f64),
    /// Such a part of it, both above no filter.
    PartOf(&'static str, f64),
}

fn main() {
    let rounds = number("BENCH_ROUNDS", 9);
    let requests = number("BENCH_REQUESTS", 10_000);
    let wanted = std::env::var("BENCH_SECTION").unwrap_or_default();
    let mut sections = variants::sections(requests);
    sections.retain(|section| section.name.contains(&wanted));
    let mut costs: Vec<_> =
        sections.iter().map(|section| vec![Vec::new(); section.variants.len()]).collect();
    for round in 1..=rounds {
        for (section, costs) in sections.iter().zip(&mut costs) {
            measure(section, costs);
        }
        println!("round {round} of {rounds}");
    }
    let report = report(&sections, &costs, rounds);
    std::fs::write(tests::modules::top().join("target/bench.json"), format!("{report:#}\n"))
        .expect("target/ is there after a build");
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One round.
fn measure(section: &Section, costs: &mut [Vec<f64>]) {
    let envoys: Vec<_> = section.variants.iter().map(|variant| variant.setup.start()).collect();
    for (variant, envoy) in section.variants.iter().zip(&envoys) {
        load::show_paths(envoy, variant.seen);
        section.load.warm_up(envoy);
    }
    for (envoy, costs) in envoys.iter().zip(costs) {
        costs.push(section.load.cost(envoy));
    }
    for (variant, envoy) in section.variants.iter().zip(&envoys) {
        if let Some(counter) = variant.counter {
            let (count, all) = (envoy.counted(counter), section.load.all());
            assert!(count + 1 >= u64::from(all), "{}: {counter} is {count} of {all}", variant.name);
        }
    }
}
