//! The rounds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::envoy::Envoy;
use tests::upstream::Upstream;

use crate::load;
use crate::plan::{SEEN_ROUNDS, Section, Variant};
use crate::report::{Measured, Samples};
use crate::sections;
use crate::watch::{self, NOISY, Watch};

/// What the start and the end of a variant take, and a request of its load, here and of those of which
/// there are many; `progress` says what it took in truth.
const START: Duration = Duration::from_millis(450);
const REQUEST: Duration = Duration::from_micros(40);
const SEEN: Duration = Duration::from_micros(25);

/// How many requests a variant may not have counted: on each connection the first, which may wait until
/// somebody was asked, and the last, of which Envoy's tracer sends a handful at a time.
const FEW: u64 = load::CLIENTS as u64 + 4;

/// Sections, and what was read of their variants so far.
pub(crate) struct Run {
    sections: Vec<(&'static str, Section, Vec<Samples>)>,
}

impl Run {
    /// The sections whose names contain a word, in any case.
    pub(crate) fn of(word: &str, requests: u32) -> Result<Self, String> {
        let word = word.to_lowercase();
        let wanted = sections::ALL.iter().filter(|(name, _)| name.to_lowercase().contains(&word));
        let sections: Vec<_> = wanted
            .map(|(name, section)| {
                let section = section(requests);
                let samples = vec![Samples::default(); section.variants.len()];
                (*name, section, samples)
            })
            .collect();
        if sections.is_empty() {
            let names = sections::ALL.map(|(name, _)| name).join("\n  ");
            return Err(format!("no section has `{word}` in its name; there are\n  {names}"));
        }
        Ok(Self { sections })
    }

    /// About how long it will take.
    pub(crate) fn expectation(&self, rounds: u32) -> String {
        let sections = self.sections.iter().map(|(_, section, _)| section);
        let count: usize = sections.clone().map(|section| section.variants.len()).sum();
        let time = (1..=rounds)
            .flat_map(|round| sections.clone().map(move |section| section.expectation(round)))
            .sum();
        format!(
            "{} sections, {count} variants, {rounds} rounds: about {} on a quiet machine; \
             BENCH_ROUNDS, BENCH_REQUESTS and BENCH_SECTION change that",
            self.sections.len(),
            minutes(time),
        )
    }

    /// One round, every other one in the other direction.
    pub(crate) fn round(&mut self, number: u32) {
        for (_, section, samples) in &mut self.sections {
            measure(section, samples, number);
            section.forget();
        }
    }

    pub(crate) fn measured(&self) -> Vec<Measured> {
        let sections = self.sections.iter();
        sections.map(|(name, section, samples)| Measured::of(name, section, samples)).collect()
    }
}

impl Variant {
    /// Whether it is measured in that round.
    const fn is_in(&self, round: u32) -> bool {
        self.seen == 0 || round <= SEEN_ROUNDS
    }
}

impl Section {
    /// Forgets what its servers were sent: they keep all of it.
    fn forget(&self) {
        let upstreams = self.servers.iter().filter_map(|server| server.downcast_ref::<Upstream>());
        upstreams.for_each(Upstream::clear);
    }

    /// About how long a round of it takes.
    fn expectation(&self, round: u32) -> Duration {
        let each = START + REQUEST * self.load.all() + self.load.background();
        let variants = self.variants.iter().filter(|variant| variant.is_in(round));
        let all: Duration = variants.map(|variant| each + SEEN * variant.seen).sum();
        all + self.load.background()
    }
}

/// What is done, and what is left to do.
pub(crate) fn progress(round: u32, rounds: u32, so_far: Duration) -> String {
    let left = so_far / round * (rounds - round);
    format!("round {round} of {rounds} after {}, {} to go", minutes(so_far), minutes(left))
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02} minutes", time.as_secs() / 60, time.as_secs() % 60)
}

/// Says so if others are at work while nothing is measured.
pub(crate) fn warn_of_company() {
    let watch = Watch::begin();
    sleep(Duration::from_secs(1));
    let others = watch.others();
    if others > NOISY {
        println!(
            "WARNING: the machine is not quiet: others have {:.0} % of its time (load average {:.2})",
            100.0 * others,
            watch::load_average()
        );
    }
}

/// A variant at work.
struct Started<'a> {
    variant: &'a Variant,
    envoy: Envoy,
    ready: Duration,
}

impl<'a> Started<'a> {
    fn new(variant: &'a Variant) -> Self {
        let begun = Instant::now();
        let envoy = variant.setup.start();
        Self { variant, envoy, ready: begun.elapsed() }
    }

    /// Fails where it did not do what its name says.
    fn check(&self, section: &Section) {
        if let Some(counter) = &self.variant.counter {
            let (count, all) = (self.envoy.stat(counter).unwrap_or(0), section.load.all());
            let name = self.variant.name;
            assert!(count + FEW >= u64::from(all), "{name}: {counter} is {count} of {all}");
        }
    }
}

/// One round of a section.
fn measure(section: &Section, samples: &mut [Samples], round: u32) {
    let variants = section.variants.iter().zip(samples);
    let variants = variants.filter(|(variant, _)| variant.is_in(round));
    let mut started: Vec<_> =
        variants.map(|(variant, samples)| (Started::new(variant), samples)).collect();
    if round.is_multiple_of(2) {
        started.reverse();
    }
    for (one, _) in &started {
        load::show_paths(&one.envoy, one.variant.seen);
        section.load.warm_up(&one.envoy);
    }
    sleep(section.load.background());
    for (one, samples) in &mut started {
        samples.cpu_us.push(section.load.cost(&one.envoy));
        samples.ready_ms.push(one.ready.as_secs_f64() * 1e3);
        samples.memory_mb.push(one.envoy.memory() as f64 / 1e6);
    }
    for (one, _) in &started {
        one.check(section);
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_section_that_is_not_there_is_an_error_that_names_those_that_are() {
        let error = Run::of("Nonsense", 10).err().unwrap();
        assert!(error.contains("`nonsense`") && error.contains("\n  A chain"), "{error}");
    }

    #[test]
    fn progress_says_what_is_left() {
        let text = progress(2, 5, Duration::from_secs(130));
        assert_eq!(text, "round 2 of 5 after 2:10 minutes, 3:15 minutes to go");
    }
}
