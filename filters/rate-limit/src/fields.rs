//! What responses say of the limits.
//!
//! `draft`: the fields of draft-ietf-httpapi-ratelimit-headers-10, structured fields (RFC 9651): a
//! list of strings (the names) with parameters. `q` and `w` are the quota and its seconds, where
//! those are whole; `r` is how much more would be let through now, `t` the seconds until all of the
//! quota is there again. `legacy`: the three `X-RateLimit-` headers of the limit that has the least
//! left of its quota, seconds there too.

use std::rc::Rc;

use shared::effects::Effects;

use crate::config::Announce;
use crate::limit::{Limit, Tier};
use crate::quota::Quota;
use crate::state::Standing;

/// How a limit stands at a request.
#[derive(Clone, Copy)]
pub(crate) struct Stands<'a> {
    /// The limit.
    pub(crate) limit: &'a Limit,
    /// Its quota.
    pub(crate) tier: &'a Tier,
    /// What is left of it.
    pub(crate) standing: Standing,
}

/// Sets the headers of a response.
pub(crate) fn announce(form: Announce, stands: &[Stands<'_>], effects: &mut Effects) {
    let mut set = |name: &str, value: String| {
        effects.set_response_header(Rc::from(name), Rc::from(value.into_bytes()));
    };
    if stands.is_empty() {
        return;
    }
    match form {
        Announce::None => {}
        Announce::Draft => {
            let mut policies = String::with_capacity(64);
            let mut limits = String::with_capacity(64);
            for Stands { limit, tier, standing } in stands {
                if !policies.is_empty() {
                    policies.push_str(", ");
                    limits.push_str(", ");
                }
                policies.push_str(&tier.policy);
                limits.push('"');
                limits.push_str(limit.name);
                limits.push_str("\";r=");
                push_number(standing.remaining.into(), &mut limits);
                limits.push_str(";t=");
                push_number(seconds(standing.reset), &mut limits);
            }
            set("ratelimit-policy", policies);
            set("ratelimit", limits);
        }
        Announce::Legacy => {
            let left = |stands: &&Stands<'_>| {
                let left = u64::from(stands.standing.remaining) << 32;
                left.checked_div(stands.tier.rate.capacity.into())
            };
            let Some(tightest) = stands.iter().min_by_key(left) else { return };
            set("x-ratelimit-limit", tightest.tier.quota.requests.to_string());
            set("x-ratelimit-remaining", tightest.standing.remaining.to_string());
            set("x-ratelimit-reset", seconds(tightest.standing.reset).to_string());
        }
    }
}

/// A limit's item in `RateLimit-Policy`. Its name needs no quoting.
pub(crate) fn policy(name: &str, quota: &Quota) -> String {
    let (requests, per) = (quota.requests, quota.per.duration());
    let window = match (per.as_secs(), per.subsec_nanos()) {
        (secs, 0) => format!(";w={secs}"),
        _ => String::new(),
    };
    format!("\"{name}\";q={requests}{window}")
}

/// Writes a number: at every request, so without what formats anything.
fn push_number(number: u64, text: &mut String) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut first) = (number, digits.len());
    for place in digits.iter_mut().rev() {
        *place = b'0'.wrapping_add((rest % 10) as u8);
        (rest, first) = (rest / 10, first.saturating_sub(1));
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(first..).unwrap_or_default();
    text.extend(digits.iter().copied().map(char::from));
}

/// Whole seconds, rounded up.
const fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 105, 1_000, u64::from(u32::MAX), u64::MAX] {
            let mut text = String::from("r=");
            push_number(number, &mut text);
            assert_eq!(text, format!("r={number}"));
        }
    }
}
