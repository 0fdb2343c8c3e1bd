//! The result: what `bench.json` holds, and what the page and the chart are made of.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::native::Part;
use crate::plan::{Section, Target, Variant, Whose};
use crate::spread::Spread;

/// All of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) rounds: u32,
    /// How long it took.
    pub(crate) seconds: u64,
    /// The part of the machine's time that others had meanwhile, from 0 to 1.
    pub(crate) others: f64,
    pub(crate) machine: Machine,
    pub(crate) sections: Vec<Measured>,
    /// The parts of the core, natively.
    pub(crate) core: Vec<Part>,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) section: String,
    pub(crate) about: String,
    /// Of each variant in each round.
    pub(crate) requests: u32,
    pub(crate) by_size: bool,
    pub(crate) variants: Vec<Row>,
}

/// A variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) variant: String,
    pub(crate) whose: Whose,
    /// Microseconds of CPU time per request.
    pub(crate) cpu_us: Spread,
    /// Of that, what no filter would not have cost, round by round.
    pub(crate) above_us: Spread,
    /// Milliseconds until it is ready for requests.
    pub(crate) ready_ms: Spread,
    /// Megabytes of memory, resident, after the requests.
    pub(crate) memory_mb: Spread,
    pub(crate) targets: Vec<Verdict>,
}

/// A target, and whether it is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// `above empty, µs`, `of jwt_authn`.
    pub(crate) measure: String,
    /// Nothing where it was a part of less than nothing: too little was measured.
    pub(crate) found: Option<Spread>,
    pub(crate) most: f64,
    /// Whether the median is at most that.
    pub(crate) held: bool,
}

/// What was read of a variant, a value for each round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    pub(crate) cpu_us: Vec<f64>,
    pub(crate) ready_ms: Vec<f64>,
    pub(crate) memory_mb: Vec<f64>,
}

impl Measured {
    /// What was measured of a section: the samples of its variants, in their order.
    pub(crate) fn of(name: &str, section: &Section, samples: &[Samples]) -> Self {
        let costs = Costs { variants: &section.variants, samples };
        let rows = section.variants.iter().zip(samples).map(|(variant, own)| {
            let spread = |values: &[f64]| Spread::of(values).expect("a number in each round");
            Row {
                variant: variant.name.to_owned(),
                whose: variant.whose,
                cpu_us: spread(&own.cpu_us),
                above_us: spread(&above(&own.cpu_us, costs.none())),
                ready_ms: spread(&own.ready_ms),
                memory_mb: spread(&own.memory_mb),
                targets: variant.targets.iter().map(|target| costs.judge(own, *target)).collect(),
            }
        });
        Self {
            section: name.to_owned(),
            about: section.about.to_owned(),
            requests: section.load.requests,
            by_size: section.by_size,
            variants: rows.collect(),
        }
    }

    /// The variant that the others are a part of: Envoy's own where it has one, else the empty filter.
    pub(crate) fn reference(&self) -> Option<&Row> {
        let of = |whose| self.variants.iter().find(|row| row.whose == whose);
        of(Whose::Envoy).or_else(|| of(Whose::Yardstick))
    }
}

/// What all variants of a section cost.
struct Costs<'a> {
    variants: &'a [Variant],
    samples: &'a [Samples],
}

impl<'a> Costs<'a> {
    /// What no filter cost, which is the first.
    fn none(&self) -> &'a [f64] {
        &self.samples[0].cpu_us
    }

    fn of(&self, name: &str) -> &'a [f64] {
        let place = self.variants.iter().position(|variant| variant.name == name);
        &self.samples[place.unwrap_or_else(|| panic!("no variant `{name}`"))].cpu_us
    }

    fn judge(&self, own: &Samples, target: Target) -> Verdict {
        let own = &own.cpu_us;
        let (measure, found, most) = match target {
            Target::Above(other, most) => {
                (format!("above {other}, µs"), above(own, self.of(other)), most)
            }
            Target::PartOf(other, most) => {
                (format!("of {other}"), part(own, self.of(other), self.none()), most)
            }
            Target::PartAbove(other, base, most) => {
                let found = part(own, self.of(other), self.of(base));
                (format!("of {other}, both above {base}"), found, most)
            }
        };
        let found = Spread::of(&found);
        let held = found.is_some_and(|found| found.median <= most);
        Verdict { measure, found, most, held }
    }
}

/// The differences, round by round.
fn above(own: &[f64], other: &[f64]) -> Vec<f64> {
    own.iter().zip(other).map(|(own, other)| own - other).collect()
}

/// The parts, round by round, both above `base`; no number where the whole is nothing.
fn part(own: &[f64], whole: &[f64], base: &[f64]) -> Vec<f64> {
    let pairs = above(own, base).into_iter().zip(above(whole, base));
    pairs.map(|(own, whole)| if whole > 0.0 { own / whole } else { f64::NAN }).collect()
}

