//! A filter where it is configured.

use super::document::{At, Node, Syntax};
use super::known::{self, Known};

/// A filter where it is configured.
pub(super) struct Site<'a> {
    pub(super) known: &'static Known,
    /// What the plugin is called.
    pub(super) name: String,
    /// Where the proxy is told of it: the `PluginConfig`, the manifest's `spec`, the document itself.
    pub(super) place: At<'a>,
    pub(super) config: Config<'a>,
    pub(super) environment: Variables<'a>,
}

/// The configuration of a filter.
pub(super) enum Config<'a> {
    /// There is none, which is the empty object.
    None,
    /// It is part of the document.
    Tree(At<'a>),
    /// It is JSON in a text of the document.
    Text(At<'a>, Box<Node>),
    /// It is part of either: the path of it, and what stands there.
    Part(String, Box<Node>),
    /// It is meant to be that, and is not.
    Broken(At<'a>, Syntax),
}

impl<'a> Config<'a> {
    /// JSON in a text.
    pub(super) fn of_text(at: At<'a>) -> Self {
        let Some(text) = at.as_text() else { return Self::Tree(at) };
        match Node::read_within(at.node.line, text) {
            Ok(node) => Self::Text(at, Box::new(node)),
            Err(error) => Self::Broken(at, error),
        }
    }

    /// The configuration as places, and the path that theirs are to be read behind.
    pub(super) fn tree(&self) -> Option<(At<'_>, &str)> {
        match self {
            Self::Tree(at) => Some((at.clone(), "")),
            Self::Text(at, node) => Some((At::top(node), &at.path)),
            Self::Part(path, node) => Some((At::top(node), path)),
            Self::None | Self::Broken(..) => None,
        }
    }
}

/// The variables that the proxy gives a filter.
#[derive(Clone, Default)]
pub(super) struct Variables<'a> {
    /// Those with a value in the document.
    pub(super) set: Vec<(String, At<'a>)>,
    /// Those that the proxy takes from its own environment; `None` where any may be meant.
    pub(super) from_host: Option<Vec<String>>,
}

/// Which of our filters a plugin is: by its module, or by its name where there is none or it is one of ours
/// that does not say. Not for the module that has them all.
pub(super) fn identify(module: Option<&str>, names: &[Option<&str>]) -> Option<&'static Known> {
    let by_name = || names.iter().flatten().find_map(|name| known::find(name));
    match module {
        None => by_name(),
        Some(module) => {
            known::of_module(module).or_else(|| by_name().filter(|_| known::is_ours(module)))
        }
    }
}
