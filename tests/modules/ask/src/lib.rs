//! Test only: asks a cluster whether a request may go on. It shows what the adapter does with a
//! request that waits, as the filters to come will.
//!
//! 1. The request header `x-ask` names the cluster and, after a slash, the path to ask for. Without
//!    it the request goes on.
//! 2. An answer of 200 lets the request go on, with the answer's body in `x-answer`.
//! 3. An answer of 202 asks again.
//! 4. Any other answer refuses with 403, and so on with 503 where there is no answer.
//! 5. One of the workers asks the cluster `background` at every tick.
//! 6. Every response carries `x-asked`, every exchange that ends is counted.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use shared::config::{Invalid, Layers, Period, Scope};
use shared::effects::Effects;
use shared::filter::{Answer, Background, Birth, Call, CallFailure, Filter, Flow, Plugin};
use shared::headers::Sole;
use shared::lease;
use shared::reply::Refusal;
use shared::view::{Exchange, Request, Response};

/// How long a worker that asks in the background keeps the others from it.
const TERM: Duration = Duration::from_secs(1);

/// The plugin.
#[derive(Debug)]
pub struct Ask {
    config: Config,
    holder: u64,
}

/// What is configured once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long an answer may take.
    timeout: Period,
    /// A cluster to ask now and then in the background.
    background: Option<String>,
}

/// What a rule may set.
#[derive(Debug, Deserialize)]
pub struct Settings {}

impl Plugin for Ask {
    const NAME: &'static str = "ask";
    type Config = Config;
    type Settings = Settings;
    type Filter = Asking;

    fn new(config: Config, _: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        let holder = birth.secret.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(Self { config, holder })
    }

    fn tick(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        let Some(cluster) = &self.config.background else { return };
        if lease::take(background.store, "gatehouse/ask/lease", self.holder, TERM, background.now) {
            let call = Call::get(cluster, "ask", "/background", self.config.timeout.duration());
            background.call(7, call);
        }
    }

    fn on_background_answer(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        let ended = if matches!(answer, Answer::Response { .. }) { "answered" } else { "failed" };
        if id == 7 {
            background.effects.count_by("background", "end", ended);
        }
    }
}

/// One exchange.
#[derive(Debug, Default)]
pub struct Asking {
    asked: u32,
    call: Option<Call>,
}

impl Filter for Asking {
    type Plugin = Ask;

    fn on_request(
        &mut self,
        plugin: &mut Ask,
        _: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        effects.count("seen");
        let whom = match request.sole("x-ask") {
            Sole::Absent => return Flow::Continue,
            Sole::Once(whom) => String::from_utf8_lossy(whom).into_owned(),
            Sole::Repeated => return Flow::Refuse(Refusal::forbidden("repeated")),
        };
        effects.remove_request_header(Rc::from("x-ask"));
        let (cluster, path) = whom.split_once('/').unwrap_or((&whom, ""));
        let mut call =
            Call::get(cluster, "ask", format!("/{path}"), plugin.config.timeout.duration());
        call.max_body = 64;
        self.call = Some(call.clone());
        self.asked = 1;
        Flow::Wait(call)
    }

    fn on_answer(
        &mut self,
        _: &mut Ask,
        _: &Scope<Settings>,
        answer: &Answer<'_>,
        _: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        match answer {
            Answer::Response { status: 200, body, .. } => {
                effects.set_request_header(Rc::from("x-answer"), Rc::from(*body));
                effects.set_response_header(Rc::from("x-answered"), Rc::from(&b"yes"[..]));
                Flow::Continue
            }
            Answer::Response { status: 202, .. } => {
                self.asked = self.asked.saturating_add(1);
                self.call
                    .clone()
                    .map_or_else(|| Flow::Refuse(Refusal::forbidden("lost")), Flow::Wait)
            }
            Answer::Response { status: 503, .. } => {
                Flow::Refuse(Refusal::unavailable("status_503"))
            }
            Answer::Response { status: 504, .. } => {
                Flow::Refuse(Refusal::unavailable("status_504"))
            }
            Answer::Response { .. } => Flow::Refuse(Refusal::forbidden("denied")),
            Answer::Failed(failure) => Flow::Refuse(Refusal::unavailable(match failure {
                CallFailure::Rejected => "rejected",
                CallFailure::NoHost => "no_host",
                CallFailure::Broken => "broken",
                CallFailure::TooLong => "too_long",
            })),
        }
    }

    fn on_response(&mut self, _: &mut Ask, _: &Response<'_>, effects: &mut Effects) {
        effects
            .set_response_header(Rc::from("x-asked"), Rc::from(self.asked.to_string().as_bytes()));
    }

    fn on_log(&mut self, _: &mut Ask, _: &Exchange<'_>, effects: &mut Effects) {
        effects.count("logged");
    }
}
