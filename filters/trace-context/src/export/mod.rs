//! The proxy's own spans, on their way to a collector.
//!
//! 1. Spans of recorded traces wait in a queue of each worker's. One that is full takes no more: the
//!    new span is dropped, and counted.
//! 2. At every tick a batch goes to the collector, one at a time; a full queue follows at once.
//! 3. A batch that the collector cannot take now (429, 502, 503, 504, no answer) is tried again, later
//!    and later, at most [`MOST_TRIES`] times; one that it refuses is dropped (OTLP 1.x, "Failures").
//! 4. A span is called after what the proxy knows of the operation, never after a path.
//! 5. What the collector says that it has left out (`partial_success`) is counted.

mod config;
mod operation;
mod otlp;
mod span;

use std::collections::VecDeque;
use std::time::Duration;

use shared::effects::Effects;
use shared::filter::{Answer, Background, Birth, Call};
use shared::headers::Headers;
use shared::time::Timestamp;
use shared::view::Exchange;

use config::Export;
pub(crate) use config::RawExport;
use operation::Methods;
#[cfg(test)]
pub(crate) use otlp::read;
pub(crate) use span::Started;

/// How often a batch is sent before it is given up.
const MOST_TRIES: u32 = 5;
/// How long a batch waits for its second try; twice as long for each one after.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that a collector may ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How much of an answer is read: there is a message in it, if anything.
const MOST_OF_AN_ANSWER: usize = 16 * 1024;

/// What sends a worker's spans.
pub(crate) struct Exporter {
    config: Export,
    resource: otlp::Resource,
    methods: Methods,
    queue: VecDeque<otlp::Span>,
    batch: Option<Batch>,
    /// The number of the call under way, or of the next. It is another for each plugin, so that an
    /// answer that was meant for the one before is not taken for one of ours.
    call: u32,
}

/// Spans that were sent, or will be again.
struct Batch {
    body: Vec<u8>,
    spans: usize,
    tries: u32,
    /// When it is due; `None` while a call is under way.
    due: Option<Timestamp>,
}

impl Exporter {
    /// One with an empty queue.
    pub(crate) fn new(config: Export, birth: &Birth<'_>) -> Self {
        let node = birth.host.property(&["xds", "node", "id"]).ok().flatten().unwrap_or_default();
        let resource = otlp::resource(&config.resource, &node);
        let call = birth.secret.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (methods, queue) = (Methods::default(), VecDeque::new());
        Self { config, resource, methods, queue, batch: None, call }
    }

    /// How often spans are sent.
    pub(crate) const fn interval(&self) -> Duration {
        self.config.interval
    }

    /// A span has ended.
    pub(crate) fn finish(&mut self, span: Started, exchange: &Exchange<'_>, effects: &mut Effects) {
        if self.queue.len() >= self.config.max_queue {
            effects.count_by("spans_dropped", "reason", "queue_full");
            return;
        }
        self.queue.push_back(span.end(&mut self.methods, exchange));
        effects.count("spans");
    }

    /// Sends what is due.
    pub(crate) fn send(&mut self, background: &mut Background<'_>) {
        let batch = match &mut self.batch {
            Some(Batch { due: None, .. }) => return,
            Some(Batch { due: Some(due), .. }) if *due > background.now => return,
            Some(batch) => batch,
            None if self.queue.is_empty() => return,
            None => {
                let count = self.queue.len().min(self.config.max_batch);
                let body =
                    otlp::request(self.resource.clone(), self.queue.drain(..count).collect());
                self.batch.insert(Batch { body, spans: count, tries: 0, due: None })
            }
        };
        batch.due = None;
        batch.tries = batch.tries.saturating_add(1);
        let call = Call {
            method: "POST",
            headers: vec![("content-type", "application/x-protobuf".to_owned())],
            body: batch.body.clone(),
            max_body: MOST_OF_AN_ANSWER,
            ..Call::get(
                self.config.cluster.as_str(),
                self.config.host.as_str(),
                self.config.path.as_str(),
                self.config.timeout,
            )
        };
        self.call = self.call.wrapping_add(1);
        background.call(self.call, call);
    }

    /// A call has ended.
    pub(crate) fn answered(
        &mut self,
        id: u32,
        answer: &Answer<'_>,
        background: &mut Background<'_>,
    ) {
        if id != self.call {
            return;
        }
        let Some(batch) = self.batch.take().filter(|batch| batch.due.is_none()) else { return };
        match verdict(answer) {
            Verdict::Taken { left_out } => {
                background.effects.count_by("batches", "result", "taken");
                drop_spans(left_out.min(batch.spans), "left_out", &mut background.effects);
                if self.queue.len() >= self.config.max_batch {
                    self.send(background);
                }
            }
            Verdict::Later(pause) if batch.tries < MOST_TRIES => {
                background.effects.count_by("batches", "result", "tried_again");
                let doubled = FIRST_PAUSE.saturating_mul(1 << batch.tries.saturating_sub(1).min(6));
                let pause = pause.map_or(doubled, |asked| asked.max(doubled)).min(LONGEST_PAUSE);
                self.batch = Some(Batch { due: Some(background.now.after(pause)), ..batch });
            }
            Verdict::Later(_) => {
                background.effects.count_by("batches", "result", "given_up");
                log::warn!(
                    "trace-context: {} spans are given up: no collector takes them",
                    batch.spans
                );
                drop_spans(batch.spans, "given_up", &mut background.effects);
            }
            Verdict::Refused(status) => {
                background.effects.count_by("batches", "result", "refused");
                log::warn!("trace-context: the collector refuses {} spans: {status}", batch.spans);
                drop_spans(batch.spans, "refused", &mut background.effects);
            }
        }
    }
}

fn drop_spans(count: usize, reason: &'static str, effects: &mut Effects) {
    for _ in 0..count {
        effects.count_by("spans_dropped", "reason", reason);
    }
}

/// What a collector makes of a batch.
enum Verdict {
    /// It has it, but for so many spans.
    Taken { left_out: usize },
    /// It may take it later, after so long a time if it says so.
    Later(Option<Duration>),
    /// It will never take it.
    Refused(u16),
}

fn verdict(answer: &Answer<'_>) -> Verdict {
    match answer {
        Answer::Response { status: 200..=299, body, .. } => {
            Verdict::Taken { left_out: otlp::left_out(body) }
        }
        Answer::Response { status: 429 | 502..=504, headers, .. } => {
            Verdict::Later(retry_after(headers))
        }
        Answer::Response { status, .. } => Verdict::Refused(*status),
        Answer::Failed(_) => Verdict::Later(None),
    }
}

/// RFC 9110, 10.2.3, in seconds; a date is not read.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let text = std::str::from_utf8(headers.first("retry-after")?).ok()?;
    text.parse().ok().map(Duration::from_secs)
}
