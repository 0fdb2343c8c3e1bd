//! What is set of sampling, of baggage and of the request id.

use serde_json::{Value, json};
use tests::client::{Request, Response};
use tests::envoy::{Setup, Trial};
use tests::upstream::{Received, Upstream};

use super::{PARENT, World, parent};

/// A trace that its sender does not record.
const UNRECORDED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// An Envoy with a rule for each of these settings, at the path that is its number.
fn with_rules(settings: impl IntoIterator<Item = Value>) -> World {
    World::with(json!({ "rules": rules(settings) }), |setup| setup)
}

fn rules(settings: impl IntoIterator<Item = Value>) -> Value {
    let numbered = settings.into_iter().enumerate().map(|(number, mut rule)| {
        rule["match"] = json!({"paths": [format!("/{number}")]});
        rule
    });
    numbered.collect()
}

/// What the upstream and the client get of a request to the path of this number.
#[track_caller]
fn send(world: &World, number: usize, headers: &[(&str, &str)]) -> (Received, Response) {
    let request = Request::get(&format!("/{number}"));
    let request = headers.iter().fold(request, |request, (n, v)| request.header(n, v));
    let answer = request.send(world.envoy.address());
    assert_eq!(answer.status, 200, "{answer}");
    (world.upstream.last(), answer)
}

/// Whether it is recorded; the trace is gone on with.
#[track_caller]
fn is_recorded(world: &World, number: usize, sent: &str) -> bool {
    let (trace, _, flags) = parent(&send(world, number, &[("traceparent", sent)]).0);
    assert_eq!(trace, &sent[3..35]);
    u8::from_str_radix(&flags, 16).unwrap() & 1 == 1
}

/// How many of `count` traces that start here are recorded.
fn recorded(world: &World, number: usize, count: usize) -> usize {
    (0..count).filter(|_| parent(&send(world, number, &[]).0).2 == "03").count()
}

#[test]
fn the_senders_decision_holds_unless_it_is_not_asked() {
    let table = [
        (true, "never", [true, false]),
        (true, "always", [true, false]),
        (false, "never", [false, false]),
        (false, "always", [true, true]),
    ];
    let world = with_rules(
        table.map(|(parent, root, _)| json!({"sampling": {"parent": parent, "root": root}})),
    );
    for (number, (asks, root, expected)) in table.into_iter().enumerate() {
        let found = [PARENT, UNRECORDED].map(|sent| is_recorded(&world, number, sent));
        assert_eq!(found, expected, "parent: {asks}, root: {root}");
        let of_ours = if root == "always" { 20 } else { 0 };
        assert_eq!(recorded(&world, number, 20), of_ours, "{root}");
    }
}

/// Envoy reads YAML's fractions as texts where any value may stand.
#[test]
fn a_ratio_may_stand_in_a_bootstrap_of_yaml() {
    let of = |ratio: f64| json!({"sampling": {"parent": false, "root": {"ratio": ratio}}});
    let upstream = Upstream::start();
    let envoy = Setup::new()
        .filter_of_struct("trace-context", of(1e-12))
        .upstream(&upstream)
        .route(json!({
            "match": {"path": "/whole"},
            "route": {"cluster": "upstream"},
            "metadata": {"filter_metadata": {"gatehouse": {"trace-context": of(0.999_999_999)}}},
        }))
        .start_with_yaml("");
    for (path, flags) in [("/", "02"), ("/whole", "03")] {
        assert_eq!(Request::get(path).send(envoy.address()).status, 200);
        assert_eq!(parent(&upstream.last()).2, flags, "{path}");
    }
}

#[test]
fn a_ratio_goes_by_the_id_of_the_trace() {
    // The second is as near to nothing as it gets; `never` is nothing.
    let world = with_rules(
        [1.0, 1e-12, 0.5]
            .map(|ratio| json!({"sampling": {"parent": false, "root": {"ratio": ratio}}})),
    );
    let [whole, none, half] = [0, 1, 2];
    for sent in [PARENT, UNRECORDED] {
        assert!(is_recorded(&world, whole, sent) && !is_recorded(&world, none, sent));
    }
    assert_eq!((recorded(&world, whole, 50), recorded(&world, none, 50)), (50, 0));
    // Six times the standard deviation around the half.
    let count = recorded(&world, half, 400);
    assert!((140..=260).contains(&count), "{count} of 400");
    let same: Vec<_> = (0..20).map(|_| is_recorded(&world, half, PARENT)).collect();
    assert!(same.iter().all(|found| *found == same[0]), "one trace, one decision");
    let of = |last: &str| {
        is_recorded(&world, half, &format!("00-0af7651916cd43dd{last}-b7ad6b7169203331-00"))
    };
    assert_ne!(of("0000000000000001"), of("ffffffffffffffff"));
}

#[test]
fn a_ratio_of_nothing_and_one_of_more_than_all_are_refused() {
    let setup =
        |root: Value| Setup::new().filter("trace-context", json!({"sampling": {"root": root}}));
    let trial = Trial::beside(&setup(json!({"ratio": 1})));
    for ratio in [json!(0), json!(-0.5), json!(1.5), json!("one")] {
        let error = trial.error(&setup(json!({"ratio": ratio})));
        assert!(error.starts_with("sampling.root"), "{ratio}: {error}");
    }
}

