//! What is rendered is what the file says.

use serde_json::json;

use super::*;

fn file() -> Value {
    json!({
        "name": "shop",
        "listeners": [
            {"name": "public", "address": "0.0.0.0:8443", "tls": {"certificate": "/tls/chain.pem", "key": "/tls/key.pem"}},
            {"name": "plain", "address": "[::]:8080", "redirect": 8443},
        ],
        "upstreams": [
            {"name": "users", "address": "127.0.0.1:9000", "health": "/livez"},
            {"name": "issuer", "address": "issuer.example:443", "tls": true},
            {"name": "grpc", "address": "127.0.0.1:9001", "http2": true},
        ],
        "routes": [
            {"prefix": "/grpc/", "upstream": "grpc", "timeout": "0s"},
            {"prefix": "/", "upstream": "users"},
        ],
        "filters": [
            {"health-shortcut": {"endpoints": [{"path": "/livez", "report": "liveness"}]}},
            {"basic-auth": {"users": [{"name": "carol", "password": "${CAROL:-x}"}], "verdict": "defer",
                "rules": [{"match": {"paths": ["/open/**"]}, "mode": "off"}]}},
            {"access-policy": {"schemes": {"basic": {"authenticator": "basic-auth"}}, "services": []}},
        ],
        "images": "oci://registry.example/gatehouse",
    })
}

fn parse(value: Value) -> File {
    serde_json::from_value(value).unwrap()
}

/// The bootstrap of a file, with no module at hand.
fn bootstrap(file: Value) -> Result<String, Invalid> {
    envoy(&parse(file), &Capabilities::new())
}

/// The connection manager of a listener of the bootstrap of a file.
fn manager(file: Value, listener: usize) -> Value {
    let bootstrap = documents(&bootstrap(file).unwrap()).remove(0);
    let listener = &bootstrap["static_resources"]["listeners"][listener];
    listener["filter_chains"][0]["filters"][0]["typed_config"].clone()
}

/// The file, some of it changed.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut file = file();
    change(&mut file);
    file
}

fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .filter_map(|text| {
            serde_norway::from_str::<Value>(text)
                .unwrap_or_else(|why| panic!("{why}\n{text}"))
                .into()
        })
        .filter(|value: &Value| !value.is_null())
        .collect()
}

