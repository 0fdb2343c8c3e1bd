//! Whether the machine had anything else to do meanwhile.

use std::fs;
use std::time::{Duration, Instant};

/// From this part of the machine's time on, others had so much of it that the result says so.
pub(crate) const NOISY: f64 = 0.05;

/// A span of time.
pub(crate) struct Watch {
    began: Instant,
    machine: Ticks,
    own: u64,
}

/// What the machine's CPUs have done since it started, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ticks {
    /// For programs, or taken away by the machine that it runs on.
    busy: u64,
    all: u64,
}

impl Watch {
    /// One that begins now, while no child runs: their time counts when they have ended.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), machine: Ticks::now(), own: own_now() }
    }

    /// The part of the machine's time that others had since, from 0 to 1, while no child runs.
    pub(crate) fn others(&self) -> f64 {
        part_of_others(self.machine, Ticks::now(), own_now().saturating_sub(self.own))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

fn part_of_others(before: Ticks, after: Ticks, own: u64) -> f64 {
    let all = after.all.saturating_sub(before.all);
    let others = after.busy.saturating_sub(before.busy).saturating_sub(own);
    if all == 0 { 0.0 } else { others as f64 / all as f64 }
}

impl Ticks {
    fn now() -> Self {
        Self::of(&fs::read_to_string("/proc/stat").unwrap_or_default()).unwrap_or_default()
    }

    /// Of the first line of `/proc/stat` (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal.
    /// The packets of the loopback, which are ours, may be among the interrupts: those are left out.
    fn of(stat: &str) -> Option<Self> {
        let mut words = stat.lines().next()?.split_whitespace();
        let _ = words.next().filter(|word| *word == "cpu")?;
        let ticks: Vec<u64> = words.filter_map(|word| word.parse().ok()).take(8).collect();
        let [user, nice, system, .., steal] = ticks[..] else { return None };
        Some(Self { busy: user + nice + system + steal, all: ticks.iter().sum() })
    }
}

/// The ticks of this process and of its children that have ended.
fn own_now() -> u64 {
    own(&fs::read_to_string("/proc/self/stat").unwrap_or_default()).unwrap_or_default()
}

/// Of `/proc/self/stat`: utime, stime, cutime and cstime, the 14th field to the 17th. The second one is a
/// name in parentheses, which may contain anything.
fn own(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(11).take(4);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

/// How busy the machine was, on average, in the last minute.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn reads_the_ticks_of_the_machine() {
        let ticks = Ticks::of("cpu  100 20 30 400 5 6 7 8 0 0\ncpu0 1 2 3 4\n");
        assert_eq!(ticks, Some(Ticks { busy: 158, all: 576 }));
        for bad in ["", "intr 5", "cpu 1 2 3"] {
            assert_eq!(Ticks::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_its_own_ticks_behind_any_name() {
        let line = "7 (a) 1 2) R 1 2 3 4 5 6 7 8 9 10 100 20 3000 400 17 18";
        assert_eq!(own(line), Some(3520));
        assert_eq!(own("7 (a) R"), Some(0));
        assert_eq!(own(""), None);
    }

    #[test]
    fn others_are_whoever_is_not_us() {
        let (before, after) = (Ticks { busy: 100, all: 1000 }, Ticks { busy: 160, all: 1200 });
        assert_eq!(part_of_others(before, after, 40), 0.1);
        assert_eq!(part_of_others(before, after, 100), 0.0);
        assert_eq!(part_of_others(before, before, 0), 0.0);
    }

    #[test]
    fn this_machine_can_be_read() {
        let watch = Watch::begin();
        assert!(watch.machine.all > watch.machine.busy && watch.machine.busy > 0);
        assert!((0.0..=1.0).contains(&watch.others()));
    }
}
