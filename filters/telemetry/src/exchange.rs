//! The end of an exchange: whether it gets a line, what stands in it, what is counted.

use std::rc::Rc;

use shared::driver::PROBE;
use shared::effects::Effects;
use shared::headers::Headers;
use shared::matching::path::Readings;
use shared::trace::{Decision, Found, w3c};
use shared::view::{Exchange, Map};

use crate::config::{Lines, Tier};
use crate::line::{Line, rfc3339};
use crate::outcome::{Outcome, grpc_code};
use crate::series::Labels;
use crate::{Observed, Telemetry};

/// What stands for a service, a method or a tier that nobody named.
const NOBODY: &str = "none";
/// Where the line goes for the access log.
const STATE: &str = "gatehouse.log";

/// The trace of an exchange.
#[derive(Default)]
struct Trace {
    /// As a `traceparent`; empty where there is none.
    text: Vec<u8>,
    is_sampled: bool,
}

impl Trace {
    /// W3C Trace Context, 3.2: version, trace id, parent id, flags.
    fn of(text: Vec<u8>) -> Option<Self> {
        let Found::Trace(incoming) = w3c::parse(&text)? else { return None };
        incoming.parent?;
        let is_sampled = matches!(incoming.decision, Decision::Record | Decision::Debug);
        Some(Self { text, is_sampled })
    }

    /// The same, of one that `trace-context` has made.
    fn made(text: Vec<u8>) -> Self {
        // Of its flags, the last bit of the last digit, which is one of four.
        let is_sampled = matches!(text.last(), Some(b'1' | b'3'));
        Self { text, is_sampled }
    }

    fn trace_id(&self) -> &[u8] {
        self.text.get(3..35).unwrap_or_default()
    }

    fn span_id(&self) -> &[u8] {
        self.text.get(36..52).unwrap_or_default()
    }
}

impl Telemetry {
    /// An exchange has ended.
    pub(crate) fn end(
        &mut self,
        observed: &Observed,
        exchange: &Exchange<'_>,
        effects: &mut Effects,
    ) {
        let outcome = Outcome::of(exchange);
        let service = state(exchange, "gatehouse.service");
        let method = match service {
            Some(_) => state(exchange, "gatehouse.method").unwrap_or_default(),
            None => Vec::new(),
        };
        if is_probe(service.is_some(), &outcome, exchange) {
            return;
        }
        let nanos = exchange.number(&["request", "duration"]);
        if let Some(series) = &mut self.series {
            let store = exchange.store();
            let named = service.is_some();
            let labels = Labels {
                service: service.as_deref().unwrap_or(NOBODY.as_bytes()),
                method: if named { &method } else { NOBODY.as_bytes() },
                class: outcome.class(),
                tier: tier(&self.config.metrics.tiers, exchange),
            };
            series.count(&labels, nanos, store, effects);
            if outcome.is_refused() {
                let (by, reason) = outcome.refusal();
                series.count_refusal(by, reason, store, effects);
            }
        }
        if self.config.lines == Lines::None {
            return;
        }
        let is_slow = self.slowness.is_some_and(|least| nanos.is_some_and(|nanos| nanos >= least));
        let is_asked = outcome.is_error() || outcome.is_refused() || is_slow || self.debugs;
        let trace = trace(exchange);
        let is_asked = is_asked || trace.is_sampled;
        if !is_asked && self.config.lines == Lines::Asked {
            return;
        }
        let headers = exchange.request_headers();
        if !is_asked && self.skips(&headers) {
            return;
        }
        let ended = Ended { outcome, service, method, trace, nanos, headers, is_asked };
        let line = self.line(&ended, observed, exchange);
        if self.config.output.is_log() {
            match level(&ended.outcome) {
                "error" => log::error!("{line}"),
                "warn" => log::warn!("{line}"),
                _ => log::info!("{line}"),
            }
        }
        if self.config.output.is_state() {
            effects.set_state(Rc::from(STATE), Rc::from(line.into_bytes()));
        }
    }

    fn skips(&self, headers: &Headers) -> bool {
        let paths = &self.config.skip.paths;
        let Some(path) = headers.first(":path").filter(|_| !paths.is_empty()) else { return false };
        // What can be read in different ways is not kept back.
        let is_one = |reading: &[u8]| paths.iter().any(|pattern| pattern.matches(reading));
        Readings::of(path).is_ok_and(|readings| readings.agree(is_one) == Ok(true))
    }

    fn line(&self, ended: &Ended, observed: &Observed, exchange: &Exchange<'_>) -> String {
        let Ended { outcome, service, method, trace, nanos, headers, is_asked } = ended;
        let header = |name: &str| headers.first(name).unwrap_or_default();
        let mut line = Line::new();
        line.text("time", rfc3339(exchange.now().unwrap_or_default().secs()).as_bytes());
        line.text("level", level(outcome).as_bytes());
        text(&mut line, "trace_id", trace.trace_id());
        text(&mut line, "span_id", trace.span_id());
        // That of trace-context where it gave one: in a chain, no header has it when the request was refused.
        let given =
            if outcome.is_refused() { state(exchange, "gatehouse.request_id") } else { None };
        text(&mut line, "request_id", given.as_deref().unwrap_or_else(|| header("x-request-id")));
        line.text("msg", b"end");
        if let Some(service) = service {
            line.text("goa.service", service);
            line.text("goa.method", method);
        }
        text(&mut line, "consumer", &consumer(exchange).unwrap_or_default());
        let millis = nanos.unwrap_or_default() / 1_000_000;
        if let Some(status) = outcome.grpc {
            let mut parts = header(":path").split(|byte| *byte == b'/').skip(1);
            line.text("grpc.service", parts.next().unwrap_or_default());
            line.text("grpc.method", cut(parts.next().unwrap_or_default()));
            line.text("grpc.code", grpc_code(status).as_bytes());
            line.number("grpc.time_ms", millis);
        }
        line.text("http.method", header(":method"));
        line.text("http.url", &self.url(header(":path")));
        text(&mut line, "http.host", header(":authority"));
        text(&mut line, "http.remote_addr", &address(exchange));
        line.number("http.status", u64::from(outcome.status));
        line.number("http.time_ms", millis);
        line.number("http.bytes", exchange.number(&["response", "size"]).unwrap_or_default());
        if outcome.is_refused() {
            line.text("reason", outcome.own_details());
        } else {
            text(&mut line, "details", outcome.own_details());
        }
        if *is_asked {
            for name in &self.config.headers.allow {
                let name = name.shared();
                text(&mut line, &format!("http.header.{name}"), header(&name));
            }
            self.show_payloads(&mut line, observed);
        }
        line.finish()
    }