#[test]
fn the_bootstrap_is_yaml_and_has_what_the_file_says() {
    let text = bootstrap(file()).unwrap();
    let bootstrap = &documents(&text)[0];
    let listeners = &bootstrap["static_resources"]["listeners"];
    assert_eq!(listeners[1]["address"]["socket_address"]["address"], "::");
    let chain = &listeners[0]["filter_chains"][0];
    assert!(chain["transport_socket"].is_object(), "{chain:#}");
    let manager = &chain["filters"][0]["typed_config"];
    let filters: Vec<_> = manager["http_filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| filter["name"].as_str().unwrap())
        .collect();
    assert_eq!(filters, ["health-shortcut", "basic-auth", "access-policy", "router"]);
    let basic = &manager["http_filters"][1]["typed_config"]["config"];
    assert_eq!(basic["vm_config"]["environment_variables"]["host_env_keys"], json!(["CAROL"]));
    assert_eq!(basic["configuration"]["value"], file()["filters"][1]["basic-auth"]);
    assert_eq!(manager["request_timeout"], "30s");
    let routes = &manager["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(routes[0]["route"]["cluster"], "grpc");
    assert_eq!(routes[1]["route"], json!({"cluster": "users", "timeout": "60s"}));
    let clusters = &bootstrap["static_resources"]["clusters"];
    assert_eq!(clusters[1]["type"], "STRICT_DNS");
    assert_eq!(clusters[1]["transport_socket"]["typed_config"]["sni"], "issuer.example");
    assert_eq!(clusters[0]["health_checks"][0]["http_health_check"]["path"], "/livez");
}

#[test]
fn what_is_rendered_passes_strictly() {
    for form in ["modules", "bundle", "chain"] {
        let text = bootstrap(with(|file| file["as"] = json!(form))).unwrap();
        assert_eq!(crate::check::problems(&text), [], "{text}");
    }
}

#[test]
fn a_slow_answer_ends_by_the_time_that_is_meant_for_it() {
    let whole =
        |manager: &Value| manager["common_http_protocol_options"]["max_stream_duration"].clone();
    let own = |manager: &Value, index: usize| {
        let routes = &manager["route_config"]["virtual_hosts"][0]["routes"];
        let route = &routes[index]["route"];
        let fields = ["timeout", "idle_timeout"].map(|field| route[field].clone());
        let [timeout, silence] = fields;
        (timeout, silence, route["max_stream_duration"]["max_stream_duration"].clone())
    };
    let guide = manager(file(), 0);
    assert_eq!(guide["stream_idle_timeout"], "70s");
    assert_eq!(whole(&guide), "90s");
    assert_eq!(own(&guide, 0), (json!("0s"), json!("300s"), json!("0s")));
    assert_eq!(own(&guide, 1), (json!("60s"), json!(null), json!(null)));
    let slow = manager(with(|file| file["routes"][1]["timeout"] = json!("600s")), 0);
    assert_eq!(slow["stream_idle_timeout"], "70s");
    assert_eq!(own(&slow, 1), (json!("600s"), json!("610s"), json!("630s")));
    let endless = manager(with(|file| file["timeouts"] = json!({"response": "0s"})), 0);
    assert_eq!(endless["stream_idle_timeout"], "300s");
    assert_eq!(whole(&endless), json!(null));
    assert_eq!(own(&endless, 0), (json!("0s"), json!(null), json!(null)));
    let unbounded = manager(with(|file| file["timeouts"] = json!({"request": "0s"})), 0);
    assert_eq!(unbounded["stream_idle_timeout"], "70s");
    assert_eq!(whole(&unbounded), json!(null));
}

#[test]
fn the_access_log_has_what_the_filters_know() {
    let names = |manager: &Value| {
        let loggers = manager["access_log"].as_array().unwrap();
        let name = |logger: &Value| logger["name"].as_str().unwrap().to_owned();
        loggers.iter().map(name).collect::<Vec<_>>()
    };
    let of = |config: Value| {
        let mut file = file();
        file["filters"][2] = json!({"telemetry": config});
        manager(file, 0)
    };
    let plain = manager(file(), 0);
    assert_eq!(names(&plain), ["stdout"]);
    let format = |manager: &Value| {
        let logger = manager["access_log"].as_array().unwrap().last().unwrap().clone();
        logger["typed_config"]["log_format"]["json_format"].clone()
    };
    assert_eq!(format(&plain)["operation"], "%FILTER_STATE(wasm.gatehouse.method:PLAIN)%");
    assert_eq!(format(&plain)["subject"], "%FILTER_STATE(wasm.gatehouse.subject:PLAIN)%");
    assert_eq!(format(&plain)["trace_id"], json!(null));
    assert!(plain["access_log"][0]["filter"].is_object(), "probes fill no log");
    let lines = of(json!({}));
    assert_eq!(names(&lines), ["lines", "stdout"]);
    let format_of_lines = &lines["access_log"][0]["typed_config"]["log_format"];
    assert_eq!(
        format_of_lines["text_format_source"]["inline_string"],
        "%FILTER_STATE(wasm.gatehouse.log:PLAIN)%\n"
    );
    assert_eq!(format(&lines)["operation"], json!(null));
    assert_eq!(names(&of(json!({"output": "both"}))), ["lines", "stdout"]);
    assert_eq!(names(&of(json!({"output": "proxy_log"}))), ["stdout"]);
    assert_eq!(names(&of(json!({"lines": "none"}))), ["stdout"]);
    let traced = manager(with(|file| file["filters"] = json!([{"trace-context": {}}])), 0);
    assert_eq!(format(&traced)["trace_id"], "%FILTER_STATE(wasm.gatehouse.trace_id:PLAIN)%");
    assert_eq!(format(&traced)["subject"], json!(null));
    assert_eq!(traced["access_log"][0]["filter"], json!(null));
}

#[test]
fn what_would_overrule_a_policy_goes_no_further() {
    let removed = |manager: &Value| manager["route_config"]["request_headers_to_remove"].clone();
    let names = removed(&manager(file(), 0));
    for name in ["x-http-method-override", "x-original-url", "x-rewrite-url"] {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{names}");
    }
    let without = with(|file| drop(file["filters"].as_array_mut().unwrap().pop()));
    assert_eq!(removed(&manager(without, 0)), json!(null));
}

#[test]
fn a_plain_listener_may_be_the_way_to_https_alone() {
    let of = |port: u16| manager(with(|file| file["listeners"][1]["redirect"] = json!(port)), 1);
    let plain = of(8443);
    assert_eq!(plain["http_filters"].as_array().unwrap().len(), 1, "{plain:#}");
    let redirect = |manager: &Value| {
        manager["route_config"]["virtual_hosts"][0]["routes"][0]["redirect"].clone()
    };
    let mut expected = json!({
        "https_redirect": true, "port_redirect": 8443, "response_code": "PERMANENT_REDIRECT",
    });
    assert_eq!(redirect(&plain), expected);
    assert_eq!(plain["normalize_path"], true);
    expected.as_object_mut().unwrap().remove("port_redirect");
    assert_eq!(redirect(&of(443)), expected);
}

#[test]
fn a_module_may_do_what_is_known_of_it_and_no_more() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let allowed = Capabilities::from([("basic-auth".to_owned(), names(&["proxy_log"]))]);
    let bootstrap = &documents(&envoy(&parse(file()), &allowed).unwrap())[0];
    let manager = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    let machine = |index: usize| {
        let filter = &manager["typed_config"]["http_filters"][index]["typed_config"];
        filter["config"]["vm_config"]["capability_restriction_config"].clone()
    };
    assert_eq!(machine(1), json!({"allowed_capabilities": {"proxy_log": {}}}));
    assert_eq!(machine(2), json!(null));
}

#[test]
fn the_plugins_of_one_module_have_one_environment_and_so_one_vm() {
    let environments = |form: &str| {
        let file = with(|file| {
            file["as"] = json!(form);
            file["filters"][2] = json!({"access-policy": {"realm": "${REALM}"}});
        });
        let filters = manager(file, 0)["http_filters"].clone();
        let environment = |filter: &Value| {
            let machine = &filter["typed_config"]["config"]["vm_config"];
            machine["environment_variables"]["host_env_keys"].clone()
        };
        filters.as_array().unwrap()[..3].iter().map(environment).collect::<Vec<_>>()
    };
    let both = json!(["CAROL", "REALM"]);
    assert_eq!(environments("bundle"), [both.clone(), both.clone(), both]);
    assert_eq!(environments("modules"), [json!(null), json!(["CAROL"]), json!(["REALM"])]);
}

#[test]
fn the_manifests_keep_the_order_of_the_filters() {
    let text = istio(&parse(file())).unwrap();
    let plugins = documents(&text);
    let of =
        |part: &str| plugins.iter().map(|plugin| plugin["spec"][part].clone()).collect::<Vec<_>>();
    assert_eq!(of("phase"), ["AUTHN", "AUTHN", "AUTHZ"]);
    assert_eq!(of("priority"), [30, 20, 10]);
    assert_eq!(plugins[1]["spec"]["url"], "oci://registry.example/gatehouse/basic-auth:0.1.0");
    assert_eq!(plugins[1]["spec"]["vmConfig"]["env"][0]["name"], "CAROL");
    assert_eq!(plugins[1]["spec"]["pluginConfig"], file()["filters"][1]["basic-auth"]);
    let gateway = &documents(&envoy_gateway(&parse(file())).unwrap())[0];
    assert_eq!(gateway["spec"]["wasm"][2]["name"], "access-policy");
    assert_eq!(gateway["spec"]["wasm"][1]["env"]["hostKeys"], json!(["CAROL"]));
}

#[test]
fn no_phase_of_istios_takes_a_filter_out_of_its_place() {
    let limit = |on: &str| json!({"rate-limit": {"limits": [{"name": on}]}});
    let of = |filters: Value| {
        let plugins = documents(&istio(&parse(with(|file| file["filters"] = filters))).unwrap());
        let of = |plugin: &Value| {
            let (spec, name) = (&plugin["spec"], &plugin["metadata"]["name"]);
            let name = name.as_str().unwrap().strip_prefix("shop-").unwrap().to_owned();
            (name, spec["phase"].as_str().unwrap().to_owned(), spec["priority"].clone())
        };
        plugins.iter().map(of).collect::<Vec<_>>()
    };
    let expected = |plugins: &[(&str, &str, u64)]| {
        let of = |(name, phase, place): &(&str, &str, u64)| {
            ((*name).to_owned(), (*phase).to_owned(), json!(place))
        };
        plugins.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        of(json!([limit("failures"), {"basic-auth": {}}, limit("consumers")])),
        expected(&[
            ("rate-limit", "AUTHZ", 30),
            ("basic-auth", "AUTHZ", 20),
            ("rate-limit-2", "AUTHZ", 10),
        ])
    );
    assert_eq!(
        of(json!([{"basic-auth": {}}, {"access-policy": {}}, {"health-shortcut": {}}])),
        expected(&[
            ("basic-auth", "AUTHN", 30),
            ("access-policy", "AUTHZ", 20),
            ("health-shortcut", "AUTHZ", 10),
        ])
    );
}

#[test]
fn two_plugins_of_one_filter_have_two_names() {
    let filters = json!([{"rate-limit": {"memory": "1MiB"}}, {"rate-limit": {"memory": "2MiB"}}]);
    for (form, root_id) in [("modules", json!(null)), ("bundle", json!("rate-limit"))] {
        let file = parse(with(|file| {
            file["filters"] = filters.clone();
            file["as"] = json!(form);
        }));
        let bootstrap = documents(&envoy(&file, &Capabilities::new()).unwrap()).remove(0);
        let listener = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0];
        let second = &listener["filters"][0]["typed_config"]["http_filters"][1];
        let plugin = &second["typed_config"]["config"];
        assert_eq!(second["name"], "rate-limit-2");
        assert_eq!((&plugin["name"], &plugin["root_id"]), (&json!("rate-limit-2"), &root_id));
        let gateway = documents(&envoy_gateway(&file).unwrap()).remove(0);
        let second = &gateway["spec"]["wasm"][1];
        assert_eq!((&second["name"], &second["rootID"]), (&json!("rate-limit-2"), &root_id));
    }
}

