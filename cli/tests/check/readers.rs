//! What Envoy and Kubernetes make of what is written.

use crate::envoy::{GOOD, check};
use crate::{lacks, with};

const ALLOW_UNSET: &[&str] = &["--allow-unset"];

#[test]
fn a_field_in_both_spellings_comes_twice() {
    for (from, other) in [
        ("merge_slashes: true\n", "mergeSlashes: false"),
        ("stat_prefix: main\n", "statPrefix: other"),
    ] {
        let both = format!("{from}          {other}\n");
        check("error[duplicate-field]", from, &both, other);
    }
    let open = "failure_policy: FAIL_RELOAD\n                failurePolicy: FAIL_OPEN";
    check("error[duplicate-field]", "failure_policy: FAIL_RELOAD", open, "failurePolicy");
    // In what is no message of Envoy's a name is a name.
    let struct_of = "endpoints: [ { path: /livez, report: liveness } ]";
    let free = with(
        GOOD,
        struct_of,
        &format!("{struct_of}\n                    a_b: 1\n                    aB: 2"),
    );
    lacks(&free, ALLOW_UNSET, "duplicate-field");
    let variables = with(GOOD, "{ REALM: Staff }", "{ REALM: Staff, re_alm: a, reAlm: b }");
    lacks(&variables, ALLOW_UNSET, "duplicate-field");
    let metadata = "stat_prefix: main\n          filter_metadata: { x: { a_b: 1, aB: 2 } }";
    lacks(&with(GOOD, "stat_prefix: main", metadata), ALLOW_UNSET, "duplicate-field");
    let manifest = "apiVersion: v1\nkind: ConfigMap\ndata: { a_b: x, aB: y }\n";
    lacks(manifest, &[], "duplicate-field");
}
