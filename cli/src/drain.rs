//! `gatehouse drain`: ends an Envoy without ending its requests.
//!
//! 1. `/healthcheck/fail`: load balancers are told to send no more; `/drain_listeners?graceful`: clients
//!    are told to go elsewhere, one answer after the other, and listeners close at the end of Envoy's
//!    own `--drain-time-s`.
//! 2. It is drained when no connection is open, or when no request is under way and none has come for
//!    `--quiet`: what is idle then is kept open by clients who ask for nothing.
//! 3. The administration's own connections do not count.
//! 4. Then, or when the time is over, `/quitquitquit`, but for `--keep`.

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::arguments::DrainArguments;
use crate::output::{self, Failure, GREEN, Outcome, YELLOW};

/// How often Envoy is asked.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// `^http\..+\.downstream_(rq_active|cx_active|rq_total)$`.
const STATISTICS: &str =
    "/stats?filter=%5Ehttp%5C..%2B%5C.downstream_%28rq_active%7Ccx_active%7Crq_total%29%24";

/// Drains the Envoy of the command line.
pub(crate) fn run(arguments: &DrainArguments) -> Result<Outcome, Failure> {
    let admin = Admin::new(&arguments.admin);
    let begin = Instant::now();
    let mut drain = Drain { quiet: arguments.quiet, total: admin.traffic()?.total, since: begin };
    admin.post("/healthcheck/fail")?;
    admin.post("/drain_listeners?graceful")?;
    let mut progress = Progress { is_terminal: io::stderr().is_terminal() };
    let outcome = loop {
        let traffic = admin.traffic()?;
        let now = Instant::now();
        progress.show(&traffic, now.saturating_duration_since(begin));
        if drain.is_over(&traffic, now) {
            break Outcome::Well;
        }
        if now.saturating_duration_since(begin) >= arguments.wait {
            break Outcome::Unwell;
        }
        sleep(INTERVAL.min(arguments.wait));
    };
    progress.end(outcome, begin.elapsed(), &admin.traffic()?);
    if !arguments.keep {
        admin.post("/quitquitquit")?;
    }
    Ok(outcome)
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
    /// Of the page of statistics: `http.main.downstream_rq_active: 1`.
    fn parse(page: &str) -> Self {
        let mut traffic = Self::default();
        for line in page.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            let Some((prefix, name)) = name.rsplit_once('.') else { continue };
            let number = match name {
                "downstream_rq_active" => &mut traffic.requests,
                "downstream_cx_active" => &mut traffic.connections,
                "downstream_rq_total" => &mut traffic.total,
                _ => continue,
            };
            if prefix.starts_with("http.") && prefix != "http.admin" {
                *number = number.saturating_add(value.trim().parse().unwrap_or_default());
            }
        }
        traffic
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
    fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let address = address.trim_end_matches('/').trim_start_matches("http://").to_owned();
        Self { agent: config.into(), address }
    }

    fn traffic(&self) -> Result<Traffic, Failure> {
        let answer = self.agent.get(self.url(STATISTICS)).call();
        Ok(Traffic::parse(&self.body("/stats", answer)?))
    }

    fn post(&self, path: &str) -> Result<(), Failure> {
        self.body(path, self.agent.post(self.url(path)).send_empty()).map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn body(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, Failure> {
        let because = |why: &dyn std::fmt::Display| {
            Failure::because(format!("Envoy at {}, {path}: {why}", self.address))
        };
        let mut answer = answer.map_err(|error| because(&error))?;
        if answer.status() != 200 {
            return Err(because(&answer.status()));
        }
        answer.body_mut().read_to_string().map_err(|error| because(&error))
    }
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

    fn end(&mut self, outcome: Outcome, elapsed: Duration, traffic: &Traffic) {
        if self.is_terminal {
            drop(io::stderr().write_all(b"\r\x1b[K"));
        }
        let secs = elapsed.as_secs_f32();
        let Traffic { requests, connections, .. } = traffic;
        match outcome {
            Outcome::Well => output::remark(format_args!(
                "{GREEN}drained{GREEN:#} in {secs:.1} s, {connections} idle connections left"
            )),
            Outcome::Unwell => output::remark(format_args!(
                "{YELLOW}not drained{YELLOW:#} in {secs:.1} s: {requests} requests, {connections} connections left"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_managers_count_but_for_the_administrations_own() {
        let page = "http.admin.downstream_rq_active: 1\nhttp.a.b.downstream_rq_active: 2\n\
                    http.c.downstream_rq_active: 3\nhttp.c.downstream_cx_active: 4\n\
                    http.c.downstream_rq_total: 9\nlistener.x.downstream_cx_active: 7\nnonsense\n";
        assert_eq!(Traffic::parse(page), Traffic { requests: 5, connections: 4, total: 9 });
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
