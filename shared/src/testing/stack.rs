//! Modules one behind the other, as a proxy runs them: what one does to a request, the next one sees.

use std::collections::BTreeMap;

use super::Proxy;
use crate::config::Invalid;
use crate::driver::Step;
use crate::effects::{Effect, Effects};
use crate::filter::{Answer, Background, Birth, Call, Ticket, WholeBody};
use crate::runner::Runner;
use crate::store::Store;
use crate::view::{Exchange, Request, Response};

/// Modules one behind the other, and the stand-in that they run under.
pub struct Stack {
    /// The proxy.
    pub proxy: Proxy,
    modules: Vec<Box<dyn Runner>>,
    /// The module that the request is at.
    at: usize,
    sum: Sum,
}

/// What has been done to a request and its response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// `continue`, `wait`, `hold`, or status and details.
    pub verdict: String,
    /// The headers of the request as it goes on, sorted; none where it does not.
    pub request: Vec<(String, String)>,
    /// The headers of the refusal.
    pub reply: Vec<(String, String)>,
    /// Filter state, without the evidence.
    pub state: BTreeMap<String, String>,
    /// The counters.
    pub counts: BTreeMap<String, usize>,
    /// How many writes the proxy was asked for, counters apart.
    pub writes: usize,
}

const STREAM: u32 = 1;

impl Stack {
    /// Modules that are made for a plugin of this name.
    pub fn new(
        make: impl FnOnce(&Birth<'_>) -> Result<Vec<Box<dyn Runner>>, Invalid>,
    ) -> Result<Self, Invalid> {
        let proxy = Proxy::default();
        let birth = Birth { name: "test", secret: [7; 16], now: proxy.now.get(), host: &proxy };
        let modules = make(&birth)?;
        Ok(Self { proxy, modules, at: 0, sum: Sum::default() })
    }

    /// Sends a request through all of them.
    pub fn send<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, headers: &[(N, V)]) -> Sum {
        for name in self.sum.state.keys() {
            self.proxy.properties.borrow_mut().remove(name);
        }
        for evidence in crate::identity::AUTHENTICATORS {
            let name = crate::identity::evidence_name(evidence);
            self.proxy.properties.borrow_mut().remove(&*name);
        }
        self.forget();
        (self.at, self.sum) = (0, Sum::default());
        self.proxy.set_request(headers);
        self.proxy.reads.borrow_mut().clear();
        self.go_on(|module, request, effects| module.on_request(STREAM, request, effects))
    }

    /// Nothing more comes for the exchange.
    pub fn forget(&mut self) {
        self.modules.iter_mut().for_each(|module| module.forget(STREAM));
    }

    /// Tells it, when it is held, that there are too many.
    pub fn too_many_held(&mut self) -> Sum {
        self.go_on(|module, request, effects| module.too_many_held(STREAM, request, effects))
    }

    /// Answers the call that it waits for.
    pub fn answer(&mut self, answer: &Answer<'_>) -> Sum {
        self.go_on(|module, request, effects| module.on_answer(STREAM, answer, request, effects))
    }

    /// Tells it that there may be news.
    pub fn news(&mut self) -> Sum {
        self.go_on(|module, request, effects| module.on_news(STREAM, request, effects))
    }

    /// Hands its body to the first module, which reads it: what the proxy has to do, and what was counted.
    pub fn body(&mut self, body: WholeBody<'_>) -> Option<(Step, Vec<String>)> {
        let mut effects = Effects::default();
        let mut request = Request::new(&self.proxy);
        let module = self.modules.first_mut()?;
        let step = module.on_whole_body(STREAM, body, &mut request, &mut effects);
        Some((step, names(&effects)))
    }

    /// Lets the response pass: the value of one of its headers in the end, and what was counted.
    pub fn respond(&mut self, header: &str) -> (Option<String>, Vec<String>) {
        let mut counts = Vec::new();
        for module in self.modules.iter_mut().take(self.at.saturating_add(1)).rev() {
            let mut effects = Effects::default();
            module.on_response(STREAM, &mut Response::new(&self.proxy), &mut effects);
            for effect in effects.take() {
                match effect {
                    Effect::SetResponseHeader(name, value) => {
                        self.proxy.response.borrow_mut().set(&name, &value);
                    }
                    Effect::Count(count) => counts.push(count.name()),
                    _ => {}
                }
            }
        }
        let value = self.proxy.response.borrow().first(header).map(text);
        (value, counts)
    }