/// What is left of a baggage, and whether the request is counted for what was left out.
#[track_caller]
fn baggage(world: &World, number: usize, sent: &[&str]) -> (String, bool) {
    let dropped = || world.envoy.counted("trace-context.baggage_dropped");
    let before = dropped();
    let mut headers = vec![("traceparent", PARENT)];
    headers.extend(sent.iter().map(|value| ("baggage", *value)));
    let (received, _) = send(world, number, &headers);
    assert!(received.all("baggage").len() <= 1);
    let count = dropped() - before;
    assert!(count <= 1, "a request counts once");
    (received.header("baggage").unwrap_or_default(), count == 1)
}

#[test]
fn baggage_goes_on_as_far_as_its_limits_go_and_no_member_is_cut() {
    let table = [
        (json!({}), "a=1,b=2,c=3,d=4", false),
        (json!({"max_members": 4}), "a=1,b=2,c=3,d=4", false),
        (json!({"max_members": 3}), "a=1,b=2,c=3", true),
        (json!({"max_members": 1}), "a=1", true),
        (json!({"max_bytes": 15}), "a=1,b=2,c=3,d=4", false),
        (json!({"max_bytes": 14}), "a=1,b=2,c=3", true),
        (json!({"max_bytes": 3}), "a=1", true),
        (json!({"max_bytes": 2}), "", true),
        (json!({"max_members": 2, "max_bytes": 5}), "a=1", true),
        (json!({"max_members": 2, "allow": ["b", "c", "d"]}), "b=2,c=3", true),
    ];
    let world = with_rules(table.iter().map(|(limits, ..)| json!({ "baggage": limits })));
    for (number, (limits, left, is_counted)) in table.iter().enumerate() {
        let found = baggage(&world, number, &["a=1,b=2", "c=3 , d=4"]);
        assert_eq!(found, ((*left).to_owned(), *is_counted), "{limits}");
    }
    // One that is too large leaves room for those behind it.
    let large = format!("large={}", "x".repeat(100));
    assert_eq!(baggage(&world, 4, &["a=1", &large, "b=2"]), ("a=1,b=2".to_owned(), true));
}

#[test]
fn what_everybody_has_to_pass_on_is_the_default() {
    let world = World::new(json!({}));
    let sent = |sent: &str| baggage(&world, 0, &[sent]);
    let members = |count: usize| {
        (0..count).map(|number| format!("k{number:02}=v")).collect::<Vec<_>>().join(",")
    };
    assert_eq!(sent(&members(64)), (members(64), false));
    assert_eq!(sent(&members(65)), (members(64), true));
    let member = |length: usize| format!("k={}", "x".repeat(length - 2));
    assert_eq!(sent(&member(8192)), (member(8192), false));
    assert_eq!(sent(&member(8193)), (String::new(), true));
}

/// With an id in the access log, as the upstream and the client know it.
fn with_request_ids(settings: impl IntoIterator<Item = Value>) -> World {
    World::with(json!({ "rules": rules(settings) }), |setup| {
        setup
            .connection_manager(json!({"preserve_external_request_id": true}))
            .log_field("id", "%REQ(X-REQUEST-ID)%")
    })
}

/// The id that all know after a request with this one.
#[track_caller]
fn id_after(world: &World, number: usize, sent: &str) -> String {
    let (received, answer) =
        send(world, number, &[("traceparent", PARENT), ("x-request-id", sent)]);
    assert_eq!(received.all("x-request-id").len(), 1);
    let id = received.header("x-request-id").unwrap();
    assert_eq!(answer.header("x-request-id").as_ref(), Some(&id));
    let log = world.envoy.access_log(world.upstream.count());
    assert!(log.iter().any(|line| line["id"] == id), "{log:?}");
    id
}

fn is_uuid(id: &str) -> bool {
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[test]
fn the_id_of_a_sender_who_is_trusted_is_kept_and_of_nobody_else() {
    let table = [
        (json!("never"), "trusted", false),
        (json!({"addresses": ["203.0.113.0/24"]}), "trusted", false),
        (json!({"addresses": ["127.0.0.0/8"]}), "trusted", true),
        (json!("always"), "trusted", true),
        (json!("never"), "always", true),
        (json!("always"), "never", false),
    ];
    let settings = |(trust, accept, _): &(Value, &str, bool)| json!({"trust": trust, "request_id": {"accept": accept}});
    let world = with_request_ids(table.iter().map(settings));
    for (number, (trust, accept, is_kept)) in table.iter().enumerate() {
        for sent in ["from-outside.1", "from-outside.2"] {
            let id = id_after(&world, number, sent);
            assert_eq!(id == sent, *is_kept, "{trust} {accept}: {id}");
            assert!(*is_kept || is_uuid(&id), "{trust} {accept}: {id}");
        }
    }
}

#[test]
fn an_id_that_is_kept_is_one_word_of_a_length() {
    let trust = json!({"addresses": ["127.0.0.0/8"]});
    let world = with_request_ids([
        json!({"trust": trust, "request_id": {}}),
        json!({"trust": trust, "request_id": {"max_bytes": 8}}),
    ]);
    let long = "x".repeat(10_000);
    assert_eq!(id_after(&world, 0, &long), "x".repeat(128));
    assert_eq!(id_after(&world, 1, "abcdefgh-ijkl"), "abcdefgh");
    for odd in ["two words", "quote\"", "caf\u{e9}", "{json}", "a,b", "<b>", "%0d%0aset-cookie:x"] {
        let id = id_after(&world, 0, odd);
        assert!(is_uuid(&id), "{odd}: {id}");
    }
}
