//! Limits by a parameter of the query and by a cookie, which any client may write as it likes.

use super::*;

fn statuses(envoy: &Envoy, requests: &[Request]) -> Vec<u16> {
    requests.iter().map(|request| request.send(envoy.address()).status).collect()
}

#[test]
fn a_parameter_counts_by_its_value_and_cannot_be_written_so_that_it_counts_anew() {
    let (envoy, upstream) = start(2, limit(for_good(1), json!({"key": [{"query": "tenant"}]})));
    let of = |targets: &[&str]| {
        let requests: Vec<_> = targets.iter().map(|target| Request::get(target)).collect();
        statuses(&envoy, &requests)
    };
    assert_eq!(of(&["/?tenant=a", "/x?y=1&tenant=a", "/?tenan%74=%61"]), [200, 429, 429]);
    assert_eq!(of(&["/?tenant=b", "/y?tenant=b", "/", "/?x", "/other"]), [200, 429, 200, 429, 429]);
    // An upstream that takes the first, or the last, sees `a` at each of these.
    let unclear = ["/?tenant=a&tenant=1", "/?tenant=a&tenant=2", "/?tenant=3&tenant=a"];
    assert_eq!(of(&unclear), [200, 429, 429]);
    assert_eq!(of(&["/?tenant=a;tenant=4", "/?tenant=%zz"]), [429, 429]);
    assert_eq!(upstream.count(), 4);
}

#[test]
fn a_cookie_counts_by_its_value_and_several_count_together() {
    let (envoy, upstream) = start(2, limit(for_good(1), json!({"key": [{"cookie": "sid"}]})));
    let of = |cookies: &[&[&str]]| {
        let request = |values: &&[&str]| {
            values.iter().fold(Request::get("/"), |request, value| request.header("cookie", value))
        };
        statuses(&envoy, &cookies.iter().map(request).collect::<Vec<_>>())
    };
    assert_eq!(of(&[&["sid=a"], &["x=1; sid=\"a\""], &["sid=b"], &[]]), [200, 429, 200, 200]);
    assert_eq!(of(&[&["sid=a; sid=1"], &["sid=a", "sid=2"], &["sid=3;sid=a"]]), [200, 429, 429]);
    assert_eq!(upstream.count(), 4);
}