#[test]
fn the_filters_are_plugins_of_one_module_or_one_chain() {
    let of = |form: &str| {
        let mut file = file();
        file["as"] = json!(form);
        parse(file)
    };
    let filters = |form: &str| {
        let bootstrap = &documents(&envoy(&of(form), &Capabilities::new()).unwrap())[0];
        let manager = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
            [0]["typed_config"];
        let mut filters = manager["http_filters"].as_array().unwrap().clone();
        filters.pop();
        filters.into_iter().map(|filter| filter["typed_config"]["config"].clone()).collect()
    };
    let bundled: Vec<Value> = filters("bundle");
    assert_eq!(bundled.len(), 3);
    for (plugin, name) in bundled.iter().zip(["health-shortcut", "basic-auth", "access-policy"]) {
        assert_eq!((&plugin["root_id"], &plugin["name"]), (&json!(name), &json!(name)));
        assert_eq!(plugin["vm_config"]["vm_id"], "gatehouse");
        assert_eq!(plugin["vm_config"]["code"]["local"]["filename"], "dist/gatehouse.wasm");
    }
    let chained: Vec<Value> = filters("chain");
    let [plugin] = chained.as_slice() else { panic!("{chained:#?}") };
    assert_eq!(plugin["root_id"], "chain");
    assert_eq!(plugin["configuration"]["value"]["chain"], file()["filters"]);
    assert_eq!(plugin["vm_config"]["environment_variables"]["host_env_keys"], json!(["CAROL"]));
    let manifest = &documents(&istio(&of("chain")).unwrap())[0];
    assert_eq!(manifest["spec"]["pluginName"], "chain");
    assert_eq!(manifest["spec"]["url"], "oci://registry.example/gatehouse/gatehouse:0.1.0");
    let gateway = &documents(&envoy_gateway(&of("bundle")).unwrap())[0];
    assert_eq!(gateway["spec"]["wasm"][1]["rootID"], "basic-auth");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    let edited = |edit: fn(&mut Value)| {
        let mut file = file();
        edit(&mut file);
        bootstrap(file).unwrap_err().to_string()
    };
    assert_eq!(
        edited(|file| file["routes"][0]["upstream"] = json!("x")),
        "routes[0].upstream: there is no upstream `x`"
    );
    assert_eq!(
        edited(|file| file["upstreams"][1]["address"] = json!("x")),
        "upstreams[1].address: `x` is not `host:port`"
    );
    assert_eq!(
        edited(|file| file["name"] = json!("a\nb: c")),
        "name: is lower-case letters, digits and `-`"
    );
    assert_eq!(
        edited(|file| file["timeouts"] = json!({"idle": "1h"})),
        "timeouts.idle: `1h` is not a number of seconds such as `30s`"
    );
    assert_eq!(
        edited(|file| file["timeouts"] = json!({"idle": "99999999999s"})),
        "timeouts.idle: `99999999999s` is not a number of seconds such as `30s`"
    );
    assert_eq!(
        edited(|file| file["listeners"][0]["redirect"] = json!(443)),
        "listeners[0].redirect: is for a listener without `tls`"
    );
    assert_eq!(
        edited(|file| file["listeners"][1]["redirect"] = json!(0)),
        "listeners[1].redirect: is a port, such as 443"
    );
    assert_eq!(edited(|file| file["filters"][0] = json!({})), "filters[0]: names no filter");
    assert_eq!(
        edited(|file| file["filters"][0] = json!({"a": {}, "b": {}})),
        "filters[0]: is more than one filter"
    );
    let known = "api-key-auth, basic-auth, jwt-auth, oauth2-login, token-introspection, access-policy, \
                 rate-limit, health-shortcut, trace-context, telemetry";
    assert_eq!(
        edited(|file| file["filters"][0] = json!({"basic-aut": {}})),
        format!("filters[0].basic-aut: there is no such filter; known are {known}")
    );
    let mut local = file();
    local.as_object_mut().unwrap().remove("images");
    assert!(
        istio(&parse(local)).unwrap_err().to_string().starts_with("images: manifests need them")
    );
}

