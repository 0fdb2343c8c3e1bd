//! What requests are counted under.

use super::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Which of these requests are counted with the first: each a list of headers and properties.
#[track_caller]
fn same_as_first(key: Value, more: Value, requests: &[(Pairs<'_>, Pairs<'_>)]) -> Vec<bool> {
    let mut fields = json!({"key": key});
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    let mut same = Vec::new();
    for (headers, properties) in requests {
        let mut bench = bench(json!([limit(json!({"requests": 1, "per": "1h"}), fields.clone())]));
        let mut send = |headers: &[(&str, &str)], properties: &[(&str, &str)]| {
            for name in ["gatehouse.consumer", "gatehouse.subject", "source.address"] {
                bench.proxy.set_property(&[name], b"");
            }
            for (name, value) in properties {
                bench.proxy.set_property(&[name], value.as_bytes());
            }
            passes(&mut bench, headers)
        };
        assert!(send(requests[0].0, requests[0].1));
        same.push(!send(headers, properties));
    }
    same
}

#[test]
fn consumers_and_subjects_are_told_apart_and_who_has_none_is_one() {
    for (part, state) in [("consumer", "gatehouse.consumer"), ("subject", "gatehouse.subject")] {
        let requests: [(&[_], &[(&str, &str)]); 4] =
            [(&[], &[(state, "a")]), (&[], &[(state, "a")]), (&[], &[(state, "b")]), (&[], &[])];
        assert_eq!(same_as_first(json!([part]), json!({}), &requests), [true, true, false, false]);
        let nobody: [(&[_], &[(&str, &str)]); 2] = [(&[], &[]), (&[], &[])];
        assert_eq!(same_as_first(json!([part]), json!({}), &nobody), [true, true]);
        let exempt = json!({"missing": "exempt"});
        assert_eq!(same_as_first(json!([part]), exempt, &nobody), [false, false]);
    }
}

fn address(text: &str) -> Vec<(&str, &str)> {
    vec![("source.address", text)]
}

#[test]
fn addresses_count_by_their_prefix() {
    let of = |reading: Value, addresses: &[&str]| {
        let all: Vec<_> = addresses.iter().map(|text| address(text)).collect();
        let requests: Vec<(Pairs<'_>, Pairs<'_>)> =
            all.iter().map(|properties| (&[][..], properties.as_slice())).collect();
        same_as_first(json!([reading]), json!({}), &requests)
    };
    assert_eq!(
        of(
            json!("client_address"),
            &["192.0.2.1:5", "192.0.2.1:6", "[::ffff:192.0.2.1]:1", "192.0.2.2:5"]
        ),
        [true, true, true, false]
    );
    assert_eq!(
        of(
            json!("client_address"),
            &["[2001:db8::1]:5", "[2001:db8::ffff]:6", "[2001:db8:0:1::1]:5"]
        ),
        [true, true, false]
    );
    let wide = json!({"client_address": {"ipv4_prefix": 24, "ipv6_prefix": 48}});
    assert_eq!(
        of(wide.clone(), &["192.0.2.1:5", "192.0.2.255:5", "192.0.3.1:5"]),
        [true, true, false]
    );
    assert_eq!(
        of(wide, &["[2001:db8::1]:5", "[2001:db8:0:1::]:6", "[2001:db8:1::]:5"]),
        [true, true, false]
    );
}

#[test]
fn trusted_hops_are_counted_from_the_right() {
    let key = json!([{"client_address": {"trusted_hops": 1}}]);
    let peer: &[(&str, &str)] = &[("source.address", "10.0.0.1:5")];
    let of = |forwarded: &'static str| ("x-forwarded-for", forwarded);
    let first = [of("198.51.100.7")];
    let requests: Vec<Vec<(&str, &str)>> = vec![
        first.to_vec(),
        vec![of("203.0.113.9, 198.51.100.7")],
        // The proxy has written its peer down.
        vec![of("198.51.100.7, 10.0.0.1")],
        vec![of("198.51.100.7"), of("10.0.0.1")],
        vec![of("198.51.100.7:8080")],
        vec![of("198.51.100.7, 203.0.113.9")],
        vec![of("198.51.100.7, unknown")],
        vec![],
    ];
    let requests: Vec<(&[(&str, &str)], _)> =
        requests.iter().map(|headers| (headers.as_slice(), peer)).collect();
    assert_eq!(
        same_as_first(key, json!({}), &requests),
        [true, true, true, true, true, false, false, false]
    );
}

