//! `gatehouse check`: what is wrong with a configuration, before a proxy has it.
//!
//! 1. A document is an Envoy bootstrap or resource, a Kubernetes manifest, or a filter's configuration
//!    alone: `--filter`, or a first comment line that says `# NAME`.
//! 2. Every configuration of a filter is read by the code that the module runs, with the variables
//!    that the document, and with `--env` this program's environment, gives it.
//! 3. What is legal and likely not meant is reported too: [`lints`].
//! 4. A finding has a file, a line, a path, a level and a code. An error is exit code 1, with
//!    `--strict` so is a warning; a file that cannot be read is 2, and hinders no other.

mod bundle;
mod config;
mod cut;
mod document;
mod envoy;
mod known;
mod kubernetes;
mod lints;
mod report;
mod site;
mod source;
mod variables;

use clap::builder::PossibleValuesParser;
use shared::config::Invalid;

use crate::arguments::CheckArguments;
use crate::output::{Failure, Outcome};
use document::{At, Document};
use known::{Overrides, Role};
use kubernetes::Placed;
use lints::{Code, chain, connection, listener, log, secrets, settings, sign_in};
pub(crate) use report::Level;
use report::Report;
use site::{Config, Site, Variables};

/// What the findings depend on, apart from the files.
#[derive(Debug)]
struct Options {
    filter: Option<String>,
    env: bool,
    allow_unset: bool,
}

pub(crate) use cut::is_within;
pub(crate) use known::filters as filter_names;
pub(crate) use known::schema_of as schema;
pub(crate) use source::Source;
pub(crate) use variables::references;

/// Whether there is a filter of this name.
pub(crate) fn is_filter(name: &str) -> bool {
    known::find(name).is_some()
}

/// Whether a filter of this name says who it is.
pub(crate) fn is_authenticator(name: &str) -> bool {
    known::find(name).is_some_and(|known| known.role == Role::Authenticator)
}

/// The filters whose configurations have a schema.
pub(crate) fn filters() -> PossibleValuesParser {
    known::filters().collect::<Vec<_>>().into()
}

/// The filters whose configurations can be checked by themselves.
pub(crate) fn names() -> PossibleValuesParser {
    known::names().collect::<Vec<_>>().into()
}

/// Checks the files of the command line.
pub(crate) fn run(arguments: &CheckArguments) -> Result<Outcome, Failure> {
    let options = Options {
        filter: arguments.filter.clone(),
        env: arguments.env,
        allow_unset: arguments.allow_unset,
    };
    let mut report = Report::default();
    let mut is_whole = true;
    for file in &arguments.files {
        report.file = source::name(file);
        let text = match source::text(file) {
            Ok(text) => text,
            Err(why) => {
                Code::Unreadable.report_at((1, ""), why, &mut report);
                is_whole = false;
                continue;
            }
        };
        match document::read(&text, report.file.ends_with(".json")) {
            Ok(documents) => check_file(documents, &options, &mut report),
            Err(error) => Code::Syntax.report_at((error.line, ""), error.message, &mut report),
        }
    }
    let told = report.tell(arguments.files.len(), arguments.strict, arguments.json)?;
    if is_whole { Ok(told) } else { Err(Failure::Said) }
}

/// What is wrong with a text that this program has made: errors and warnings, with their lines.
pub(crate) fn problems(text: &str) -> Vec<(Level, usize, Invalid)> {
    report_of(text, None).problems()
}

/// What a filter refuses of a configuration that this program has made.
pub(crate) fn errors(text: &str, filter: &str) -> Vec<Invalid> {
    report_of(text, Some(filter)).errors()
}

fn report_of(text: &str, filter: Option<&str>) -> Report {
    let options = Options { filter: filter.map(str::to_owned), env: false, allow_unset: true };
    let mut report = Report::default();
    match document::read(text, false) {
        Ok(documents) => check_file(documents, &options, &mut report),
        Err(error) => Code::Syntax.report_at((error.line, ""), error.message, &mut report),
    }
    report
}

