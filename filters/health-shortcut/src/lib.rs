//! Health probes, answered at the proxy in the shape that Clue gives.
//!
//! 1. A request whose path, but for the query, is exactly that of an endpoint is answered here and
//!    never reaches the upstream. Nothing is decoded or normalised for the comparison: `/healthz/`
//!    is another path than `/healthz`. Every other request goes on, at the cost of one look at its
//!    path.
//! 2. GET and HEAD are answered; any other method gets 405.
//! 3. `liveness` is 200 as long as the proxy can say so, and knows no dependencies: to restart a
//!    service does not bring back its database.
//! 4. `readiness` is 503 while a dependency that is `required` is not OK, and lists those.
//! 5. `dependencies` is 503 while any dependency is not OK, and lists all.
//! 6. A dependency is OK if the last ping was answered in time with a status of 200 to 299, and not
//!    too long ago. Before the first answer it is not OK, nor where the proxy shares no data.
//! 7. Pings are sent in the background, one at each interval for all workers together. No probe
//!    waits for one.
//! 8. The body is JSON, or XML where `Accept` says that XML is liked better. Nobody keeps it:
//!    `cache-control: no-store`.
//! 9. `mode: off` lets probes go on to the upstream; `mode: shadow` counts the answer, too.
//! 10. `answer: upstream` lets a probe go on as one: the filter state `gatehouse.probe` says so, and no
//!     filter of ours behind this one refuses or holds it, whatever it lacks; none logs or counts it.
//! 11. `draining` asks the proxy's own administration whether it serves: the dependency `proxy`, which
//!     readiness requires. From `/healthcheck/fail` on, as `gatehouse drain` says it, the answer is no.
//! 12. With `grpc`, a `Check` of `grpc.health.v1.Health` is answered too, by the same state (`grpc.rs`): on a
//!     listener of the proxy's own, since Envoy lets no filter send a message in answer to a request of
//!     gRPC. On its way there it is a probe as any other. One that is on its way elsewhere is none.
//!
//! A report names the dependencies to whoever may send the request: keep the paths from the
//! outside, or offer only `liveness` there.

#![forbid(unsafe_code)]

mod accept;
mod config;
mod dependencies;
mod grpc;
mod report;
mod results;
mod services;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use shared::config::{Invalid, Layers, Mode, Scope};
use shared::driver::PROBE;
use shared::effects::Effects;
use shared::filter::{Answer, Background, Birth, Filter, Flow, Plugin, WholeBody};
use shared::headers::Sole;
use shared::reply::{Refusal, Reply};
use shared::view::Request;

use config::Endpoint;
pub use config::{Config, Settings};
use dependencies::Dependencies;
use grpc::{Method, Verdict};
use report::{Format, Health, Kind};
use services::Services;

/// The plugin: what it answers, and the dependencies that it watches.
pub struct HealthShortcut {
    endpoints: Vec<Endpoint>,
    version: Option<String>,
    dependencies: Dependencies,
    grpc: Option<Services>,
}

impl Plugin for HealthShortcut {
    const NAME: &'static str = "health-shortcut";
    const LETS_PROBES_PASS: bool = false;
    type Config = Config;
    type Settings = Settings;
    type Filter = Probe;

    fn new(config: Config, _: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let parts = config.check()?;
        Ok(Self {
            endpoints: parts.endpoints,
            version: parts.version,
            dependencies: Dependencies::new(parts.dependencies, &birth.slots(Self::NAME), birth),
            grpc: parts.grpc,
        })
    }

    fn concerns(&self, request: &Request<'_>) -> bool {
        self.kind(request).is_some() || self.rpc(request).is_some()
    }

    fn tick(&self) -> Option<Duration> {
        Some(self.dependencies.tick_period())
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        self.dependencies.ping(background);
    }

    fn on_background_answer(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        self.dependencies.answered(id, answer, background);
    }
}

/// One exchange. It never waits, so there is nothing to remember.
#[derive(Debug, Default)]
pub struct Probe;

impl Filter for Probe {
    type Plugin = HealthShortcut;

    fn on_request(
        &mut self,
        plugin: &mut HealthShortcut,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Some(kind) = plugin.kind(request) else {
            return plugin.on_rpc(scope, request, effects);
        };
        if !matches!(request.method(), b"GET" | b"HEAD") {
            if scope.settings.answer == config::Answer::Upstream {
                // No probe, and so for the filters behind to judge.
                return Flow::Continue;
            }
            return Flow::Refuse(Refusal::method_not_allowed(
                "method_not_allowed",
                &["GET", "HEAD"],
            ));
        }
        if scope.mode == Mode::Enforce {
            // For the filters behind, and for whoever logs or counts exchanges.
            effects.set_state(Rc::from(PROBE), Rc::from(kind.name().as_bytes()));
        }
        if scope.settings.answer == config::Answer::Upstream {
            effects.count_by("passed", "report", kind.name());
            return Flow::Continue;
        }
        let health = plugin.health(kind, request);
        let reply = reply(kind, &health, request);
        effects.count_by(event(scope.mode, reply.status), "report", kind.name());
        if scope.mode == Mode::Shadow { Flow::Continue } else { Flow::Answer(reply) }
    }

