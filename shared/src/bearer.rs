//! How a request without a good bearer token is refused (RFC 6750, 3), whoever looked at the token.

use serde::{Deserialize, Deserializer, de::Error};

use crate::jose::Url;
use crate::reply::{Realm, Refusal, quoted};

/// What a bearer token is asked for in the name of.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    realm: &'a Realm,
    metadata: Option<&'a ResourceMetadata>,
}

/// The address of what a client may know of a protected resource (RFC 9728, 3): whose tokens it
/// takes, and for which scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceMetadata(#[cfg_attr(feature = "schema", schemars(with = "Url"))] String);

impl<'de> Deserialize<'de> for ResourceMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Url::parse(&text).map_err(D::Error::custom)?;
        Ok(Self(text))
    }
}

impl<'a> Bearer<'a> {
    /// The protection space of that name, described there.
    pub const fn of(realm: &'a Realm, metadata: Option<&'a ResourceMetadata>) -> Self {
        Self { realm, metadata }
    }

    /// 401 for a request without a token: the challenge says nothing of an error (3.1).
    pub fn missing(self) -> Refusal {
        Refusal::unauthorized("missing", self.challenge("")).of_nothing()
    }

    /// 400 for a request with several tokens.
    pub fn repeated(self) -> Refusal {
        Refusal::bad_request("repeated")
            .with_header("www-authenticate", self.challenge(r#", error="invalid_request""#))
    }

    /// 401 for a token that is not good; the description is for people.
    pub fn invalid(self, reason: &'static str, description: &str) -> Refusal {
        let description = quoted(description);
        let more = format!(r#", error="invalid_token", error_description={description}"#);
        Refusal::unauthorized(reason, self.challenge(&more))
    }

    /// 403 for a token that is good, but not for the scopes that are asked for.
    pub fn insufficient_scope(self, asked: &str) -> Refusal {
        let more = format!(r#", error="insufficient_scope", scope={}"#, quoted(asked));
        Refusal::forbidden("insufficient_scope")
            .with_header("www-authenticate", self.challenge(&more))
    }

    fn challenge(self, more: &str) -> String {
        let realm = self.realm.parameter();
        match self.metadata {
            // RFC 9728, 5.1.
            Some(ResourceMetadata(url)) => {
                format!("Bearer {realm}, resource_metadata={}{more}", quoted(url))
            }
            None => format!("Bearer {realm}{more}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn told(refusal: Refusal) -> (u16, String) {
        let status = refusal.status();
        let challenge = refusal.into_headers().find(|(name, _)| *name == "www-authenticate");
        (status, challenge.unwrap().1)
    }

    #[test]
    fn each_refusal_has_its_status_and_its_challenge() {
        let realm = Realm::default();
        let bearer = Bearer::of(&realm, None);
        let plain = r#"Bearer realm="restricted""#;
        let with = |more: &str| format!("{plain}, {more}");
        assert_eq!(told(bearer.missing()), (401, plain.to_owned()));
        assert_eq!(told(bearer.repeated()), (400, with(r#"error="invalid_request""#)));
        assert_eq!(
            told(bearer.invalid("expired", "It is over")),
            (401, with(r#"error="invalid_token", error_description="It is over""#))
        );
        assert_eq!(
            told(bearer.insufficient_scope("a b")),
            (403, with(r#"error="insufficient_scope", scope="a b""#))
        );
    }

    #[test]
    fn each_challenge_says_where_the_resource_is_described() {
        let (realm, url) =
            (Realm::default(), "https://api.example/.well-known/oauth-protected-resource");
        let metadata: ResourceMetadata = serde_json::from_value(url.into()).unwrap();
        let bearer = Bearer::of(&realm, Some(&metadata));
        let plain = format!(r#"Bearer realm="restricted", resource_metadata="{url}""#);
        assert_eq!(told(bearer.missing()), (401, plain.clone()));
        for (refusal, error) in [
            (bearer.repeated(), "invalid_request"),
            (bearer.invalid("expired", "It is over"), "invalid_token"),
            (bearer.insufficient_scope("a b"), "insufficient_scope"),
        ] {
            let (_, challenge) = told(refusal);
            assert!(challenge.starts_with(&format!(r#"{plain}, error="{error}""#)), "{challenge}");
        }
    }

    #[test]
    fn what_would_end_the_quotes_is_no_address() {
        for text in
            ["", "api.example", "https://", r#"https://a/"b"#, "https://a/\\", "https://a/#b"]
        {
            assert!(serde_json::from_value::<ResourceMetadata>(text.into()).is_err(), "{text}");
        }
    }
}
