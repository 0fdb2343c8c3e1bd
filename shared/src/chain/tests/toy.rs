//! Filters that do what their configuration says.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{Invalid, Layers, Scope};
use crate::effects::Effects;
use crate::filter::{Answer, Background, Birth, Call, Filter, Flow, Plugin, WholeBody};
use crate::reply::{Refusal, Reply};
use crate::runner::{Kind, Phases};
use crate::view::{Exchange, Request, Response};

/// The filters `a`, `b` and `c`.
pub(super) struct Toy<const N: usize>(Config);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    tick: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Settings {
    /// `continue`, `refuse`, `answer`, `wait`, `hold` or `read`.
    #[serde(default = "go_on")]
    does: String,
    /// What it copies into its own header: a header, or state.
    reads: Option<String>,
    /// A header that it takes off.
    removes: Option<String>,
}

fn go_on() -> String {
    "continue".to_owned()
}

#[derive(Default)]
pub(super) struct Play<const N: usize> {
    _known: Known,
}

/// An exchange that a filter knows of.
pub(super) struct Known;

impl Default for Known {
    fn default() -> Self {
        KNOWN.with_borrow_mut(|known| *known = known.saturating_add(1));
        Self
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        KNOWN.with_borrow_mut(|known| *known = known.saturating_sub(1));
    }
}

impl<const N: usize> Plugin for Toy<N> {
    const NAME: &'static str = ["a", "b", "c"][N];
    type Config = Config;
    type Settings = Settings;
    type Filter = Play<N>;

    fn new(config: Config, _: &Layers<Settings>, birth: &Birth<'_>) -> Result<Self, Invalid> {
        SECRETS.with_borrow_mut(|secrets| secrets.insert(birth.secret));
        Ok(Self(config))
    }

    fn tick(&self) -> Option<Duration> {
        self.0.tick.map(Duration::from_secs)
    }

    fn on_tick(&mut self, background: &mut Background<'_>) {
        background.call(40, Call::get("c", Self::NAME, "/", Duration::from_secs(1)));
    }

    fn on_background_answer(&mut self, id: u32, _: &Answer<'_>, background: &mut Background<'_>) {
        assert_eq!(id, 40);
        background.effects.count("told");
    }
}

thread_local! {
    /// The secrets that filters were given.
    pub(super) static SECRETS: RefCell<BTreeSet<[u8; 16]>> = RefCell::default();
    /// How many exchanges filters know of.
    pub(super) static KNOWN: RefCell<usize> = const { RefCell::new(0) };
}

impl<const N: usize> Play<N> {
    const NAME: &'static str = Toy::<N>::NAME;

    fn set(what: &str, value: &[u8], effects: &mut Effects) {
        effects.set_request_header(format!("x-{}{what}", Self::NAME).into(), value.into());
    }
}

impl<const N: usize> Filter for Play<N> {
    type Plugin = Toy<N>;

    fn on_request(
        &mut self,
        _: &mut Toy<N>,
        scope: &Scope<Settings>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let Settings { does, reads, removes } = &scope.settings;
        let read = reads.as_deref().map(|name| {
            let header = request.headers().first(name).map(<[u8]>::to_vec);
            header.or_else(|| request.property(&[name])).unwrap_or_else(|| b"nothing".to_vec())
        });
        Self::set("", &read.unwrap_or_else(|| b"was here".to_vec()), effects);
        if let Some(name) = removes {
            effects.remove_request_header(name.as_str().into());
        }
        effects.set_state(format!("gatehouse.evidence.{}", Self::NAME).into(), b"seen"[..].into());
        effects.set_response_header("x-early".into(), Self::NAME.as_bytes().into());
        effects.count("requests");
        match does.as_str() {
            "refuse" => Flow::Refuse(Refusal::forbidden("no")),
            "answer" => Flow::Answer(Reply {
                status: 204,
                details: "answered".into(),
                headers: vec![],
                body: vec![],
                grpc_status: None,
            }),
            "wait" => Flow::Wait(Call::get("c", "h", "/", Duration::from_secs(1))),
            "hold" => Flow::Hold,
            "read" => Flow::Read(10),
            _ => Flow::Continue,
        }
    }

    fn on_answer(
        &mut self,
        _: &mut Toy<N>,
        _: &Scope<Settings>,
        _: &Answer<'_>,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let in_front = request.headers().first("x-a").unwrap_or(b"nothing");
        Self::set("-answered", in_front, effects);
        Flow::Continue
    }

    fn on_news(
        &mut self,
        _: &mut Toy<N>,
        _: &Scope<Settings>,
        _: &Request<'_>,
        _: &mut Effects,
    ) -> Flow {
        Flow::Continue
    }

    fn on_whole_body(
        &mut self,
        _: &mut Toy<N>,
        _: &Scope<Settings>,
        body: WholeBody<'_>,
        _: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        effects.count("bodies");
        match body {
            WholeBody::Bytes(_) => Flow::Continue,
            _ => Flow::Refuse(Refusal::forbidden("body")),
        }
    }

    fn on_response(&mut self, _: &mut Toy<N>, response: &Response<'_>, effects: &mut Effects) {
        let before = response.headers().first("x-way").unwrap_or_default();
        let way = [before, Self::NAME.as_bytes()].concat();
        effects.set_response_header("x-way".into(), way.into());
        effects.count("responses");
    }

    fn on_log(&mut self, _: &mut Toy<N>, _: &Exchange<'_>, effects: &mut Effects) {
        effects.count("logs");
    }
}

pub(super) const KINDS: &[Kind] = &[
    Kind::of::<Toy<0>>(Phases::REQUEST.response().log()),
    Kind::of::<Toy<1>>(Phases::REQUEST.wait().log()),
    Kind::of::<Toy<2>>(Phases::REQUEST.response().log()),
];

/// Filters that are told of nothing but requests.
pub(super) const BRIEF: &[Kind] = &[
    Kind::of::<Toy<0>>(Phases::REQUEST.wait()),
    Kind::of::<Toy<1>>(Phases::REQUEST.wait()),
    Kind::of::<Toy<2>>(Phases::REQUEST.wait()),
];
