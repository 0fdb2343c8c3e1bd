//! A way for a client that speaks plain HTTP into a listener that speaks TLS: each connection to it becomes
//! one of `openssl s_client`. And what a handshake shows.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

/// The way in. It lasts as long as the process does.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel(SocketAddr);

impl Tunnel {
    /// To a listener that speaks TLS, HTTP/1.1 in it, its certificate believed.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || carry(client, target));
            }
        });
        Self(address)
    }

    /// Where a client connects in its place.
    pub const fn address(self) -> SocketAddr {
        self.0
    }
}

/// What `openssl s_client` says of a handshake with more arguments, such as `-tls1_1`, and whether it came
/// about.
pub fn handshake(target: SocketAddr, arguments: &[&str]) -> (bool, String) {
    let mut command = s_client(target);
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("openssl runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn s_client(target: SocketAddr) -> Command {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &target.to_string()]);
    command
}

/// Both ways, until either side has ended.
fn carry(mut client: TcpStream, target: SocketAddr) {
    let mut command = s_client(target);
    command.args(["-quiet", "-alpn", "http/1.1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl runs");
    let (mut up, mut down) =
        (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut from_client = client.try_clone().expect("a second handle");
    thread::spawn(move || copy(&mut from_client, &mut up));
    copy(&mut down, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = child.kill();
    let _ = child.wait();
}

/// As `io::copy`, but every piece goes on at once.
fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = vec![0; 65_536];
    loop {
        let sent = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => to.write_all(&buffer[..count]).and_then(|()| to.flush()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}
