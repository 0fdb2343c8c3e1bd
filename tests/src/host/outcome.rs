//! What has become of an exchange.

use std::collections::BTreeMap;

use super::headers::Headers;
use super::state::{Call, LocalReply, REQUEST_HEADERS, RESPONSE_HEADERS, State};

/// Where an exchange stands after the module has been called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exchange, for the calls that drive it further.
    pub stream: u32,
    /// Whether it goes on or waits; after a local reply it never goes on.
    pub action: Action,
    /// The reply that the module sent.
    pub local_reply: Option<LocalReply>,
    /// The request's headers as the upstream gets them.
    pub request_headers: Headers,
    /// What of the request's body has gone on.
    pub request_body: Vec<u8>,
    /// The response's headers as the client gets them, of a local reply too.
    pub response_headers: Headers,
    /// What of the response's body has gone on.
    pub response_body: Vec<u8>,
    /// The properties that the module set, by name; parts of a name are joined with dots.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// Calls made for this exchange that have no answer yet.
    pub calls: Vec<Call>,
    /// All counters and gauges of the proxy.
    pub metrics: BTreeMap<String, u64>,
    /// Whether the module closed the stream.
    pub reset: bool,
}

/// What a callback asks the proxy to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    #[default]
    Continue,
    /// Wait until the module resumes.
    Pause,
}

impl State {
    pub(super) fn outcome(&self, stream: u32) -> Outcome {
        let Some(here) = self.streams.get(&stream) else { return Outcome::default() };
        let paused = here.paused.contains(&true);
        let name = |path: &[u8]| String::from_utf8_lossy(path).replace('\0', ".");
        Outcome {
            stream,
            action: if paused { Action::Pause } else { Action::Continue },
            local_reply: here.reply.clone(),
            request_headers: here.maps[REQUEST_HEADERS as usize].headers.clone(),
            request_body: here.sent[0].clone(),
            response_headers: here.maps[RESPONSE_HEADERS as usize].headers.clone(),
            response_body: here.sent[1].clone(),
            properties: here.filter_state.iter().map(|(k, v)| (name(k), v.clone())).collect(),
            calls: self.calls.values().filter(|call| call.context == stream).cloned().collect(),
            metrics: self.shared.lock().values.clone(),
            reset: here.reset,
        }
    }
}
