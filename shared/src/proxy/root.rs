//! One plugin of the proxy: what it runs, and the exchanges under it.

use std::collections::HashMap;
use std::time::Duration;

use super::host::{self, Live, NotApplied, apply, note};
use super::imports::{self, BufferType, HostError, MapType};
use super::reading::Reading;
use super::vm::{Caller, Calls};
use super::{Action, Module};
use crate::config::Environment;
use crate::driver::Step;
use crate::effects::{Effect, Effects};
use crate::filter::{Answer, Background, Birth, Call, CallFailure, Ticket};
use crate::hash::Spread;
use crate::headers::Headers;
use crate::reply::{Format, Refusal, Reply};
use crate::runner::Runner;
use crate::store::Store;
use crate::view::{Body, Exchange, Host, Map, Request, Response, parse_status};

/// How often the log level is followed where the filter wants no tick of its own.
const SLOWEST_TICK: Duration = Duration::from_secs(5);
/// How often held requests are told that there may be news.
const NEWS_TICK: Duration = Duration::from_millis(50);
/// The first tick comes at once: keys are fetched before the first request needs them.
const FIRST_TICK: Duration = Duration::from_millis(1);
/// How many requests a plugin may hold on one worker.
const MOST_HELD: usize = 1024;

/// A call that has ended, as the proxy tells it.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    /// How many headers the answer has; none where there is no answer.
    pub(super) headers: usize,
    /// How long its body is.
    pub(super) body: usize,
    /// How much of it is wanted.
    pub(super) max_body: usize,
    /// How many trailers it has.
    pub(super) trailers: usize,
}

/// A plugin: what it runs, and the exchanges under it.
pub(super) struct Root {
    module: Module,
    runner: Option<Box<dyn Runner>>,
    /// The exchanges that there is more to come for.
    streams: HashMap<u32, Stream, Spread>,
    /// The exchanges whose requests wait for news.
    held: Vec<u32>,
    /// How often time passes for it.
    tick: Duration,
}

#[derive(Default)]
struct Stream {
    waits_for: Option<u32>,
    /// Whether its request is held until there may be news.
    held: bool,
    /// Whether it was answered in the upstream's place.
    answered: bool,
    /// The body of its request, where that is read.
    reading: Option<Reading>,
    /// What is done when the request goes on, or is refused.
    effects: Effects,
    /// Headers for the response, set before there was one.
    response: Vec<Effect>,
}

impl Root {
    /// A plugin that has no configuration yet.
    pub(super) fn new(module: Module) -> Self {
        Self {
            module,
            runner: None,
            streams: HashMap::default(),
            held: Vec::new(),
            tick: SLOWEST_TICK,
        }
    }

