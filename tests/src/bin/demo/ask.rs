//! A request in two forms that cannot differ: a command for people, and what goes over the wire.

use std::net::SocketAddr;

use tests::client::Request;

/// A request without a body.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    target: String,
    credentials: Option<&'static str>,
    headers: Vec<(&'static str, Vec<u8>)>,
}

impl Ask {
    /// For a path, with nothing that says who asks.
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::of("GET", target)
    }

    /// The same by another method.
    pub(crate) fn of(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), credentials: None, headers: Vec::new() }
    }

    /// With a user and a password: `alice:demo`.
    pub(crate) fn by(mut self, credentials: &'static str) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// With a token.
    pub(crate) fn with_token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With one more header, its value any bytes.
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// What sends it from a shell (bash, zsh).
    pub(crate) fn command(&self, to: SocketAddr) -> String {
        let mut command = "curl -i".to_owned();
        if self.method != "GET" {
            command.push_str(&format!(" -X {}", self.method));
        }
        if self.target.contains("..") {
            command.push_str(" --path-as-is");
        }
        if let Some(credentials) = self.credentials {
            command.push_str(&format!(" -u {credentials}"));
        }
        for (name, value) in &self.headers {
            let quote = if value.is_ascii() { "'" } else { "$'" };
            command.push_str(&format!(" -H {quote}{name}: {}'", value.escape_ascii()));
        }
        let quote = if self.target.contains(['?', '&']) { "'" } else { "" };
        command.push_str(&format!(" {quote}http://{to}{}{quote}", self.target));
        command
    }

    /// What is sent.
    pub(crate) fn request(&self, to: SocketAddr) -> Request {
        let mut request =
            Request::bare(self.method, self.target.as_bytes()).header("host", to.to_string());
        if self.method != "GET" {
            request = request.body(b"");
        }
        if let Some(credentials) = self.credentials {
            request = request.basic(credentials);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }
}
