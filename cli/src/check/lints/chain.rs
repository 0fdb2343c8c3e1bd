//! The filters in their order.

use super::settings::verdicts;
use super::{At, Code, Report, header, limit};
use crate::check::cut;
use crate::check::known::Role;
use crate::check::site::Site;

/// Looks at filters that a request goes through in this order. Where not all may be known, what is
/// missing is worth a warning alone.
pub(in crate::check) fn check(sites: &[&Site<'_>], is_whole: bool, report: &mut Report) {
    for (index, site) in sites.iter().enumerate() {
        let before = sites.get(..index).unwrap_or_default();
        let behind = sites.get(index.saturating_add(1)..).unwrap_or_default();
        match site.known.role {
            Role::Authenticator => authenticator(site, before, behind, is_whole, report),
            Role::Policy => policy(site, before, is_whole, report),
            Role::Limit => limit::check(site, before, is_whole, report),
            Role::Other => {}
        }
    }
}

fn authenticator(
    site: &Site<'_>,
    before: &[&Site<'_>],
    behind: &[&Site<'_>],
    is_whole: bool,
    report: &mut Report,
) {
    let is_policy = |site: &&&Site<'_>| site.known.role == Role::Policy;
    if behind.iter().find(is_policy).is_none()
        && let Some((prefix, place)) = verdicts(site).into_iter().next()
    {
        let code = if is_whole { Code::DeferWithoutPolicy } else { Code::DeferMaybeWithoutPolicy };
        let message = "lets everybody pass: there is no `access-policy` behind it to decide";
        code.report_in(&prefix, &place, message, report);
    }
    if let Some(policy) = before.iter().find(is_policy) {
        let name = site.known.name;
        let message = format!("decides before `{name}` has said who it is: put it behind");
        Code::PolicyOrder.report(&policy.place, message, report);
    }
    header::check(site, behind, report);
}

/// What a policy asks for has to be in front of it, or whoever needs it gets 503.
fn policy(site: &Site<'_>, before: &[&Site<'_>], is_whole: bool, report: &mut Report) {
    let Some((config, prefix)) = site.config.tree() else { return };
    let schemes = config.get("schemes").map(|schemes| schemes.members()).unwrap_or_default();
    for at in schemes.iter().filter_map(|scheme| scheme.get("authenticator")) {
        let Some(name) = at.text() else { continue };
        if before.iter().all(|other| other.known.name != name) {
            let code = match is_whole {
                true => Code::MissingAuthenticator,
                false => Code::MaybeMissingAuthenticator,
            };
            let message = format!("there is no `{name}` in front of it");
            code.report_in(prefix, &at, message, report);
        }
    }
}

/// Upgrades with filters of their own do not pass through those of the connection manager.
pub(in crate::check) fn upgrades(
    manager: &At<'_>,
    sites: &[&Site<'_>],
    all: &[Site<'_>],
    report: &mut Report,
) {
    for upgrade in manager.field("upgrade_configs").map(|list| list.items()).unwrap_or_default() {
        let Some(filters) = upgrade.field("filters").filter(|list| !list.items().is_empty()) else {
            continue;
        };
        let own = all.iter().filter(|site| is_within(&site.place, &filters));
        let own: Vec<_> = own.map(|site| site.known.name).collect();
        let bypassed = sites.iter().filter(|site| site.known.role.is_guard());
        for name in bypassed.map(|site| site.known.name).filter(|name| !own.contains(name)) {
            let kind = upgrade.text_of("upgrade_type").unwrap_or("?");
            let message = format!("upgrades to `{kind}` do not go through `{name}`");
            Code::UpgradeBypass.report(&filters, message, report);
        }
    }
}

/// Whether a place is within another.
pub(in crate::check) fn is_within(inner: &At<'_>, outer: &At<'_>) -> bool {
    cut::is_within(&inner.path, &outer.path)
}
