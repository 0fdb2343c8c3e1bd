//! The result, for people and for programs.

use std::process::Command;

use serde_json::{Value, json};

use crate::{Section, Target};

/// First quartile, median, third quartile.
type Quartiles = [f64; 3];

/// Prints what was measured, and returns it. `costs` has a list for each variant of each section.
pub(crate) fn report(sections: &[Section], costs: &[Vec<Vec<f64>>], rounds: u32) -> Value {
    println!("\n{rounds} rounds; {}", machine());
    println!("microseconds of CPU time per request:");
    let sections: Vec<_> =
        sections.iter().zip(costs).map(|(section, costs)| of_section(section, costs)).collect();
    json!({"unit": "microseconds of CPU time per request: first quartile, median, third quartile",
        "machine": machine(), "rounds": rounds, "sections": sections})
}

fn of_section(section: &Section, costs: &[Vec<f64>]) -> Value {
    println!("\n{}, {} requests", section.name, section.load.requests);
    println!("{:32} {:>7} {:>24}", "", "all", "above no filter");
    let mut rows = Vec::new();
    for (variant, own) in section.variants.iter().zip(costs) {
        let (all, above) = (quartiles(own.clone()), quartiles(above(own, &costs[0])));
        println!("{:32} {:7.2} {:>24}", variant.name, all[1], text(above));
        let targets = variant.targets.iter().map(|target| target.check(own, section, costs));
        rows.push(json!({
            "variant": variant.name, "cpu": all, "above_no_filter": above,
            "targets": targets.collect::<Vec<_>>(),
        }));
    }
    json!({"section": section.name, "requests": section.load.requests, "variants": rows})
}

impl Target {
    /// Prints whether `own` is within the target, and returns it.
    fn check(self, own: &[f64], section: &Section, costs: &[Vec<f64>]) -> Value {
        let of = |name: &str| {
            let place = section.variants.iter().position(|variant| variant.name == name);
            costs[place.expect("a variant of the section")].as_slice()
        };
        let (found, most, what) = match self {
            Self::Above(other, most) => (above(own, of(other)), most, format!("above {other}")),
            Self::PartOf(other, most) => {
                let (own, whole) = (above(own, &costs[0]), above(of(other), &costs[0]));
                let parts = own.iter().zip(whole).map(|(own, whole)| own / whole).collect();
                (parts, most, format!("of {other}"))
            }
        };
        let found = quartiles(found);
        let verdict = if found[1] <= most { "within" } else { "ABOVE" };
        println!("{:8}{} {what}: {verdict} its target of {most}", "", text(found));
        json!({"measure": what, "found": found, "most": most})
    }
}

/// The differences, round by round.
fn above(own: &[f64], other: &[f64]) -> Vec<f64> {
    own.iter().zip(other).map(|(own, other)| own - other).collect()
}

fn text([low, middle, high]: Quartiles) -> String {
    format!("{middle:.2} ({low:.2} to {high:.2})")
}

fn quartiles(mut values: Vec<f64>) -> Quartiles {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [values[last / 4], values[last / 2], values[(last * 3).div_ceil(4)]]
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("an unknown CPU");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{model}, {cores} cores, Envoy {}", envoy_version())
}

fn envoy_version() -> String {
    let program = std::env::var("ENVOY").unwrap_or_else(|_| "envoy".to_owned());
    let output = Command::new(program).arg("--version").output();
    let said = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    said.split('/').rev().nth(3).unwrap_or("of an unknown version").to_owned()
}
