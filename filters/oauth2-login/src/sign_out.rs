//! The way out (OpenID Connect RP-Initiated Logout 1.0; RFC 7009).
//!
//! 1. A POST of this origin signs out, and a GET that the browser says is of this origin or of the user
//!    (`Sec-Fetch-Site`). Any other GET, which a page of another site may have caused, gets a page with
//!    a button. A POST of another origin is 403.
//! 2. The cookies end in any case. The refresh token is revoked, in the background. Then the browser is
//!    sent to the provider, with the ID token as a hint, to come back to `return_to`; where the provider
//!    has no such place, or is not known now, straight there.

use std::rc::Rc;

use shared::effects::Effects;
use shared::filter::Flow;
use shared::reply::{Page, Refusal, redirect};
use shared::view::Request;

use crate::provider::{Document, Known};
use crate::sign_in::with_query;
use crate::tokens::form;
use crate::{Logout, NAME, OAuth2Login, Opened, REVOCATION};

impl OAuth2Login {
    /// Somebody wants to leave.
    pub(crate) fn sign_out(
        &mut self,
        logout: &Logout,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Flow {
        let first = |name: &str| request.headers().first(name);
        let site = first("sec-fetch-site");
        match request.method() {
            b"POST" => {
                // A page with `referrer-policy: no-referrer` has `Origin: null` sent, its own forms too
                // (Fetch, 3.1), so that what the browser says of the site comes first.
                let is_foreign = match (site, first("origin")) {
                    (Some(site), _) => site != b"same-origin",
                    (None, Some(origin)) => origin != self.origin.as_str().as_bytes(),
                    (None, None) => false,
                };
                if is_foreign {
                    return Flow::Refuse(Refusal::forbidden("logout_of_another_origin"));
                }
            }
            b"GET" => {
                let is_ours = matches!(site, Some(b"same-origin" | b"none"));
                if !is_ours || first("sec-purpose").is_some() {
                    return self.ask(logout, request, effects);
                }
            }
            _ => {
                return Flow::Refuse(Refusal::method_not_allowed(
                    "logout_method",
                    &["GET", "POST"],
                ));
            }
        }
        self.leave(logout, request, effects)
    }

    /// A page with a button.
    fn ask(&mut self, logout: &Logout, request: &Request<'_>, effects: &mut Effects) -> Flow {
        let origin = match self.document(request, effects) {
            Known::Document(document) => document.end_session.as_deref().map(origin_of),
            Known::Wait | Known::Nothing => None,
        };
        let page = Page {
            status: 200,
            reason: "logout",
            title: "Sign out?",
            text: "You can sign in again at any time.".into(),
            link: None,
            form: Some((logout.path.clone(), "Sign out", origin.unwrap_or_default())),
        };
        Flow::Answer(page.reply(NAME, Vec::new()))
    }

    fn leave(&mut self, logout: &Logout, request: &Request<'_>, effects: &mut Effects) -> Flow {
        let opened = self.signed_in(request).ok().map(|(opened, _)| opened);
        let document = match self.document(request, effects) {
            Known::Document(document) => Some(document),
            // It is being fetched: who leaves a session is to be signed out at the provider too.
            Known::Wait if opened.is_some() => return Flow::Hold,
            Known::Wait | Known::Nothing => None,
        };
        let cookies = self.jar.end_all(request).into_iter();
        let cookies = cookies.map(|cookie| ("set-cookie", cookie)).collect();
        effects.count("signed_out");
        let home = self.origin.at(&logout.return_to);
        let to = match (opened, document) {
            (Some(opened), Some(document)) => {
                self.revoke(&opened, &document, effects);
                self.provider_logout(&opened, &document, &home).unwrap_or(home)
            }
            _ => home,
        };
        Flow::Answer(redirect(NAME, "signed_out", to, cookies))
    }

    fn revoke(&self, opened: &Rc<Opened>, document: &Document, effects: &mut Effects) {
        if let Some(token) = &opened.session.refresh_token
            && let Some(call) = self.provider.revocation(document, token)
        {
            effects.call(REVOCATION, call);
        }
    }

    /// RP-Initiated Logout, 2.
    fn provider_logout(&self, opened: &Opened, document: &Document, home: &str) -> Option<String> {
        let address = document.end_session.as_ref()?;
        let mut pairs =
            vec![("client_id", self.provider.client.as_str()), ("post_logout_redirect_uri", home)];
        if let Some(hint) = &opened.session.id_token {
            pairs.push(("id_token_hint", hint));
        }
        Some(with_query(address, &form(pairs)))
    }
}

/// Scheme, host and port of an address that was checked.
fn origin_of(address: &str) -> String {
    let end = address.find("://").and_then(|at| {
        let start = at.checked_add(3)?;
        let rest = address.get(start..)?;
        start.checked_add(rest.find(['/', '?']).unwrap_or(rest.len()))
    });
    end.and_then(|end| address.get(..end)).unwrap_or(address).to_owned()
}
