//! Every mistake in a configuration is named, with its place.

use super::*;

#[track_caller]
fn refuse(config: &Value, message: &str) {
    let error = Bench::<JwtAuth>::configure(config).err().expect("refused");
    assert_eq!(error.to_string(), message);
}

#[track_caller]
fn refuse_provider(more: Value, message: &str) {
    let message = match message.split_once(": ") {
        Some((path, why)) if !path.contains(' ') => format!("providers[0].{path}: {why}"),
        _ => format!("providers[0]: {message}"),
    };
    refuse(&of(with(provider(), more)), &message);
}

#[test]
fn mistakes_in_the_list_of_providers_are_named() {
    refuse(&json!({}), "missing field `providers`");
    refuse(&json!({"providers": []}), "providers: a list of at least one, and this one is empty");
    let same = with(other_provider(), json!({"name": "idp"}));
    refuse(&json!({"providers": [provider(), same]}), "providers[1].name: another provider has it");
    let same = with(other_provider(), json!({"issuer": ISSUER}));
    refuse(
        &json!({"providers": [provider(), same]}),
        "providers[1].issuer: another provider has it",
    );
}

#[test]
fn mistakes_in_what_a_provider_is_are_named() {
    for field in ["name", "issuer", "algorithms"] {
        let provider = with(provider(), json!({field: null}));
        refuse(&of(provider), &format!("providers[0]: missing field `{field}`"));
    }
    refuse_provider(json!({"name": ""}), "name: is empty");
    refuse_provider(json!({"issuer": ""}), "issuer: is empty");
    refuse_provider(json!({"audiences": null}), "has either `audiences` or `any_audience: true`");
    refuse_provider(
        json!({"audiences": null, "any_audience": false}),
        "has either `audiences` or `any_audience: true`",
    );
    refuse_provider(json!({"any_audience": true}), "any_audience: contradicts `audiences`");
    refuse_provider(
        json!({"audiences": []}),
        "audiences: a list of at least one, and this one is empty",
    );
    refuse_provider(
        json!({"algorithms": []}),
        "algorithms: a list of at least one, and this one is empty",
    );
    for name in ["none", "es256", "ES256K"] {
        refuse_provider(
            json!({"algorithms": ["ES256", name]}),
            &format!(
                "algorithms[1]: unknown variant `{name}`, expected one of `HS256`, `HS384`, \
                 `HS512`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, \
                 `ES512`, `EdDSA`"
            ),
        );
    }
    refuse_provider(
        json!({"audience": "api"}),
        "audience: unknown field `audience`, expected one of `name`, `issuer`, `audiences`, \
         `any_audience`, `algorithms`, `jwks`, `discovery`, `sources`, `leeway`, `max_lifetime`, \
         `require_expiration`, `token_types`, `required_claims`, `scopes`, `scopes_claims`, \
         `groups_claim`, `consumer_claims`, `claims`, `claim_headers`, `revoked`, \
         `bound_tokens`",
    );
}

#[test]
fn mistakes_in_what_is_expected_are_named() {
    refuse_provider(json!({"leeway": "11m"}), "leeway: `11m` is more than ten minutes");
    refuse_provider(
        json!({"max_lifetime": "long"}),
        "max_lifetime: `long` is not a period such as `250ms`, `10s` or `1h30m`",
    );
    for field in ["token_types", "scopes_claims", "consumer_claims"] {
        let why = "a list of at least one, and this one is empty";
        refuse_provider(json!({field: []}), &format!("{field}: {why}"));
    }
    refuse_provider(
        json!({"required_claims": {"org": []}}),
        "required_claims.org: a list of at least one, and this one is empty",
    );
    for scope in ["", "a b", "a\"b", "a\\b", "é"] {
        refuse_provider(
            json!({"scopes": ["ok", scope]}),
            "scopes[1]: a scope is printable ASCII without space, quote and backslash",
        );
    }
}

#[test]
fn mistakes_in_claim_headers_are_named() {
    for name in [
        "authorization",
        "Connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        refuse_provider(
            json!({"claim_headers": {name: "sub"}}),
            &format!("claim_headers.{name}: is a header that claims may not be put in"),
        );
    }
    refuse_provider(
        json!({"sources": [{"header": "x-token"}], "claim_headers": {"X-Token": "sub"}}),
        "claim_headers.X-Token: is a header that claims may not be put in",
    );
    refuse_provider(
        json!({"claim_headers": {":path": "sub"}}),
        "claim_headers.:path: `:path` is not the name of a header",
    );
    refuse_provider(json!({"claim_headers": {"x-a": ""}}), "claim_headers.x-a: names no claim");
    refuse_provider(
        json!({"claim_headers": {"X-A": "sub", "x-a": "sub"}}),
        "claim_headers.x-a: comes twice",
    );
}

