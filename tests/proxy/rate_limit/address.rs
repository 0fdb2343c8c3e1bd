//! Limits by address: whatever a client writes into `x-forwarded-for` itself changes nothing.

use super::*;

/// An Envoy that takes the peer's address for the client's.
fn at_the_edge(filters: Setup) -> (Envoy, Upstream) {
    let upstream = Upstream::start();
    // Of a peer on the loopback it would write down the host's own address, which is no hop of ours.
    let manager = json!({"use_remote_address": true, "skip_xff_append": true});
    (filters.connection_manager(manager).upstream(&upstream).workers(4).start(), upstream)
}

fn by_address(reading: Value) -> Setup {
    let key = if reading.is_null() {
        json!("client_address")
    } else {
        json!({"client_address": reading})
    };
    setup(limit(for_good(2), json!({"key": [key]})))
}

/// What becomes of requests with these `x-forwarded-for`.
fn statuses<const N: usize>(envoy: &Envoy, forwarded: [&str; N]) -> [u16; N] {
    forwarded.map(|value| {
        Request::get("/").header("x-forwarded-for", value).send(envoy.address()).status
    })
}

const LIMITED: [u16; 5] = [200, 200, 429, 429, 429];

#[test]
fn a_forged_address_is_not_another_client() {
    let forged =
        ["203.0.113.1", "203.0.113.2", "2001:db8::3", "203.0.113.4, 203.0.113.5", "127.0.0.9"];
    let (envoy, upstream) = at_the_edge(by_address(Value::Null));
    assert_eq!(statuses(&envoy, forged), LIMITED);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn behind_a_hop_that_is_trusted_the_address_that_it_saw_counts() {
    let (envoy, upstream) = at_the_edge(by_address(json!({"trusted_hops": 1})));
    let forged = [
        "203.0.113.1, 198.51.100.7",
        "203.0.113.2, 198.51.100.7",
        "198.51.100.8, 198.51.100.7",
        "2001:db8::4,198.51.100.7",
        "a, b, 198.51.100.7:4711",
    ];
    assert_eq!(statuses(&envoy, forged), LIMITED);
    assert_eq!(upstream.count(), 2);
    let others = ["203.0.113.1, 198.51.100.8", "198.51.100.7, 198.51.100.8", "198.51.100.8"];
    assert_eq!(statuses(&envoy, others), [200, 200, 429]);
}

/// What Envoy has itself taken from the header is not counted once more.
#[test]
fn hops_are_counted_beyond_the_address_that_the_proxy_has_found() {
    let upstream = Upstream::start();
    let envoy = by_address(json!({"trusted_hops": 1})).upstream(&upstream).start();
    let forged = [
        "203.0.113.1, 198.51.100.7, 192.0.2.1",
        "203.0.113.2, 198.51.100.7, 192.0.2.2",
        "198.51.100.8, 198.51.100.7, 192.0.2.3",
        "198.51.100.7,192.0.2.4",
        "198.51.100.7, 198.51.100.7, 192.0.2.1",
    ];
    assert_eq!(statuses(&envoy, forged), LIMITED);
    assert_eq!(statuses(&envoy, ["198.51.100.7, 198.51.100.8, 192.0.2.1"]), [200]);
}

#[test]
fn a_network_behind_a_trusted_hop_is_one_client() {
    let reading = json!({"trusted_hops": 1, "ipv4_prefix": 24, "ipv6_prefix": 48});
    let (envoy, upstream) = at_the_edge(by_address(reading));
    for (network, next) in [
        (
            [
                "1.1.1.1, 198.51.100.7",
                "1.1.1.2, 198.51.100.255",
                "198.51.100.0",
                "x, 198.51.100.9",
                "198.51.100.1",
            ],
            "1.1.1.1, 198.51.101.7",
        ),
        (
            [
                "::1, 2001:db8:7::1",
                "::2, 2001:db8:7:1::2",
                "2001:db8:7:ffff::",
                "x, [2001:db8:7::5]:80",
                "2001:DB8:7::6",
            ],
            "::1, 2001:db8:8::1",
        ),
    ] {
        assert_eq!(statuses(&envoy, network), LIMITED, "{network:?}");
        assert_eq!(statuses(&envoy, [next]), [200]);
    }
    assert_eq!(upstream.count(), 6);
}

#[test]
fn whoever_fails_to_log_in_gains_nothing_by_a_forged_address() {
    let filters = Setup::new().filter("rate-limit", failures()).filter("basic-auth", users());
    let (envoy, upstream) = at_the_edge(filters);
    let attempt = |number: usize, pair: &str| {
        let request = Request::get("/").basic(pair);
        request
            .header("x-forwarded-for", format!("203.0.113.{number}"))
            .send(envoy.address())
            .status
    };
    let statuses: Vec<_> = (0..6).map(|number| attempt(number, "carol:wrong")).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
    assert_eq!((attempt(7, "carol:s"), upstream.count()), (429, 0));
}
