//! `sign-in-off`: settings that leave `oauth2-login` out where people sign in and out.

use crate::{lacks, triggers, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];
const CODE: &str = "error[sign-in-off]";

const LOGIN: &str = r#"# oauth2-login
issuer: https://idp.example
discovery: { cluster: idp }
client: { id: web, secret: "${CLIENT_SECRET}" }
external_url: https://app.example
logout: { path: /out }
login_path: /in
session: { keys: ["${COOKIE_KEY}"] }
rules:
- match: { paths: ["/assets/**"] }
  mode: "off"
"#;

#[test]
fn a_rule_does_not_cover_the_places() {
    lacks(LOGIN, ALLOW_UNSET, "sign-in-off");
    let of = |matched: &str| with(LOGIN, r#"{ paths: ["/assets/**"] }"#, matched);
    for matched in [
        r#"{ paths: ["/**"] }"#,
        r#"{ paths: ["/a", "/oauth2/callback"] }"#,
        r#"{ paths: ["/oauth2/*"] }"#,
        r#"{ paths: [/out] }"#,
        r#"{ paths: [/in] }"#,
        r#"{ methods: [GET, HEAD] }"#,
        r#"{ hosts: [app.example] }"#,
        r#"{ hosts: ["*.example"] }"#,
    ] {
        triggers(&of(matched), ALLOW_UNSET, CODE, "mode:");
    }
    for matched in [
        r#"{ paths: ["/oauth2"] }"#,
        r#"{ methods: [OPTIONS] }"#,
        r#"{ hosts: [static.example], paths: ["/**"] }"#,
        r#"{ headers: { x-probe: true } }"#,
    ] {
        lacks(&of(matched), ALLOW_UNSET, "sign-in-off");
    }
    // The first rule counts, and another mode is none of this.
    let all = of(r#"{ paths: ["/**"] }"#);
    let first = "rules:\n- match: { paths: [\"/oauth2/**\", /in, /out] }\n  realm: x\n";
    lacks(&with(&all, "rules:\n", first), ALLOW_UNSET, "sign-in-off");
    lacks(&with(&all, "\"off\"", "enforce"), ALLOW_UNSET, "sign-in-off");
    triggers(&with(&all, "logout", "redirect_path: /back\nlogout"), ALLOW_UNSET, CODE, "mode:");
}

const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          http_filters:
          - name: login
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: login
                vm_config: { code: { local: { filename: dist/oauth2-login.wasm } } }
                configuration:
                  "@type": type.googleapis.com/google.protobuf.Struct
                  value:
                    issuer: https://idp.example
                    discovery: { cluster: idp }
                    client: { id: web }
                    external_url: https://app.example
                    session: { keys: ["${COOKIE_KEY}"] }
                    # more
          route_config:
            virtual_hosts:
            - domains: [static.example]
              metadata: { filter_metadata: { gatehouse: { oauth2-login: { mode: "off" } } } }
              routes: [ { match: { prefix: / }, route: { cluster: x } } ]
            - domains: ["app.example:443", app.example]
              routes:
              - match: { prefix: /static }
                metadata: { filter_metadata: { gatehouse: { oauth2-login: { mode: "off" } } } } # first
                route: { cluster: x }
              - match: { prefix: / }
                route: { cluster: x }
                metadata: { filter_metadata: { gatehouse: { oauth2-login: { realm: x } } } } # second
"#;

#[test]
fn metadata_does_not_cover_the_places() {
    let realm = "realm: x";
    let off = "mode: \"off\"";
    lacks(BOOTSTRAP, ALLOW_UNSET, "sign-in-off");
    triggers(&with(BOOTSTRAP, realm, off), ALLOW_UNSET, CODE, "# second");
    for matched in ["prefix: /oauth2/", "path: /oauth2/callback", "path_separated_prefix: /oauth2"]
    {
        let covered = with(BOOTSTRAP, "prefix: /static", matched);
        triggers(&covered, ALLOW_UNSET, CODE, "# first");
        // Nobody reads it.
        let unread = with(&covered, "# more", "route_overrides: false");
        lacks(&unread, ALLOW_UNSET, "sign-in-off");
        // Another route comes first.
        let routes = "      routes:\n";
        let before = format!("{routes}              - {{ match: {{ {matched} }} }}\n");
        lacks(&with(&covered, routes, &before), ALLOW_UNSET, "sign-in-off");
    }
    for matched in [
        "path: /oauth2",
        "path_separated_prefix: /oauth",
        "prefix: /oauth2/, headers: [ { name: x } ]",
        "safe_regex: { regex: \".*\" }",
    ] {
        lacks(&with(BOOTSTRAP, "prefix: /static", matched), ALLOW_UNSET, "sign-in-off");
    }
    // The virtual host says it, and its route nothing else.
    let host = "domains: [static.example]";
    for domains in ["[app.example]", "[\"*.example\"]", "[\"*\"]"] {
        let text = with(BOOTSTRAP, "[\"app.example:443\", app.example]", "[other.test]");
        let text = with(&text, host, &format!("domains: {domains}"));
        let line = "            - domains: ";
        let text = with(&text, line, "            - name: it\n              domains: ");
        triggers(&text, ALLOW_UNSET, CODE, "{ mode: \"off\" } } } }\n".trim_end());
    }
}
