//! One plugin of the proxy: its configured filter and the exchanges under it.

use std::collections::HashMap;
use std::time::Duration;

use super::Action;
use super::host::{self, Live, NotApplied, apply, note};
use super::imports::{self, BufferType, HostError, MapType};
use super::vm::{Caller, Calls};
use crate::config::Environment;
use crate::driver::{Instance, Run, Step};
use crate::effects::{Effect, Effects};
use crate::filter::{Answer, Background, Birth, Call, CallFailure, Plugin};
use crate::hash::Spread;
use crate::reply::{Format, Refusal, Reply};
use crate::store::Store;
use crate::view::{Exchange, Host, Map, Request, Response, parse_status};

/// How often the log level is followed where the filter wants no tick of its own.
const SLOWEST_TICK: Duration = Duration::from_secs(5);
/// How often held requests are told that there may be news.
const NEWS_TICK: Duration = Duration::from_millis(50);
/// The first tick comes at once: keys are fetched before the first request needs them.
const FIRST_TICK: Duration = Duration::from_millis(1);
/// How many requests a plugin may hold on one worker.
const MOST_HELD: usize = 1024;

/// A plugin of any kind of filter.
pub(super) trait Root {
    /// Takes the proxy's configuration into effect; whether that went well.
    fn configure(&mut self) -> bool;
    /// Time has passed.
    fn tick(&mut self, calls: &mut Calls<'_>);
    /// Whether more of a request is held back: it waits for a call, or was answered.
    fn holds(&self, stream: u32) -> bool;
    /// An exchange is over; the token of the call that it still waited for.
    fn close(&mut self, stream: u32) -> Option<u32>;
    /// The head of its request has come.
    fn request(&mut self, stream: u32, calls: &mut Calls<'_>) -> Action;
    /// The head of its response has come.
    fn response(&mut self, stream: u32);
    /// It is logged.
    fn log(&mut self, stream: u32);
    /// The call that an exchange waits for has ended.
    fn answered(&mut self, stream: u32, ended: Ended, calls: &mut Calls<'_>);
    /// A background call has ended.
    fn background_answered(&mut self, id: u32, ended: Ended, calls: &mut Calls<'_>);
}

/// A call that has ended, as the proxy tells it.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    /// How many headers the answer has; none where there is no answer.
    pub(super) headers: usize,
    /// How long its body is.
    pub(super) body: usize,
    /// How much of it is wanted.
    pub(super) max_body: usize,
}

/// The plugin of one kind of filter.
pub(super) struct Rooted<P: Plugin> {
    instance: Option<Instance<P>>,
    /// The exchanges that there is more to come for.
    streams: HashMap<u32, Stream<P>, Spread>,
    /// The exchanges whose requests wait for news.
    held: Vec<u32>,
    /// How often time passes for it.
    tick: Duration,
    /// Whether more comes for every exchange: its response, its end.
    keeps_streams: bool,
}

struct Stream<P: Plugin> {
    run: Run<P>,
    waits_for: Option<u32>,
    /// Whether its request is held until there may be news.
    held: bool,
    /// Whether it was answered in the upstream's place.
    answered: bool,
    /// What is done when the request goes on, or is refused.
    effects: Effects,
    /// Headers for the response, set before there was one.
    response: Vec<Effect>,
}

impl<P: Plugin> Default for Stream<P> {
    fn default() -> Self {
        Self {
            run: Run::default(),
            waits_for: None,
            held: false,
            answered: false,
            effects: Effects::default(),
            response: vec![],
        }
    }
}

impl<P: Plugin> Rooted<P> {
    pub(super) fn new(keeps_streams: bool) -> Self {
        Self {
            instance: None,
            streams: HashMap::default(),
            held: Vec::new(),
            tick: SLOWEST_TICK,
            keeps_streams,
        }
    }
}

impl<P: Plugin> Root for Rooted<P> {
    fn configure(&mut self) -> bool {
        super::logger::follow_level();
        match configure::<P>() {
            Ok(instance) => {
                self.instance = Some(instance);
                self.set_tick(FIRST_TICK);
                true
            }
            Err(why) => {
                log::error!("{}: configuration refused: {why}", P::NAME);
                false
            }
        }
    }

    fn tick(&mut self, calls: &mut Calls<'_>) {
        super::logger::follow_level();
        let Some(instance) = &mut self.instance else { return };
        let next = instance.plugin.tick().unwrap_or(SLOWEST_TICK).min(SLOWEST_TICK);
        if let Ok(now) = Live.now() {
            let mut background = Background::new(now, Store::new(&Live));
            instance.plugin.on_tick(&mut background);
            self.do_background(background, calls);
        }
        self.spread_news(calls);
        self.set_tick(if self.held.is_empty() { next } else { NEWS_TICK });
    }

    fn close(&mut self, stream: u32) -> Option<u32> {
        let state = self.streams.remove(&stream)?;
        if state.held {
            self.held.retain(|held| *held != stream);
        }
        state.waits_for
    }

    fn request(&mut self, stream: u32, calls: &mut Calls<'_>) -> Action {
        let Some(instance) = &mut self.instance else { return refuse_unconfigured(P::NAME) };
        let request = Request::new(&Live);
        let mut state = Stream::default();
        let step = instance.on_request(&mut state.run, &request, &mut state.effects);
        let room = self.held.len() < MOST_HELD;
        let action = act(stream, instance, &mut state, step, &request, calls, room);
        let (started, held) = (state.effects.take_calls(), state.held);
        if self.keeps_streams || action == Action::Pause {
            self.streams.insert(stream, state);
        }
        if held {
            self.hold(stream);
        }
        self.start(started, calls);
        action
    }

    fn holds(&self, stream: u32) -> bool {
        let held = |state: &Stream<P>| state.waits_for.is_some() || state.held || state.answered;
        self.instance.is_none() || self.streams.get(&stream).is_some_and(held)
    }

    fn response(&mut self, stream: u32) {
        let (Some(instance), Some(state)) = (&mut self.instance, self.streams.get_mut(&stream))
        else {
            return;
        };
        let mut effects = Effects::default();
        instance.on_response(&mut state.run, &Response::new(&Live), &mut effects);
        let mut all = std::mem::take(&mut state.response);
        all.extend(effects.take());
        if apply(P::NAME, &all, Map::Response).is_err() {
            log::warn!("{}: the proxy did not take a header of the response", P::NAME);
        }
    }

    fn log(&mut self, stream: u32) {
        let (Some(instance), Some(state)) = (&mut self.instance, self.streams.get_mut(&stream))
        else {
            return;
        };
        let mut effects = Effects::default();
        instance.on_log(&mut state.run, &Exchange::new(&Live), &mut effects);
        effects.iter().for_each(|effect| note(P::NAME, effect));
    }

    fn answered(&mut self, stream: u32, ended: Ended, calls: &mut Calls<'_>) {
        let (Some(instance), Some(state)) = (&mut self.instance, self.streams.get_mut(&stream))
        else {
            return;
        };
        state.waits_for = None;
        let request = Request::new(&Live);
        // Calls belong to the root, and so do their answers. The answer is read there, and what is
        // done is done to the stream.
        let step = with_answer(ended, |answer| {
            if let Err(error) = imports::set_effective_context(stream) {
                log::error!("{}: the proxy does not know the stream of a call: {error:?}", P::NAME);
                return None;
            }
            Some(instance.on_answer(&mut state.run, answer, &request, &mut state.effects))
        });
        let Some(step) = step else {
            // Whatever is done now would be done to another stream. This one is held for good.
            state.answered = true;
            return;
        };
        let room = self.held.len() < MOST_HELD;
        let action = act(stream, instance, state, step, &request, calls, room);
        let (started, held) = (state.effects.take_calls(), state.held);
        go_on(P::NAME, action);
        if held {
            self.hold(stream);
        }
        self.start(started, calls);
    }

    fn background_answered(&mut self, id: u32, ended: Ended, calls: &mut Calls<'_>) {
        let Some(instance) = &mut self.instance else { return };
        // A clock that fails makes every answer old.
        let now = Live.now().unwrap_or_default();
        let mut background = Background::new(now, Store::new(&Live));
        with_answer(ended, |answer| {
            instance.plugin.on_background_answer(id, answer, &mut background);
        });
        self.do_background(background, calls);
        self.spread_news(calls);
    }
}

impl<P: Plugin> Rooted<P> {
    fn set_tick(&mut self, tick: Duration) {
        if self.tick == tick {
            return;
        }
        self.tick = tick;
        let millis = u32::try_from(tick.as_millis()).unwrap_or(u32::MAX).max(1);
        if let Err(error) = imports::set_tick_period(millis) {
            log::warn!("{}: the proxy gives no ticks: {error:?}", P::NAME);
        }
    }

    /// One more request waits for news.
    fn hold(&mut self, stream: u32) {
        self.held.push(stream);
        self.set_tick(NEWS_TICK);
    }

    /// Asks every held request whether it goes on now.
    fn spread_news(&mut self, calls: &mut Calls<'_>) {
        let Some(instance) = &mut self.instance else { return };
        let mut started = Vec::new();
        for stream in std::mem::take(&mut self.held) {
            let Some(state) = self.streams.get_mut(&stream) else { continue };
            if let Err(error) = imports::set_effective_context(stream) {
                // Whatever is done now would be done to another stream.
                log::error!("{}: the proxy does not know a held stream: {error:?}", P::NAME);
                self.held.push(stream);
                continue;
            }
            state.held = false;
            let request = Request::new(&Live);
            let step = instance.on_news(&mut state.run, &request, &mut state.effects);
            let action = act(stream, instance, state, step, &request, calls, true);
            started.append(&mut state.effects.take_calls());
            go_on(P::NAME, action);
            if state.held {
                self.held.push(stream);
            }
        }
        self.start(started, calls);
    }

    /// Starts background calls that requests gave rise to.
    fn start(&mut self, started: Vec<(u32, Call)>, calls: &mut Calls<'_>) {
        if started.is_empty() {
            return;
        }
        let mut background = Background::new(Live.now().unwrap_or_default(), Store::new(&Live));
        started.into_iter().for_each(|(id, call)| background.call(id, call));
        self.do_background(background, calls);
    }

    /// Starts the calls of background work; those that do not start have failed.
    fn do_background(&mut self, mut background: Background<'_>, calls: &mut Calls<'_>) {
        let Some(instance) = &mut self.instance else { return };
        // A plugin that answers each failure with a call would keep the worker here for ever.
        for _ in 0..2 {
            background.effects.iter().for_each(|effect| note(P::NAME, effect));
            let mut next = Background::new(background.now, Store::new(&Live));
            for (id, call) in background.take_calls() {
                match host::start(&call) {
                    Ok(token) => calls.register(token, Caller::Background(id), call.max_body),
                    Err(error) => {
                        let answer = Answer::Failed(failure(error));
                        instance.plugin.on_background_answer(id, &answer, &mut next);
                    }
                }
            }
            background = next;
        }
        background.effects.iter().for_each(|effect| note(P::NAME, effect));
        for (_, call) in background.take_calls() {
            log::warn!(
                "{}: a call to {} is not tried again before the next tick",
                P::NAME,
                call.cluster
            );
        }
    }
}

fn configure<P: Plugin>() -> Result<Instance<P>, String> {
    let bytes = imports::buffer(BufferType::PluginConfiguration, usize::MAX);
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(HostError::NotFound) => Vec::new(),
        Err(error) => return Err(format!("the proxy does not hand it over: {error:?}")),
    };
    let name = Live.property(&["plugin_name"]).ok().flatten().unwrap_or_default();
    let mut secret = [0; 16];
    Live.random(&mut secret).map_err(|_| "the proxy gives no randomness".to_owned())?;
    let now = Live.now().map_err(|_| "the proxy does not tell the time".to_owned())?;
    let birth = Birth { name: &String::from_utf8_lossy(&name), secret, now, host: &Live };
    Instance::configure(&bytes, &environment(), &birth).map_err(|error| error.to_string())
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
fn act<P: Plugin>(
    stream: u32,
    instance: &mut Instance<P>,
    state: &mut Stream<P>,
    mut step: Step,
    request: &Request<'_>,
    calls: &mut Calls<'_>,
    room: bool,
) -> Action {
    loop {
        step = match step {
            Step::Hold if room => {
                state.held = true;
                return Action::Pause;
            }
            Step::Hold => instance.too_many_held(request, &mut state.effects),
            Step::Wait(call) => match host::start(&call) {
                Ok(token) => {
                    state.waits_for = Some(token);
                    calls.register(token, Caller::Stream(stream), call.max_body);
                    return Action::Pause;
                }
                Err(error) => {
                    let answer = Answer::Failed(failure(error));
                    instance.on_answer(&mut state.run, &answer, request, &mut state.effects)
                }
            },
            Step::Continue => {
                let effects = state.effects.take();
                let applied = apply(P::NAME, &effects, Map::Request);
                state.response.extend(effects.into_iter().filter(is_for_response));
                match applied {
                    Ok(()) => return Action::Continue,
                    Err(NotApplied) => instance.host_failure(request, &mut state.effects),
                }
            }
            Step::Reply(reply) => {
                state.answered = true;
                let effects = state.effects.take();
                effects.iter().for_each(|effect| note(P::NAME, effect));
                send(P::NAME, &reply, &effects);
                return Action::Pause;
            }
        };
    }
}

const fn is_for_response(effect: &Effect) -> bool {
    matches!(effect, Effect::SetResponseHeader(..) | Effect::AddResponseHeader(..))
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
    if ended.max_body == 0 || ended.body == 0 {
        return tell(&Answer::Response { status, headers: &headers, body: &[] });
    }
    if ended.body > ended.max_body {
        return tell(&Answer::Failed(CallFailure::TooLong));
    }
    match imports::buffer(BufferType::CallBody, ended.body) {
        Ok(body) => tell(&Answer::Response { status, headers: &headers, body: &body }),
        Err(_) => tell(&Answer::Failed(CallFailure::Broken)),
    }
}