    /// Ends the exchange: what was counted.
    pub fn log(&mut self) -> Vec<String> {
        let mut effects = Effects::default();
        for module in &mut self.modules {
            module.on_log(STREAM, &Exchange::new(&self.proxy), &mut effects);
        }
        names(&effects)
    }

    /// Lets time pass in the first module: the calls that it asks for.
    pub fn tick(&mut self) -> Vec<(Ticket, Call)> {
        let mut background = Background::new(self.proxy.now.get(), Store::new(&self.proxy));
        if let Some(module) = self.modules.first_mut() {
            module.on_tick(&mut background);
        }
        background.take_calls()
    }

    /// Answers one of them: what was counted.
    pub fn tell(&mut self, ticket: Ticket, answer: &Answer<'_>) -> Vec<String> {
        let mut background = Background::new(self.proxy.now.get(), Store::new(&self.proxy));
        if let Some(module) = self.modules.first_mut() {
            module.on_background_answer(ticket, answer, &mut background);
        }
        names(&background.effects)
    }

    fn go_on(
        &mut self,
        first: impl FnOnce(&mut dyn Runner, &mut Request<'_>, &mut Effects) -> Step,
    ) -> Sum {
        let mut first = Some(first);
        loop {
            let Some(module) = self.modules.get_mut(self.at) else {
                "continue".clone_into(&mut self.sum.verdict);
                let request = self.proxy.request.borrow();
                self.sum.request = request.iter().map(|(n, v)| (text(n), text(v))).collect();
                self.sum.request.sort();
                return self.sum.clone();
            };
            let mut effects = Effects::default();
            let mut view = module.view(&self.proxy);
            let mut step = match first.take() {
                Some(first) => first(&mut **module, &mut view, &mut effects),
                None => module.on_request(STREAM, &mut view, &mut effects),
            };
            while step == Step::Anew {
                for edit in effects.take_edits() {
                    self.sum.writes = self.sum.writes.saturating_add(1);
                    match edit {
                        Effect::SetRequestHeader(name, value) => {
                            self.proxy.request.borrow_mut().set(&name, &value);
                        }
                        Effect::RemoveRequestHeader(name) => {
                            self.proxy.request.borrow_mut().remove(&name);
                        }
                        _ => {}
                    }
                }
                view = module.view(&self.proxy);
                step = module.on_anew(STREAM, &mut view, &mut effects);
            }
            let goes_on = matches!(step, Step::Continue | Step::Read(_));
            self.apply(&effects, goes_on);
            self.sum.verdict = match step {
                Step::Continue | Step::Read(_) => {
                    self.at = self.at.saturating_add(1);
                    continue;
                }
                Step::Wait(_) => "wait".to_owned(),
                Step::Hold => "hold".to_owned(),
                Step::Anew => "anew".to_owned(),
                Step::Reply(reply) => {
                    let headers = reply.headers.iter();
                    self.sum.reply = headers.map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
                    format!("{} {}", reply.status, reply.details)
                }
            };
            return self.sum.clone();
        }
    }

    fn apply(&mut self, effects: &Effects, goes_on: bool) {
        for effect in effects.iter() {
            let writes = &mut self.sum.writes;
            match effect {
                Effect::SetRequestHeader(name, value) if goes_on => {
                    *writes = writes.saturating_add(1);
                    self.proxy.request.borrow_mut().set(name, value);
                }
                Effect::RemoveRequestHeader(name) if goes_on => {
                    *writes = writes.saturating_add(1);
                    self.proxy.request.borrow_mut().remove(name);
                }
                Effect::SetState(..) | Effect::Leave(..) => {
                    *writes = writes.saturating_add(1);
                    if let Some((name, value)) = effect.state() {
                        self.proxy.set_property(&[name], &value);
                        if !name.starts_with("gatehouse.evidence.") {
                            self.sum.state.insert(name.to_string(), text(&value));
                        }
                    }
                }
                Effect::Count(count) => {
                    let counted = self.sum.counts.entry(count.name()).or_default();
                    *counted = counted.saturating_add(1);
                }
                _ => {}
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(effects: &Effects) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Count(count) => Some(count.name()),
            _ => None,
        })
        .collect()
}
