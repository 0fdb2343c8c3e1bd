//! The layers, rule by rule.

use super::*;
use crate::testing::Proxy;
use prost::Message;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    realm: String,
    #[serde(default)]
    strict: bool,
}

fn layers(config: Value) -> Result<Layers<Settings>, Invalid> {
    let Value::Object(object) = config else { panic!("an object") };
    Layers::split("test", object, &["users"]).map(|(layers, _)| layers)
}

#[track_caller]
fn refuse(config: Value, message: &str) {
    let error = layers(config).err().expect("refused");
    assert_eq!(error.to_string(), message);
}

/// `filter_metadata["gatehouse"]["test"]` in the proxy's form.
fn metadata(ours: &Value) -> Vec<u8> {
    #[derive(Message)]
    struct Metadata {
        #[prost(btree_map = "string, message", tag = "1")]
        filter_metadata: std::collections::BTreeMap<String, prost_types::Struct>,
    }
    let gatehouse = crate::testing::structure(&json!({"test": ours}));
    Metadata { filter_metadata: [("gatehouse".to_owned(), gatehouse)].into() }.encode_to_vec()
}

fn scope_of(
    layers: &Layers<Settings>,
    proxy: &Proxy,
) -> Result<(Mode, String, bool), &'static str> {
    let scope = layers.scope(&Request::new(proxy)).map_err(|refusal| refusal.reason())?;
    Ok((scope.mode, scope.settings.realm.clone(), scope.settings.strict))
}

fn two_rules() -> Layers<Settings> {
    layers(json!({
        "realm": "top", "strict": true, "users": [],
        "rules": [
            {"match": {"paths": ["/public/**"]}, "mode": "off"},
            {"match": {"paths": ["/a", "/public/x"]}, "realm": "rule"},
        ],
    }))
    .unwrap()
}

#[test]
fn a_field_of_both_is_the_plugins_at_the_top_and_a_setting_elsewhere() {
    #[derive(Debug, Deserialize)]
    struct Named {
        users: Option<Vec<String>>,
    }
    let config = json!({
        "users": [{"name": "a"}],
        "rules": [{"match": {"paths": ["/a"]}, "users": ["a"]}],
    });
    let Value::Object(object) = config else { panic!("an object") };
    let (layers, rest) = Layers::<Named>::split("test", object, &["users"]).unwrap();
    assert_eq!(Value::Object(rest), json!({"users": [{"name": "a"}]}));
    let users: Vec<_> = layers.all().map(|(_, scope)| scope.settings.users.clone()).collect();
    assert_eq!(users, [None, Some(vec!["a".to_owned()])]);
}

#[test]
fn the_first_rule_that_matches_sets_what_it_names() {
    let layers = two_rules();
    for (path, expected) in [
        ("/public/x", (Mode::Off, "top", true)),
        ("/a", (Mode::Enforce, "rule", true)),
        ("/other", (Mode::Enforce, "top", true)),
    ] {
        let proxy = Proxy::with_request(&[(":path", path)]);
        let (mode, realm, strict) = scope_of(&layers, &proxy).unwrap();
        assert_eq!((mode, realm.as_str(), strict), expected, "{path}");
    }
}

#[test]
fn an_ambiguous_path_is_refused_where_rules_look_at_paths() {
    let proxy = Proxy::with_request(&[(":path", "/public/..%2fa")]);
    assert_eq!(scope_of(&two_rules(), &proxy), Err("ambiguous_path"));
    assert!(scope_of(&layers(json!({})).unwrap(), &proxy).is_ok());
}

