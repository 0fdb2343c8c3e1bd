//! The classes of requests: what each sends, how often, and what it may get.

use serde_json::json;
use tests::client::Request;
use tests::tokens::{Key, claims, now};

use crate::config::{AUDIENCE, ISSUER};
use crate::keys::Keys;

/// A class of requests.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    /// How many of a hundred.
    pub(crate) share: usize,
    /// The statuses that it may get.
    pub(crate) may_get: &'static [u16],
    pub(crate) what: What,
}

/// What a request of a class is.
#[derive(Clone, Copy)]
pub(crate) enum What {
    /// One request, which is let through where it gets 200.
    One(fn(&Keys, u64) -> Request),
    /// One request on a connection of its own, for Envoy may close it.
    Apart(fn(&Keys, u64) -> Request),
    /// One that the proxy answers itself.
    Answered(fn(&Keys, u64) -> Request),
    /// A client that goes away while it waits.
    Abandoned(fn(&Keys, u64) -> Request),
    /// A browser with a session.
    Session,
    /// A browser that signs in.
    SignIn,
}

const fn class(
    name: &'static str,
    share: usize,
    may_get: &'static [u16],
    make: fn(&Keys, u64) -> Request,
) -> Class {
    Class { name, share, may_get, what: What::One(make) }
}

pub(crate) const CLASSES: &[Class] = &[
    class("token, known", 8, &[200], |keys, _| bearer("/any/1", &keys.known())),
    class("token, new", 8, &[200], |keys, n| bearer("/any/1", &token(keys, n))),
    class("token, forged", 4, &[401], |keys, n| bearer("/any/1", &keys.forged(n))),
    class("token, expired", 3, &[401], |keys, n| {
        bearer("/any/1", &keys.fresh(&json!({"exp": now() - 3600, "jti": n.to_string()})))
    }),
    class("token, its key taken back", 3, &[401], |keys, n| {
        bearer("/any/1", &keys.withdrawn().unwrap_or_else(|| keys.forged(n)))
    }),
    class("token, its key unknown", 3, &[401], |_, n| {
        let key = Key::of("p256").called(&format!("never-{n}"));
        bearer("/any/1", &key.sign("ES256", &claims(ISSUER, AUDIENCE)))
    }),
    class("token, without the scope", 3, &[403], |keys, _| {
        let authorization = format!("Bearer {}", keys.known());
        Request::new("POST", "/write").header("authorization", authorization).body(b"{}")
    }),
    class("token and key", 4, &[200], |keys, _| {
        bearer("/both", &keys.known()).header("x-api-key", "an api key")
    }),
    class("key", 8, &[200], |_, n| keyed(&format!("/any/{n}"))),
    class("key, made up", 4, &[401], |_, n| {
        Request::get("/any/1").header("x-api-key", format!("made up {n}"))
    }),
    class("password", 6, &[200], |_, _| Request::get("/any/1").basic("carol:secret")),
    class("password, wrong", 4, &[401], |_, n| {
        Request::get("/any/1").basic(&format!("carol:wrong-{n}"))
    }),
    class("opaque, known", 6, &[200], |_, n| opaque(&format!("good-known-{}", n % 16))),
    class("opaque, new", 4, &[200], |_, n| opaque(&format!("good-{n}"))),
    class("opaque, made up", 3, &[401], |_, n| opaque(&format!("made-up-{n}"))),
    class("nobody", 4, &[401], |_, n| Request::get(&format!("/any/{n}"))),
    class("what is not offered", 2, &[404], |_, n| keyed(&format!("/elsewhere/{n}"))),
    class("too many of one client", 3, &[200, 429], |_, _| {
        keyed("/any/1").header("x-client", "busy")
    }),
    class("a client never seen", 3, &[200], |_, n| {
        keyed("/any/1").header("x-client", format!("client-{n}"))
    }),
    class("counted by a service", 2, &[200], |_, n| {
        keyed("/any/1").header("x-fleet", format!("client-{n}"))
    }),
    class("browser, a stranger", 2, &[303], |_, n| {
        Request::get(&format!("/app/{n}")).header("user-agent", format!("browser/{n}"))
    }),
    Class { name: "browser, signed in", share: 6, may_get: &[200], what: What::Session },
    Class { name: "browser, signing in", share: 1, may_get: &[200], what: What::SignIn },
    Class {
        name: "probe",
        share: 3,
        may_get: &[200],
        what: What::Answered(|_, _| Request::get("/healthz")),
    },
    Class {
        name: "bytes that are no text",
        share: 2,
        may_get: &[400, 401, 404],
        what: What::Apart(hostile),
    },
    Class {
        name: "gone while it waits",
        share: 1,
        may_get: &[],
        what: What::Abandoned(|_, n| opaque(&format!("good-abandoned-{n}"))),
    },
];

/// A class for each of a hundred requests, in turns that mix them.
pub(crate) fn turns() -> Vec<usize> {
    let by_share = CLASSES.iter().enumerate();
    let all: Vec<_> = by_share.flat_map(|(at, class)| vec![at; class.share]).collect();
    assert_eq!(all.len(), 100, "shares are of a hundred");
    (0..100).map(|turn| all[turn * 37 % 100]).collect()
}

fn bearer(path: &str, token: &str) -> Request {
    Request::get(path).header("authorization", format!("Bearer {token}"))
}

fn keyed(path: &str) -> Request {
    Request::get(path).header("x-api-key", "an api key")
}

fn opaque(token: &str) -> Request {
    Request::get("/any/1").header("x-opaque", token)
}

fn token(keys: &Keys, number: u64) -> String {
    keys.fresh(&json!({"jti": number.to_string()}))
}

fn hostile(_: &Keys, number: u64) -> Request {
    let bytes: Vec<u8> = (0..64_u64).map(|at| 0x80 | (number * 31 + at * 7) as u8).collect();
    Request::get(&format!("/any/{}", "x".repeat((number % 50) as usize * 20)))
        .header("authorization", [b"Bearer ", bytes.as_slice()].concat())
        .header("x-api-key", &bytes)
        .header("cookie", [b"__Host-session=", bytes.as_slice()].concat())
        .header("x-opaque", &bytes)
        .header("traceparent", &bytes)
        .header("user-agent", &bytes)
}
