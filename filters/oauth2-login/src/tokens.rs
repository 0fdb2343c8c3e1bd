//! What is sent to the token endpoint, and what comes back (RFC 6749, 4.1.3, 5 and 6).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use shared::filter::Answer;

/// What comes back.
#[derive(Clone)]
pub(crate) struct Tokens {
    /// The access token.
    pub(crate) access_token: String,
    /// How many seconds it lives, if that was said.
    pub(crate) expires_in: Option<u64>,
    /// The refresh token.
    pub(crate) refresh_token: Option<String>,
    /// The ID token.
    pub(crate) id_token: Option<String>,
    /// What was granted, where it is not what was asked for.
    pub(crate) scope: Option<String>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTokens {
    /// The provider cannot be asked now.
    Unavailable,
    /// It does not take the code, or the refresh token (`invalid_grant`).
    Refused,
    /// It does not take us, or what we ask for.
    Misconfigured,
    /// What it answers is not what was asked for.
    Malformed,
}

/// The largest answer that is read, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// The longest token that is kept, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

#[derive(Deserialize)]
struct Written {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// Reads an answer of the token endpoint.
pub(crate) fn read(answer: &Answer<'_>) -> Result<Tokens, NoTokens> {
    match answer {
        Answer::Failed(_) => Err(NoTokens::Unavailable),
        Answer::Response { status: 200, body, .. } => read_tokens(body),
        Answer::Response { status: 408 | 425 | 429 | 500..=599, .. } => Err(NoTokens::Unavailable),
        Answer::Response { status: 400 | 401 | 403, body, .. } => {
            match serde_json::from_slice::<Failure>(body) {
                Ok(failure) if failure.error == "invalid_grant" => Err(NoTokens::Refused),
                Ok(failure) if failure.error == "temporarily_unavailable" => {
                    Err(NoTokens::Unavailable)
                }
                _ => Err(NoTokens::Misconfigured),
            }
        }
        Answer::Response { .. } => Err(NoTokens::Malformed),
    }
}

fn read_tokens(body: &[u8]) -> Result<Tokens, NoTokens> {
    let Written { access_token, token_type, expires_in, refresh_token, id_token, scope } =
        serde_json::from_slice(body).map_err(|_| NoTokens::Malformed)?;
    let texts = [Some(&access_token), refresh_token.as_ref(), id_token.as_ref(), scope.as_ref()];
    let fits = texts.into_iter().flatten().all(|text| is_token(text));
    if !fits || access_token.is_empty() || !token_type.eq_ignore_ascii_case("bearer") {
        return Err(NoTokens::Malformed);
    }
    let expires_in = match expires_in {
        None | Some(Value::Null) => None,
        // Some providers write the number as a text.
        Some(Value::String(text)) => Some(text.parse().map_err(|_| NoTokens::Malformed)?),
        Some(number) => Some(seconds(&number).ok_or(NoTokens::Malformed)?),
    };
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(Tokens {
        access_token,
        expires_in,
        refresh_token: given(refresh_token),
        id_token: given(id_token),
        scope: given(scope),
    })
}

/// A number of seconds; `3600.0` is one, too.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub(crate) fn seconds(number: &Value) -> Option<u64> {
    let whole = |seconds: f64| (seconds >= 0.0).then_some(seconds as u64);
    number.as_u64().or_else(|| number.as_f64().and_then(whole))
}

/// RFC 6749, A.12: printable ASCII, which also goes into a header.
fn is_token(text: &str) -> bool {
    text.len() <= MAX_TOKEN && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// All but the characters that are the same in every encoding (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as part of a form or of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A form, or a query.
pub(crate) fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs =
        pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::filter::CallFailure;
    use shared::headers::Headers;

    use super::*;

    fn answered(status: u16, body: &str) -> Result<Tokens, NoTokens> {
        read(&Answer::Response {
            status,
            headers: &Headers::default(),
            body: body.as_bytes(),
            trailers: &Headers::default(),
        })
    }

    #[test]
    fn tokens_are_read() {
        let body = json!({
            "access_token": "a", "token_type": "bearer", "expires_in": "300", "scope": "openid",
            "refresh_token": "", "id_token": null, "other": 1,
        });
        let tokens = answered(200, &body.to_string()).ok().unwrap();
        assert_eq!((tokens.access_token.as_str(), tokens.expires_in), ("a", Some(300)));
        assert_eq!((tokens.refresh_token, tokens.id_token), (None, None));
        for (written, expected) in [
            ("0", Some(0)),
            ("3600.0", Some(3600)),
            ("0.5", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1e300", Some(u64::MAX)),
            ("null", None),
        ] {
            let body = r#"{"access_token": "a", "token_type": "BEARER", "expires_in": NUMBER}"#;
            let tokens = answered(200, &body.replace("NUMBER", written)).ok().unwrap();
            assert_eq!(tokens.expires_in, expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_answer_of_tokens_is_refused() {
        for body in [
            json!({"token_type": "Bearer"}),
            json!({"access_token": "", "token_type": "Bearer"}),
            json!({"access_token": "a", "token_type": "DPoP"}),
            json!({"access_token": "a\nb", "token_type": "Bearer"}),
            json!({"access_token": "a".repeat(20_000), "token_type": "Bearer"}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": -1}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": -0.5}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": "1h"}),
            json!({"access_token": "a", "token_type": "Bearer", "expires_in": {}}),
            json!({"access_token": "a", "token_type": ["Bearer"]}),
            json!({"access_token": "a", "token_type": " Bearer"}),
            json!({"access_token": "a", "token_type": "Bearer", "id_token": 1}),
            json!(["a"]),
        ] {
            assert_eq!(answered(200, &body.to_string()).err(), Some(NoTokens::Malformed), "{body}");
        }
        let deep =
            format!(r#"{{"access_token":"a","token_type":"Bearer","x":{}"#, "[".repeat(60_000));
        assert_eq!(answered(200, &deep).err(), Some(NoTokens::Malformed));
        let twice = r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#;
        assert_eq!(answered(200, twice).err(), Some(NoTokens::Malformed));
        assert_eq!(answered(302, "").err(), Some(NoTokens::Malformed));
    }

    #[test]
    fn a_no_says_whose_fault_it_is() {
        let error = |error: &str| json!({ "error": error }).to_string();
        for (status, body, expected) in [
            (400, error("invalid_grant"), NoTokens::Refused),
            (401, error("invalid_client"), NoTokens::Misconfigured),
            (400, error("temporarily_unavailable"), NoTokens::Unavailable),
            (400, "<html>".into(), NoTokens::Misconfigured),
            (503, error("invalid_grant"), NoTokens::Unavailable),
            (429, String::new(), NoTokens::Unavailable),
        ] {
            assert_eq!(answered(status, &body).err(), Some(expected), "{status} {body}");
        }
        let failed = read(&Answer::Failed(CallFailure::NoHost)).err();
        assert_eq!(failed, Some(NoTokens::Unavailable));
    }

    #[test]
    fn a_form_says_what_it_was_told() {
        assert_eq!(form([("a b", "c&d=e"), ("é", "~._-+%")]), "a%20b=c%26d%3De&%C3%A9=~._-%2B%25");
    }
}
