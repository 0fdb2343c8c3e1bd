//! Configurations that are refused, each with its whole message.

use super::*;

#[track_caller]
fn refuse(config: &Value, message: &str) {
    let error = Bench::<HealthShortcut>::configure(config).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some(message));
}

#[track_caller]
fn refuse_endpoint(endpoint: Value, message: &str) {
    refuse(&with(json!({"endpoints": [endpoint]})), message);
}

#[track_caller]
fn refuse_dependency(more: Value, message: &str) {
    let mut config = config();
    for (name, value) in more.as_object().unwrap() {
        config["dependencies"][0][name] = value.clone();
    }
    refuse(&config, message);
}

#[test]
fn a_configuration_without_endpoints_is_refused() {
    refuse(&json!({}), "missing field `endpoints`");
    refuse(&json!({"endpoints": []}), "endpoints: a list of at least one, and this one is empty");
}

#[test]
fn a_path_that_no_probe_has_is_refused() {
    let path = |path| json!({"path": path, "report": "liveness"});
    refuse_endpoint(path(""), "endpoints[0].path: does not begin with `/`");
    refuse_endpoint(path("livez"), "endpoints[0].path: does not begin with `/`");
    let query = "endpoints[0].path: has a query; an endpoint is for every query and for none";
    refuse_endpoint(path("/livez?x"), query);
    let pattern = "endpoints[0].path: is a pattern; an endpoint is one literal path";
    for text in ["/*", "/livez/**", "/{name}"] {
        refuse_endpoint(path(text), pattern);
    }
    let character = "endpoints[0].path: has a character that no request's path has";
    for text in ["/a b", "/ä", "/a#b", "/a\n"] {
        refuse_endpoint(path(text), character);
    }
}

#[test]
fn an_endpoint_that_is_there_already_is_refused() {
    let mut config = config();
    config["endpoints"][2]["path"] = json!("/livez");
    refuse(&config, "endpoints[2].path: the same as in endpoints[0]");
}

#[test]
fn an_unknown_report_is_refused() {
    refuse_endpoint(
        json!({"path": "/", "report": "startup"}),
        "endpoints[0].report: unknown variant `startup`, expected one of `liveness`, `readiness`, `dependencies`",
    );
    refuse_endpoint(json!({"path": "/"}), "endpoints[0]: missing field `report`");
}

#[test]
fn a_name_that_cannot_be_told_is_refused() {
    refuse_dependency(json!({"name": ""}), "dependencies[0].name: empty");
    refuse_dependency(json!({"name": "a\u{7f}"}), "dependencies[0].name: has a control character");
    refuse_dependency(
        json!({"name": "cache"}),
        "dependencies[1].name: the same as in dependencies[0]",
    );
    refuse(&with(json!({"version": ""})), "version: empty");
    refuse(&with(json!({"version": "1\n"})), "version: has a control character");
}

#[test]
fn a_ping_that_cannot_be_sent_is_refused() {
    refuse_dependency(json!({"cluster": ""}), "dependencies[0].cluster: empty");
    refuse_dependency(json!({"path": "up"}), "dependencies[0].path: does not begin with `/`");
    let path = "dependencies[0].path: has a character that no request's path has";
    refuse_dependency(json!({"path": "/a b"}), path);
    for host in ["", "a b", "a/b", "a\r\nb", "ä"] {
        let message = "dependencies[0].host: is no host with or without a port";
        refuse_dependency(json!({"host": host}), message);
    }
}

#[test]
fn a_cluster_whose_name_is_no_host_needs_one() {
    let cluster = "outbound|80||db.prod.svc.cluster.local";
    let message = "dependencies[0].host: missing, and the name of the cluster is no host";
    refuse_dependency(json!({"cluster": cluster}), message);
}

#[test]
fn times_that_do_not_fit_are_refused() {
    refuse_dependency(json!({"interval": "99ms"}), "dependencies[0].interval: shorter than 100ms");
    refuse_dependency(
        json!({"timeout": "5001ms"}),
        "dependencies[0].timeout: longer than the interval",
    );
    refuse_dependency(json!({"timeout": "999us"}), "dependencies[0].timeout: shorter than 1ms");
    let period = "dependencies[0].interval: `5` is not a period such as `250ms`, `10s` or `1h30m`";
    refuse_dependency(json!({"interval": "5"}), period);
}

