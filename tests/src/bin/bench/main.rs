//! What a filter costs: CPU time of the Envoy process per request, in one run, variants in turns.
//!
//! One worker, answers from Envoy itself (no upstream), kept HTTP/1.1 connections, and every round
//! with new processes: where a process happens to lie in memory is worth microseconds. What is sent
//! is a [`Load`](load::Load), the same for all variants of a section. The first variant of a section has
//! no filter: it is the twin that all are compared with, round by round. `empty` is a Wasm filter on the
//! plain SDK that does nothing, and `floor` one that makes the calls to the proxy that no filter with the
//! contract of those beside it can do without. Differences are medians over the rounds with the quartiles beside them; on a shared
//! machine a tenth of a microsecond is noise.
//!
//! `BENCH_ROUNDS` and `BENCH_REQUESTS` change the size of a run, `BENCH_SECTION=chain` takes the
//! sections alone whose names contain it. The result is in `target/bench.json`, `.md` and `.svg`, or in
//! the folder that `BENCH_TO` names; with `BENCH_PUBLISH=1`, which takes all sections, in `docs/` too.
//! `BENCH_FROM=docs/bench.json` measures nothing, and writes the page and the chart beside that file anew.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for people"
)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    reason = "its size is set by the environment; it measures time"
)]

mod chart;
mod load;
mod machine;
mod native;
mod page;
mod plan;
mod report;
mod run;
mod sections;
mod spread;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use machine::Machine;
use report::Report;
use run::Run;
use tests::modules::top;
use watch::Watch;

/// What the environment asks for.
struct Wishes {
    rounds: u32,
    requests: u32,
    section: String,
    folders: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let done = match text("BENCH_FROM") {
        Some(file) => write_again(Path::new(&file)),
        None => Wishes::read().and_then(|wishes| bench(&wishes)),
    };
    if let Err(error) = &done {
        eprintln!("bench: {error}");
    }
    ExitCode::from(u8::from(done.is_err()))
}

impl Wishes {
    fn read() -> Result<Self, String> {
        let wishes = Self {
            rounds: number("BENCH_ROUNDS", 5, 1)?,
            requests: number("BENCH_REQUESTS", 10_000, 8)?,
            section: text("BENCH_SECTION").unwrap_or_default(),
            folders: vec![text("BENCH_TO").map_or_else(|| top().join("target"), PathBuf::from)],
        };
        match text("BENCH_PUBLISH") {
            None => Ok(wishes),
            Some(_) if !wishes.section.is_empty() => {
                Err("BENCH_PUBLISH is for all sections: leave BENCH_SECTION away".to_owned())
            }
            Some(_) => Ok(wishes.and_to(top().join("docs"))),
        }
    }

    fn and_to(mut self, folder: PathBuf) -> Self {
        self.folders.push(folder);
        self
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A number from the least on.
fn number(name: &str, default: u32, least: u32) -> Result<u32, String> {
    let Some(text) = text(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| format!("{name} is `{text}`: a number from {least} on"))
}

fn bench(wishes: &Wishes) -> Result<(), String> {
    let mut run = Run::of(&wishes.section, wishes.requests)?;
    let machine = Machine::here();
    // Measured just before, by `make bench`.
    let core = native::parts(&top().join("target/criterion"));
    run::warn_of_company();
    println!("{}", run.expectation(wishes.rounds));
    let watch = Watch::begin();
    for round in 1..=wishes.rounds {
        run.round(round);
        println!("{}", run::progress(round, wishes.rounds, watch.elapsed()));
    }
    let report = Report {
        rounds: wishes.rounds,
        seconds: watch.elapsed().as_secs(),
        others: watch.others(),
        machine,
        sections: run.measured(),
        core,
    };
    for folder in &wishes.folders {
        write(&report, folder)?;
    }
    println!("{}", page::terminal(&report));
    for folder in &wishes.folders {
        println!("written: {}", folder.join("bench.{json,md,svg}").display());
    }
    Ok(())
}

/// Writes the three files.
fn write(report: &Report, folder: &Path) -> Result<(), String> {
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    let files = [
        ("bench.json", json + "\n"),
        ("bench.md", page::page(report)),
        ("bench.svg", chart::chart(report)),
    ];
    let written = fs::create_dir_all(folder).and_then(|()| {
        files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
    });
    written.map_err(|error| format!("{}: {error}", folder.display()))
}

/// The page and the chart of a result that there is.
fn write_again(file: &Path) -> Result<(), String> {
    let said = |error: String| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| said(error.to_string()))?;
    let report: Report = serde_json::from_str(&text).map_err(|error| said(error.to_string()))?;
    write(&report, file.parent().unwrap_or_else(|| Path::new(".")))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn three_files_are_written_and_two_of_them_again_from_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        write(&report::test::report(), folder.path()).unwrap();
        let all = ["bench.json", "bench.md", "bench.svg"].map(read);
        fs::remove_file(folder.path().join("bench.md")).unwrap();
        fs::write(folder.path().join("bench.svg"), "old").unwrap();
        write_again(&folder.path().join("bench.json")).unwrap();
        assert_eq!(["bench.json", "bench.md", "bench.svg"].map(read), all);
        let error = write_again(&folder.path().join("none.json")).unwrap_err();
        assert!(error.contains("none.json: No such file"), "{error}");
    }

    #[test]
    fn what_is_published_is_what_its_json_says() {
        let published = top().join("docs/bench.json");
        let Ok(text) = fs::read_to_string(&published) else { return };
        let report: Report = serde_json::from_str(&text).unwrap();
        let read = |name: &str| fs::read_to_string(published.with_file_name(name)).unwrap();
        let again = "BENCH_FROM=docs/bench.json writes it anew";
        assert!(read("bench.md") == page::page(&report), "docs/bench.md differs: {again}");
        assert!(read("bench.svg") == chart::chart(&report), "docs/bench.svg differs: {again}");
    }
}