#[test]
fn mistakes_in_sources_are_named() {
    refuse_provider(
        json!({"sources": []}),
        "sources: a list of at least one, and this one is empty",
    );
    refuse_provider(
        json!({"sources": [{"query": "a"}, {"query": "a"}]}),
        "sources: the query parameter `a` comes twice",
    );
    let raw = with(other_provider(), json!({"sources": [{"header": "authorization"}]}));
    refuse(
        &json!({"providers": [provider(), raw]}),
        "providers[0].sources: another provider takes the header `authorization` whole, with any scheme",
    );
    // The same goes for any header, and for whoever comes second.
    let whole = with(provider(), json!({"sources": [{"header": "x-token"}]}));
    let part =
        with(other_provider(), json!({"sources": [{"header": "X-Token", "prefix": "Bearer"}]}));
    refuse(
        &json!({"providers": [whole, part]}),
        "providers[1].sources: another provider takes the header `x-token` whole, with any scheme",
    );
}

#[test]
fn providers_may_share_a_place() {
    for sources in [
        json!([{"header": "x-token"}]),
        json!([{"query": "token"}]),
        json!([{"cookie": "token"}]),
        json!([{"header": "authorization", "prefix": "bearer"}]),
    ] {
        let other = with(other_provider(), json!({"sources": sources}));
        let ours = match sources[0].get("prefix") {
            Some(_) => provider(),
            None => with(provider(), json!({"sources": sources})),
        };
        bench(&json!({"providers": [ours, other]}));
    }
}

#[test]
fn keys_are_inline_or_somewhere() {
    refuse_provider(json!({"jwks": null}), "has either `jwks` or `discovery`");
    refuse_provider(json!({"discovery": {"cluster": "c"}}), "has either `jwks` or `discovery`");
    let either = "jwks: has either `inline`, or `uri` and `cluster`";
    for jwks in [
        json!({}),
        json!({"uri": "https://a.example"}),
        json!({"cluster": "c"}),
        json!({"inline": {"keys": []}, "cluster": "c"}),
        json!({"inline": {"keys": []}, "uri": "https://a.example"}),
        json!({"inline": {"keys": []}, "uri": "https://a.example", "cluster": "c"}),
    ] {
        refuse_provider(json!({"jwks": jwks}), either);
    }
    for field in ["refresh", "timeout", "max_stale", "refetch"] {
        refuse_provider(
            json!({"jwks": {"inline": {"keys": []}, field: "5s"}}),
            "jwks: keys that are `inline` are not fetched",
        );
    }
    refuse_provider(
        json!({"jwks": {"url": "https://a.example"}}),
        "jwks.url: unknown field `url`, expected one of `inline`, `uri`, `cluster`, `refresh`, \
         `timeout`, `max_stale`, `refetch`",
    );
}

#[test]
fn mistakes_in_inline_keys_are_named() {
    let inline = |set: Value| json!({"jwks": {"inline": set}});
    refuse_provider(inline(json!({})), "jwks.inline: is no key set: it has no list `keys`");
    refuse_provider(inline(json!("x")), "jwks.inline: is no key set: it has no list `keys`");
    refuse_provider(inline(json!({"keys": []})), "jwks.inline: has no key for ES256");
    refuse_provider(
        inline(json!({"keys": [pair(1).jwk("a"), pair(2).jwk("a")]})),
        "jwks.inline.keys[1]: has a `kid` that another key has",
    );
    refuse_provider(
        inline(json!({"keys": [with(pair(1).jwk("a"), json!({"d": "AA"}))]})),
        "jwks.inline.keys[0]: is a private key",
    );
    let secret = json!({"kty": "oct", "alg": "HS256", "k": b64([1; 32])});
    refuse_provider(
        inline(json!({"keys": [pair(1).jwk("a"), secret]})),
        "jwks.inline.keys[1]: is a symmetric key, which has no place in this set",
    );
    let algorithms = json!(["ES256", "RS256", "ES384"]);
    let more = with(inline(json!({"keys": [pair(1).jwk("a")]})), json!({"algorithms": algorithms}));
    refuse_provider(more, "jwks.inline: has no key for RS256");
}

fn fetched(more: Value) -> Value {
    let jwks = json!({"uri": "https://idp.example/keys", "cluster": "idp"});
    json!({"jwks": with(jwks, more)})
}

#[test]
fn mistakes_in_where_keys_are_fetched_are_named() {
    refuse_provider(fetched(json!({"cluster": ""})), "jwks.cluster: is empty");
    refuse_provider(
        fetched(json!({"uri": "idp.example/keys"})),
        "jwks.uri: `idp.example/keys` is not an address: it begins with `https://` or `http://`",
    );
    for (more, why) in [
        (json!({"refresh": "999ms"}), "refresh: is less than a second"),
        (json!({"timeout": "61s"}), "timeout: is more than a minute, and requests wait for it"),
        (json!({"refetch": "999ms"}), "refetch: is less than a second: anybody can cause it"),
        (json!({"max_stale": "9m"}), "max_stale: is shorter than `refresh`"),
    ] {
        refuse_provider(fetched(more.clone()), &format!("jwks.{why}"));
        let discovery = with(json!({"cluster": "idp"}), more);
        let discovery = json!({"jwks": null, "discovery": discovery});
        refuse_provider(discovery, &format!("discovery.{why}"));
    }
    let least = json!({"refresh": "1s", "timeout": "60s", "refetch": "1s", "max_stale": "1s"});
    drop(bench(&of(with(provider(), fetched(least)))));
}

