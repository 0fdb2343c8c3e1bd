//! `gatehouse drain`: ends an Envoy without ending its requests.
//!
//! 1. `/healthcheck/fail`: load balancers are told to send no more; `/drain_listeners?graceful`: clients
//!    are told to go elsewhere, one answer after the other, and listeners close at the end of Envoy's
//!    own `--drain-time-s`.
//! 2. It is drained when no connection is open, or when no request is under way and none has come for
//!    `--quiet`: what is idle then is kept open by clients who ask for nothing.
//! 3. The administration's own connections do not count, but say that there are statistics: without any,
//!    nothing is begun.
//! 4. What has begun goes on, whichever call fails, until the time is over. No call takes longer than what is
//!    left of it, or a second.
//! 5. Then `/quitquitquit`, but for `--keep`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU16;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::arguments::DrainArguments;
use crate::output::{self, Failure, GREEN, Outcome, YELLOW};

/// How often Envoy is asked.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long it may take to answer at most, and however little of the time is left.
const PATIENCE: Duration = Duration::from_secs(5);
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// `^http\..+\.downstream_(rq_active|cx_active|rq_total)$`.
const STATISTICS: &str =
    "/stats?filter=%5Ehttp%5C..%2B%5C.downstream_%28rq_active%7Ccx_active%7Crq_total%29%24";

/// Drains the Envoy of the command line.
pub(crate) fn run(arguments: &DrainArguments) -> Result<Outcome, Failure> {
    let admin =
        Admin::new(&arguments.admin).map_err(|why| Failure::because(format!("--admin: {why}")))?;
    let begin = Instant::now();
    let left = || arguments.wait.saturating_sub(begin.elapsed());
    let mut last = admin.traffic(left()).map_err(Failure::Because)?;
    let mut drain = Drain { quiet: arguments.quiet, total: last.total, since: begin };
    admin.post("/healthcheck/fail", left()).map_err(Failure::Because)?;
    let mut progress = Progress { is_terminal: io::stderr().is_terminal() };
    let mut is_told = false;
    let outcome = loop {
        match step(&admin, &mut is_told, left) {
            Ok(traffic) => {
                last = traffic;
                progress.show(&traffic, begin.elapsed());
                if drain.is_over(&traffic, Instant::now()) {
                    break Ok(());
                }
                if left().is_zero() {
                    break Err(None);
                }
            }
            // It may be well the next time.
            Err(_) if !left().is_zero() => {}
            Err(why) => break Err(Some(why)),
        }
        sleep(INTERVAL.min(left()));
    };
    progress.end(&outcome, begin.elapsed(), &last);
    if !arguments.keep {
        admin.post("/quitquitquit", PATIENCE).map_err(Failure::Because)?;
    }
    Ok(if outcome.is_ok() { Outcome::Well } else { Outcome::Unwell })
}

/// Tells the listeners, until they have heard it, and asks what is under way.
fn step(admin: &Admin, is_told: &mut bool, left: impl Fn() -> Duration) -> Result<Traffic, String> {
    if !*is_told {
        admin.post("/drain_listeners?graceful", left())?;
        *is_told = true;
    }
    admin.traffic(left())
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Traffic {
    requests: u64,
    connections: u64,
    /// How many requests ever came.
    total: u64,
}

impl Traffic {
    /// Of the page of statistics: `http.main.downstream_rq_active: 1`. `None` where it has not all three of
    /// a connection manager, or none of any, or what is no number: then nobody knows what is under way.
    fn parse(page: &str) -> Option<Self> {
        let mut traffic = Self::default();
        let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in page.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            let Some((prefix, name)) = name.rsplit_once('.') else { continue };
            let number = match name {
                "downstream_rq_active" => &mut traffic.requests,
                "downstream_cx_active" => &mut traffic.connections,
                "downstream_rq_total" => &mut traffic.total,
                _ => continue,
            };
            if !prefix.starts_with("http.") {
                continue;
            }
            let value = value.trim().parse().ok()?;
            seen.entry(prefix).or_default().insert(name);
            if prefix != "http.admin" {
                *number = number.saturating_add(value);
            }
        }
        let is_whole = !seen.is_empty() && seen.values().all(|names| names.len() == 3);
        is_whole.then_some(traffic)
    }
}

/// When it is over.
struct Drain {
    quiet: Duration,
    /// How many requests had come when the last one came, and when that was.
    total: u64,
    since: Instant,
}

impl Drain {
    fn is_over(&mut self, traffic: &Traffic, now: Instant) -> bool {
        if traffic.requests > 0 || traffic.total != self.total {
            (self.total, self.since) = (traffic.total, now);
        }
        let is_quiet = now.saturating_duration_since(self.since) >= self.quiet;
        traffic.requests == 0 && (traffic.connections == 0 || is_quiet)
    }
}

/// Envoy's administration.
struct Admin {
    agent: Agent,
    address: String,
}

