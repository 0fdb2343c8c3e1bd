//! A filter where it is configured.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::document::{At, Node, Syntax, Text};
use super::known::{self, Known};

/// With padding or without.
const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

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
    Text(At<'a>, String, Box<Node>),
    /// It is part of either: the path of it, and what stands there.
    Part(String, Box<Node>),
    /// It is meant to be that, and is not.
    Broken(At<'a>, Syntax),
}

impl<'a> Config<'a> {
    /// JSON in a text.
    pub(super) fn of_text(at: At<'a>) -> Self {
        match at.as_text() {
            Some(text) => Self::of_json(at, text),
            None => Self::Tree(at),
        }
    }

    /// JSON in bytes, which protobuf's JSON has in base64 of either alphabet.
    pub(super) fn of_bytes(at: At<'a>) -> Self {
        let Some(text) = at.text() else { return Self::Tree(at) };
        let bytes = [STANDARD, URL_SAFE].iter().find_map(|alphabet| alphabet.decode(text).ok());
        match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => Self::of_json(at, &Text { text, is_literal: false }),
            None => {
                let message = "is no text in base64".to_owned();
                Self::Broken(at.clone(), Syntax { line: at.line, message })
            }
        }
    }

    fn of_json(at: At<'a>, text: &Text) -> Self {
        match Node::read_within(at.node.line, text) {
            Ok(node) => Self::Text(at, text.text.clone(), Box::new(node)),
            Err(error) => Self::Broken(at, error),
        }
    }

    /// The configuration as places, and the path that theirs are to be read behind.
    pub(super) fn tree(&self) -> Option<(At<'_>, &str)> {
        match self {
            Self::Tree(at) => Some((at.clone(), "")),
            Self::Text(at, _, node) => Some((At::top(node), &at.path)),
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