    /// Takes the proxy's configuration into effect; whether that went well.
    pub(super) fn configure(&mut self) -> bool {
        super::logger::follow_level();
        match configure(self.module) {
            Ok(runner) => {
                self.runner = Some(runner);
                self.set_tick(FIRST_TICK);
                true
            }
            Err(why) => {
                log::error!("{}: configuration refused: {why}", self.name());
                false
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, calls: &mut Calls<'_>) {
        super::logger::follow_level();
        let Some(runner) = &mut self.runner else { return };
        let next = runner.tick().unwrap_or(SLOWEST_TICK).min(SLOWEST_TICK);
        if let Ok(now) = Live.now() {
            let mut background = Background::new(now, Store::new(&Live));
            runner.on_tick(&mut background);
            self.do_background(background, calls);
        }
        self.spread_news(calls);
        self.set_tick(if self.held.is_empty() { next } else { NEWS_TICK });
    }

    /// An exchange is over; the token of the call that it still waited for.
    pub(super) fn close(&mut self, stream: u32) -> Option<u32> {
        let state = self.streams.remove(&stream)?;
        if let Some(runner) = &mut self.runner {
            runner.forget(stream);
        }
        if state.held {
            self.held.retain(|held| *held != stream);
        }
        state.waits_for
    }

    /// The head of its request has come.
    pub(super) fn request(&mut self, stream: u32, calls: &mut Calls<'_>) -> Action {
        let Some(runner) = &mut self.runner else { return refuse_unconfigured(self.name()) };
        let mut request = runner.view(&Live);
        let mut state = Stream::default();
        let step = runner.on_request(stream, &mut request, &mut state.effects);
        let room = self.held.len() < MOST_HELD;
        let action = act(stream, &mut **runner, &mut state, step, &mut request, calls, room);
        let (started, held) = (state.effects.take_calls(), state.held);
        let has_more = runner.phases().has_more() || !state.response.is_empty();
        if has_more || state.reading.is_some() || action == Action::Pause {
            self.streams.insert(stream, state);
        }
        if held {
            self.hold(stream);
        }
        self.start(started, calls);
        action
    }

    /// Whether more of a request is held back: it waits for a call, or was answered.
    pub(super) fn holds(&self, stream: u32) -> bool {
        let held = |state: &Stream| state.waits_for.is_some() || state.held || state.answered;
        self.runner.is_none() || self.streams.get(&stream).is_some_and(held)
    }

    /// The head of its response has come.
    pub(super) fn response(&mut self, stream: u32) {
        let Some(runner) = &mut self.runner else { return };
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let mut effects = Effects::default();
        if runner.phases().has_response {
            runner.on_response(stream, &mut Response::new(&Live), &mut effects);
        }
        let mut all = std::mem::take(&mut state.response);
        all.extend(effects.take());
        if apply(&all, Map::Response).is_err() {
            log::warn!("{}: the proxy did not take a header of the response", runner.name());
        }
    }

    /// A part of a body passes by.
    pub(super) fn body(&mut self, stream: u32, map: Map, len: usize, is_last: bool) {
        let Some(runner) = &mut self.runner else { return };
        let part = Body::new(&Live, map, len, is_last);
        if runner.phases().has_bodies {
            runner.on_body(stream, map, &part);
        }
        if map == Map::Request {
            self.read(stream, |reading| reading.add(&part));
        }
    }

    /// The trailers of its request have come.
    pub(super) fn trailers(&mut self, stream: u32) {
        self.read(stream, Reading::end);
    }

    /// More has come of a body that is read, if it is one.
    fn read(&mut self, stream: u32, add: impl FnOnce(&mut Reading)) {
        let Some(runner) = &mut self.runner else { return };
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let Some(mut reading) = state.reading.take() else { return };
        add(&mut reading);
        let Some(body) = reading.whole() else {
            state.reading = Some(reading);
            return;
        };
        let mut request = runner.view(&Live);
        let step = match runner.on_whole_body(stream, body, &mut request, &mut state.effects) {
            // The head has gone on: there is nothing left to hold.
            Step::Wait(_) | Step::Hold | Step::Read(_) => {
                runner.host_failure(&mut request, &mut state.effects)
            }
            step => step,
        };
        let effects = state.effects.take();
        effects.iter().for_each(note);
        if let Step::Reply(reply) = step {
            state.answered = true;
            send(runner.name(), &reply, &effects);
        }
    }

    /// It is logged.
    pub(super) fn log(&mut self, stream: u32) {
        let Some(runner) = &mut self.runner else { return };
        if runner.phases().has_log {
            let mut effects = Effects::default();
            runner.on_log(stream, &Exchange::new(&Live), &mut effects);
            effects.iter().for_each(note);
        }
    }

    /// The call that an exchange waits for has ended.
    pub(super) fn answered(&mut self, stream: u32, ended: Ended, calls: &mut Calls<'_>) {
        let Some(runner) = &mut self.runner else { return };
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.waits_for = None;
        let mut request = runner.view(&Live);
        // Calls belong to the root, and so do their answers. The answer is read there, and what is
        // done is done to the stream.
        let step = with_answer(ended, |answer| {
            if let Err(error) = imports::set_effective_context(stream) {
                let name = runner.name();
                log::error!("{name}: the proxy does not know the stream of a call: {error:?}");
                return None;
            }
            Some(runner.on_answer(stream, answer, &mut request, &mut state.effects))
        });
        let Some(step) = step else {
            // Whatever is done now would be done to another stream. This one is held for good.
            state.answered = true;
            return;
        };
        let room = self.held.len() < MOST_HELD;
        let action = act(stream, &mut **runner, state, step, &mut request, calls, room);
        let (started, held) = (state.effects.take_calls(), state.held);
        go_on(runner.name(), action);
        if held {
            self.hold(stream);
        }
        self.start(started, calls);
    }

    /// A background call has ended.
    pub(super) fn background_answered(
        &mut self,
        ticket: Ticket,
        ended: Ended,
        calls: &mut Calls<'_>,
    ) {
        let Some(runner) = &mut self.runner else { return };
        // A clock that fails makes every answer old.
        let now = Live.now().unwrap_or_default();
        let mut background = Background::new(now, Store::new(&Live));
        with_answer(ended, |answer| {
            runner.on_background_answer(ticket, answer, &mut background);
        });
        self.do_background(background, calls);
        self.spread_news(calls);
    }

    /// What it is called in logs.
    fn name(&self) -> &'static str {
        self.runner.as_ref().map_or(self.module.name, |runner| runner.name())
    }

    fn set_tick(&mut self, tick: Duration) {
        if self.tick == tick {
            return;
        }
        self.tick = tick;
        let millis = u32::try_from(tick.as_millis()).unwrap_or(u32::MAX).max(1);
        if let Err(error) = imports::set_tick_period(millis) {
            log::warn!("{}: the proxy gives no ticks: {error:?}", self.name());
        }
    }

    /// One more request waits for news.
    fn hold(&mut self, stream: u32) {
        self.held.push(stream);
        self.set_tick(NEWS_TICK);
    }

    /// Asks every held request whether it goes on now.
    fn spread_news(&mut self, calls: &mut Calls<'_>) {
        let Some(runner) = &mut self.runner else { return };
        let mut started = Vec::new();
        for stream in std::mem::take(&mut self.held) {
            let Some(state) = self.streams.get_mut(&stream) else { continue };
            if let Err(error) = imports::set_effective_context(stream) {
                // Whatever is done now would be done to another stream.
                let name = runner.name();
                log::error!("{name}: the proxy does not know a held stream: {error:?}");
                self.held.push(stream);
                continue;
            }
            state.held = false;
            let mut request = runner.view(&Live);
            let step = runner.on_news(stream, &mut request, &mut state.effects);
            let action = act(stream, &mut **runner, state, step, &mut request, calls, true);
            started.append(&mut state.effects.take_calls());
            go_on(runner.name(), action);
            if state.held {
                self.held.push(stream);
            }
        }
        self.start(started, calls);
    }

    /// Starts background calls that requests gave rise to.
    fn start(&mut self, started: Vec<(Ticket, Call)>, calls: &mut Calls<'_>) {
        if started.is_empty() {
            return;
        }
        let mut background = Background::new(Live.now().unwrap_or_default(), Store::new(&Live));
        background.call_all(started);
        self.do_background(background, calls);
    }

    /// Starts the calls of background work; those that do not start have failed.
    fn do_background(&mut self, mut background: Background<'_>, calls: &mut Calls<'_>) {
        let Some(runner) = &mut self.runner else { return };
        // A plugin that answers each failure with a call would keep the worker here for ever.
        for _ in 0..2 {
            background.effects.iter().for_each(note);
            let mut next = Background::new(background.now, Store::new(&Live));
            for (ticket, call) in background.take_calls() {
                match host::start(&call) {
                    Ok(token) => calls.register(token, Caller::Background(ticket), call.max_body),
                    Err(error) => {
                        let answer = Answer::Failed(failure(error));
                        runner.on_background_answer(ticket, &answer, &mut next);
                    }
                }
            }
            background = next;
        }
        background.effects.iter().for_each(note);
        for (_, call) in background.take_calls() {
            log::warn!(
                "{}: a call to {} is not tried again before the next tick",
                runner.name(),
                call.cluster
            );
        }
    }
}

fn configure(module: Module) -> Result<Box<dyn Runner>, String> {
    let bytes = imports::buffer(BufferType::PluginConfiguration, usize::MAX);
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(HostError::NotFound) => Vec::new(),
        Err(error) => return Err(format!("the proxy does not hand it over: {error:?}")),
    };
    let mut secret = [0; 16];
    Live.random(&mut secret).map_err(|_| "the proxy gives no randomness".to_owned())?;
    let now = Live.now().map_err(|_| "the proxy does not tell the time".to_owned())?;
    let birth = Birth { name: &property("plugin_name"), secret, now, host: &Live };
    let runner = (module.configure)(&property("plugin_root_id"), &bytes, &environment(), &birth);
    runner.map_err(|error| error.to_string())
}