    fn show_payloads(&self, line: &mut Line, observed: &Observed) {
        let Some((most, redaction)) = &self.payloads else { return };
        for (key, kept) in [("payload", &observed.payload), ("result", &observed.result)] {
            if let Some(shown) = kept.shown(redaction) {
                line.long_text(key, shown.as_bytes(), most.saturating_add(64));
            }
        }
    }

    /// The path, and of the query what may be shown.
    pub(crate) fn url(&self, target: &[u8]) -> Vec<u8> {
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        let mut url = cut(parts.next().unwrap_or_default()).to_vec();
        let Some(query) = parts.next().filter(|_| !self.config.query.allow.is_empty()) else {
            return url;
        };
        let query = query.split(|byte| *byte == b'#').next().unwrap_or_default();
        let is_shown = |part: &&[u8]| {
            let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
            self.config.query.allow.iter().any(|allowed| allowed.as_bytes() == name)
        };
        for (index, part) in query.split(|byte| *byte == b'&').filter(is_shown).enumerate() {
            url.push(if index == 0 { b'?' } else { b'&' });
            // To some readers there is another parameter behind a `;`.
            url.extend(part.split(|byte| *byte == b';').next().unwrap_or_default());
        }
        url
    }
}

/// An exchange that has ended, for its line.
struct Ended {
    outcome: Outcome,
    service: Option<Vec<u8>>,
    method: Vec<u8>,
    trace: Trace,
    nanos: Option<u64>,
    headers: Headers,
    is_asked: bool,
}

const fn level(outcome: &Outcome) -> &'static str {
    match (outcome.class().as_bytes(), outcome.status) {
        (b"5xx" | b"none", _) => "error",
        (_, 401 | 403 | 429) => "warn",
        _ => "info",
    }
}

/// Adds a member, unless it is empty.
fn text(line: &mut Line, key: &str, value: &[u8]) {
    if !value.is_empty() {
        line.text(key, value);
    }
}

/// The part of a target before its query or fragment.
fn cut(target: &[u8]) -> &[u8] {
    target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

fn state(exchange: &Exchange<'_>, name: &str) -> Option<Vec<u8>> {
    exchange.property(&[name]).filter(|value| !value.is_empty())
}

fn consumer(exchange: &Exchange<'_>) -> Option<Vec<u8>> {
    state(exchange, "gatehouse.consumer").or_else(|| state(exchange, "gatehouse.subject"))
}

/// Whether it is a health probe: `health-shortcut` has answered it, or marked it.
fn is_probe(is_named: bool, outcome: &Outcome, exchange: &Exchange<'_>) -> bool {
    // A probe that goes on is no operation of a policy. One that is answered has a status of 200 or 503.
    if is_named {
        return false;
    }
    let answered = b"gatehouse.health-shortcut.";
    let is_answer = |details: &[u8]| details.windows(answered.len()).any(|part| part == answered);
    if !outcome.details.is_empty() {
        return is_answer(&outcome.details) || state(exchange, PROBE).is_some();
    }
    state(exchange, PROBE).is_some()
}

fn tier<'t>(tiers: &'t [Tier], exchange: &Exchange<'_>) -> &'t str {
    if tiers.is_empty() {
        return NOBODY;
    }
    let consumer = consumer(exchange).unwrap_or_default();
    let groups = state(exchange, "gatehouse.groups").unwrap_or_default();
    let has = |list: &[String], text: &[u8]| list.iter().any(|known| known.as_bytes() == text);
    let is_of = |tier: &&Tier| {
        has(&tier.consumers, &consumer)
            || groups.split(|byte| *byte == b',').any(|group| has(&tier.groups, group))
    };
    tiers.iter().find(is_of).map_or(NOBODY, |tier| &tier.name.0)
}

/// The trace that `trace-context` has left, or else that of the header that goes upstream.
fn trace(exchange: &Exchange<'_>) -> Trace {
    if let Some(left) = state(exchange, "gatehouse.traceparent") {
        return Trace::made(left);
    }
    exchange.header(Map::Request, "traceparent").and_then(Trace::of).unwrap_or_default()
}

/// The client's address without its port.
fn address(exchange: &Exchange<'_>) -> Vec<u8> {
    let text = exchange.property(&["source", "address"]).unwrap_or_default();
    let end = text.iter().rposition(|byte| *byte == b':').unwrap_or(text.len());
    let host = text.get(..end).unwrap_or(&text);
    let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    host.to_vec()
}
