//! Answers for people with browsers: a page of a few words, or the way to another place.
//!
//! 1. What is not ours is escaped, wherever it stands ([`escape`]).
//! 2. A page runs nothing, loads nothing and stands in no frame: `content-security-policy`.
//! 3. Nobody keeps either, and neither says where the browser came from: `cache-control: no-store`,
//!    `referrer-policy: no-referrer`; `same-origin` where there is a form, for without it browsers
//!    send the form with `Origin: null` (Fetch, 3.1).
//! 4. A browser is sent on by 303, so that a form is never sent on with it (RFC 9700, 4.12).

use std::fmt::Write as _;

use super::Reply;

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// One word for logs.
    pub reason: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What there is to say.
    pub text: String,
    /// Where to go from there: an address, and the words for it.
    pub link: Option<(String, &'static str)>,
    /// What can be sent from there: the path that it is sent to, the words of the button, and the
    /// origin that the answer may lead to (CSP, `form-action`).
    pub form: Option<(String, &'static str, String)>,
}

impl Page {
    /// The answer of the filter of this name, with further headers.
    pub fn reply(&self, filter: &str, mut headers: Vec<(&'static str, String)>) -> Reply {
        headers.push(("content-type", "text/html; charset=utf-8".into()));
        headers.push(("content-security-policy", self.policy()));
        headers.push(("x-content-type-options", "nosniff".into()));
        let referrer = if self.form.is_some() { "same-origin" } else { "no-referrer" };
        headers.extend(kept_by_nobody(referrer));
        let details = format!("gatehouse.{filter}.{}", self.reason);
        Reply {
            status: self.status,
            details,
            headers,
            body: self.html().into_bytes(),
            grpc_status: None,
        }
    }

    fn policy(&self) -> String {
        let action = match &self.form {
            None => "'none'".to_owned(),
            Some((_, _, origin)) => format!("'self' {origin}").trim_end().to_owned(),
        };
        format!("default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action {action}")
    }

    fn html(&self) -> String {
        let (title, text) = (escape(self.title), escape(&self.text));
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
        );
        if let Some((address, words)) = &self.link {
            let (address, words) = (escape(address), escape(words));
            // Writing to a text cannot fail.
            let _ = writeln!(html, "<p><a href=\"{address}\">{words}</a></p>");
        }
        if let Some((path, words, _)) = &self.form {
            let (path, words) = (escape(path), escape(words));
            let _ = writeln!(
                html,
                "<form method=\"post\" action=\"{path}\"><button>{words}</button></form>"
            );
        }
        html
    }
}

/// Sends a browser to `location`, with further headers.
pub fn redirect(
    filter: &str,
    reason: &str,
    location: String,
    mut headers: Vec<(&'static str, String)>,
) -> Reply {
    headers.push(("location", location));
    headers.extend(kept_by_nobody("no-referrer"));
    let details = format!("gatehouse.{filter}.{reason}");
    Reply { status: 303, details, headers, body: Vec::new(), grpc_status: None }
}

fn kept_by_nobody(referrer: &str) -> [(&'static str, String); 2] {
    [("cache-control", "no-store".into()), ("referrer-policy", referrer.into())]
}

/// `text` where HTML stands: in an element, or in an attribute between quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_page_escapes_what_it_is_told() {
        let page = Page {
            status: 400,
            reason: "reason",
            title: "A & B",
            text: "<script>alert('1')</script>".into(),
            link: Some(("/\"onclick=\"x".into(), "Back")),
            form: Some(("/out".into(), "Go", "https://idp.example".into())),
        };
        let reply = page.reply("some-filter", vec![("set-cookie", "a=1".into())]);
        let body = String::from_utf8(reply.body).unwrap();
        assert!(!body.contains("<script") && !body.contains("\"onclick"), "{body}");
        assert!(body.contains("<h1>A &amp; B</h1>") && body.contains("action=\"/out\""), "{body}");
        let header =
            |name| reply.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
             form-action 'self' https://idp.example"
        );
        assert_eq!(
            (header("cache-control"), header("set-cookie")),
            ("no-store".into(), "a=1".into())
        );
        assert_eq!((reply.status, reply.details.as_str()), (400, "gatehouse.some-filter.reason"));
    }

    #[test]
    fn a_browser_is_sent_on_by_303() {
        let reply = redirect("f", "login", "https://idp.example/".into(), vec![]);
        assert_eq!((reply.status, reply.details.as_str()), (303, "gatehouse.f.login"));
        assert!(reply.headers.contains(&("location", "https://idp.example/".into())));
        assert!(reply.headers.contains(&("cache-control", "no-store".into())));
    }
}
