//! What happened, for people and machines: one line of JSON for each exchange, metrics with bounded
//! labels, a guarded debug switch.
//!
//! 1. An exchange gets one line, at its end, in Clue's keys. With `lines: asked` lines are kept back
//!    unless an error, a refusal, a sampled trace, an exchange as slow as `slower_than` or the debug switch
//!    asks for them; health probes that `health-shortcut` answers or lets pass get none.
//! 2. Every byte from the network is escaped, every value and line is bounded. Of a query only the
//!    parameters are shown that `query.allow` names, of headers those that `headers.allow` names; it cannot
//!    name those that hold credentials.
//! 3. The line goes to filter state, for Envoy's access log (`%FILTER_STATE(wasm.gatehouse.log:PLAIN)%`), or
//!    to the proxy's own log.
//! 4. Exchanges are counted, and their latency noted, by service, method, class of status and tier; refusals
//!    by the filter and its reason. The number of sets of labels is bounded (`metrics.max_series`).
//! 5. `debug` has a switch (`/debug?debug-logs=on`) for the callers that it names; for anybody else there is
//!    nothing at its path (404). It is on for all workers, and goes off by itself.
//! 6. While it is on, lines show `payload` and `result` if `payloads` is there: JSON, cut, without secrets.
//! 7. `/debug/pprof` and all below it is 404 in every spelling, but for `pprof.allow`.
//! 8. A caller whom `server_timing` names and who sends `x-gatehouse-timing` is told in `server-timing` how
//!    long each filter, the upstream and all together took.
//! 9. Nothing of this ever holds an exchange up or refuses it, but for 5 and 7.

#![forbid(unsafe_code)]

mod callers;
mod config;
mod exchange;
mod line;
mod outcome;
mod payload;
mod series;
mod switch;
#[cfg(test)]
mod tests;
mod timing;

use std::time::Duration;

use shared::config::{Invalid, Layers, Scope};
use shared::effects::Effects;
use shared::filter::{Background, Birth, Filter, Flow, Plugin};
use shared::reply::{Refusal, Reply};
use shared::time::Timestamp;
use shared::view::{Body, Exchange, Map, Request, Response, TIMING_HEADER};

pub use config::{Config, Settings};
use payload::{Kept, Redaction};
use series::Series;
use switch::Switch;

/// How often counts are handed to the proxy, and the switch is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The plugin.
#[derive(Debug)]
pub struct Telemetry {
    config: Config,
    series: Option<Series>,
    switch: Switch,
    /// Whether the switch was on when it was last looked at.
    debugs: bool,
    payloads: Option<(usize, Redaction)>,
    /// How long an exchange takes at least that asks for its line, in nanoseconds.
    slowness: Option<u64>,
}

impl Plugin for Telemetry {
    const NAME: &'static str = "telemetry";
    const LETS_PROBES_PASS: bool = false;
    type Config = Config;
    type Settings = Settings;
    type Filter = Observed;

    fn new(mut config: Config, _: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        config.check()?;
        let slots = birth.slots(Self::NAME);
        let payloads = config.payloads.take().map(config::Payloads::check).transpose();
        let slowness = config.slower_than.map(|least| least.duration().as_nanos());
        let metrics = &config.metrics;
        let on_for = config.debug.as_ref().map_or(Duration::ZERO, |debug| debug.on_for.duration());
        Ok(Self {
            series: metrics.enabled.then(|| Series::new(Self::NAME, &slots, metrics.max_series.0)),
            switch: Switch::new(&slots, on_for),
            debugs: false,
            payloads: payloads.map_err(|error| error.within("payloads"))?,
            slowness: slowness.map(|nanos| u64::try_from(nanos).unwrap_or(u64::MAX)),
            config,
        })
    }

    fn concerns(&self, request: &Request<'_>) -> bool {
        let path = request.path().unwrap_or_default();
        switch::is_suspect(path)
            || self.config.debug.is_some() && is_near(path, &self.config)
            || self.shows_payloads()
            || self.config.server_timing.is_some() && asks_for_timing(request)
    }

    fn tick(&self) -> Option<Duration> {
        Some(TICK)
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        if let Some(series) = &mut self.series {
            series.flush(&mut background.effects);
        }
        if self.config.debug.is_some() {
            self.debugs = self.switch.look(background.store, background.now);
        }
    }
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Observed {
    /// When its request came, if its sender asks how long it takes.
    timed: Option<Timestamp>,
    /// Whether the sender was already known for one who may be told. Authenticators behind this filter
    /// say it later.
    is_trusted: bool,
    payload: Kept,
    result: Kept,
}

impl Filter for Observed {
    type Plugin = Telemetry;

