//! What clients are told, of requests let through and of those refused.

use super::*;

#[test]
fn responses_say_how_the_limit_stands() {
    let (envoy, _upstream) = start(4, limit(json!({"requests": 2, "per": "1h"}), json!({})));
    let answer = get(&envoy, "/");
    assert_eq!(answer.header("ratelimit-policy").as_deref(), Some(r#""a";q=2;w=3600"#));
    assert_eq!(answer.header("ratelimit").as_deref(), Some(r#""a";r=1;t=1800"#));
    get(&envoy, "/");
    let refused = get(&envoy, "/");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("ratelimit-policy").as_deref(), Some(r#""a";q=2;w=3600"#));
    assert_eq!(refused.header("ratelimit").as_deref(), Some(r#""a";r=0;t=3600"#));
    assert_eq!(refused.header("retry-after").as_deref(), Some("1800"));
    assert_eq!(refused.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control").as_deref(), Some("no-store"));
    let body = refused.json();
    assert_eq!(body["violated-policies"], json!(["a"]));
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
}

#[test]
fn the_older_headers_or_none() {
    let mut config = limit(json!({"requests": 2, "per": "1h"}), json!({}));
    config["headers"] = json!("legacy");
    let (envoy, _upstream) = start(1, config.clone());
    let answer = get(&envoy, "/");
    let of = |name: &str| answer.header(&format!("x-ratelimit-{name}"));
    let all = (of("limit"), of("remaining"), of("reset"));
    assert_eq!(all, (Some("2".into()), Some("1".into()), Some("1800".into())));
    assert_eq!(answer.header("ratelimit"), None);
    config["headers"] = json!("none");
    let (envoy, _upstream) = start(1, config);
    let heads = [get(&envoy, "/"), get(&envoy, "/"), get(&envoy, "/")];
    assert_eq!(heads[2].status, 429);
    assert!(heads.iter().all(|answer| answer.header("x-ratelimit-limit").is_none()));
    assert!(heads[2].header("retry-after").is_some());
}

#[test]
fn grpc_clients_get_resource_exhausted() {
    let (envoy, _upstream) = start(1, limit(for_good(1), json!({})));
    let call = Request::new("POST", "/s/m").header("content-type", "application/grpc").body(b"");
    call.send(envoy.address());
    let refused = call.send(envoy.address());
    assert_eq!((refused.status, refused.header("grpc-status").as_deref()), (200, Some("8")));
    assert_eq!(
        refused.header("grpc-message").as_deref(),
        Some("The limit `a` is reached; try again later.")
    );
    assert!(refused.header("retry-after").is_some() && refused.header("ratelimit").is_some());
}

#[test]
fn the_access_log_and_the_counters_say_which() {
    let mut config = limit(for_good(1), json!({"name": "one"}));
    let shadow = json!({"name": "dark", "quota": for_good(1), "mode": "shadow"});
    config["limits"].as_array_mut().unwrap().push(shadow);
    let (envoy, upstream) = start(2, config.clone());
    get(&envoy, "/");
    get(&envoy, "/");
    let log = envoy.access_log(2);
    let refused = log.iter().find(|line| line["status"] == 429).expect("logged");
    assert_eq!(refused["details"], "gatehouse.rate-limit.limited");
    assert_eq!(envoy.counted("rate-limit.allowed"), 1);
    assert_eq!(envoy.counted("rate-limit.limited.limit.one"), 1);
    assert_eq!(envoy.counted("rate-limit.refused.reason.limited"), 1);
    // What refuses charges no other, not even one in shadow.
    assert_eq!(envoy.counted("rate-limit.shadow_limited.limit.dark"), 0);
    assert_eq!(upstream.count(), 1);
    config["limits"].as_array_mut().unwrap().remove(0);
    let (envoy, upstream) = start(2, config);
    let answers = [get(&envoy, "/"), get(&envoy, "/"), get(&envoy, "/")];
    assert!(answers.iter().all(|answer| answer.header("ratelimit").is_none()));
    assert_eq!(envoy.counted("rate-limit.shadow_limited.limit.dark"), 2);
    assert_eq!(upstream.count(), 3);
}
