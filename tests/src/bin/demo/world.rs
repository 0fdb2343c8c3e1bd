//! What the demo runs: Envoy with the filters, the service behind it, and a database that can be
//! made ill.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Response;
use tests::envoy::{Envoy, Setup};
use tests::upstream::{Answer, Received, Upstream};

use crate::ask::Ask;
use crate::opaque;
use crate::tokens;
use crate::traces;
use crate::{chain, checks, lines, login};

/// What is wrong, where something is.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// How often the database is pinged.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// How many wrong passwords are too many.
pub(crate) const FAILURES: u32 = 3;
/// Within how many seconds.
pub(crate) const WINDOW: u64 = 60;

/// `htpasswd -nbB -C 5 alice demo`, `-nb5 bob demo`, `-nbm erin demo`, `-nb2 dan demo`
const HTPASSWD: &str = "\
alice:$2y$05$MKeWKwT2tRaA30zUZ8aO5uOI44U1Cq1kxbQd6mw1G9huvCO9gQjYK
bob:$6$K8cRRvEnDX8fYIyP$oJa4ENFSQJqf6eLzat5m4GIjiyOHh7JP0/LeFsNEH7XZoBkvTpNFG93ciuKV4frhweSIH6dW9.zgjdFC/azsf1
erin:$apr1$LYH7.di7$9wMlUt.HZgcygZc93EZpO.
dan:$5$SszS.BGaiUu5A5Be$SuOP3Qu0PmJHjpWcW2CUBjguVFzN3zGDEovpoJkzTK/
";

/// The headers of an answer that are shown.
const SHOWN: &[&str] = &[
    "content-type",
    "cache-control",
    "www-authenticate",
    "retry-after",
    "ratelimit",
    "traceresponse",
];

/// All that runs.
pub(crate) struct World {
    /// Goes first, for it checks at its end that every VM survived.
    pub(crate) envoy: Envoy,
    /// Another one, with a chain of them before the same service: the policy of the production guide.
    pub(crate) chain: Envoy,
    /// A third, before which a browser signs in.
    pub(crate) login: Envoy,
    /// The cookie of that browser.
    pub(crate) session: Mutex<String>,
    /// To where requests go that are let through.
    pub(crate) service: Upstream,
    database: Upstream,
    /// The provider of tokens.
    issuer: Upstream,
    /// The provider that browsers sign in to.
    _provider: Upstream,
    /// The provider of opaque tokens.
    pub(crate) introspection: Upstream,
    /// Where the chain's spans go.
    pub(crate) collector: Upstream,
    colour: bool,
}

impl World {
    pub(crate) fn start(colour: bool) -> Self {
        let (service, database) = (Upstream::answering(say_what_came), database());
        let issuer = tokens::issuer();
        let introspection = opaque::provider();
        let envoy = Setup::new()
            .filter("trace-context", traces::config())
            .filter("health-shortcut", probes())
            .filter("rate-limit", failed_logins())
            .filter("basic-auth", users())
            .with_plugin(|plugin| {
                plugin["vm_config"]["environment_variables"] =
                    json!({"key_values": {"CAROL_PASSWORD": "demo"}});
            })
            .filter("api-key-auth", keys())
            .with_plugin(|plugin| {
                plugin["vm_config"]["environment_variables"] =
                    json!({"key_values": {"ACME_KEY": "acme-demo-key"}});
            })
            .filter("jwt-auth", tokens::config())
            .filter("token-introspection", opaque::config())
            .filter("telemetry", lines::config())
            .upstream(&service)
            .cluster("database", Some(database.address()))
            .cluster("issuer", Some(issuer.address()))
            .cluster("introspection", Some(introspection.address()))
            .grpc_health(&probes())
            .workers(2)
            .start();
        let collector = Upstream::start();
        let (chain, provider) = (chain::start(&service, &collector), login::provider());
        let login = login::start(&service, &provider);
        Self {
            envoy,
            chain,
            login,
            session: Mutex::default(),
            service,
            database,
            issuer,
            _provider: provider,
            introspection,
            collector,
            colour,
        }
    }

