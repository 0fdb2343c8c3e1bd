//! What is sent to every variant of a section, and what that costs Envoy.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;
use tests::envoy::Envoy;

/// What every request carries besides its credential: what a client of a service sends.
const HEADERS: [&str; 7] = [
    "accept: application/json",
    "accept-encoding: gzip, br",
    "user-agent: bench/1.0",
    "x-request-start: 1800000000",
    "x-forwarded-for: 203.0.113.7",
    "cookie: session=0123456789abcdef0123456789abcdef",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
];

const PATH: &str = "/users/7?full=yes";

/// How many connections send the same request.
pub(crate) const CLIENTS: u32 = 16;

/// How long what is done in the background takes to be done: spans, lines and counts go out once a second.
const BACKGROUND: Duration = Duration::from_millis(1_300);

/// Requests.
pub(crate) struct Load {
    pub(crate) requests: u32,
    what: What,
    background: Duration,
}

enum What {
    /// The same request again and again, with these headers.
    Same(Vec<String>),
    /// Each request once; the files of paths to warm up with, and to measure with.
    Each(TempDir),
}

impl Load {
    /// The same request, with credentials in these headers. They take the place of [`HEADERS`] of the
    /// same name.
    pub(crate) fn same(credentials: &[String], requests: u32) -> Self {
        let name = |header: &str| header.rsplit_once(": ").map(|(name, _)| name.to_owned());
        let others = HEADERS.iter().filter(|header| {
            !credentials.iter().any(|credential| name(credential) == name(header))
        });
        let headers = others.map(|header| (*header).to_owned()).chain(credentials.iter().cloned());
        Self { requests, what: What::Same(headers.collect()), background: Duration::ZERO }
    }

    /// Requests that have a token each, in the query: a file of h2load's has no place for headers.
    pub(crate) fn each(mut tokens: impl Iterator<Item = String>, requests: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, count) in [("warm-up", requests / 2), ("measured", requests)] {
            let tokens = tokens.by_ref().take(count as usize);
            let paths: String =
                tokens.map(|token| format!("{PATH}&access_token={token}\n")).collect();
            fs::write(folder.path().join(name), paths).expect("written");
        }
        Self { requests, what: What::Each(folder), background: Duration::ZERO }
    }

    /// What is done for the requests after them counts too.
    pub(crate) const fn and_after(mut self) -> Self {
        self.background = BACKGROUND;
        self
    }

    /// How many requests each round sends in all.
    pub(crate) const fn all(&self) -> u32 {
        self.requests + self.requests / 2
    }

    /// What is sent first, so that what is measured is not the start.
    pub(crate) fn warm_up(&self, envoy: &Envoy) {
        self.send(envoy, "warm-up", self.requests / 2);
    }

    /// How long it waits, before requests are measured and after them, for what is done in the background.
    pub(crate) const fn background(&self) -> Duration {
        self.background
    }

    /// Microseconds of CPU time per request.
    pub(crate) fn cost(&self, envoy: &Envoy) -> f64 {
        let before = envoy.cpu_time();
        self.send(envoy, "measured", self.requests);
        sleep(self.background);
        let spent = envoy.cpu_time() - before;
        spent.as_secs_f64() * 1e6 / f64::from(self.requests)
    }

    fn send(&self, envoy: &Envoy, file: &str, requests: u32) {
        let mut load = Command::new("h2load");
        load.args(["--h1", "-t", "1", "-n", &requests.to_string()]);
        let address = format!("http://{}", envoy.address());
        match &self.what {
            What::Same(headers) => {
                for header in headers {
                    load.args(["-H", header]);
                }
                load.args(["-c", &requests.min(CLIENTS).to_string(), &format!("{address}{PATH}")]);
            }
            What::Each(folder) => {
                for header in HEADERS {
                    load.args(["-H", header]);
                }
                // Every client of h2load's begins at the top of the file: only one sends each once.
                load.args(["-c", "1", "-B", &address, "-i"]).arg(folder.path().join(file));
            }
        }
        let output =
            load.output().unwrap_or_else(|error| panic!("h2load: {error}; run `make setup`"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("{requests} 2xx")), "{said}");
    }
}

/// Asks for so many paths, each once, so that the filter has seen them.
pub(crate) fn show_paths(envoy: &Envoy, count: u32) {
    if count == 0 {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("paths");
    let paths: String = (0..count).map(|number| format!("/users/seen-{number}\n")).collect();
    fs::write(&file, paths).expect("written");
    let output = Command::new("h2load")
        .args(["-t", "1", "-c", "1", "-m", "50", "-n", &count.to_string()])
        .args(["-B", &format!("http://{}", envoy.address()), "-i"])
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("h2load: {error}; run `make setup`"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&format!("{count} 2xx")), "{said}");
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_credential_takes_the_place_of_the_header_of_its_name() {
        let load = Load::same(&["cookie: mine".to_owned(), "x-key: a".to_owned()], 1);
        let What::Same(headers) = load.what else { panic!("the same each time") };
        assert_eq!(headers.len(), HEADERS.len() + 1);
        let cookies: Vec<_> = headers.iter().filter(|header| header.contains("cookie")).collect();
        assert_eq!(cookies, ["cookie: mine"]);
    }

    #[test]
    fn no_token_is_sent_twice() {
        let load = Load::each((0..).map(|number| format!("token-{number}")), 4);
        let What::Each(folder) = load.what else { panic!("each once") };
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        let all = read("warm-up") + &read("measured");
        let tokens: Vec<_> = all.lines().filter_map(|line| line.split("token-").nth(1)).collect();
        assert_eq!(tokens, ["0", "1", "2", "3", "4", "5"]);
    }
}
