//! What the host remembers while a module runs.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Faults;
use super::headers::Headers;
use super::shared::Shared;

/// A foreign function: arguments in, results or a status out.
pub type Foreign = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, u32> + Send>;

/// A line that the module logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// 0 trace, 1 debug, 2 info, 3 warning, 4 error, 5 critical.
    pub level: u32,
    /// What it said.
    pub text: String,
}

/// A call that the module made and that has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The token under which the answer is delivered.
    pub token: u32,
    /// The stream on whose behalf the call was made, or the root context.
    pub context: u32,
    /// HTTP, or gRPC with its service and method.
    pub protocol: Protocol,
    /// The cluster that is asked.
    pub cluster: String,
    /// The headers, or the initial metadata.
    pub headers: Headers,
    /// The body, or the messages one after the other.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
    /// In milliseconds; 0 in a gRPC stream.
    pub timeout: u32,
}

/// What kind of call it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `proxy_http_call`.
    Http,
    /// `proxy_grpc_call`: service and method.
    Grpc(String, String),
    /// `proxy_grpc_stream`: service and method.
    GrpcStream(String, String),
}

/// A reply that the module sent in place of the upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// The HTTP status.
    pub status: u32,
    /// What the access log calls `response_code_details`.
    pub details: String,
    /// The headers that the module gave.
    pub headers: Headers,
    /// The body, as text (what is not UTF-8 is replaced).
    pub body: String,
    /// The gRPC status; -1 for none.
    pub grpc_status: i32,
}

impl LocalReply {
    /// The headers with those that Envoy puts to them.
    pub(super) fn wire_headers(&self) -> Headers {
        let mut headers = Headers::new(&[(":status", self.status.to_string())]);
        self.headers.pairs().iter().for_each(|(name, value)| headers.add(name, value));
        if !self.body.is_empty() {
            headers.replace(b"content-length", self.body.len().to_string().as_bytes());
            if headers.get("content-type").is_none() {
                headers.add(b"content-type", b"text/plain");
            }
        }
        headers
    }
}

/// Everything that host calls read and write.
#[derive(Default)]
pub(super) struct State {
    pub(super) environment: Vec<(String, String)>,
    pub(super) vm_configuration: Vec<u8>,
    pub(super) plugin_configuration: Option<Vec<u8>>,
    pub(super) clusters: BTreeSet<String>,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) foreign: BTreeMap<String, Foreign>,
    pub(super) now: u64,
    pub(super) random: u64,
    pub(super) log_level: u32,
    pub(super) tick_period: Option<u32>,
    pub(super) shared: Shared,
    pub(super) metrics: Vec<(u32, String)>,
    pub(super) logs: Vec<LogLine>,
    pub(super) faults: Faults,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) misuse: Vec<String>,

    /// The context whose callback runs, and the one that the module chose in its place (0: none).
    pub(super) current: u32,
    pub(super) effective: u32,
    pub(super) roots: BTreeSet<u32>,
    pub(super) streams: BTreeMap<u32, Stream>,

    pub(super) last_token: u32,
    pub(super) calls: BTreeMap<u32, Call>,
    pub(super) answer: Option<Answer>,
    pub(super) grpc_message: Option<Vec<u8>>,
    pub(super) grpc_status: (u32, String),
}

impl State {
    pub(super) fn context(&self) -> u32 {
        let chosen =
            self.roots.contains(&self.effective) || self.streams.contains_key(&self.effective);
        if chosen { self.effective } else { self.current }
    }

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    pub(super) fn log(&mut self, level: u32, text: &[u8]) {
        let text = String::from_utf8_lossy(text).trim_end().to_owned();
        self.logs.push(LogLine { level, text });
    }

    pub(super) fn token(&mut self) -> u32 {
        self.last_token += 1;
        self.last_token
    }

    /// SplitMix64: the same seed, the same bytes.
    pub(super) fn random_byte(&mut self) -> u8 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8
    }
}

/// The answer to an HTTP call; no headers at all means that there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// With `:status` among them.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
}

impl Answer {
    /// An answer with a status and a body.
    pub fn new(status: u32, body: &str) -> Self {
        let headers = Headers::new(&[(":status", status.to_string())]);
        Self { headers, body: body.into(), trailers: Headers::default() }
    }
}

/// One exchange of request and response.
#[derive(Default)]
pub(super) struct Stream {
    /// By map type: request headers and trailers, response headers and trailers.
    pub(super) maps: [Map; 4],
    /// By buffer type: what the module may read now of the request's and the response's body.
    pub(super) bodies: [Option<Vec<u8>>; 2],
    /// What has gone on of either body.
    pub(super) sent: [Vec<u8>; 2],
    /// Whether the request and the response wait for `proxy_continue_stream`.
    pub(super) paused: [bool; 2],
    /// Chunks of either body that came while the headers before them waited.
    pub(super) held: [Vec<(Vec<u8>, bool)>; 2],
    /// Filter state by name.
    pub(super) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) reply: Option<LocalReply>,
    pub(super) reply_seen: bool,
    pub(super) reset: bool,
    pub(super) logging: bool,
}

/// Headers, and whether the module can reach them now.
#[derive(Default)]
pub(super) struct Map {
    pub(super) headers: Headers,
    pub(super) open: bool,
}

impl Stream {
    /// What can be read: everything that can be written, and both header maps in the log phase.
    pub(super) fn readable(&self, map: u32) -> Option<&Headers> {
        let map_of = self.maps.get(map as usize)?;
        let open = if self.logging { map != REQUEST_TRAILERS } else { map_of.open };
        open.then_some(&map_of.headers)
    }

    pub(super) fn writable(&mut self, map: u32) -> Option<&mut Headers> {
        self.maps.get_mut(map as usize).filter(|map| map.open).map(|map| &mut map.headers)
    }

    /// Lets go of one direction (0 request, 1 response): its maps close, its body goes on.
    pub(super) fn resume(&mut self, direction: usize) {
        self.paused[direction] = false;
        self.maps[2 * direction].open = false;
        self.maps[2 * direction + 1].open = false;
        self.sent[direction].extend(self.bodies[direction].take().unwrap_or_default());
    }
}

/// The map types of a stream.
pub(super) const REQUEST_HEADERS: u32 = 0;
pub(super) const REQUEST_TRAILERS: u32 = 1;
pub(super) const RESPONSE_HEADERS: u32 = 2;
pub(super) const RESPONSE_TRAILERS: u32 = 3;