impl Admin {
    /// Envoy's administration at `host:port`. Why it can be none does not say what was written: that may hold
    /// a password.
    fn new(address: &str) -> Result<Self, &'static str> {
        let address = address.strip_prefix("http://").unwrap_or(address);
        let address = address.strip_suffix('/').unwrap_or(address);
        if address.contains("://") {
            return Err("Envoy's administration speaks `http` alone");
        }
        if address.contains('@') {
            return Err("Envoy's administration knows no name and password");
        }
        if address.contains(['/', '?', '#']) {
            return Err("is `host:port`, with no path");
        }
        let is_port = |port: &str| port.parse::<NonZeroU16>().is_ok();
        let (host, _) = address
            .rsplit_once(':')
            .filter(|(_, port)| is_port(port))
            .ok_or("has no port, as in `127.0.0.1:9901`")?;
        let is_bare = |host: &str| host.contains(':') && !host.starts_with('[');
        if host.is_empty() || is_bare(host) {
            return Err("has no host, as in `127.0.0.1:9901` or `[::1]:9901`");
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Who is asked is who is named.
            .max_redirects(0)
            .proxy(None)
            .build();
        Ok(Self { agent: config.into(), address: address.to_owned() })
    }

    fn traffic(&self, left: Duration) -> Result<Traffic, String> {
        let request = self.agent.get(self.url(STATISTICS));
        let answer = request.config().timeout_global(Some(patience(left))).build().call();
        let page = self.body("/stats", answer)?;
        Traffic::parse(&page).ok_or_else(|| {
            self.because(
                "/stats",
                &"no statistics of its connection managers, which `stats_matcher` has to let be",
            )
        })
    }

    fn post(&self, path: &str, left: Duration) -> Result<(), String> {
        let request = self.agent.post(self.url(path));
        let answer = request.config().timeout_global(Some(patience(left))).build().send_empty();
        self.body(path, answer).map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn body(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, String> {
        let mut answer = answer.map_err(|error| self.because(path, &error))?;
        if answer.status() != 200 {
            return Err(self.because(path, &answer.status()));
        }
        answer.body_mut().read_to_string().map_err(|error| self.because(path, &error))
    }

    fn because(&self, path: &str, why: &dyn Display) -> String {
        format!("Envoy at {}, {path}: {why}", self.address)
    }
}

/// How long a call may take.
fn patience(left: Duration) -> Duration {
    left.clamp(LEAST_PATIENCE, PATIENCE)
}

/// What people see of it.
struct Progress {
    is_terminal: bool,
}

impl Progress {
    fn show(&mut self, traffic: &Traffic, elapsed: Duration) {
        if self.is_terminal {
            let Traffic { requests, connections, .. } = traffic;
            let mut err = io::stderr().lock();
            let secs = elapsed.as_secs();
            // Progress that cannot be shown is no reason to stop.
            drop(write!(
                err,
                "\r\x1b[Kdraining for {secs} s: {requests} requests, {connections} connections"
            ));
            drop(err.flush());
        }
    }

    fn end(&mut self, outcome: &Result<(), Option<String>>, elapsed: Duration, traffic: &Traffic) {
        if self.is_terminal {
            drop(io::stderr().write_all(b"\r\x1b[K"));
        }
        let secs = elapsed.as_secs_f32();
        let Traffic { requests, connections, .. } = traffic;
        match outcome {
            Ok(()) => output::remark(format_args!(
                "{GREEN}drained{GREEN:#} in {secs:.1} s, {connections} idle connections left"
            )),
            Err(None) => output::remark(format_args!(
                "{YELLOW}not drained{YELLOW:#} in {secs:.1} s: {requests} requests, {connections} connections left"
            )),
            Err(Some(why)) => {
                output::remark(format_args!("{YELLOW}not drained{YELLOW:#} in {secs:.1} s: {why}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_managers_count_but_for_the_administrations_own() {
        let of = |manager: &str, [requests, connections, total]: [u64; 3]| {
            format!(
                "http.{manager}.downstream_rq_active: {requests}\n\
                 http.{manager}.downstream_cx_active: {connections}\n\
                 http.{manager}.downstream_rq_total: {total}\n"
            )
        };
        let admin = of("admin", [1, 1, 9]);
        let page = format!(
            "{admin}{}{}listener.x.downstream_cx_active: 7\nnonsense\n",
            of("a.b", [2, 0, 0]),
            of("c", [3, 4, 9])
        );
        let traffic = Traffic { requests: 5, connections: 4, total: 9 };
        assert_eq!(Traffic::parse(&page), Some(traffic));
        assert_eq!(Traffic::parse(&admin), Some(Traffic::default()));
    }

    #[test]
    fn without_statistics_nothing_is_known() {
        for page in [
            "",
            "<html>",
            "listener.x.downstream_cx_active: 7",
            "http.a.downstream_rq_active: 0",
            "http.a.downstream_rq_active: 0\nhttp.a.downstream_rq_total: 0\nhttp.b.downstream_cx_active: 0",
        ] {
            assert_eq!(Traffic::parse(page), None, "{page}");
        }
    }

    #[test]
    fn idle_connections_are_waited_for_until_it_is_quiet() {
        let begin = Instant::now();
        let after = |secs| begin + Duration::from_secs(secs);
        let mut drain = Drain { quiet: Duration::from_secs(5), total: 1, since: begin };
        let traffic = |requests, connections, total| Traffic { requests, connections, total };
        assert!(!drain.is_over(&traffic(1, 1, 1), after(1)));
        assert!(!drain.is_over(&traffic(0, 1, 1), after(5)));
        assert!(!drain.is_over(&traffic(0, 1, 2), after(7)));
        assert!(!drain.is_over(&traffic(0, 1, 2), after(11)));
        assert!(drain.is_over(&traffic(0, 1, 2), after(12)));
        assert!(drain.is_over(&traffic(0, 0, 3), after(13)));
    }
}
