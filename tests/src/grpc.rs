//! A server of gRPC that answers as it is told, well or badly: HTTP/2 by hand, as little of it as
//! Envoy needs (RFC 9113), so that an answer can be any bytes.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::http2::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    read, write,
};

/// How a call is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With headers, the bytes of a body, and trailers.
    Http(Vec<Field>, Vec<u8>, Vec<Field>),
    /// With headers alone, which end the stream.
    TrailersOnly(Vec<Field>),
    /// Never; the connection stays open.
    Hang,
    /// By a reset of the stream (`INTERNAL_ERROR`).
    Reset,
    /// By the end of the connection.
    Close,
    /// With bytes that are no HTTP/2.
    Garbage,
    /// With a pause before each byte.
    Slowly(Duration, Box<Self>),
}

/// A name and a value.
pub type Field = (&'static str, String);

impl Reply {
    /// A message that went well.
    pub fn message(message: &[u8]) -> Self {
        Self::body(framed(message))
    }

    /// A body that claims to have gone well.
    pub fn body(body: Vec<u8>) -> Self {
        Self::Http(head(), body, vec![("grpc-status", "0".into())])
    }

    /// Another `grpc-status`, in place of a message.
    pub fn status(code: &str) -> Self {
        let mut fields = head();
        fields.push(("grpc-status", code.into()));
        Self::TrailersOnly(fields)
    }
}

/// The headers of any answer of gRPC.
pub fn head() -> Vec<Field> {
    vec![(":status", "200".into()), ("content-type", "application/grpc".into())]
}

/// A message in its frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// A field of a message that is a number (protobuf, "Encoding").
pub fn number(field: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    let mut rest = value;
    while rest > 127 {
        bytes.push((rest & 127) as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A field that is bytes, shorter than 128 of them.
pub fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    assert!(value.len() < 128);
    [&[field << 3 | 2, value.len() as u8], value].concat()
}

type Handler = dyn Fn(&[u8]) -> Reply + Send + Sync;
/// The messages of calls.
type Log = Mutex<Vec<Vec<u8>>>;

/// The server. It ends when it is dropped.
pub struct Grpc {
    address: SocketAddr,
    received: Arc<Log>,
    ended: Arc<AtomicBool>,
}

impl Grpc {
    /// One that answers a call as `handler` says to its message.
    pub fn answering(handler: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, handler)
    }

    /// The same on a port that the caller took.
    pub fn on(
        listener: TcpListener,
        handler: impl Fn(&[u8]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("bound");
        let (received, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (log, stop, handler): (Arc<Log>, _, Arc<Handler>) =
            (Arc::clone(&received), Arc::clone(&ended), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                let Ok(stream) = stream else { continue };
                thread::spawn(move || serve(stream, &log, &*handler));
            }
        });
        Self { address, received, ended }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The messages of the calls so far.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().expect("not poisoned").clone()
    }

    /// How many calls came.
    pub fn count(&self) -> usize {
        self.received.lock().expect("not poisoned").len()
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, log: &Log, handler: &Handler) {
    let _ = converse(stream, log, handler);
}

fn converse(stream: TcpStream, log: &Log, handler: &Handler) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    reader.read_exact(&mut [0; 24])?; // the preface
    write(reader.get_mut(), SETTINGS, 0, 0, &[])?;
    // All that a test sends fits in one window of the connection.
    write(reader.get_mut(), WINDOW_UPDATE, 0, 0, &0x3fff_ffff_u32.to_be_bytes())?;
    let mut bodies = std::collections::BTreeMap::<u32, Vec<u8>>::new();
    loop {
        let (kind, flags, id, payload) = read(&mut reader)?;
        match kind {
            SETTINGS if flags & ACK == 0 => write(reader.get_mut(), SETTINGS, ACK, 0, &[])?,
            PING if flags & ACK == 0 => write(reader.get_mut(), PING, ACK, 0, &payload)?,
            DATA => bodies.entry(id).or_default().extend(payload),
            _ => {}
        }
        if !matches!(kind, HEADERS | DATA) || flags & END_STREAM == 0 {
            continue;
        }
        let body = bodies.remove(&id).unwrap_or_default();
        let message = body.get(5..).unwrap_or_default().to_vec();
        let reply = handler(&message);
        log.lock().expect("not poisoned").push(message);
        let goes_on = match reply {
            Reply::Slowly(pause, reply) => answer(&mut Slow(reader.get_mut(), pause), id, *reply)?,
            reply => answer(reader.get_mut(), id, reply)?,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// Writes with a pause before each byte.
struct Slow<'a>(&'a mut TcpStream, Duration);

impl Write for Slow<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(self.1);
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether the connection goes on.
fn answer(stream: &mut impl Write, id: u32, reply: Reply) -> io::Result<bool> {
    match reply {
        Reply::Http(head, body, trailers) => {
            write(stream, HEADERS, END_HEADERS, id, &block(&head))?;
            for part in body.chunks(16_384) {
                write(stream, DATA, 0, id, part)?;
            }
            write(stream, HEADERS, END_HEADERS | END_STREAM, id, &block(&trailers))?;
        }
        Reply::TrailersOnly(head) => {
            write(stream, HEADERS, END_HEADERS | END_STREAM, id, &block(&head))?;
        }
        Reply::Hang => {}
        Reply::Reset => write(stream, RST_STREAM, 0, id, &2_u32.to_be_bytes())?,
        Reply::Close => return Ok(false),
        Reply::Garbage => {
            stream.write_all(&[0xff; 64])?;
            return Ok(false);
        }
        Reply::Slowly(_, reply) => return answer(stream, id, *reply),
    }
    Ok(true)
}
