//! A browser, as much of one as a sign-in needs.

use std::collections::BTreeMap;

use tests::client::{Request, Response};

/// Its cookies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser(BTreeMap<String, String>);

impl Browser {
    pub(crate) fn is_new(&self) -> bool {
        self.0.is_empty()
    }

    /// A request with its cookies.
    pub(crate) fn get(&self, target: &str) -> Request {
        let request = Request::get(target);
        if self.is_new() {
            return request;
        }
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("cookie", pairs.join("; "))
    }

    /// Keeps what an answer has it keep.
    pub(crate) fn keep(&mut self, answer: &Response) {
        for cookie in answer.all("set-cookie") {
            let cookie = String::from_utf8_lossy(cookie).into_owned();
            let Some((name, rest)) = cookie.split_once('=') else { continue };
            let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
            if attributes.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Where the provider sends a browser back to that it was sent with this answer.
pub(crate) fn callback(sent: &Response) -> Option<String> {
    let location = sent.header("location")?;
    let parameter = |name: &str| {
        let pairs = location.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        pairs.clone().find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let (state, nonce) = (parameter("state")?, parameter("nonce")?);
    Some(format!("/oauth2/callback?code=code.{nonce}&state={state}"))
}