#[test]
fn a_timeout_that_is_left_out_fits_the_interval() {
    let dependencies = json!([{"name": "a", "cluster": "a", "interval": "200ms"}]);
    let calls = bench(&with(json!({"dependencies": dependencies}))).tick();
    assert_eq!(calls[0].1.timeout, Duration::from_millis(200));
}

#[test]
fn too_many_are_refused() {
    let dependencies = |count| -> Vec<_> {
        (0..count).map(|index| json!({"name": format!("d{index}"), "cluster": "c"})).collect()
    };
    bench(&with(json!({"dependencies": dependencies(64)})));
    refuse(&with(json!({"dependencies": dependencies(65)})), "dependencies: more than 64");
    let endpoint = |index| json!({"path": format!("/{index}"), "report": "liveness"});
    let endpoints: Vec<_> = (0..65).map(endpoint).collect();
    refuse(&with(json!({"endpoints": endpoints})), "endpoints: more than 64");
}

#[test]
fn unknown_fields_are_refused() {
    let known = "known are mode, errors, answer, version, endpoints, dependencies, draining, grpc, rules, \
                 route_overrides";
    refuse(&with(json!({"endpoint": []})), &format!("endpoint: unknown field; {known}"));
    refuse_dependency(
        json!({"url": "x"}),
        "dependencies[0].url: unknown field `url`, expected one of `name`, `cluster`, `path`, `host`, \
         `interval`, `timeout`, `required`",
    );
    let rules = json!([{"match": {"paths": ["/"]}, "version": "2"}]);
    refuse(
        &with(json!({"rules": rules})),
        "rules[0].version: is set once, at the top level, and not by a rule",
    );
}

#[test]
fn a_proxy_that_is_a_dependency_already_is_refused() {
    let mut config = with(json!({"draining": {"cluster": "administration"}}));
    config["dependencies"][1]["name"] = json!("proxy");
    refuse(&config, "dependencies[1].name: `proxy` is the proxy itself where there is `draining`");
    let draining = json!({"cluster": "administration", "interval": "99ms"});
    refuse(&with(json!({"draining": draining})), "draining.interval: shorter than 100ms");
}

#[track_caller]
fn refuse_service(service: Value, message: &str) {
    let grpc = json!({"cluster": "grpc-health", "services": [service]});
    refuse(&with(json!({"grpc": grpc})), message);
}

#[test]
fn a_service_that_nothing_decides_on_is_refused() {
    let message = "grpc.services[0].report: either this or `dependencies` is needed";
    refuse_service(json!({"name": "a"}), message);
    refuse_service(json!({"name": "a", "report": "liveness", "dependencies": ["cache"]}), message);
    refuse_service(
        json!({"name": "a", "dependencies": []}),
        "grpc.services[0].dependencies: a list of at least one, and this one is empty",
    );
    refuse_service(
        json!({"name": "a", "dependencies": ["cache", "mail"]}),
        "grpc.services[0].dependencies[1]: `mail` is none of the dependencies",
    );
    refuse_service(
        json!({"name": "a", "dependencies": ["proxy"]}),
        "grpc.services[0].dependencies[0]: `proxy` is none of the dependencies",
    );
}

#[test]
fn a_name_that_no_service_has_is_refused() {
    let service = |name: &str| json!({"name": name, "report": "liveness"});
    let message = "grpc.services[0].name: has a character that no name of a service has";
    refuse_service(service("a/b"), message);
    refuse_service(service("a\n"), message);
    refuse_service(service(&"a".repeat(257)), "grpc.services[0].name: longer than 256 bytes");
    let twice = json!({"cluster": "c", "services": [service("a"), service(""), service("a")]});
    refuse(&with(json!({"grpc": twice})), "grpc.services[2].name: the same as in services[0]");
    let none = json!({"cluster": "c", "services": []});
    refuse(
        &with(json!({"grpc": none})),
        "grpc.services: a list of at least one, and this one is empty",
    );
    let nowhere = json!({"cluster": "", "services": [service("a")]});
    refuse(&with(json!({"grpc": nowhere})), "grpc.cluster: empty");
    refuse(&with(json!({"grpc": {"services": [service("a")]}})), "grpc: missing field `cluster`");
}
