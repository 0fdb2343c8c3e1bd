//! What limits are counted by, and what stands in front of them.

use super::settings::verdicts;
use super::{At, Code, Report};
use crate::check::known::Role;
use crate::check::site::Site;

/// Looks at the limits of a filter that has these in front.
pub(super) fn check(site: &Site<'_>, before: &[&Site<'_>], is_whole: bool, report: &mut Report) {
    let Some((config, prefix)) = site.config.tree() else { return };
    let rules = config.get("rules").map(|rules| rules.items()).unwrap_or_default();
    let places = std::iter::once(config).chain(rules);
    let limits = places.filter_map(|place| place.get("limits")).flat_map(|list| list.items());
    for limit in limits {
        for (at, needs) in needed(&limit) {
            let Some(message) = needs.lack(before) else { continue };
            let code = if is_whole { Code::LimitKey } else { Code::MaybeLimitKey };
            code.report_in(prefix, &at, message, report);
        }
        order(&limit, before, prefix, report);
    }
}

/// What has to be in front for there to be a part of a key.
#[derive(Clone, Copy)]
enum Needs {
    /// Somebody who says for sure who it is.
    Identity,
    /// Somebody who has looked at a token.
    Claims,
    /// Somebody who knows what is asked for.
    Operation,
}

impl Needs {
    /// What is missing, if it is.
    fn lack(self, before: &[&Site<'_>]) -> Option<&'static str> {
        let has = |role| before.iter().any(|site| site.known.role == role);
        // One that leaves the decision to a policy tells nothing by itself.
        let enforces =
            |site: &&Site<'_>| site.known.role == Role::Authenticator && verdicts(site).is_empty();
        match self {
            Self::Identity if before.iter().any(enforces) || has(Role::Policy) => None,
            Self::Identity if has(Role::Authenticator) => Some(
                "nobody has one here: authenticators that defer leave it to `access-policy`, which is \
                 not in front; all requests are counted together",
            ),
            Self::Identity => Some(
                "nobody has one: there is no authenticator in front; all requests are counted together",
            ),
            Self::Claims if has(Role::Authenticator) => None,
            Self::Claims => Some(
                "nobody has one: there is no authenticator in front; all requests are counted together",
            ),
            Self::Operation if has(Role::Policy) => None,
            Self::Operation => Some(
                "no request has one: there is no `access-policy` in front; all are counted together",
            ),
        }
    }
}

/// The parts of a limit that somebody in front has to say.
fn needed<'a>(limit: &At<'a>) -> Vec<(At<'a>, Needs)> {
    let parts = limit.get("key").map(|key| key.items()).unwrap_or_default();
    let of_part = |part: At<'a>| match part.text() {
        Some("consumer" | "subject") => Some((part, Needs::Identity)),
        Some("service" | "service_method") => Some((part, Needs::Operation)),
        Some(_) => None,
        None => part.get("claim").map(|claim| (claim, Needs::Claims)),
    };
    let tiers = limit.get("tiers").filter(|tiers| !tiers.members().is_empty());
    let tiers = tiers.map(|tiers| (tiers, Needs::Identity));
    parts.into_iter().filter_map(of_part).chain(tiers).collect()
}

/// Failures are counted as their answers pass by: those of filters in front do not.
fn order(limit: &At<'_>, before: &[&Site<'_>], prefix: &str, report: &mut Report) {
    let Some(on) = limit.get("on").filter(|on| on.text() == Some("unauthenticated")) else {
        return;
    };
    let is_before =
        |site: &&&Site<'_>| matches!(site.known.role, Role::Authenticator | Role::Policy);
    if let Some(site) = before.iter().find(is_before) {
        let name = site.known.name;
        let message = format!("what `{name}` in front refuses never comes here: put it behind");
        Code::LimitOrder.report_in(prefix, &on, message, report);
    }
}
