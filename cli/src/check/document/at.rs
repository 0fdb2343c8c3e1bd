//! A place in a document: a value, its line and its path.

use super::{Kind, Member, Node, Text};

/// A place in a document.
#[derive(Clone)]
pub(crate) struct At<'a> {
    /// What stands there.
    pub(crate) node: &'a Node,
    /// On which line it is named, or begins.
    pub(crate) line: usize,
    /// The name of the member that it is; empty for what is none.
    pub(crate) name: &'a str,
    /// How it is reached from the top.
    pub(crate) path: String,
}

impl<'a> At<'a> {
    /// The top of a document.
    pub(crate) const fn top(node: &'a Node) -> Self {
        Self { node, line: node.line, name: "", path: String::new() }
    }

    /// The member of this name, to the letter.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        self.find(|written| written == name)
    }

    /// The field of this name in a protobuf message: `snake_case` or `camelCase`.
    pub(crate) fn field(&self, name: &str) -> Option<Self> {
        let camel = camel_case(name);
        self.find(|written| written == name || written == camel)
    }

    fn find(&self, is_it: impl Fn(&str) -> bool) -> Option<Self> {
        let Kind::Object(members) = &self.node.kind else { return None };
        members.iter().find(|member| is_it(&member.name)).map(|member| self.member(member))
    }

    /// What a row of fields leads to.
    pub(crate) fn fields(&self, names: &[&str]) -> Option<Self> {
        names.iter().try_fold(self.clone(), |at, name| at.field(name))
    }

    /// The members of an object; none of anything else.
    pub(crate) fn members(&self) -> Vec<Self> {
        let Kind::Object(members) = &self.node.kind else { return Vec::new() };
        members.iter().map(|member| self.member(member)).collect()
    }

    fn member(&self, member: &'a Member) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        // A name may begin with a bracket.
        let path = format!("{}{dot}{}", self.path, member.name);
        Self { node: &member.node, line: member.line, name: &member.name, path }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Kind::List(items) = &self.node.kind else { return Vec::new() };
        let item = |(index, node): (usize, &'a Node)| Self {
            node,
            line: node.line,
            name: "",
            path: format!("{}[{index}]", self.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// What stands in it, whichever kind it is.
    pub(crate) fn children(&self) -> Vec<Self> {
        [self.members(), self.items()].concat()
    }

    /// This place and all within, from the top.
    pub(crate) fn all(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        for child in self.children() {
            all.extend(child.all());
        }
        all
    }

    /// The text that stands there.
    pub(crate) fn text(&self) -> Option<&'a str> {
        self.as_text().map(|text| text.text.as_str())
    }

    /// The same, with what is known of its lines.
    pub(crate) const fn as_text(&self) -> Option<&'a Text> {
        match &self.node.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `true` stands there.
    pub(crate) const fn is_true(&self) -> bool {
        matches!(self.node.kind, Kind::Bool(true))
    }

    /// The text of a field.
    pub(crate) fn text_of(&self, name: &str) -> Option<&'a str> {
        self.field(name)?.text()
    }

    /// The path of a place within this one.
    pub(crate) fn path_to(&self, inner: &str) -> String {
        join(&self.path, inner)
    }
}

/// A path behind another.
pub(crate) fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        (outer, "") => outer.to_owned(),
        ("", inner) => inner.to_owned(),
        (outer, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

/// protobuf's JSON has both spellings: `http_filters`, `httpFilters`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| {
        let mut letters = part.chars();
        let head = letters.next().map(|head| head.to_ascii_uppercase());
        whole.chars().chain(head).chain(letters).collect()
    })
}