#[test]
fn symmetric_keys_are_nothing_to_fetch() {
    let why = "algorithms[1]: a symmetric key is nothing to fetch: it goes with `jwks.inline`";
    let algorithms = json!({"algorithms": ["ES256", "HS256"]});
    refuse_provider(with(fetched(json!({})), algorithms.clone()), why);
    let discovery = json!({"jwks": null, "discovery": {"cluster": "c"}});
    let mut config = with(provider(), discovery);
    config = with(config, algorithms);
    refuse(&of(config), &format!("providers[0].{why}"));
}

#[test]
fn mistakes_in_discovery_are_named() {
    let discovery = |more: Value| {
        let mut provider = with(provider(), json!({"jwks": null}));
        provider["discovery"] = more;
        of(provider)
    };
    refuse(&discovery(json!({})), "providers[0].discovery: missing field `cluster`");
    refuse(&discovery(json!({"cluster": ""})), "providers[0].discovery.cluster: is empty");
    refuse(
        &discovery(json!({"cluster": "c", "jwks_cluster": ""})),
        "providers[0].discovery.jwks_cluster: is empty",
    );
    let mut no_address = discovery(json!({"cluster": "c"}));
    no_address["providers"][0]["issuer"] = json!("idp");
    refuse(
        &no_address,
        "providers[0].issuer: `idp` is not an address: it begins with `https://` or `http://`",
    );
    let mut query = discovery(json!({"cluster": "c"}));
    query["providers"][0]["issuer"] = json!("https://idp.example/?a=b");
    refuse(
        &query,
        "providers[0].issuer: `https://idp.example/?a=b` has a query, behind which there is no \
         document",
    );
    refuse(
        &discovery(json!({"cluster": "c", "uri": "x"})),
        "providers[0].discovery.uri: unknown field `uri`, expected one of `cluster`, \
         `jwks_cluster`, `refresh`, `timeout`, `max_stale`, `refetch`",
    );
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let with = |more: Value| with(of(provider()), more);
    refuse(
        &with(json!({"providers": ["idp"]})),
        "providers[0]: invalid type: a string, expected an object",
    );
    let rule = |more: Value| {
        let mut rule = json!({"match": {"paths": ["/"]}});
        for (name, value) in more.as_object().unwrap() {
            rule[name] = value.clone();
        }
        with(json!({"rules": [rule]}))
    };
    refuse(
        &rule(json!({"providers": ["idp", "idq"]})),
        "rules[0].providers[1]: there is no provider `idq`",
    );
    refuse(
        &rule(json!({"providers": []})),
        "rules[0].providers: a list of at least one, and this one is empty",
    );
    refuse(
        &rule(json!({"scopes": ["a b"]})),
        "rules[0].scopes[0]: a scope is printable ASCII without space, quote and backslash",
    );
    refuse(
        &rule(json!({"required_claims": {"a": []}})),
        "rules[0].required_claims.a: a list of at least one, and this one is empty",
    );
    refuse(
        &rule(json!({"crypto": "module"})),
        "rules[0].crypto: is set once, at the top level, and not by a rule",
    );
    refuse(
        &with(json!({"scopes": ["é"]})),
        "scopes[0]: a scope is printable ASCII without space, quote and backslash",
    );
    refuse(&with(json!({"realm": ""})), "realm: a realm is printable ASCII, and not empty");
    refuse(
        &with(json!({"crypto": "none"})),
        "crypto: unknown variant `none`, expected `auto` or `module`",
    );
    refuse(
        &with(json!({"verified_cache": {"entries": 0}})),
        "verified_cache.entries: 0 is not from 1 to 65536",
    );
    refuse(
        &with(json!({"provider": []})),
        "provider: unknown field; known are mode, errors, realm, resource_metadata, verdict, providers, scopes, \
         required_claims, forward_credentials, verified_cache, crypto, identity_headers, rules, \
         route_overrides",
    );
}

#[test]
fn no_error_shows_a_secret() {
    let hunter = "hunter2-hunter2-hunter2-hunter2-h";
    let set = |key: Value| {
        let jwks = json!({"inline": {"keys": [key]}});
        of(with(provider(), json!({"algorithms": ["HS512"], "jwks": jwks})))
    };
    for config in [
        set(json!({"kty": "oct", "alg": "HS512", "k": b64(hunter)})),
        set(json!({"kty": "oct", "alg": "HS512", "k": hunter.to_owned() + "="})),
        set(json!({"kty": "oct", "k": hunter})),
        set(json!({"kty": "oct", "alg": "HS512", "k": [hunter]})),
        set(json!({"kty": "RSA", "d": hunter})),
        set(json!(hunter)),
        of(with(provider(), json!({"jwks": {"inline": hunter}}))),
        of(with(provider(), json!({"jwks": hunter}))),
        of(with(provider(), json!({"revoked": hunter}))),
    ] {
        let error = Bench::<JwtAuth>::configure(&config).err().expect("refused").to_string();
        assert!(!error.contains("hunter2") && !error.contains(&b64("hunter2")), "{error}");
    }
}