    fn on_request(
        &mut self,
        plugin: &mut Telemetry,
        _: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let path = request.path().unwrap_or_default();
        if switch::is_suspect(path)
            && request.readings().is_some_and(|readings| switch::is_pprof(path, &readings))
            && !plugin.config.pprof.allow.as_ref().is_some_and(|allow| allow.include(request))
        {
            return Flow::Refuse(Refusal::not_found("pprof"));
        }
        if let Some(flow) = plugin.turn(path, request, effects) {
            return flow;
        }
        if plugin.shows_payloads() {
            self.payload.begin(request.headers());
        }
        if let Some(timing) = &plugin.config.server_timing
            && asks_for_timing(request)
        {
            self.timed = Some(request.now());
            self.is_trusted = timing.allow.include(request);
        }
        Flow::Continue
    }

    fn on_response(
        &mut self,
        plugin: &mut Telemetry,
        response: &Response<'_>,
        effects: &mut Effects,
    ) {
        if plugin.shows_payloads() {
            self.result.begin(response.headers());
        }
        if let (Some(since), Some(allowed)) = (self.timed, &plugin.config.server_timing)
            && (self.is_trusted || allowed.allow.include(&Request::new(response.host())))
        {
            timing::tell(since, response, effects);
        }
    }

    fn on_request_body(&mut self, plugin: &mut Telemetry, body: &Body<'_>) {
        if let Some((most, _)) = &plugin.payloads {
            self.payload.add(body, *most);
        }
    }

    fn on_response_body(&mut self, plugin: &mut Telemetry, body: &Body<'_>) {
        if let Some((most, _)) = &plugin.payloads {
            self.result.add(body, *most);
        }
    }

    fn on_log(&mut self, plugin: &mut Telemetry, exchange: &Exchange<'_>, effects: &mut Effects) {
        plugin.end(self, exchange, effects);
    }
}

impl Telemetry {
    const fn shows_payloads(&self) -> bool {
        self.debugs && self.payloads.is_some()
    }

    /// Answers what goes to the switch; `None` for anything else.
    fn turn(&mut self, path: &[u8], request: &Request<'_>, effects: &mut Effects) -> Option<Flow> {
        let debug = self.config.debug.as_ref()?;
        let is_it = |reading: &[u8]| reading == debug.path.0.as_bytes();
        match request.readings()?.ok()?.agree(is_it) {
            Ok(true) => {}
            // Some reader may take it for the switch, and another not: it is for nobody.
            Err(_) => return Some(Flow::Refuse(Refusal::not_found("debug_path"))),
            Ok(false) => return None,
        }
        if !debug.allow.include(request) {
            return Some(Flow::Refuse(Refusal::not_found("debug_caller")));
        }
        let now = request.now();
        let until = match switch::asked(path) {
            Some(true) => Some(now.after(debug.on_for.duration())),
            Some(false) => Some(Timestamp::default()),
            None => None,
        };
        let store = request.store();
        if until.is_some_and(|until| !self.switch.turn(store, until)) {
            return Some(Flow::Refuse(Refusal::unavailable("store_failure")));
        }
        self.debugs = self.switch.look(store, now);
        if until.is_some() {
            let state = if self.debugs { "on" } else { "off" };
            effects.count_by("debug_switched", "result", state);
            log::warn!("{}: debug logs are {state}", Self::NAME);
        }
        Some(Flow::Answer(state_of(self.debugs)))
    }
}

/// What Clue answers.
fn state_of(on: bool) -> Reply {
    let state = if on { "on" } else { "off" };
    Reply {
        status: 200,
        details: "gatehouse.telemetry.debug".into(),
        headers: vec![
            ("content-type", "application/json".into()),
            ("cache-control", "no-store".into()),
        ],
        body: format!("{{\"debug-logs\":\"{state}\"}}").into_bytes(),
        grpc_status: None,
    }
}

/// Whether a path may be that of the switch. One that has an escape is looked at anyway.
fn is_near(path: &[u8], config: &Config) -> bool {
    let last = config.debug.as_ref().and_then(|debug| debug.path.0.rsplit('/').next());
    let Some(last) = last.map(str::as_bytes).filter(|last| !last.is_empty()) else { return true };
    path.windows(last.len()).any(|word| word == last)
}

fn asks_for_timing(request: &Request<'_>) -> bool {
    request.host().header(Map::Request, TIMING_HEADER).is_ok_and(|value| value.is_some())
}
