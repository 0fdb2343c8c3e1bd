//! The exchanges that a test drives: requests, bodies, responses, answers to calls, the end.

use super::headers::Headers;
use super::outcome::Outcome;
use super::state::{
    Answer, Protocol, REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, RESPONSE_TRAILERS,
    Stream,
};
use super::{Host, Trap};

impl Host {
    /// A request without a body.
    pub fn request<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        headers: &[(N, V)],
    ) -> Result<Outcome, Trap> {
        self.open(headers, true)
    }

    /// A request; `end` if no body and no trailers follow.
    pub fn open<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        headers: &[(N, V)],
        end: bool,
    ) -> Result<Outcome, Trap> {
        let stream = self.next_context();
        self.state_mut().streams.insert(stream, Stream::default());
        let root = self.root();
        self.call(stream, "proxy_on_context_create", &[stream, root])?;
        self.headers(stream, REQUEST_HEADERS, Headers::new(headers), Some(end))
    }

    /// A chunk of the request's body. While the headers wait, the chunk waits too.
    pub fn request_body(&mut self, stream: u32, chunk: &[u8], end: bool) -> Result<Outcome, Trap> {
        self.body(stream, 0, chunk, end)
    }

    /// The trailers of the request.
    pub fn request_trailers(&mut self, stream: u32, trailers: Headers) -> Result<Outcome, Trap> {
        self.headers(stream, REQUEST_TRAILERS, trailers, None)
    }

    /// The upstream's response; `end` if no body and no trailers follow.
    pub fn respond<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        stream: u32,
        headers: &[(N, V)],
        end: bool,
    ) -> Result<Outcome, Trap> {
        self.headers(stream, RESPONSE_HEADERS, Headers::new(headers), Some(end))
    }

    /// A chunk of the response's body.
    pub fn response_body(&mut self, stream: u32, chunk: &[u8], end: bool) -> Result<Outcome, Trap> {
        self.body(stream, 1, chunk, end)
    }

    /// The trailers of the response.
    pub fn response_trailers(&mut self, stream: u32, trailers: Headers) -> Result<Outcome, Trap> {
        self.headers(stream, RESPONSE_TRAILERS, trailers, None)
    }

    /// The end of an exchange, with its access log: what a client that goes away causes, too.
    /// Calls that are under way are not cancelled: they belong to the root context.
    pub fn finish(&mut self, stream: u32) -> Result<Outcome, Trap> {
        self.stream_mut(stream).logging = true;
        self.call(stream, "proxy_on_log", &[stream])?;
        self.stream_mut(stream).logging = false;
        self.call(stream, "proxy_on_done", &[stream])?;
        let outcome = self.outcome(stream);
        self.call(stream, "proxy_on_delete", &[stream])?;
        self.state_mut().streams.remove(&stream);
        Ok(outcome)
    }

    /// Answers an HTTP call; the outcome is that of the exchange which made it, or an empty one,
    /// with `stream` 0, if a root context made it or the exchange has ended.
    pub fn answer(&mut self, token: u32, answer: Answer) -> Result<Outcome, Trap> {
        let sizes = [answer.headers.pairs(), answer.trailers.pairs()].map(<[_]>::len);
        let arguments = [token, sizes[0] as u32, answer.body.len() as u32, sizes[1] as u32];
        let answered = (!answer.headers.pairs().is_empty()).then_some(answer);
        self.state_mut().answer = answered;
        let outcome = self.deliver(token, "proxy_on_http_call_response", &arguments);
        self.state_mut().answer = None;
        outcome
    }

    /// Lets an HTTP call time out: as in Envoy, an answer with status 504.
    pub fn time_out(&mut self, token: u32) -> Result<Outcome, Trap> {
        self.answer(token, Answer::new(504, "upstream request timeout"))
    }

    /// Resets an HTTP call: a callback without headers.
    pub fn reset_call(&mut self, token: u32) -> Result<Outcome, Trap> {
        self.answer(token, Answer::default())
    }

    /// Delivers the answer to a gRPC call, or a message of a gRPC stream.
    pub fn grpc_message(&mut self, token: u32, message: &[u8]) -> Result<Outcome, Trap> {
        let call = self.state().calls.get(&token).cloned();
        self.state_mut().grpc_message = Some(message.to_vec());
        let size = message.len() as u32;
        let outcome = self.deliver(token, "proxy_on_grpc_receive", &[token, size]);
        self.state_mut().grpc_message = None;
        if let Some(call) = call.filter(|call| matches!(call.protocol, Protocol::GrpcStream(..))) {
            self.state_mut().calls.insert(token, call);
        }
        outcome
    }

    /// Ends a gRPC call or stream with a status.
    pub fn grpc_close(&mut self, token: u32, status: u32, message: &str) -> Result<Outcome, Trap> {
        self.state_mut().grpc_status = (status, message.to_owned());
        self.deliver(token, "proxy_on_grpc_close", &[token, status])
    }

    /// A callback that no proxy makes: for a context that is gone or was never there, or out of its
    /// turn. The module is to make nothing of it.
    pub fn stray(&mut self, export: &str, arguments: &[u32]) -> Result<(), Trap> {
        let root = self.root();
        self.call(root, export, arguments).map(drop)
    }

    /// Where an exchange stands.
    pub fn outcome(&self, stream: u32) -> Outcome {
        self.state().outcome(stream)
    }

    fn deliver(&mut self, token: u32, export: &str, arguments: &[u32]) -> Result<Outcome, Trap> {
        let call = self.state_mut().calls.remove(&token);
        let context = call.unwrap_or_else(|| panic!("no call {token} is under way")).context;
        let root = self.root();
        self.call(root, export, &[&[root], arguments].concat())?;
        self.settle()?;
        Ok(self.outcome(context))
    }

    fn headers(
        &mut self,
        stream: u32,
        map: u32,
        headers: Headers,
        end: Option<bool>,
    ) -> Result<Outcome, Trap> {
        let (direction, count) = (map as usize / 2, headers.pairs().len() as u32);
        let here = self.stream_mut(stream);
        here.maps[map as usize].headers = headers;
        here.maps[map as usize].open = true;
        let arguments = [stream, count, u32::from(end.unwrap_or_default())];
        let arguments = if end.is_some() { &arguments[..] } else { &arguments[..2] };
        if self.goes_on(stream, direction, HEADERS[map as usize], arguments)? {
            let here = self.stream_mut(stream);
            here.maps[map as usize].open = false;
            here.paused[direction] = false;
        }
        self.settle()?;
        Ok(self.outcome(stream))
    }

    fn body(
        &mut self,
        stream: u32,
        direction: usize,
        chunk: &[u8],
        end: bool,
    ) -> Result<Outcome, Trap> {
        let here = self.stream_mut(stream);
        if here.maps[2 * direction].open {
            here.held[direction].push((chunk.to_vec(), end));
            return Ok(self.outcome(stream));
        }
        let body = here.bodies[direction].get_or_insert_default();
        body.extend_from_slice(chunk);
        let arguments = [stream, body.len() as u32, u32::from(end)];
        if self.goes_on(stream, direction, BODIES[direction], &arguments)? {
            self.stream_mut(stream).resume(direction);
        }
        self.settle()?;
        Ok(self.outcome(stream))
    }

    /// Whether the direction goes on by the callback's own word. A reply stops it in any case,
    /// and the module may also have resumed it before the callback returned.
    fn goes_on(
        &mut self,
        stream: u32,
        direction: usize,
        export: &str,
        arguments: &[u32],
    ) -> Result<bool, Trap> {
        let here = self.stream_mut(stream);
        let replied = here.reply.is_some();
        here.paused[direction] = true;
        let action = self.call(stream, export, arguments)?.unwrap_or_default();
        Ok(action == 0 && self.stream_mut(stream).reply.is_some() == replied)
    }

    /// What follows from a callback: bodies that waited go on, and a local reply comes by the
    /// response's callbacks, as in Envoy.
    fn settle(&mut self) -> Result<(), Trap> {
        for stream in self.state().streams.keys().copied().collect::<Vec<_>>() {
            for direction in [0, 1] {
                self.release(stream, direction)?;
            }
            let here = self.stream_mut(stream);
            if let Some(reply) = here.reply.clone().filter(|_| !here.reply_seen) {
                here.reply_seen = true;
                self.headers(stream, RESPONSE_HEADERS, reply.wire_headers(), Some(true))?;
            }
        }
        Ok(())
    }

    fn release(&mut self, stream: u32, direction: usize) -> Result<(), Trap> {
        let here = self.stream_mut(stream);
        if !here.maps[2 * direction].open {
            for (chunk, end) in std::mem::take(&mut here.held[direction]) {
                self.body(stream, direction, &chunk, end)?;
            }
        }
        Ok(())
    }

    fn stream_mut(&mut self, stream: u32) -> &mut Stream {
        let found = self.state_mut().streams.get_mut(&stream);
        found.unwrap_or_else(|| panic!("there is no exchange {stream}"))
    }
}

const HEADERS: [&str; 4] = [
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
];
const BODIES: [&str; 2] = ["proxy_on_request_body", "proxy_on_response_body"];