    pub(crate) fn addresses(&self) -> String {
        format!(
            "Envoy is at http://{}, its administration at http://{}.\n\
             Behind it are a service, a database and a provider of tokens; every password is `demo`.",
            self.envoy.address(),
            self.envoy.admin()
        )
    }

    /// Shows a request, sends it, shows the answer, and checks its status.
    pub(crate) fn ask(&self, ask: &Ask, status: u16) -> Outcome<Response> {
        self.ask_at(self.envoy.address(), ask, status)
    }

    /// The same at the Envoy with the chain.
    pub(crate) fn ask_chain(&self, ask: &Ask, status: u16) -> Outcome<Response> {
        self.ask_at(self.chain.address(), ask, status)
    }

    /// Posts to the administration of the Envoy with the chain.
    pub(crate) fn tell_chain(&self, what: &str) -> Outcome {
        self.ask_at(self.chain.admin(), &Ask::of("POST", what), 200).map(drop)
    }

    /// The same at the Envoy with a sign-in.
    pub(crate) fn ask_login(&self, ask: &Ask, status: u16) -> Outcome<Response> {
        self.ask_at(self.login.address(), ask, status)
    }

    /// Tells the database to go `/down` or to come `/up`.
    pub(crate) fn tell_database(&self, what: &'static str) -> Outcome {
        self.ask_at(self.database.address(), &Ask::get(what), 200).map(drop)
    }

    /// Tells the provider of tokens to `/rotate` its keys.
    pub(crate) fn tell_issuer(&self, what: &'static str) -> Outcome {
        self.ask_at(self.issuer.address(), &Ask::get(what), 200).map(drop)
    }

    fn ask_at(&self, to: SocketAddr, ask: &Ask, status: u16) -> Outcome<Response> {
        println!("    $ {}", self.paint("36", &ask.command(to)));
        let answer = ask.request(to).try_send(to).map_err(|error| error.to_string())?;
        self.print(&answer);
        must(answer.status == status, || format!("the status is {}, not {status}", answer.status))?;
        Ok(answer)
    }

