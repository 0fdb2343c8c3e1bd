//! What people are told: a row every minute, and what came of it all at the end.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::classes::{CLASSES, What};
use crate::memory::{BOUND, MIB, Sample, course};
use crate::world::{Target, World};

pub(crate) fn begin(world: &World, minutes: f64, rate: f64) {
    let cores = thread::available_parallelism().map_or(0, NonZeroUsize::get);
    let about = world.targets.first().map(|target| target.envoy.page("/server_info"));
    let about: Value = serde_json::from_str(&about.unwrap_or_default()).unwrap_or_default();
    println!("Envoy {}, on {cores} cores", about["version"].as_str().unwrap_or_default());
    println!("{minutes} minutes, {rate} requests per second, two Envoys of two workers each\n");
    println!(
        "{:>6}  {:22} {:>9} {:>6} {:>13} {:>13} {:>4}",
        "minute", "Envoy", "requests", "wrong", "resident MiB", "allocated MiB", "VMs"
    );
}

/// The newest sample of each Envoy.
pub(crate) fn row(world: &World) {
    for target in &world.targets {
        let samples = target.samples.lock().expect("not poisoned");
        let Some(sample) = samples.last() else { continue };
        let verdicts = target.verdicts.lock().expect("not poisoned");
        println!(
            "{:>6.1}  {:22} {:>9} {:>6} {:>13.1} {:>13.1} {:>4}",
            sample.at.as_secs_f64() / 60.0,
            target.name,
            verdicts.all(),
            verdicts.wrong_count,
            sample.resident as f64 / MIB,
            sample.allocated as f64 / MIB,
            sample.machines,
        );
    }
}

/// Whether all was well.
pub(crate) fn end(world: &World, length: Duration) -> bool {
    let mut faults = Vec::new();
    for target in &world.targets {
        verdicts(target, &mut faults);
    }
    println!(
        "\n{:22} {:10} {:>9} {:>9} {:>9} {:>9}",
        "memory, MiB", "", "first", "last", "most", "per hour"
    );
    for target in &world.targets {
        memory(target, length, &mut faults);
    }
    println!();
    for target in &world.targets {
        machines(world, target, &mut faults);
    }
    println!();
    for fault in &faults {
        println!("WRONG: {fault}");
    }
    println!("{}", if faults.is_empty() { "All is well." } else { "Not all is well." });
    faults.is_empty()
}

fn verdicts(target: &Target, faults: &mut Vec<String>) {
    let verdicts = target.verdicts.lock().expect("not poisoned");
    println!("\n{:34} {:>9}  {:24} {:>8}", target.name, "requests", "answers", "upstream");
    for class in CLASSES {
        let statuses = verdicts.statuses.get(class.name).cloned().unwrap_or_default();
        let sent: u64 = statuses.values().sum();
        let said = |(status, count): (&u16, &u64)| match status {
            0 => format!("none: {count}"),
            status => format!("{status}: {count}"),
        };
        let said: Vec<_> = statuses.iter().map(said).collect();
        let arrived = target.arrived(class.name);
        println!("{:34} {sent:>9}  {:24} {arrived:>8}", class.name, said.join(", "));
        if matches!(class.what, What::Abandoned(_)) {
            continue;
        }
        let passed = verdicts.passed.get(class.name).copied().unwrap_or_default();
        if passed != arrived {
            let name = class.name;
            faults.push(format!(
                "{}: `{name}`: {passed} were let through, {arrived} came to the upstream",
                target.name
            ));
        }
        if sent == 0 {
            faults.push(format!("{}: `{}` was never sent", target.name, class.name));
        }
    }
    if verdicts.wrong_count > 0 {
        faults.push(format!("{}: {} wrong answers, such as", target.name, verdicts.wrong_count));
        faults.extend(verdicts.wrong.iter().cloned());
    }
}

/// A kind of memory.
type Of = fn(&Sample) -> u64;

fn memory(target: &Target, length: Duration, faults: &mut Vec<String>) {
    let samples = target.samples.lock().expect("not poisoned");
    let kinds: [(_, Of); 2] =
        [("resident", |sample| sample.resident), ("allocated", |sample| sample.allocated)];
    for (kind, of) in kinds {
        let Some(course) = course(&samples, length, of) else {
            faults.push(format!("{}: too short to judge", target.name));
            continue;
        };
        println!(
            "{:22} {kind:10} {:>9.1} {:>9.1} {:>9.1} {:>+9.2}",
            target.name,
            course.first / MIB,
            course.last / MIB,
            course.most / MIB,
            course.slope / MIB
        );
        if !course.is_flat {
            faults.push(format!(
                "{}: {kind} memory grows by {:.1} MiB an hour, and may by {:.1}",
                target.name,
                course.slope / MIB,
                BOUND / MIB
            ));
        }
    }
}

fn machines(world: &World, target: &Target, faults: &mut Vec<String>) {
    let reloads: u64 = target.envoy.stats(".vm_reload").into_iter().map(|(_, count)| count).sum();
    let (taken, refused) = target.updates();
    let changes = world.changes() * target.plugins();
    println!(
        "{:22} VMs loaded again: {reloads}; changes of configuration: {changes}, refused: {refused}",
        target.name
    );
    if reloads > 0 {
        faults.push(format!("{}: a VM was loaded again", target.name));
    }
    // The first configuration of each plugin is one, too.
    if refused > 0 || taken < changes {
        faults.push(format!("{}: {taken} changes were taken, {refused} refused", target.name));
    }
}