const NO_FILTER: &str = "holds no filter of Gatehouse";

fn check_file(mut documents: Vec<Document>, options: &Options, report: &mut Report) {
    if documents.iter().all(|document| matches!(document.root.kind, document::Kind::Null))
        && options.filter.is_none()
    {
        return Code::Empty.report_at((1, ""), "there is nothing in it", report);
    }
    if options.filter.is_none() {
        kubernetes::repeated(&documents, report);
        let of_envoy = documents.iter_mut().filter(|document| is_of_envoy(document));
        of_envoy.for_each(|document| document.root.read_as_envoy());
        unread(&documents, report);
    }
    let before = (report.len(), report.filters);
    let mut placed = Vec::new();
    for document in &documents {
        check_document(document, options, &mut placed, report);
    }
    check_placed(placed, options, report);
    let first = documents.first().map(|document| At::top(&document.root));
    if let Some(top) = first.filter(|top| kubernetes::objects(top).is_some())
        && (report.len(), report.filters) == before
        && options.filter.is_none()
    {
        Code::NoFilter.report(&top, NO_FILTER, report);
    }
}

/// Documents behind the first of a file for Envoy, which looks no further.
fn unread(documents: &[Document], report: &mut Report) {
    let tops: Vec<_> = documents.iter().map(|document| At::top(&document.root)).collect();
    let is_envoys = |top: &At<'_>| kubernetes::objects(top).is_none() && envoy::is_file(top);
    if !tops.iter().any(is_envoys) {
        return;
    }
    let says = |top: &&At<'_>| !matches!(top.node.kind, document::Kind::Null);
    for top in tops.iter().skip(1).filter(says) {
        let message = "is not the first document of the file: Envoy does not read it";
        Code::UnreadDocument.report(top, message, report);
    }
}

/// Whether Envoy itself reads it.
fn is_of_envoy(document: &Document) -> bool {
    let top = At::top(&document.root);
    kubernetes::objects(&top).is_none() && envoy::is_envoy(&top)
}

fn check_document<'a>(
    document: &'a Document,
    options: &Options,
    placed: &mut Vec<Placed<'a>>,
    report: &mut Report,
) {
    let top = At::top(&document.root);
    let all = top.all();
    lints::duplicates("", &all, report);
    let named = options.filter.as_deref();
    if let (None, Some(objects)) = (named, kubernetes::objects(&top)) {
        kubernetes::names(&all, report);
        for object in objects {
            if kubernetes::is_patch(&object) {
                check_envoy(&object, &object.all(), options, report);
                continue;
            }
            let before = report.len();
            let sites = kubernetes::sites(&object, report);
            if sites.is_empty() && report.len() == before && kubernetes::is_for_filters(&object) {
                Code::NoFilter.report(&object, NO_FILTER, report);
            }
            placed.extend(sites);
        }
        return;
    }
    if named.is_none() && envoy::is_envoy(&top) {
        return check_envoy(&top, &all, options, report);
    }
    let said =
        document.comment.as_deref().and_then(|comment| comment.split([' ', ',', ':']).next());
    // What chooses in the module that has every filter.
    let named_chain = named.or(said) == Some(shared::chain::NAME);
    if named_chain || top.get("chain").is_some() || top.get("filter").is_some() {
        let root_id = named.or(said).filter(|name| named_chain || known::find(name).is_some());
        let plugin = bundle::Plugin {
            root_id,
            name: root_id.unwrap_or_default().to_owned(),
            place: top.clone(),
            config: Config::Tree(top),
            environment: Variables::default(),
        };
        let sites = bundle::sites(plugin, report);
        sites.iter().for_each(|site| drop(check_site(site, options, report)));
        return chain::check(&sites.iter().collect::<Vec<_>>(), false, report);
    }
    let Some(known) = named.or(said).and_then(known::find) else {
        if matches!(document.root.kind, document::Kind::Null) {
            return;
        }
        let message = "neither Envoy's nor a manifest; if it is a filter's configuration, say which with --filter or a first line `# NAME`";
        return Code::UnknownDocument.report(&top, message, report);
    };
    let site = Site {
        known,
        name: known.name.to_owned(),
        place: top.clone(),
        config: Config::Tree(top),
        environment: Variables::default(),
    };
    check_site(&site, options, report);
}

