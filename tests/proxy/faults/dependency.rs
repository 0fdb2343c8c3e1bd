//! Something that a filter needs, which can be broken in several ways and mended.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tests::grpc::{Grpc, Reply};
use tests::upstream::{Answer, Received, Upstream};

/// The pause before each byte of an answer that is slow: the shortest takes longer than anybody waits.
const SLOW: Duration = Duration::from_millis(30);

/// How it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has ended: connections are refused.
    Stopped,
    /// It takes connections and requests, and answers none.
    Frozen,
    /// It answers with bytes that are of no protocol.
    Garbage,
    /// It answers well, and with nonsense.
    Nonsense,
    /// It answers byte by byte.
    Slow,
}

type Http = dyn Fn(&Received) -> Answer + Send + Sync;
type Rpc = dyn Fn(&[u8]) -> Reply + Send + Sync;

/// How it answers when it is well.
enum Kind {
    Http(Arc<Http>),
    Grpc(Arc<Rpc>),
}

enum Server {
    Http(Upstream),
    Grpc(Grpc),
}

/// It.
pub(super) struct Dependency {
    kind: Kind,
    address: SocketAddr,
    fault: Arc<Mutex<Option<Fault>>>,
    server: Mutex<Option<Server>>,
}

impl Dependency {
    pub(super) fn http(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::of(Kind::Http(Arc::new(answer)))
    }

    pub(super) fn grpc(answer: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Kind::Grpc(Arc::new(answer)))
    }

    fn of(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, fault) = (listener.local_addr().unwrap(), Arc::default());
        let dependency = Self { kind, address, fault, server: Mutex::default() };
        dependency.listen(listener);
        dependency
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests came since it was last started.
    pub(super) fn count(&self) -> usize {
        match &*self.server.lock().unwrap() {
            Some(Server::Http(server)) => server.count(),
            Some(Server::Grpc(server)) => server.count(),
            None => 0,
        }
    }

    pub(super) fn break_by(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
        if fault == Fault::Stopped {
            *self.server.lock().unwrap() = None;
        }
    }

    pub(super) fn mend(&self) {
        *self.fault.lock().unwrap() = None;
        let is_stopped = self.server.lock().unwrap().is_none();
        if is_stopped {
            let deadline = Instant::now() + Duration::from_secs(10);
            let listener = loop {
                match TcpListener::bind(self.address) {
                    Ok(listener) => break listener,
                    Err(error) => assert!(Instant::now() < deadline, "{error}"),
                }
                std::thread::sleep(Duration::from_millis(20));
            };
            self.listen(listener);
        }
    }

    fn listen(&self, listener: TcpListener) {
        let fault = Arc::clone(&self.fault);
        let server = match &self.kind {
            Kind::Http(answer) => {
                let answer = Arc::clone(answer);
                Server::Http(Upstream::on(listener, move |request| {
                    let fault = *fault.lock().unwrap();
                    http(fault, || answer(request))
                }))
            }
            Kind::Grpc(answer) => {
                let answer = Arc::clone(answer);
                Server::Grpc(Grpc::on(listener, move |message| {
                    let fault = *fault.lock().unwrap();
                    grpc(fault, || answer(message))
                }))
            }
        };
        *self.server.lock().unwrap() = Some(server);
    }
}

fn http(fault: Option<Fault>, well: impl FnOnce() -> Answer) -> Answer {
    match fault {
        None => well(),
        Some(Fault::Stopped) => Answer::Reset,
        Some(Fault::Frozen) => Answer::Hang,
        Some(Fault::Garbage) => Answer::Garbage,
        Some(Fault::Nonsense) => Answer::ok("<!doctype html><title>Sign in</title>"),
        Some(Fault::Slow) => Answer::Slowly(SLOW, Box::new(well())),
    }
}

fn grpc(fault: Option<Fault>, well: impl FnOnce() -> Reply) -> Reply {
    match fault {
        None => well(),
        Some(Fault::Stopped) => Reply::Close,
        Some(Fault::Frozen) => Reply::Hang,
        Some(Fault::Garbage) => Reply::Garbage,
        Some(Fault::Nonsense) => Reply::message(b"<!doctype html>"),
        Some(Fault::Slow) => Reply::Slowly(SLOW, Box::new(well())),
    }
}