#[test]
fn trusted_hops_are_counted_beyond_those_that_the_proxy_counts() {
    let of = |hops: usize, requests: &[(&'static str, &'static str)]| {
        let key = json!([{"client_address": {"trusted_hops": hops}}]);
        let headers: Vec<_> =
            requests.iter().map(|(forwarded, _)| [("x-forwarded-for", *forwarded)]).collect();
        let sources: Vec<_> =
            requests.iter().map(|(_, source)| [("source.address", *source)]).collect();
        let both = headers.iter().zip(&sources);
        let requests: Vec<_> =
            both.map(|(headers, source)| (headers.as_slice(), source.as_slice())).collect();
        same_as_first(key, json!({}), &requests)
    };
    // `use_remote_address` and `xff_num_trusted_hops: 1`: the peer is last, and the address in front
    // of it the proxy's. Then without the peer, then with two hops of the proxy's own.
    let same = of(
        1,
        &[
            ("192.0.2.1, 198.51.100.7, 203.0.113.9, 10.0.0.1", "203.0.113.9:0"),
            ("198.51.100.7, 203.0.113.9", "203.0.113.9:0"),
            ("198.51.100.7, 203.0.113.9, 10.0.0.2, 10.0.0.1", "203.0.113.9:0"),
            ("198.51.100.8, 203.0.113.9, 10.0.0.1", "203.0.113.9:0"),
            ("203.0.113.9, 10.0.0.1", "203.0.113.9:0"),
            ("198.51.100.7", "203.0.113.9:0"),
        ],
    );
    assert_eq!(same, [true, true, true, false, false, false]);
    // An address of the peer that the client writes is not where the counting begins.
    let same = of(
        1,
        &[
            ("198.51.100.7", "10.0.0.1:5"),
            ("192.0.2.1, 10.0.0.1, 198.51.100.7", "10.0.0.1:5"),
            ("192.0.2.1, 10.0.0.1, 198.51.100.7, 10.0.0.1", "10.0.0.1:5"),
        ],
    );
    assert_eq!(same, [true, true, true]);
}

#[test]
fn headers_count_as_they_are_sent() {
    let requests: [(&[_], &[(&str, &str)]); 5] = [
        (&[("x-tenant", "a")], &[]),
        (&[("x-tenant", "A")], &[]),
        (&[("x-tenant", "a"), ("x-tenant", "b")], &[]),
        (&[("x-tenant", "")], &[]),
        (&[], &[]),
    ];
    let same = same_as_first(json!([{"header": "X-Tenant"}]), json!({}), &requests);
    assert_eq!(same, [true, false, false, false, false]);
}

/// Which of these targets are counted with the first, by the parameter `t`.
#[track_caller]
fn same_targets(more: Value, targets: &[&str]) -> Vec<bool> {
    let headers: Vec<_> = targets.iter().map(|target| [(":path", *target)]).collect();
    let requests: Vec<(Pairs<'_>, Pairs<'_>)> =
        headers.iter().map(|headers| (headers.as_slice(), &[][..])).collect();
    same_as_first(json!([{"query": "t"}]), more, &requests)
}

#[test]
fn a_parameter_of_the_query_counts_by_its_value() {
    let targets =
        ["/?t=a", "/x?b=1&t=a", "/?%74=%61", "/?t=b", "/?t=A", "/?T=a", "/?t=", "/?t", "/", "/t=a"];
    let same = [true, true, true, false, false, false, false, false, false, false];
    assert_eq!(same_targets(json!({}), &targets), same);
    assert_eq!(
        same_targets(json!({}), &["/?t=", "/?t", "/?x", "/?t=%20"]),
        [true, true, false, false]
    );
    assert_eq!(
        same_targets(json!({}), &["/", "/?x=1", "/?x#t=a"]),
        [true; 3],
        "who has none is one"
    );
}

#[test]
fn a_parameter_that_readers_may_see_differently_makes_no_count_of_its_own() {
    let unclear = [
        "/?t=a&t=b",
        "/?t=a&t=c",
        "/?t=c&x&t=a",
        "/?t=a&%74=a",
        "/?t=a;t=b",
        "/?x=1;t=a",
        "/?t=%zz",
    ];
    for exempt in [json!({}), json!({"missing": "exempt"})] {
        assert_eq!(same_targets(exempt.clone(), &unclear), [true; 7]);
        assert_eq!(same_targets(exempt, &["/?t=a", "/?t=a&t=b", "/?t=%zz"]), [true, false, false]);
    }
    assert_eq!(same_targets(json!({"missing": "exempt"}), &["/", "/"]), [false, false]);
}

#[test]
fn a_cookie_counts_by_its_value_and_several_make_no_count_of_their_own() {
    let same = |cookies: &[&[(&str, &str)]]| {
        let requests: Vec<(Pairs<'_>, Pairs<'_>)> =
            cookies.iter().map(|headers| (*headers, &[][..])).collect();
        same_as_first(json!([{"cookie": "sid"}]), json!({}), &requests)
    };
    let of = |value| [("cookie", value)];
    let (a, other, quoted) = (of("sid=a"), of("x=1; sid=a"), of("sid=\"a\""));
    let (b, case, encoded, empty) = (of("sid=b"), of("SID=a"), of("sid=%61"), of("sid="));
    assert_eq!(
        same(&[&a, &other, &quoted, &b, &case, &encoded, &empty, &[]]),
        [true, true, true, false, false, false, false, false]
    );
    let (twice, thrice) = (of("sid=a; sid=b"), of("sid=c; sid=a; sid=c"));
    let apart = [("cookie", "sid=a"), ("cookie", "sid=b")];
    assert_eq!(same(&[&twice, &thrice, &apart, &a]), [true, true, true, false]);
}

