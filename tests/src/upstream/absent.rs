//! Addresses where nobody answers, and which nobody else can take meanwhile.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// An address that refuses connections, until it is told to listen.
#[derive(Debug)]
pub struct Refusing(Socket);

impl Refusing {
    /// Takes a free port, and does not listen on it.
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        Self(socket)
    }

    /// Where nobody listens.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().ok().and_then(|address| address.as_socket()).expect("bound")
    }

    /// Listens there from now on, for [`Upstream::on`](super::Upstream::on).
    pub fn listen(self) -> TcpListener {
        self.0.listen(128).expect("listens");
        self.0.into()
    }
}

impl Default for Refusing {
    fn default() -> Self {
        Self::new()
    }
}

/// An address where connections are made, and nobody ever reads from them.
#[derive(Debug)]
pub struct Silent(TcpListener);

impl Silent {
    /// Takes a free port, and accepts nothing from it.
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Where nobody answers.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }
}

impl Default for Silent {
    fn default() -> Self {
        Self::new()
    }
}