/// A property of the plugin; empty where there is none.
fn property(name: &str) -> String {
    let value = Live.property(&[name]).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&value).into_owned()
}

/// The VM's environment. A variable that is no text cannot be referred to.
#[expect(clippy::disallowed_methods, reason = "the one place that hands it over")]
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Lets a request go on that was held. A refusal was sent by [`act`]; to go on as well would send
/// half of such requests upstream.
fn go_on(filter: &str, action: Action) {
    if action == Action::Continue
        && let Err(error) = imports::continue_request()
    {
        log::error!("{filter}: the proxy does not let a request go on: {error:?}");
    }
}

/// Does what the filter decided. `Pause` holds the request: until its call has ended, or for good.
fn act(
    stream: u32,
    runner: &mut dyn Runner,
    state: &mut Stream,
    mut step: Step,
    request: &mut Request<'_>,
    calls: &mut Calls<'_>,
    room: bool,
) -> Action {
    loop {
        step = match step {
            Step::Hold if room => {
                state.held = true;
                return Action::Pause;
            }
            Step::Hold => runner.too_many_held(stream, request, &mut state.effects),
            Step::Wait(call) => match host::start(&call) {
                Ok(token) => {
                    state.waits_for = Some(token);
                    calls.register(token, Caller::Stream(stream), call.max_body);
                    return Action::Pause;
                }
                Err(error) => {
                    let answer = Answer::Failed(failure(error));
                    runner.on_answer(stream, &answer, request, &mut state.effects)
                }
            },
            Step::Anew => match apply(&state.effects.take_edits(), Map::Request) {
                Ok(()) => {
                    *request = runner.view(&Live);
                    runner.on_anew(stream, request, &mut state.effects)
                }
                Err(NotApplied) => runner.host_failure(request, &mut state.effects),
            },
            Step::Continue | Step::Read(_) => {
                let effects = state.effects.take();
                let applied = apply(&effects, Map::Request);
                state.response.extend(effects.into_iter().filter(Effect::is_for_response));
                match applied {
                    Ok(()) => {
                        if let Step::Read(most) = step {
                            state.reading = Some(Reading::new(most));
                        }
                        return Action::Continue;
                    }
                    Err(NotApplied) => runner.host_failure(request, &mut state.effects),
                }
            }
            Step::Reply(reply) => {
                state.answered = true;
                let effects = state.effects.take();
                effects.iter().for_each(note);
                send(runner.name(), &reply, &effects);
                return Action::Pause;
            }
        };
    }
}