#[test]
fn hosts_methods_routes_and_services() {
    let host: [(&[_], &[(&str, &str)]); 3] = [
        (&[(":authority", "shop.example:443")], &[]),
        (&[(":authority", "SHOP.example")], &[]),
        (&[(":authority", "other.example")], &[]),
    ];
    assert_eq!(same_as_first(json!(["host"]), json!({}), &host), [true, true, false]);
    let method: [(&[_], &[(&str, &str)]); 2] =
        [(&[(":method", "GET")], &[]), (&[(":method", "PUT")], &[])];
    assert_eq!(same_as_first(json!(["method"]), json!({}), &method), [true, false]);
    for (part, state) in [
        ("route", "xds.route_name"),
        ("cluster", "xds.cluster_name"),
        ("service", "gatehouse.service"),
    ] {
        let requests: [(&[_], &[(&str, &str)]); 2] =
            [(&[], &[(state, "a")]), (&[], &[(state, "b")])];
        assert_eq!(same_as_first(json!([part]), json!({}), &requests), [true, false], "{part}");
    }
    let of = |service, method| [("gatehouse.service", service), ("gatehouse.method", method)];
    let (a, b, c) = (of("users", "list"), of("users", "show"), of("usersl", "ist"));
    let requests: [(&[_], &[(&str, &str)]); 3] = [(&[], &a), (&[], &b), (&[], &c)];
    assert_eq!(
        same_as_first(json!(["service_method"]), json!({}), &requests),
        [true, false, false]
    );
}

#[test]
fn what_a_path_has_in_place_of_a_name() {
    let path = |path| [(":path", path)];
    let paths = [
        path("/tenants/a/x"),
        path("/tenants/a/y?z"),
        path("/tenants/%61/y"),
        path("/tenants/b/x"),
        path("/other"),
    ];
    let requests: Vec<(Pairs<'_>, Pairs<'_>)> =
        paths.iter().map(|headers| (headers.as_slice(), &[][..])).collect();
    let key = json!([{"path": "/tenants/{tenant}/**"}]);
    assert_eq!(same_as_first(key, json!({}), &requests), [true, true, true, false, false]);
}

#[test]
fn a_claim_is_read_from_the_evidence() {
    let evidence = |tenant: &str| {
        json!({"scheme": "jwt", "subject": "s", "claims": {"tenant": tenant}}).to_string()
    };
    let refused = json!({"refused": {"reason": "x", "status": 401, "headers": []},
        "claims": {"tenant": "a"}})
    .to_string();
    let (a, b) = (evidence("a"), evidence("b"));
    let name = "gatehouse.evidence.jwt-auth";
    let requests: [(&[_], &[(&str, &str)]); 4] = [
        (&[], &[(name, &a)]),
        (&[], &[(name, &a)]),
        (&[], &[(name, &b)]),
        (&[], &[(name, &refused)]),
    ];
    assert_eq!(
        same_as_first(json!([{"claim": "tenant"}]), json!({}), &requests),
        [true, true, false, false]
    );
}

#[test]
fn parts_are_not_run_together() {
    let of = |a: &'static str, b: &'static str| [("a", a), ("b", b)];
    let (first, other) = (of("x", "yz"), of("xy", "z"));
    let requests: [(&[_], &[(&str, &str)]); 3] =
        [(&first, &[]), (&other, &[]), (&[("a", "x")], &[])];
    let key = json!([{"header": "a"}, {"header": "b"}]);
    assert_eq!(same_as_first(key, json!({}), &requests), [true, false, false]);
}

/// With one request of each sent, whether both pass: of a limit of one name and quota in two places.
#[track_caller]
fn are_apart(one: Value, other: Value, consumer: &str, header: &str) -> bool {
    let quota = json!({"requests": 1, "per": "1h"});
    let place = |key: Value| json!([limit(quota.clone(), json!({"key": key}))]);
    let rule = json!({"match": {"methods": ["POST"]}, "limits": place(other)});
    let mut bench = with(json!({"limits": place(one), "rules": [rule]}));
    bench.proxy.set_property(&["gatehouse.consumer"], consumer.as_bytes());
    bench.proxy.set_property(&["source", "address"], b"10.0.0.0:1");
    assert!(passes(&mut bench, &[("h", header)]));
    passes(&mut bench, &[("h", header), (":method", "POST")])
}

#[test]
fn a_key_of_another_make_is_another_limit() {
    let header = json!([{"header": "h"}]);
    assert!(!are_apart(header.clone(), header.clone(), "acme", "acme"));
    // Whoever may send a header must not use up a consumer's quota with it, nor have two of its own.
    assert!(are_apart(header, json!(["consumer"]), "acme", "acme"));
    let network = json!([{"client_address": {"ipv4_prefix": 8}}]);
    assert!(are_apart(network, json!(["client_address"]), "", "x"));
}