    fn on_whole_body(
        &mut self,
        plugin: &mut HealthShortcut,
        scope: &Scope<Settings>,
        body: WholeBody<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let verdict = plugin.check(body, request);
        say(verdict, verdict.bridged(), scope.mode, effects)
    }
}

impl HealthShortcut {
    fn kind(&self, request: &Request<'_>) -> Option<Kind> {
        let path = request.path()?;
        // No endpoint has a `?` in it, so a long path need not be searched for one.
        let is_it = |endpoint: &&Endpoint| {
            let rest = path.strip_prefix(endpoint.path.as_bytes());
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'?')))
        };
        self.endpoints.iter().find(is_it).map(|endpoint| endpoint.report)
    }

    /// The method of gRPC's health service that a request calls.
    fn rpc(&self, request: &Request<'_>) -> Option<(&Services, Method)> {
        let services = self.grpc.as_ref()?;
        Some((services, grpc::method(request.path()?)?))
    }

    fn on_rpc(
        &self,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Some((services, method)) = self.rpc(request) else { return Flow::Continue };
        if request.method() != b"POST" {
            return Flow::Continue;
        }
        let is_upstreams = scope.settings.answer == config::Answer::Upstream;
        match method {
            Method::Check if request.is_grpc() => {
                if is_upstreams {
                    effects.count_by("passed", "report", GRPC);
                } else if !leads_to(&services.cluster, request) {
                    // Whoever else would answer it does so to those alone that it answers anyway.
                    effects.count("grpc_elsewhere");
                    return Flow::Continue;
                }
                if scope.mode == Mode::Enforce {
                    effects.set_state(Rc::from(PROBE), Rc::from(GRPC.as_bytes()));
                }
                Flow::Continue
            }
            _ if is_upstreams => Flow::Continue,
            Method::Check if is_bridged(request) => Flow::Read(grpc::LONGEST),
            Method::Other if request.is_grpc() => {
                let verdict = Verdict::NotOffered;
                say(verdict, verdict.refusal(), scope.mode, effects)
            }
            _ => Flow::Continue,
        }
    }

    /// What a check is answered.
    fn check(&self, body: WholeBody<'_>, request: &Request<'_>) -> Verdict {
        let Some(services) = &self.grpc else { return Verdict::UnknownService };
        let name = match grpc::service(body) {
            Ok(name) => name,
            Err(verdict) => return verdict,
        };
        let Some(needs) = services.needs(&name) else { return Verdict::UnknownService };
        let results = self.dependencies.results(request.store());
        let is_needed = |dependency: &config::Dependency| needs.has(dependency);
        let status = self.dependencies.status(&results, request.now(), is_needed);
        if status.iter().all(|(_, ok)| *ok) { Verdict::Serving } else { Verdict::NotServing }
    }

    fn health(&self, kind: Kind, request: &Request<'_>) -> Health<'_> {
        let now = request.now();
        let results = self.dependencies.results(request.store());
        Health {
            uptime: now.since(results.started()).as_secs(),
            version: self.version.as_deref(),
            status: self.dependencies.status(&results, now, |dependency| kind.lists(dependency)),
        }
    }
}

/// What the mark of a probe says of one of gRPC: the service that it asks for is not known yet.
const GRPC: &str = "grpc";

/// Whether the route takes the request to a cluster.
fn leads_to(cluster: &str, request: &Request<'_>) -> bool {
    request.property(&["xds", "cluster_name"]).is_some_and(|name| name == cluster.as_bytes())
}

/// Whether the bridge has made the request of one of gRPC.
fn is_bridged(request: &Request<'_>) -> bool {
    matches!(request.sole("content-type"), Sole::Once(kind) if grpc::is_bridged(kind))
}

fn say(verdict: Verdict, reply: Reply, mode: Mode, effects: &mut Effects) -> Flow {
    let is_shadow = mode == Mode::Shadow;
    let event = if is_shadow { "shadow_grpc_answered" } else { "grpc_answered" };
    effects.count_by(event, "result", verdict.name());
    if is_shadow { Flow::Continue } else { Flow::Answer(reply) }
}

fn reply(kind: Kind, health: &Health<'_>, request: &Request<'_>) -> Reply {
    let format = if accept::prefers_xml(request.headers().all("accept")) {
        Format::Xml
    } else {
        Format::Json
    };
    Reply {
        status: if health.is_well() { 200 } else { 503 },
        details: format!("gatehouse.{}.{}", HealthShortcut::NAME, kind.name()),
        headers: vec![
            ("content-type", format.content_type().to_owned()),
            ("cache-control", "no-store".to_owned()),
        ],
        body: health.body(format).into_bytes(),
        grpc_status: None,
    }
}

const fn event(mode: Mode, status: u16) -> &'static str {
    match (mode, status) {
        (Mode::Shadow, 200) => "shadow_answered_2xx",
        (Mode::Shadow, _) => "shadow_answered_5xx",
        (_, 200) => "answered_2xx",
        (_, _) => "answered_5xx",
    }
}