#[cfg(test)]
pub(crate) mod test {
    use super::*;
    use crate::load::Load;
    use crate::machine::Module;

    /// A section of three rounds: no filter, an empty filter, Envoy's own, and ours with two targets.
    pub(crate) fn measured(by_size: bool) -> Measured {
        let setup = crate::plan::bare;
        let ours = Variant::ours("basic-auth", setup());
        let variants = vec![
            Variant::no_filter(),
            Variant::yardstick("empty", setup()),
            Variant::envoys("Envoy's <own>", setup()),
            ours.target(Target::Above("empty", 3.0)).target(Target::PartOf("Envoy's <own>", 1.0)),
            Variant::ours("the same, larger", setup()).target(Target::PartAbove(
                "basic-auth",
                "empty",
                1.1,
            )),
        ];
        let load = Load::same(&[], 10_000);
        let section =
            Section { by_size, ..Section::new("A password & its check.", load, variants) };
        let samples: Vec<_> = [
            [10.0, 11.0, 12.0],
            [12.0, 13.5, 14.0],
            [12.0, 13.0, 15.0],
            [14.0, 16.0, 17.0],
            [14.5, 16.0, 17.5],
        ]
        .map(|cpu_us| Samples {
            cpu_us: cpu_us.to_vec(),
            ready_ms: vec![200.0, 210.0, 230.0],
            memory_mb: vec![60.0, 60.5, 61.0],
        })
        .to_vec();
        Measured::of("A password", &section, &samples)
    }

    pub(crate) fn report() -> Report {
        let module = Module { name: "basic-auth".into(), bytes: 312_345, sha256: "ab".repeat(32) };
        Report {
            rounds: 3,
            seconds: 125,
            others: 0.012,
            machine: Machine {
                date: "2026-01-02".into(),
                commit: "0123456789ab".into(),
                cpu: "A CPU".into(),
                cores: 2,
                memory_gb: 25,
                kernel: "Linux 6.1.0".into(),
                envoy: "1.40.0 (Clean, RELEASE)".into(),
                rustc: "rustc 1.95.0".into(),
                wasm_opt: "wasm-opt version 108".into(),
                h2load: "h2load nghttp2/1.52.0".into(),
                load_average: 0.25,
                modules: vec![module],
            },
            sections: vec![measured(false), measured(true)],
            core: vec![Part { name: "path: plain".into(), nanoseconds: [80.0, 81.0, 82.5] }],
        }
    }

    #[test]
    fn costs_are_compared_round_by_round() {
        let section = measured(false);
        let ours = &section.variants[3];
        assert_eq!(ours.cpu_us.to_string(), "16.00 (15.00 to 16.50)");
        // 4, 5, 5.
        assert_eq!(ours.above_us.to_string(), "5.00 (4.50 to 5.00)");
        assert_eq!(section.variants[0].above_us.to_string(), "0.00 (0.00 to 0.00)");
    }

    #[test]
    fn a_target_is_held_by_the_median() {
        let section = measured(false);
        let verdicts = |row: usize| {
            let targets = section.variants[row].targets.iter();
            let shown = targets.map(|verdict| {
                let found = verdict.found.map(|found| found.to_string()).unwrap_or_default();
                format!("{}: {found}, {}", verdict.measure, verdict.held)
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(
            verdicts(3),
            [
                // 2, 2.5, 3; and 4 of 2, 5 of 2, 5 of 3.
                "above empty, µs: 2.50 (2.25 to 2.75), true",
                "of Envoy's <own>: 2.00 (1.83 to 2.25), false",
            ]
        );
        // 2.5 of 2, 2.5 of 2.5, 3.5 of 3.
        assert_eq!(verdicts(4), ["of basic-auth, both above empty: 1.17 (1.08 to 1.21), false"]);
    }

    #[test]
    fn a_part_of_nothing_is_no_target_held() {
        // Of nothing in one round; of less than nothing in both.
        for whole in [[6.0, 3.0], [3.0, 2.0]] {
            assert!(Spread::of(&part(&[5.0, 4.0], &whole, &[4.0, 3.0])).is_none(), "{whole:?}");
        }
    }

    #[test]
    fn the_reference_is_what_envoy_has_itself() {
        let mut section = measured(false);
        assert_eq!(section.reference().unwrap().variant, "Envoy's <own>");
        section.variants.remove(2);
        assert_eq!(section.reference().unwrap().variant, "empty");
        section.variants.remove(1);
        assert_eq!(section.reference(), None);
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let text = serde_json::to_string_pretty(&report()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    }
}