    /// Asks, unseen, until the status is this one; how long that took.
    pub(crate) fn wait(&self, target: &'static str, status: u16) -> Outcome<Duration> {
        let (start, to) = (Instant::now(), self.envoy.address());
        // Twice the interval and a second: the machine may be busy.
        let patience = INTERVAL.saturating_mul(2).saturating_add(Duration::from_secs(1));
        let request = Ask::get(target).request(to);
        while request.try_send(to).map_err(|error| error.to_string())?.status != status {
            must(start.elapsed() < patience, || format!("{target} does not become {status}"))?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(start.elapsed())
    }

    /// Says what a step shows.
    pub(crate) fn says(&self, text: &str) {
        println!("    {}", self.paint("2", &format!("# {text}")));
    }

    pub(crate) fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What can be tried at the end.
    pub(crate) fn ideas(&self) -> Vec<String> {
        let (envoy, admin, database) =
            (self.envoy.address(), self.envoy.admin(), self.database.address());
        vec![
            format!(
                "curl -i -u carol:demo http://{envoy}/orders    # alice, bob, erin; dan has to wait"
            ),
            format!(
                "curl -i -H 'x-api-key: acme-demo-key' http://{envoy}/reports    # not /orders"
            ),
            format!(
                "curl -i -H 'authorization: Bearer {}' http://{envoy}/invoices",
                tokens::for_an_hour()
            ),
            format!("curl -i http://{envoy}/public/prices    # open to everybody"),
            format!(
                "curl -i -H 'x-api-key: acme-demo-key' http://{}/users    # the chain: /users/admin, /users/public",
                self.chain.address()
            ),
            format!("curl http://{database}/down    # the database; and /up"),
            format!("curl -i http://{envoy}/healthz    # and /readyz, /livez"),
            format!("curl -s 'http://{admin}/stats?filter=gatehouse&usedonly'"),
        ]
    }

    fn print(&self, answer: &Response) {
        let colour = if answer.status < 400 { "32" } else { "33" };
        println!("    {}", self.paint(colour, &answer.status.to_string()));
        for name in SHOWN {
            if let Some(value) = answer.header(name) {
                println!("    {name}: {value}");
            }
        }
        println!();
        for line in answer.text().lines() {
            println!("    {line}");
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Says what is wrong, where it does not hold.
pub(crate) fn must(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

fn probes() -> Value {
    json!({
        "version": "1.4.2",
        "endpoints": [
            {"path": "/livez", "report": "liveness"},
            {"path": "/readyz", "report": "readiness"},
            {"path": "/healthz", "report": "dependencies"},
        ],
        "dependencies": [{
            "name": "database",
            "cluster": "database",
            "interval": format!("{}s", INTERVAL.as_secs()),
        }],
        "grpc": checks::config(),
    })
}

fn users() -> Value {
    json!({
        "realm": "Demo",
        "htpasswd": HTPASSWD,
        "users": [{"name": "carol", "password": "${CAROL_PASSWORD}", "groups": ["ops", "dev"]}],
        "throttle": {
            "failures": FAILURES,
            "window": format!("{WINDOW}s"),
            "by": "address_and_user",
        },
        "rules": [{"match": {"paths": ["/public/**", "/reports/**", "/invoices/**", "/ledger/**"]}, "mode": "off"}],
    })
}

fn failed_logins() -> Value {
    json!({"limits": [{
        "name": "failed-logins",
        "match": {"paths": ["/vault"]},
        "on": "unauthenticated",
        "key": ["client_address"],
        "quota": {"requests": 2, "per": "1m"},
    }]})
}

fn keys() -> Value {
    json!({
        "mode": "off",
        "rules": [{"match": {"paths": ["/reports/**"]}, "mode": "enforce"}],
        "realm": "Demo",
        "sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "api_key"}],
        "consumers": [{
            "name": "acme",
            "groups": ["gold"],
            "keys": [
                {"id": "new", "value": "${ACME_KEY}"},
                // `printf %s acme-old-key | sha256sum`
                {
                    "id": "old",
                    "sha256": "a72a22056728606c5918489d30c07ee7965f9974b05495f941f2659b84b90551",
                    "not_after": "2026-01-01T00:00:00Z",
                },
            ],
        }, {
            "name": "zenith",
            "scopes": ["reports:read"],
            // `printf %s zenith-demo-key | gatehouse hash --key`
            "keys": [{"id": "a", "sha256": "46692eb194cb8d2c026e0dca1094de35b4297e235c3cdf3b7c7aa2140635371e"}],
        }],
        // Names of its own: what basic-auth says of its users is to pass.
        "identity_headers": {
            "subject": "x-key-subject",
            "scheme": "x-key-scheme",
            "consumer": "x-key-consumer",
            "scopes": "x-key-scopes",
            "groups": "x-key-groups",
        },
    })
}

/// The service: says what came, but for what `curl` and Envoy always send.
fn say_what_came(request: &Received) -> Answer {
    let mut said = format!("The service got {} {}\n", request.method, request.target);
    for (name, value) in &request.headers {
        let usual = ["host", "accept", "user-agent", "x-forwarded-proto", "x-request-id"];
        if !usual.contains(&name.as_str()) && !name.starts_with("x-envoy-") {
            said.push_str(&format!("  {name}: {}\n", value.escape_ascii()));
        }
    }
    Answer::ok(&said)
}

/// The database: well, until it is told to go `/down`.
fn database() -> Upstream {
    let well = AtomicBool::new(true);
    Upstream::answering(move |request| match request.target.as_str() {
        "/down" => {
            well.store(false, Ordering::SeqCst);
            Answer::ok("The database is down.\n")
        }
        "/up" => {
            well.store(true, Ordering::SeqCst);
            Answer::ok("The database is up.\n")
        }
        _ if well.load(Ordering::SeqCst) => Answer::ok(""),
        _ => Answer::status(503, ""),
    })
}
