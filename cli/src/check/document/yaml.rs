//! YAML with its lines.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Budget, DEEPEST, INDEX, Kind, Member, Node, Syntax, Text, behind, words};

/// The name that takes in the members of another object in YAML 1.1 (<https://yaml.org/type/merge.html>).
/// YAML 1.2 has it no more, and of the readers that are meant here one knows it and another does not.
const MERGE: &str = "<<";
const NO_MERGE: &str = "`<<`: a merge key, which Kubernetes reads and Envoy takes for a member of that \
    name; write the members out, or let an alias stand for a whole value";

/// Reads a stream of documents.
pub(super) fn read(text: &str) -> Result<Vec<Node>, Syntax> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Syntax {
            line: error.marker().line(),
            message: format!("not valid YAML: {}", error.info()),
        })?;
        let line = span.start.line();
        builder.take(event, line).map_err(|message| Syntax { line, message })?;
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    budget: Budget,
}

/// A list or an object of which more is to come.
struct Open {
    line: usize,
    /// How long its path is.
    path: usize,
    anchor: usize,
    inner: Inner,
}

enum Inner {
    List(Vec<Node>),
    Object(Vec<Member>, Option<Name>),
}

/// The name of a member whose value is to come.
struct Name {
    name: String,
    line: usize,
    marks: Marks,
}

/// What is known of a name beside its text.
#[derive(Clone, Copy, Default)]
struct Marks {
    /// Whether it is a word without quotes that stands for something else.
    is_word: bool,
    /// Whether it is tagged `!ignore`.
    is_ignored: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.awaits_name() && style == ScalarStyle::Plain && text == MERGE {
                    return Err(NO_MERGE.to_owned());
                }
                let is_ignored =
                    tag.as_ref().is_some_and(|tag| tag.handle == "!" && tag.suffix == "ignore");
                let kind = scalar(text.as_ref(), style, tag.as_deref());
                if self.awaits_name() {
                    let is_word = matches!(kind, Kind::Bool(_) | Kind::Null);
                    // To Envoy a name is a text, whatever its word stands for elsewhere.
                    let text = Text { text: text.into_owned(), is_literal: false };
                    let node = Node { line, kind: Kind::Text(text) };
                    return self.put(node, anchor, Marks { is_word, is_ignored });
                }
                self.put(Node { line, kind }, anchor, Marks::default())
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, Inner::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(line, anchor, Inner::Object(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { line, anchor, inner, .. }) = self.open.pop() else { return Ok(()) };
                let kind = match inner {
                    Inner::List(items) => Kind::List(items),
                    Inner::Object(members, _) => Kind::Object(members),
                };
                self.put(Node { line, kind }, anchor, Marks::default())
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or("an alias to what is not complete")?;
                let node = Rc::clone(node);
                let path = self.path();
                node.add_to(&mut self.budget, path)?;
                self.put(Node { line, kind: node.kind.clone() }, 0, Marks::default())
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, inner: Inner) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        let path = self.path();
        self.open.push(Open { line, path, anchor, inner });
        Ok(())
    }

    fn awaits_name(&self) -> bool {
        matches!(self.open.last(), Some(Open { inner: Inner::Object(_, None), .. }))
    }

    /// How long the path of what comes next is.
    fn path(&self) -> usize {
        match self.open.last() {
            None => 0,
            Some(Open { path, inner: Inner::List(_), .. }) => path.saturating_add(INDEX),
            Some(Open { path, inner: Inner::Object(_, name), .. }) => {
                name.as_ref().map_or(*path, |name| behind(*path, &name.name))
            }
        }
    }

    fn put(&mut self, node: Node, anchor: usize, marks: Marks) -> Result<(), String> {
        let path = self.path();
        self.budget.take(path)?;
        if anchor > 0 {
            // What aliases stand for is kept beside what it is part of.
            node.add_to(&mut self.budget, path)?;
            self.anchors.insert(anchor, Rc::new(node.clone()));
        }
        match self.open.last_mut().map(|open| &mut open.inner) {
            None => self.documents.push(node),
            Some(Inner::List(items)) => items.push(node),
            Some(Inner::Object(members, name)) => match name.take() {
                Some(Name { name, line, marks: Marks { is_word, is_ignored } }) => {
                    members.push(Member { name, line, is_word, is_ignored, node });
                }
                None => *name = Some(Name { line: node.line, name: name_of(node)?, marks }),
            },
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    let is_text = tag.is_some_and(|tag| !tag.is_yaml_core_schema() || tag.suffix == "str");
    if style == ScalarStyle::Plain && !is_text {
        return words::read(text);
    }
    Kind::Text(Text { text: text.to_owned(), is_literal: style == ScalarStyle::Literal })
}

fn name_of(node: Node) -> Result<String, String> {
    match node.kind {
        Kind::Text(text) => Ok(text.text),
        _ => Err("a name that is no text".to_owned()),
    }
}