#[test]
fn hostile_texts_stay_texts() {
    let mut hostile = file();
    let text = "x: [1]\n- \"y\" # {no} ${A} 'é";
    hostile["filters"][1]["basic-auth"]["realm"] = json!(text);
    hostile["filters"][1]["basic-auth"]["more"] = json!({"on": "off", "1": "1", "": "", "list": [[], {}, [["a"]], {"deep": {"a": [1, {"b": null}]}}]});
    let rendered = bootstrap(hostile.clone()).unwrap();
    let bootstrap = &documents(&rendered)[0];
    let manager = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        ["typed_config"];
    let value = &manager["http_filters"][1]["typed_config"]["config"]["configuration"]["value"];
    assert_eq!(*value, hostile["filters"][1]["basic-auth"]);
}

#[test]
fn what_envoy_would_refuse_or_nobody_can_mean_is_refused_here() {
    let refused = |path: &str, value: Value, said: &str| {
        let edited = with(|file| *file.pointer_mut(path).unwrap() = value);
        let error = bootstrap(edited).unwrap_err().to_string();
        assert!(error.starts_with(said), "{path}: {error}");
    };
    refused("/listeners/1/name", json!(""), "listeners[1].name: is empty");
    refused("/listeners/1/name", json!("public"), "listeners[1].name: is that of listeners[0]");
    refused("/upstreams/1/name", json!(""), "upstreams[1].name: is empty");
    refused("/upstreams/1/name", json!("users"), "upstreams[1].name: is that of upstreams[0]");
    for host in ["localhost", "*", "::", "127.0.0.1\nx: y"] {
        let said = "listeners[0].address: ";
        refused("/listeners/0/address", json!(format!("{host}:80")), said);
        let admin = with(|file| file["admin"] = json!(format!("{host}:9901")));
        assert!(bootstrap(admin).unwrap_err().to_string().starts_with("admin: "), "{host}");
    }
    for address in ["http://u:pw@users:80", "u@users:80", "a b:80", "users:0", "users.:x", "::1:80"]
    {
        refused("/upstreams/0/address", json!(address), "upstreams[0].address: ");
    }
    for (one, other, is_taken) in [
        ("0.0.0.0:80", "0.0.0.0:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("[::1]:80", "[::]:80", true),
        ("[::]:80", "0.0.0.0:80", false),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("127.0.0.1:80", "127.0.0.1:81", false),
    ] {
        let listeners = with(|file| {
            file["listeners"][0]["address"] = json!(one);
            file["listeners"][1]["address"] = json!(other);
        });
        let said = bootstrap(listeners).map_err(|error| error.to_string()).err();
        let expected = "listeners[1].address: is taken by listeners[0]";
        assert_eq!(said.as_deref(), is_taken.then_some(expected), "{one} {other}");
        let admin = with(|file| {
            file["listeners"][0]["address"] = json!(one);
            file["admin"] = json!(other);
        });
        let said = bootstrap(admin).map_err(|error| error.to_string()).err();
        assert_eq!(said.as_deref(), is_taken.then_some("admin: is taken by listeners[0]"));
    }
    for health in ["", "livez", "/a\nb", "/a b"] {
        refused("/upstreams/0/health", json!(health), "upstreams[0].health: ");
    }
    for (name, value) in
        [("connections", 0), ("headers", 0), ("headers_kb", 0), ("headers_kb", 8193)]
    {
        let limits = with(|file| file["limits"] = json!({name: value}));
        let said = bootstrap(limits).unwrap_err().to_string();
        assert!(said.starts_with(&format!("limits.{name}: is ")), "{said}");
    }
    for address in ["users_1.internal:80", "[::1]:80", "192.0.2.1:80", "users:80"] {
        bootstrap(with(|file| file["upstreams"][0]["address"] = json!(address))).unwrap();
    }
}

#[test]
fn what_is_no_reference_names_no_variable() {
    let filters =
        json!([{"access-policy": {"realm": "$${NOTME} ${REALM:-x} $$${NOR} ${", "x": ["${A}"]}}]);
    let manager = manager(with(|file| file["filters"] = filters), 0);
    let machine = &manager["http_filters"][0]["typed_config"]["config"]["vm_config"];
    assert_eq!(machine["environment_variables"]["host_env_keys"], json!(["A", "REALM"]));
}

#[test]
fn manifests_are_where_each_is_looked_for() {
    let namespace = |file: &File, is_istio: bool| {
        let text = if is_istio { istio(file) } else { envoy_gateway(file) }.unwrap();
        documents(&text)[0]["metadata"]["namespace"].clone()
    };
    let unsaid = parse(file());
    assert_eq!(
        (namespace(&unsaid, true), namespace(&unsaid, false)),
        (json!("istio-system"), json!("default"))
    );
    let said = parse(with(|file| file["kubernetes"] = json!({"namespace": "edge"})));
    assert_eq!((namespace(&said, true), namespace(&said, false)), (json!("edge"), json!("edge")));
}
