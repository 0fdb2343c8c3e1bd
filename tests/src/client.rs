//! An HTTP/1.1 client that sends any bytes, valid or not, and keeps what comes back as it came.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// All headers in their order, names in lower case.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A request, byte by byte.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    lines: Vec<u8>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// All headers, names in lower case.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection that is kept.
pub struct Connection(BufReader<TcpStream>);

impl Request {
    /// A request with a `Host` header.
    pub fn new(method: &str, target: &str) -> Self {
        Self::bare(method, target.as_bytes()).header("host", b"test.example")
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A request without any header.
    pub fn bare(method: &str, target: &[u8]) -> Self {
        let lines = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
        Self { method: method.to_owned(), lines, body: Vec::new() }
    }

    /// One more header, its value any bytes.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), b": ", value.as_ref(), b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
        self
    }

    /// `Authorization: Basic …`.
    #[must_use]
    pub fn basic(self, pair: &str) -> Self {
        use base64::Engine as _;
        let token = base64::engine::general_purpose::STANDARD.encode(pair);
        self.header("authorization", format!("Basic {token}"))
    }

    /// A body, with its length.
    #[must_use]
    pub fn body(self, body: &[u8]) -> Self {
        let mut request = self.header("content-length", body.len().to_string());
        request.body = body.to_vec();
        request
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        [self.lines.as_slice(), b"\r\n", &self.body].concat()
    }

    /// Sends it over a connection of its own; the error says where it broke.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Response> {
        Connection::open(to)?.send(self)
    }

    /// Sends it over a connection of its own.
    pub fn send(&self, to: SocketAddr) -> Response {
        self.try_send(to).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// Sends it, waits, and goes away without an answer.
    pub fn abandon(&self, to: SocketAddr, after: Duration) {
        let mut stream = TcpStream::connect(to).expect("connects");
        stream.write_all(&self.bytes()).expect("sends");
        std::thread::sleep(after);
    }
}

impl Connection {
    /// Connects.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.0.get_mut().write_all(&request.bytes())?;
        self.read(&request.method)
    }

    /// Sends bytes as they are, a part of a request or none at all.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The bytes that come next, as they are; an error where fewer come.
    pub fn receive_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the answer to bytes that were sent, as that of a GET.
    pub fn receive(&mut self) -> io::Result<Response> {
        self.read("GET")
    }

    /// Breaks the connection off with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(self.0.get_ref()).set_linger(Some(Duration::ZERO)).expect("set");
    }

    fn read(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let (status, headers) = self.read_head()?;
            if status == 100 {
                continue;
            }
            let mut response = Response { status, headers, body: Vec::new() };
            let connected = (method == "CONNECT" && status == 200) || status == 101;
            if method != "HEAD" && status != 204 && status != 304 && !connected {
                self.read_body(&mut response)?;
            }
            return Ok(response);
        }
    }

    fn read_head(&mut self) -> io::Result<(u16, Headers)> {
        let first = self.read_line()?;
        let status = String::from_utf8_lossy(&first);
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| broken("no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let colon =
                line.iter().position(|byte| *byte == b':').ok_or_else(|| broken("no header"))?;
            let name = String::from_utf8_lossy(&line[..colon]).to_lowercase();
            headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    fn read_body(&mut self, response: &mut Response) -> io::Result<()> {
        if response.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.read_chunks(&mut response.body);
        }
        match response.header("content-length").map(|length| length.parse::<u64>()) {
            Some(Ok(length)) => (&mut self.0).take(length).read_to_end(&mut response.body)?,
            _ => self.0.read_to_end(&mut response.body)?,
        };
        Ok(())
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.read_line()?;
            let size = u64::from_str_radix(&String::from_utf8_lossy(&line), 16)
                .map_err(|_| broken("no chunk"))?;
            (&mut self.0).take(size).read_to_end(body)?;
            self.read_line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(broken("the connection ended"));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }
}

impl Response {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value))?;
        }
        write!(f, "\n{}", self.text())
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
