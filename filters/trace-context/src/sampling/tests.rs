//! The samplers over time, on a clock that the tests set.

#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use shared::testing::Proxy;
use shared::trace::ids::Ids;

use super::*;

/// Workers under one proxy, each with a sampler of its own.
struct Workers {
    proxy: Proxy,
    samplers: Vec<Samplers>,
    ids: Ids,
}

impl Workers {
    fn new(count: usize) -> Self {
        let samplers = (0..count).map(|_| Samplers::new("test".into())).collect();
        Self { proxy: Proxy::default(), samplers, ids: Ids::new([9; 16]) }
    }

    /// How many of so many requests a second are recorded, in so many seconds.
    fn run(&mut self, rate: f64, requests: u32, seconds: u32) -> usize {
        let pause = Duration::from_secs(1) / requests;
        let mut recorded = 0;
        for request in 0..requests * seconds {
            self.proxy.pass(pause);
            let worker = request as usize % self.samplers.len();
            recorded += usize::from(self.one(worker, rate));
        }
        recorded
    }

    fn one(&mut self, worker: usize, rate: f64) -> bool {
        let now = shared::view::Request::new(&self.proxy).now();
        let trace_id = self.ids.trace_id();
        self.samplers[worker].decide(rate, trace_id, now, Store::new(&self.proxy))
    }
}

#[track_caller]
fn check(workers: usize, rate: f64, requests: u32, least: usize, most: usize) {
    let mut workers = Workers::new(workers);
    workers.run(rate, requests, 10);
    let recorded = workers.run(rate, requests, 100);
    assert!((least..=most).contains(&recorded), "{recorded} in 100 seconds");
}

#[test]
fn so_many_a_second_are_recorded_whatever_comes() {
    check(1, 2.0, 100, 150, 210);
    check(1, 2.0, 2000, 150, 210);
    check(1, 20.0, 1000, 1700, 2010);
    check(1, 0.5, 100, 30, 60);
}

#[test]
fn the_workers_share_the_budget() {
    check(4, 2.0, 100, 150, 210);
    check(16, 2.0, 1000, 150, 210);
}

#[test]
fn where_fewer_come_all_are_recorded() {
    check(1, 2.0, 1, 100, 100);
    check(4, 100.0, 10, 1000, 1000);
}

#[test]
fn a_rush_records_no_more_than_the_budget() {
    let mut workers = Workers::new(4);
    workers.run(2.0, 1, 30);
    let rush = workers.run(2.0, 10_000, 1);
    assert!((1..=12).contains(&rush), "{rush}");
    let after = workers.run(2.0, 10_000, 10);
    assert!((10..=22).contains(&after), "{after}");
}

#[test]
fn after_a_pause_it_begins_anew() {
    let mut workers = Workers::new(2);
    workers.run(2.0, 1000, 10);
    workers.proxy.pass(Duration::from_secs(3600));
    assert!(workers.one(0, 2.0) && workers.one(1, 2.0));
}

#[test]
fn every_place_in_a_second_has_the_same_chance() {
    // A page and nine parts of it, all at once, every second: the page comes first, and has no more
    // of the traces than one of ten.
    let mut workers = Workers::new(1);
    let mut first = 0;
    let mut all = 0;
    for _ in 0..1000 {
        workers.proxy.pass(Duration::from_secs(1));
        for part in 0..10 {
            let recorded = usize::from(workers.one(0, 2.0));
            all += recorded;
            first += if part == 0 { recorded } else { 0 };
        }
    }
    assert!((1600..2010).contains(&all), "{all}");
    assert!((all / 20..all / 5).contains(&first), "{first} of {all}");
}

#[test]
fn a_clock_that_jumps_does_no_harm() {
    let mut workers = Workers::new(2);
    workers.run(2.0, 1000, 5);
    workers.proxy.set_now(Timestamp::from_secs(100));
    let recorded = workers.run(2.0, 1000, 10);
    assert!((10..=32).contains(&recorded), "{recorded}");
}

#[test]
fn without_a_store_each_worker_counts_for_itself() {
    let mut workers = Workers::new(2);
    workers.proxy.lose_races(usize::MAX);
    workers.run(2.0, 100, 10);
    let recorded = workers.run(2.0, 100, 100);
    assert!((300..=420).contains(&recorded), "{recorded}");
}

#[test]
fn whatever_stands_in_the_slot_is_no_more_than_a_new_beginning() {
    for bytes in [vec![], vec![0; 39], vec![0; 41], vec![255; 40], vec![0x7f; 40]] {
        let mut workers = Workers::new(1);
        workers.run(2.0, 1, 1);
        let slot = format!("test/sampled/{:x}", 2.0_f64.to_bits());
        let _ = Store::new(&workers.proxy).update(&slot, |_| Change::Replace(bytes.clone(), ()));
        let recorded = workers.run(2.0, 100, 10);
        assert!((5..=32).contains(&recorded), "{recorded}");
    }
}

#[test]
fn a_ratio_goes_by_the_trace_id() {
    let mut ids = Ids::new([4; 16]);
    let drawn: Vec<_> = (0..10_000).map(|_| ids.trace_id()).collect();
    let among = |ratio: f64| drawn.iter().filter(|id| is_among(**id, ratio)).count();
    assert!((900..1100).contains(&among(0.1)) && (4800..5200).contains(&among(0.5)));
    assert_eq!((among(1.0), among(1e-18)), (10_000, 0));
    // What is among a smaller part is among a larger one.
    assert!(drawn.iter().all(|id| !is_among(*id, 0.1) || is_among(*id, 0.2)));
    // The last 56 bits alone count, the greatest numbers first.
    for (number, ratio, among) in
        [(1_u128 << 120, 0.99, false), (0x80 << 48, 0.5, true), (0x7f << 48, 0.5, false)]
    {
        assert_eq!(is_among(TraceId::new(number).unwrap(), ratio), among, "{number:x}");
    }
}
