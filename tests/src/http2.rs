//! HTTP/2 by hand, as little of it as tests need (RFC 9113): frames, and a client that sends any
//! fields, valid or not, in any order. A library would refuse to send what these tests are about.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames (RFC 9113, 6) and their flags.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A request, field by field.
#[derive(Clone, Debug, Default)]
pub struct Request {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    parts: Vec<Vec<u8>>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    is_open: bool,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; `None` where there is none.
    pub status: Option<u16>,
    /// The body.
    pub body: Vec<u8>,
    /// The code with which the stream or the connection was ended, where it was not the answer's end.
    pub error: Option<u32>,
}

/// A connection that is kept.
pub struct Connection {
    reader: BufReader<TcpStream>,
    stream: u32,
}

impl Request {
    /// A request with its four pseudo-header fields.
    pub fn new(method: &str, path: &str) -> Self {
        Self::bare()
            .field(":method", method)
            .field(":scheme", "http")
            .field(":authority", "test.example")
            .field(":path", path)
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A request without any field.
    pub fn bare() -> Self {
        Self::default()
    }

    /// One more field, as it is.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// `authorization: Basic …`.
    #[must_use]
    pub fn basic(self, pair: &str) -> Self {
        use base64::Engine as _;
        let token = base64::engine::general_purpose::STANDARD.encode(pair);
        self.field("authorization", format!("Basic {token}"))
    }

    /// A part of its body.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.parts.push(part.to_vec());
        self
    }

    /// A field of its trailers.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Never ends: the answer has to come while more of the body might.
    #[must_use]
    pub const fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Sends it over a connection of its own.
    pub fn send(&self, to: SocketAddr) -> Answer {
        let sent = Connection::open(to).and_then(|mut connection| connection.send(self));
        sent.unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

impl Connection {
    /// Connects, knowing that HTTP/2 is spoken (RFC 9113, 3.3). What comes back is not to refer to
    /// earlier fields, for this client remembers none.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(PREFACE)?;
        let no_table = [&1_u16.to_be_bytes()[..], &0_u32.to_be_bytes()].concat();
        write(&mut stream, SETTINGS, 0, 0, &no_table)?;
        Ok(Self { reader: BufReader::new(stream), stream: 1 })
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        let id = self.stream;
        self.stream = id.wrapping_add(2);
        let Request { fields, parts, trailers, is_open } = request;
        let out = self.reader.get_mut();
        let end = |is_last: bool| if is_last && !is_open { END_STREAM } else { 0 };
        let is_head = parts.is_empty() && trailers.is_empty();
        write(out, HEADERS, END_HEADERS | end(is_head), id, &block(fields))?;
        for (place, part) in parts.iter().enumerate() {
            let is_last = place + 1 == parts.len() && trailers.is_empty();
            write(out, DATA, end(is_last), id, part)?;
        }
        if !trailers.is_empty() {
            write(out, HEADERS, END_HEADERS | END_STREAM, id, &block(trailers))?;
        }
        self.answer(id)
    }

    fn answer(&mut self, id: u32) -> io::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let (kind, flags, stream, payload) = match read(&mut self.reader) {
                Ok(frame) => frame,
                // The proxy has ended the connection, perhaps without a word.
                Err(_) if answer.error.is_some() => return Ok(answer),
                Err(error) => return Err(error),
            };
            let out = self.reader.get_mut();
            match kind {
                SETTINGS if flags & ACK == 0 => write(out, SETTINGS, ACK, 0, &[])?,
                PING if flags & ACK == 0 => write(out, PING, ACK, 0, &payload)?,
                HEADERS if stream == id && answer.status.is_none_or(|status| status < 200) => {
                    answer.status = status(&payload);
                }
                DATA if stream == id => answer.body.extend(&payload),
                RST_STREAM if stream == id => {
                    answer.error = number(&payload);
                    return Ok(answer);
                }
                GOAWAY => {
                    let code = number(payload.get(4..).unwrap_or_default());
                    answer.error = code.filter(|code| *code != 0);
                }
                _ => {}
            }
            if matches!(kind, HEADERS | DATA) && stream == id && flags & END_STREAM != 0 {
                return Ok(answer);
            }
        }
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_be_bytes)
}

/// Reads a frame: its type, its flags, its stream, its payload.
pub(crate) fn read(reader: &mut impl Read) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    reader.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    Ok((head[3], head[4], id, payload))
}

/// Writes a frame.
pub(crate) fn write(
    stream: &mut impl Write,
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> io::Result<()> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &id.to_be_bytes()].concat();
    stream.write_all(&[&head[..], payload].concat())
}

/// Literal fields without indexing, none of them compressed (RFC 7541, 6.2.2).
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block
}

/// A length in a prefix of seven bits (RFC 7541, 5.1).
fn length(mut length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push((length % 128 + 128) as u8);
        length /= 128;
    }
    block.push(length as u8);
}

/// The status of a block of fields, whose first it is (RFC 9113, 8.3).
fn status(block: &[u8]) -> Option<u16> {
    // The size of the table may be said first (RFC 7541, 6.3).
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    match block.get(start..)? {
        // The static table (RFC 7541, A).
        [known @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500].get(usize::from(known - 0x88)).copied()
        }
        // A literal whose name is in the static table, with an index of its own or without.
        [0x48 | 0x08 | 0x18, length, text @ ..] => {
            let text = text.get(..usize::from(length & 0x7f))?;
            let digits = if length & 0x80 == 0 { text.to_vec() } else { digits(text) };
            std::str::from_utf8(&digits).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Three digits in the code of RFC 7541, B: `0` to `2` have five bits, the others six.
fn digits(text: &[u8]) -> Vec<u8> {
    let mut bits = text.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1));
    let mut take = |count: u32| (0..count).try_fold(0, |code, _| Some(code << 1 | bits.next()?));
    let mut digits = Vec::new();
    while digits.len() < 3 {
        match take(5) {
            Some(code @ 0..=2) => digits.push(b'0' + code),
            Some(code) => match take(1).map(|last| code << 1 | last) {
                Some(code @ 0x19..=0x1f) => digits.push(b'3' + code - 0x19),
                _ => break,
            },
            None => break,
        }
    }
    digits
}