fn send(filter: &str, reply: &Reply, effects: &[Effect]) {
    if let Err(error) = host::send(reply, effects) {
        log::error!("{filter}: the proxy does not take a refusal, the request hangs: {error:?}");
    }
}

/// A proxy should not send requests to a plugin whose configuration was refused.
fn refuse_unconfigured(filter: &str) -> Action {
    let refusal = Refusal::unavailable("not_configured");
    send(filter, &refusal.reply(filter, Format::default(), &Request::new(&Live)), &[]);
    Action::Pause
}

const fn failure(error: HostError) -> CallFailure {
    match error {
        HostError::InternalFailure => CallFailure::NoHost,
        _ => CallFailure::Rejected,
    }
}

/// Reads the answer of a call that has ended, and hands it to `tell`.
fn with_answer<T>(ended: Ended, tell: impl FnOnce(&Answer<'_>) -> T) -> T {
    if ended.headers == 0 {
        return tell(&Answer::Failed(CallFailure::Broken));
    }
    let headers = host::headers(MapType::CallHeaders).unwrap_or_default();
    let Some(status) = headers.first(":status").and_then(parse_status) else {
        return tell(&Answer::Failed(CallFailure::Broken));
    };
    let trailers = match ended.trailers {
        0 => Headers::default(),
        _ => host::headers(MapType::CallTrailers).unwrap_or_default(),
    };
    let response = |body| Answer::Response { status, headers: &headers, body, trailers: &trailers };
    if ended.max_body == 0 || ended.body == 0 {
        return tell(&response(&[]));
    }
    if ended.body > ended.max_body {
        return tell(&Answer::Failed(CallFailure::TooLong));
    }
    match imports::buffer(BufferType::CallBody, ended.body) {
        Ok(body) => tell(&response(&body)),
        Err(_) => tell(&Answer::Failed(CallFailure::Broken)),
    }
}
