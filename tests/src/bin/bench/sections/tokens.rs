//! Tokens, and the filters that check them: ours and Envoy's own.

use serde_json::{Value, json};
use tests::tokens::{Key, claims, jwks, now, with};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "bench";

/// A kind of token, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    key: &'static str,
    algorithm: &'static str,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Header,
    Query,
}

/// RS256, in `authorization`.
pub(super) const IN_HEADER: Kind = Kind { key: "rsa", algorithm: "RS256", place: Place::Header };
/// RS256, in the query.
pub(super) const RS256: Kind = Kind { key: "rsa", algorithm: "RS256", place: Place::Query };
/// ES256, in the query.
pub(super) const ES256: Kind = Kind { key: "p256", algorithm: "ES256", place: Place::Query };

impl Kind {
    /// Tokens, no two alike.
    pub(super) fn tokens(self) -> impl Iterator<Item = String> {
        let key = Key::of(self.key);
        // For as long as a run may take.
        let good = with(claims(ISSUER, AUDIENCE), &json!({"exp": now() + 24 * 3600}));
        (0..).map(move |number: u32| {
            let claims = with(good.clone(), &json!({"jti": number.to_string()}));
            key.sign(self.algorithm, &claims)
        })
    }

    /// A header with one token.
    pub(super) fn bearer(self) -> String {
        format!("authorization: Bearer {}", self.tokens().next().expect("as many as one likes"))
    }

    /// Our filter.
    pub(super) fn ours(self) -> Value {
        let source = match self.place {
            Place::Header => json!({"header": "authorization", "prefix": "Bearer"}),
            Place::Query => json!({"query": "access_token"}),
        };
        json!({"providers": [{
            "name": "issuer",
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": [self.algorithm],
            "jwks": {"inline": self.keys()},
            "sources": [source],
        }]})
    }

    /// Envoy's, which tells the upstream of the subject as ours does.
    pub(super) fn native(self, cache: bool) -> Value {
        let mut provider = json!({
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "local_jwks": {"inline_string": self.keys().to_string()},
            "claim_to_headers": [{"header_name": "x-auth-subject", "claim_name": "sub"}],
        });
        if let Place::Query = self.place {
            provider["from_params"] = json!(["access_token"]);
        }
        if cache {
            provider["jwt_cache_config"] = json!({"jwt_cache_size": 4096});
        }
        json!({"name": "native", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        }})
    }

    fn keys(self) -> Value {
        jwks([&Key::of(self.key)])
    }
}
