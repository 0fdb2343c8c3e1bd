//! Two providers that we did not write, and a real browser before them: `oidc-provider` for Node, which
//! is certified, and `oidc-provider-mock` in Python. The browser finds `https://app.example` at the
//! Envoy of the test (`tests/browser/sign_in.mjs`).

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::*;
use tests::modules::top;
use tests::provider::node;

/// How many seconds an access token lives.
const TTL: u32 = 12;

/// A provider in a process of its own, which ends with the test.
struct Process {
    process: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `make setup` has brought.
fn brought(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("no {name}: run `make setup`, and tests by scripts/env"))
}

impl Process {
    /// `oidc-provider`, which turns refresh tokens over.
    fn certified() -> Self {
        let to = ["https://app.example/oauth2/callback", "https://app.example/goodbye"];
        let (process, address) =
            node("tests/provider/login.mjs", &[to[0], to[1], &TTL.to_string()]);
        Self { process, address }
    }

    /// `oidc-provider-mock`.
    fn mock() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(brought("GATEHOUSE_MOCK_PYTHON"))
            .args(["-W", "ignore", "-m", "oidc_provider_mock"])
            .args(["--port", &free.port().to_string(), "--token-max-age", &TTL.to_string()])
            .args(["--require-nonce", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python");
        let process = Self { process, address: free };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(free).is_err() {
            assert!(Instant::now() < deadline, "oidc-provider-mock does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        process
    }
}

fn config_of(provider: &Process, more: &Value) -> Value {
    let config = json!({
        "issuer": format!("http://localhost:{}", provider.address.port()),
        "discovery": {"cluster": "idp"},
        "client": {"id": "web", "secret": "secret"},
        "scopes": ["openid", "email", "offline_access"],
        "logout": {"path": "/oauth2/logout", "return_to": "/goodbye"},
        "external_url": "https://app.example",
        "session": {"keys": [KEY]},
        "forward": {"access_token": "authorization"},
        "rules": [{"match": {"paths": ["/goodbye"]}, "mode": "off"}],
    });
    with(config, more)
}

/// Lets the browser do all of it.
fn browse(kind: &str, provider: &Process, config: Value) -> Envoy {
    let upstream = Upstream::answering(|request| {
        let subject = request.header("x-auth-subject").unwrap_or_default();
        let kind = ("content-type".to_owned(), "text/html".to_owned());
        Answer::Http(200, vec![kind], format!("<body>subject: {subject}</body>").into_bytes())
    });
    let folder = top().join("tests/browser");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let envoy = Setup::new()
        .filter("oauth2-login", config)
        .upstream(&upstream)
        .cluster("idp", Some(provider.address))
        .tls(&read("app.example.pem"), &read("app.example.key"))
        .workers(4)
        .start();
    let output = Command::new("node")
        .arg(folder.join("sign_in.mjs"))
        .arg(brought("GATEHOUSE_BROWSER_MODULES"))
        .arg(brought("GATEHOUSE_BROWSER"))
        .args([kind, &format!("MAP app.example 127.0.0.1:{}", envoy.address().port())])
        .arg(TTL.to_string())
        .output()
        .expect("node");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.ends_with("done\n"), "{said}\n{errors}");
    envoy
}

#[test]
fn a_browser_signs_in_with_the_certified_provider() {
    let provider = Process::certified();
    // Without the question of consent, that provider gives no refresh token.
    let consent = json!({"authorization_parameters": {"prompt": "consent"}});
    let envoy = browse("oidc-provider", &provider, config_of(&provider, &consent));
    assert_eq!(envoy.counted("oauth2-login.signed_in"), 2);
    assert!(envoy.counted("oauth2-login.refreshed.result.ok") >= 1);
    assert_eq!(envoy.counted("oauth2-login.refreshed.result.refused"), 0);
    assert_eq!(envoy.counted("oauth2-login.revoked.result.ok"), 1);
    assert_eq!(Request::get("/test/reuses").send(provider.address).text(), "0");
}

#[test]
fn a_browser_signs_in_with_a_second_provider() {
    let provider = Process::mock();
    let scopes = json!({"scopes": ["openid", "email"]});
    let envoy = browse("oidc-provider-mock", &provider, config_of(&provider, &scopes));
    assert_eq!(envoy.counted("oauth2-login.signed_in"), 2);
    assert!(envoy.counted("oauth2-login.refreshed.result.ok") >= 1);
}
