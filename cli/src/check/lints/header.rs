//! Headers that several authenticators read.

use super::{At, Code, Report};
use crate::check::known::Role;
use crate::check::site::Site;

/// Where the others look, where their configuration does not say.
const BEARER: &str = "authorization";

/// What takes all of a header leaves nothing of it for those behind.
pub(super) fn check(site: &Site<'_>, behind: &[&Site<'_>], report: &mut Report) {
    let Some((config, prefix)) = site.config.tree() else { return };
    if config.get("forward_credentials").is_some_and(|at| at.is_true()) {
        return;
    }
    for at in sources(&config).iter().filter(|at| at.get("prefix").is_none()) {
        let Some(header) = at.get("header") else { continue };
        let name = header.text().unwrap_or_default().to_ascii_lowercase();
        for other in behind.iter().filter(|other| reads(other, &name)) {
            let other = other.known.name;
            let message = format!(
                "takes all of `{name}` off, which `{other}` behind it reads: put `{}` behind that, or say \
                 which prefix its credential has",
                site.known.name
            );
            Code::WholeHeader.report_in(prefix, &header, message, report);
        }
    }
}

/// Whether an authenticator reads a header of this name, in lower case.
fn reads(site: &Site<'_>, name: &str) -> bool {
    let Some((config, _)) = site.config.tree().filter(|_| site.known.role == Role::Authenticator)
    else {
        return false;
    };
    let says = |at: &At<'_>| at.text_of("header").is_some_and(|it| it.eq_ignore_ascii_case(name));
    let by_default = match site.known.name {
        "basic-auth" => name == BEARER,
        "token-introspection" => name == BEARER && config.get("sources").is_none(),
        "jwt-auth" => {
            let providers = config.get("providers").map(|list| list.items()).unwrap_or_default();
            name == BEARER && providers.iter().any(|provider| provider.get("sources").is_none())
        }
        "api-key-auth" => name == "x-api-key" && config.get("sources").is_none(),
        _ => false,
    };
    by_default || sources(&config).iter().any(says)
}

/// Where a configuration says that credentials stand.
fn sources<'a>(config: &At<'a>) -> Vec<At<'a>> {
    let providers = config.get("providers").map(|list| list.items()).unwrap_or_default();
    let places = std::iter::once(config.clone()).chain(providers);
    places.filter_map(|place| place.get("sources")).flat_map(|list| list.items()).collect()
}