#[test]
fn metadata_goes_over_rules_and_the_route_over_the_virtual_host() {
    let layers = two_rules();
    let proxy = Proxy::with_request(&[(":path", "/a")]);
    proxy.set_property(
        &["xds", "virtual_host_metadata"],
        &metadata(&json!({"realm": "host", "mode": "shadow"})),
    );
    assert_eq!(scope_of(&layers, &proxy), Ok((Mode::Shadow, "host".into(), true)));
    proxy.set_property(&["xds", "route_metadata"], &metadata(&json!({"realm": "route"})));
    assert_eq!(scope_of(&layers, &proxy), Ok((Mode::Shadow, "route".into(), true)));
    proxy.set_property(&["xds", "virtual_host_metadata"], b"");
    assert_eq!(scope_of(&layers, &proxy), Ok((Mode::Enforce, "route".into(), true)));
}

#[test]
fn metadata_is_not_read_where_the_top_level_says_so() {
    let layers = layers(json!({"realm": "top", "route_overrides": false})).unwrap();
    let proxy = Proxy::with_request(&[(":path", "/a")]);
    for nonsense in [metadata(&json!({"mode": "off"})), vec![0xff]] {
        proxy.set_property(&["xds", "route_metadata"], &nonsense);
        assert_eq!(scope_of(&layers, &proxy).unwrap().0, Mode::Enforce);
    }
}

#[test]
fn metadata_for_others_changes_nothing() {
    let proxy = Proxy::with_request(&[(":path", "/a")]);
    proxy.set_property(&["xds", "route_metadata"], b"\x0a\x07\x0a\x05istio");
    assert_eq!(scope_of(&two_rules(), &proxy), Ok((Mode::Enforce, "rule".into(), true)));
}

#[test]
fn a_mistake_in_metadata_refuses_its_requests_again_and_again() {
    let layers = two_rules();
    let proxy = Proxy::with_request(&[(":path", "/a")]);
    for wrong in [json!({"realm": 5}), json!({"users": []}), json!({"mode": "of"}), json!("x")] {
        proxy.set_property(&["xds", "route_metadata"], &metadata(&wrong));
        for _ in 0..2 {
            assert_eq!(scope_of(&layers, &proxy), Err("invalid_override"), "{wrong}");
        }
    }
    proxy.set_property(&["xds", "route_metadata"], b"\xff");
    assert_eq!(scope_of(&layers, &proxy), Err("invalid_override"));
}

#[test]
fn however_many_overrides_there_are_memory_is_bounded() {
    let layers = two_rules();
    for n in 0..MOST_OVERRIDES + 10 {
        let proxy = Proxy::with_request(&[(":path", "/")]);
        proxy.set_property(&["xds", "route_metadata"], &metadata(&json!({"realm": n.to_string()})));
        assert_eq!(scope_of(&layers, &proxy).unwrap().1, n.to_string());
    }
    assert!(layers.overrides.borrow().len() <= MOST_OVERRIDES);
}

#[test]
fn mistakes_are_refused_with_their_path() {
    refuse(
        json!({"relm": "x"}),
        "relm: unknown field; known are mode, errors, realm, strict, users, rules, route_overrides",
    );
    refuse(
        json!({"mode": "of"}),
        "mode: unknown variant `of`, expected one of `enforce`, `shadow`, `off`",
    );
    refuse(json!({"route_overrides": "no"}), "route_overrides: is neither `true` nor `false`");
    refuse(json!({"rules": []}), "rules: not a list of at least one rule");
    refuse(json!({"rules": [{}]}), "rules[0]: missing field `match`");
    refuse(json!({"rules": [5]}), "rules[0]: not an object");
    refuse(
        json!({"rules": [{"match": {"paths": ["/"]}, "users": []}]}),
        "rules[0].users: is set once, at the top level, and not by a rule",
    );
    refuse(
        json!({"rules": [{"match": {"paths": ["/a", "b"]}}]}),
        "rules[0].match.paths[1]: `b` is not a path pattern: it begins with `/`",
    );
    refuse(
        json!({"rules": [{"match": {"paths": ["/"]}, "realm": 5}]}),
        "rules[0].realm: invalid type: a number, expected a string",
    );
    refuse(
        json!({"rules": [{"match": {"paths": ["/"]}, "mod": "off"}]}),
        "rules[0].mod: unknown field; known are mode, errors, realm, strict",
    );
}
