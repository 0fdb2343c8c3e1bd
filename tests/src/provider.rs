//! A certified provider of tokens, `oidc-provider` for Node (`tests/provider/introspection.mjs`): it
//! answers about opaque tokens (RFC 7662), and makes any kind of them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::client::Request;
use crate::modules::top;

/// Starts a provider for Node: its process, which ends when its input does, and where it listens.
///
/// # Panics
/// Where it does not start.
pub fn node(script: &str, arguments: &[&str]) -> (Child, SocketAddr) {
    let modules = std::env::var("GATEHOUSE_PROVIDER_MODULES");
    let modules = modules.expect("the provider; run `make setup`, and tests by scripts/env");
    let mut process = Command::new("node")
        .arg(top().join(script))
        .arg(modules)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("node");
    let mut line = String::new();
    let output = process.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    let port: u16 = line.trim().parse().expect("the provider's port");
    (process, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A running provider. It ends when it is dropped.
pub struct Provider {
    process: Child,
    address: SocketAddr,
}

impl Provider {
    /// Its `iss`.
    pub const ISSUER: &'static str = "https://idp.example";
    /// The client that may ask, as Basic credentials; both need to be encoded.
    pub const BASIC_CLIENT: (&'static str, &'static str) = ("gate:house", "s3%cret:+/= &");
    /// The client that may ask, with its credentials in the body.
    pub const POST_CLIENT: (&'static str, &'static str) = ("gate house", "s3%cret:+/= &");

    /// Starts one.
    ///
    /// # Panics
    /// Where there is none.
    pub fn start() -> Self {
        let (process, address) = node("tests/provider/introspection.mjs", &[]);
        Self { process, address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// An access token for the audience `api`; `query` says more: `ttl=2`, `scope=api:read`, `jkt=x`.
    pub fn access_token(&self, query: &str) -> String {
        self.page(&format!("/test/mint?kind=AccessToken&{query}"))
    }

    /// A refresh token.
    pub fn refresh_token(&self) -> String {
        self.page("/test/mint?kind=RefreshToken&scope=openid+offline_access")
    }

    /// Revokes a token (RFC 7009).
    pub fn revoke(&self, token: &str) {
        let form = format!("token={token}&client_id=app&client_secret=secret");
        let request = Request::new("POST", "/token/revocation")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.as_bytes());
        assert_eq!(request.send(self.address).status, 200);
    }

    /// About how many tokens it was asked.
    pub fn calls(&self) -> usize {
        self.page("/test/calls").parse().expect("a number")
    }

    fn page(&self, path: &str) -> String {
        let answer = Request::get(path).send(self.address);
        assert_eq!(answer.status, 200, "{answer}");
        answer.text()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
