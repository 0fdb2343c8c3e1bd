//! Text to a tree that knows its lines: YAML or JSON.
//!
//! 1. A text that begins with `{` or `[` and is JSON is read as JSON; everything else as YAML, of which
//!    there may be several documents in a file.
//! 2. Words are what Envoy and Kubernetes take them for: `off`, `yes` and the like are no texts unless
//!    they are quoted (YAML 1.1).
//!    The name of a member is the text that stands there; whether it should be quoted is remembered.
//! 3. A member that comes twice is kept, for the check to complain of.
//! 4. No text takes more than so much memory or stack, whatever it says: [`MOST_NODES`],
//!    [`MOST_BYTES`], [`DEEPEST`].

mod at;
mod json;
mod words;
mod yaml;

use serde_json::{Map, Number, Value};

pub(crate) use at::{At, camel_case, join};

/// How many values a file may have, those that aliases stand for among them.
const MOST_NODES: usize = 1_000_000;
/// How long their texts and their paths may be together.
const MOST_BYTES: usize = 128 << 20;
/// How deep they may stand in one another.
const DEEPEST: usize = 200;

/// One document of a file.
pub(crate) struct Document {
    /// What it says.
    pub(crate) root: Node,
    /// The first line of the comment before it, without `#`.
    pub(crate) comment: Option<String>,
}

/// A value, and the line on which it begins.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// What kinds of value there are.
#[derive(Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    /// A number that YAML has, and the text that Envoy hands on in its place.
    Worded(Number, String),
    Text(Text),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// A text, and how its own lines relate to those of the file.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Whether each line of it is a line of the file.
    pub(crate) is_literal: bool,
}

/// A member of an object.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The line of the name.
    pub(crate) line: usize,
    /// Whether it is a word that is no text elsewhere, and not in quotes: `on`, `y` of a key (RFC 7518).
    pub(crate) is_word: bool,
    /// Whether it is tagged `!ignore`: Envoy leaves it out.
    pub(crate) is_ignored: bool,
    pub(crate) node: Node,
}

/// Why a text is neither YAML nor JSON.
#[derive(Debug)]
pub(crate) struct Syntax {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Reads a file.
pub(crate) fn read(text: &str, is_json: bool) -> Result<Vec<Document>, Syntax> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let roots = match text.trim_start().starts_with(['{', '[']).then(|| json::read(text)) {
        Some(Ok(root)) => vec![root],
        Some(Err(error)) if is_json => return Err(error),
        // An object in YAML's own spelling.
        _ => yaml::read(text)?,
    };
    // No document at all is one that says nothing.
    let nothing = roots.is_empty().then_some(Node { line: 1, kind: Kind::Null });
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let document = |root: Node| Document { comment: comment_before(&lines, root.line), root };
    Ok(roots.into_iter().chain(nothing).map(document).collect())
}

/// The topmost line of the comment that ends before `line`, but for what tells editors of a schema.
fn comment_before(lines: &[&str], line: usize) -> Option<String> {
    let before = lines.iter().take(line.saturating_sub(1)).rev();
    let comments = before.take_while(|line| line.is_empty() || line.starts_with('#'));
    let texts = comments.map(|line| line.trim_start_matches('#').trim());
    let is_comment = |text: &&str| !text.is_empty() && !text.starts_with("yaml-language-server:");
    texts.filter(is_comment).last().map(str::to_owned)
}

impl Node {
    /// The JSON text within a text, its lines those of the file.
    pub(crate) fn read_within(line: usize, text: &Text) -> Result<Self, Syntax> {
        // The parser has a literal begin where it is no longer empty.
        let empty = text.text.lines().take_while(|line| line.trim().is_empty()).count();
        let ahead = empty.saturating_add(1);
        let shift = |inner: usize| match text.is_literal {
            true => line.saturating_add(inner).saturating_sub(ahead),
            false => line,
        };
        if text.text.trim().is_empty() {
            return Ok(Self { line, kind: Kind::Null });
        }
        let mut node = json::read(&text.text)
            .map_err(|error| Syntax { line: shift(error.line), message: error.message })?;
        node.move_lines(&shift);
        Ok(node)
    }

    fn move_lines(&mut self, shift: &impl Fn(usize) -> usize) {
        self.line = shift(self.line);
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.move_lines(shift)),
            Kind::Object(members) => {
                for member in members {
                    member.line = shift(member.line);
                    member.node.move_lines(shift);
                }
            }
            _ => {}
        }
    }

    /// The value without its lines.
    pub(crate) fn value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) | Kind::Worded(number, _) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.text.clone()),
            Kind::List(items) => items.iter().map(Self::value).collect(),
            Kind::Object(members) => {
                let members =
                    members.iter().map(|member| (member.name.clone(), member.node.value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// Makes of it what Envoy makes of YAML.
    pub(crate) fn read_as_envoy(&mut self) {
        match &mut self.kind {
            Kind::Worded(_, text) => {
                let text = std::mem::take(text);
                self.kind = Kind::Text(Text { text, is_literal: false });
            }
            Kind::List(items) => items.iter_mut().for_each(Self::read_as_envoy),
            Kind::Object(members) => {
                members.retain(|member| !member.is_ignored);
                members.iter_mut().for_each(|member| member.node.read_as_envoy());
            }
            _ => {}
        }
    }

    /// The line of what a path leads to, or of what is nearest to it.
    pub(crate) fn locate(&self, path: &str) -> usize {
        let (mut node, mut line, mut rest) = (self, self.line, path);
        while let Some((next, at, behind)) = node.step(rest) {
            (node, line, rest) = (next, at, behind);
        }
        line
    }

    /// Goes by the first part of a path. A name may hold dots: the longest that fits is meant.
    fn step<'p>(&self, path: &'p str) -> Option<(&Self, usize, &'p str)> {
        let path = path.strip_prefix('.').unwrap_or(path);
        match &self.kind {
            Kind::Object(members) => {
                let fitting = members.iter().filter_map(|member| {
                    let rest = path.strip_prefix(member.name.as_str())?;
                    let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                    (ends && !path.is_empty()).then_some((&member.node, member.line, rest))
                });
                fitting.min_by_key(|(_, _, rest)| rest.len())
            }
            Kind::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, item.line, rest))
            }
            _ => None,
        }
    }

    /// What all of it takes at the end of a path that is so long.
    fn add_to(&self, budget: &mut Budget, path: usize) -> Result<(), String> {
        match &self.kind {
            Kind::Text(text) => budget.take(path.saturating_add(text.text.len())),
            Kind::List(items) => {
                budget.take(path)?;
                let path = path.saturating_add(INDEX);
                items.iter().try_for_each(|item| item.add_to(budget, path))
            }
            Kind::Object(members) => {
                budget.take(path)?;
                members
                    .iter()
                    .try_for_each(|member| member.node.add_to(budget, behind(path, &member.name)))
            }
            _ => budget.take(path),
        }
    }
}

/// What an index takes of a path, or a little less.
const INDEX: usize = 4;

/// How long a path is with this name at its end.
const fn behind(path: usize, name: &str) -> usize {
    path.saturating_add(name.len()).saturating_add(1)
}

/// What a file has taken so far.
#[derive(Default)]
struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    /// Another value, with the bytes of its path and of its text.
    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > MOST_NODES {
            return Err(format!("more than {MOST_NODES} values, aliases among them"));
        }
        if self.bytes > MOST_BYTES {
            let most = MOST_BYTES >> 20;
            return Err(format!("more than {most} MiB of texts and paths, aliases among them"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