/// A bootstrap, a resource or a patch.
fn check_envoy<'a>(top: &At<'a>, all: &[At<'a>], options: &Options, report: &mut Report) {
    envoy::spellings(top, report);
    let before = report.len();
    let sites = envoy::sites(all, report);
    let is_silent = report.len() == before;
    settings::overrides(all, report);
    if sites.is_empty() && is_silent {
        Code::NoFilter.report(top, NO_FILTER, report);
    }
    if sites.is_empty() {
        return;
    }
    sign_in::overrides(&sites, all, report);
    listener::versions(all, report);
    let clusters = settings::clusters(top);
    for site in &sites {
        if let Some(overrides) = check_site(site, options, report) {
            config::check_overrides(&overrides, site, all, report);
        }
        if let Some(clusters) = &clusters {
            settings::cluster_names(site, clusters, report);
        }
    }
    for manager in envoy::managers(all) {
        let entries = manager.filters.iter();
        let entries = entries
            .flat_map(|entry| find(entry, &sites, all).into_iter().map(move |site| (entry, site)));
        let entries: Vec<(&At<'_>, &Site<'_>)> = entries.collect();
        let chain: Vec<_> = entries.iter().map(|(_, site)| *site).collect();
        if chain.is_empty() {
            continue;
        }
        for (entry, site) in &entries {
            settings::disabled(entry, site, all, report);
        }
        connection::check(&manager.at, &chain, report);
        listener::check(&manager.at, &chain, all, report);
        log::check(&manager.at, &chain, report);
        // What is discovered from elsewhere may be the filter that is missing.
        let is_whole = !manager.filters.iter().any(|entry| {
            entry.field("config_discovery").is_some() && find(entry, &sites, all).is_empty()
        });
        chain::check(&chain, is_whole, report);
        chain::upgrades(&manager.at, &chain, &sites, report);
    }
}

/// The filters of ours at an entry of `http_filters`: in it, or where it is discovered under its name.
fn find<'s, 'a>(entry: &At<'a>, sites: &'s [Site<'a>], all: &[At<'a>]) -> Vec<&'s Site<'a>> {
    let within =
        |outer: &At<'_>| sites.iter().filter(|site| chain::is_within(&site.place, outer)).collect();
    if entry.field("config_discovery").is_none() {
        return within(entry);
    }
    let Some(name) = entry.text_of("name") else { return Vec::new() };
    let is_resource = |at: &&At<'_>| {
        at.text_of("name") == Some(name)
            && at.field("typed_config").is_some()
            && at.get("@type").is_some()
    };
    all.iter().find(is_resource).map(within).unwrap_or_default()
}

/// Filters in manifests, those on the same workloads in their order.
fn check_placed(mut placed: Vec<Placed<'_>>, options: &Options, report: &mut Report) {
    placed.sort_by(|one, other| (&one.chain, one.order).cmp(&(&other.chain, other.order)));
    for one in &placed {
        check_site(&one.site, options, report);
    }
    for same in placed.chunk_by(|one, other| one.chain == other.chain) {
        let sites: Vec<_> = same.iter().map(|one| &one.site).collect();
        chain::check(&sites, false, report);
    }
}

fn check_site(site: &Site<'_>, options: &Options, report: &mut Report) -> Option<Overrides> {
    let overrides = config::check(site, options, report);
    settings::check(site, report);
    sign_in::rules(site, report);
    secrets::check(site, report);
    overrides
}
