//! A small real HTTP/1.1 server: it keeps every request as it came, and answers as it is told,
//! well or badly. And addresses where there is no server: [`Refusing`] and [`Silent`].

mod absent;
mod wire;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub use absent::{Refusing, Silent};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// All headers in their order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes of the head, from the method to the empty line.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
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
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With a status, headers and a body.
    Http(u16, Vec<(String, String)>, Vec<u8>),
    /// As the inner one, but later.
    After(Duration, Box<Self>),
    /// Never; the connection stays open.
    Hang,
    /// With a pause before each byte.
    Slowly(Duration, Box<Self>),
    /// By a reset.
    Reset,
    /// With a status and a part of the body, and then a reset.
    Torn,
    /// With bytes that are no HTTP.
    Garbage,
    /// With 101, to whatever protocol is asked for: from then on every byte comes back, to the end.
    Switch,
}

impl Answer {
    /// 200 and a body of text.
    pub fn ok(body: &str) -> Self {
        Self::status(200, body)
    }

    /// 200 and a value as JSON.
    pub fn json(body: &serde_json::Value) -> Self {
        let kind = ("content-type".to_owned(), "application/json".to_owned());
        Self::Http(200, vec![kind], body.to_string().into_bytes())
    }

    /// A status and a body of text.
    pub fn status(status: u16, body: &str) -> Self {
        let kind = ("content-type".to_owned(), "text/plain".to_owned());
        Self::Http(status, vec![kind], body.as_bytes().to_vec())
    }
}

type Handler = dyn Fn(&Received) -> Answer + Send + Sync;

/// The server. It ends when it is dropped, and its connections with it.
pub struct Upstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    ended: Arc<AtomicBool>,
    open: Arc<Open>,
}

/// The connections that are open, by number.
type Open = Mutex<BTreeMap<usize, TcpStream>>;

impl Upstream {
    /// One that answers 200 and says what it got.
    pub fn start() -> Self {
        Self::answering(|request| Answer::ok(&format!("{} {}\n", request.method, request.target)))
    }

    /// One that answers as `handler` says.
    pub fn answering(handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, handler)
    }

    /// One on a port that the caller took.
    pub fn on(
        listener: TcpListener,
        handler: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("bound");
        let (received, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let open = Arc::<Open>::default();
        let (log, stop, handler): (Arc<Mutex<Vec<Received>>>, _, Arc<Handler>) =
            (Arc::clone(&received), Arc::clone(&ended), Arc::new(handler));
        let connections = Arc::clone(&open);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, handler, stop) =
                    (Arc::clone(&log), Arc::clone(&handler), Arc::clone(&stop));
                let connections = Arc::clone(&connections);
                let Ok(stream) = stream else { continue };
                if let Ok(stream) = stream.try_clone() {
                    connections.lock().expect("not poisoned").insert(number, stream);
                }
                thread::spawn(move || {
                    serve(stream, &log, &*handler, &stop);
                    connections.lock().expect("not poisoned").remove(&number);
                });
            }
        });
        Self { address, received, ended, open }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("not poisoned").clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.received.lock().expect("not poisoned").len()
    }

    /// How many requests came, by target.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in self.received.lock().expect("not poisoned").iter() {
            *counts.entry(request.target.clone()).or_default() += 1;
        }
        counts
    }

    /// The last request.
    pub fn last(&self) -> Received {
        self.received.lock().expect("not poisoned").last().cloned().expect("a request came")
    }

    /// Forgets what came.
    pub fn clear(&self) {
        self.received.lock().expect("not poisoned").clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections, so that the port is free again.
        let _ = TcpStream::connect(self.address);
        let open = self.open.lock().expect("not poisoned");
        for connection in open.values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Received>>, handler: &Handler, ended: &AtomicBool) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    while let Some(request) = wire::read(&mut reader) {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let answer = handler(&request);
        let head = request.method == "HEAD";
        log.lock().expect("not poisoned").push(request);
        if !wire::write(reader.get_mut(), answer, head) {
            return;
        }
    }
}
