//! From a path to what is offered there: a tree of segments.
//!
//! 1. At each segment a literal comes before a template, and both before a rest (`/**`). Where the
//!    rest of a path has nothing behind the literal, the template is tried.
//! 2. The path decides first, then the method: a path that a literal has is not looked for among the
//!    templates because of its method.
//! 3. Two entries for one path and one method are an error.
//! 4. What it costs depends on the path's segments, not on how many entries there are.

use std::collections::HashMap;

use shared::hash::Spread;
use shared::matching::path::{Pattern, Segment};

/// What is offered at each path.
#[derive(Debug)]
pub(crate) struct Table<T> {
    root: Node<T>,
}

/// What is offered at one path, by method.
pub(crate) type Offers<T> = Vec<(String, T)>;

#[derive(Debug)]
struct Node<T> {
    literals: HashMap<Vec<u8>, Self, Spread>,
    any: Option<Box<Self>>,
    here: Offers<T>,
    rest: Offers<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: HashMap::default(), any: None, here: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T: Clone> Table<T> {
    /// Adds an entry; the entry that is there already, if one is.
    pub(crate) fn add(&mut self, pattern: &Pattern, method: &str, entry: T) -> Result<(), T> {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Any => node.any.get_or_insert_default(),
            };
        }
        let offers = if pattern.has_rest() { &mut node.rest } else { &mut node.here };
        if let Some((_, known)) = offers.iter().find(|(known, _)| known == method) {
            return Err(known.clone());
        }
        offers.push((method.to_owned(), entry));
        Ok(())
    }

    /// What is offered at a path, in one reading of it.
    pub(crate) fn find(&self, path: &[u8]) -> Option<&Offers<T>> {
        self.root.find(Some(path.strip_prefix(b"/")?))
    }
}

impl<T> Node<T> {
    /// What is offered at the segments behind this one; `None` where there are none.
    fn find(&self, segments: Option<&[u8]>) -> Option<&Offers<T>> {
        let offered = |offers| Some(offers).filter(|offers: &&Offers<T>| !offers.is_empty());
        let Some(segments) = segments else {
            // `/a/**` is for `/a` too.
            return offered(&self.here).or_else(|| offered(&self.rest));
        };
        let mut parts = segments.splitn(2, |byte| *byte == b'/');
        let (first, behind) = (parts.next().unwrap_or_default(), parts.next());
        let literal = self.literals.get(first).and_then(|node| node.find(behind));
        let any = || self.any.as_ref().filter(|_| !first.is_empty())?.find(behind);
        literal.or_else(any).or_else(|| offered(&self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(patterns: &[&'static str]) -> Table<&'static str> {
        let mut table = Table::default();
        for pattern in patterns {
            table.add(&Pattern::parse(pattern).unwrap(), "GET", *pattern).unwrap();
        }
        table
    }

    #[track_caller]
    fn check(patterns: &[&'static str], paths: &[(&str, Option<&str>)]) {
        let table = table(patterns);
        for (path, expected) in paths {
            let found = table.find(path.as_bytes()).map(|offers| offers[0].1);
            assert_eq!(found, *expected, "{path}");
        }
    }

    #[test]
    fn a_literal_comes_before_a_template_and_both_before_a_rest() {
        check(
            &["/users/{id}", "/users/admin", "/**", "/users/{id}/keys"],
            &[
                ("/users/7", Some("/users/{id}")),
                ("/users/admin", Some("/users/admin")),
                ("/users/admin/keys", Some("/users/{id}/keys")),
                ("/users", Some("/**")),
                ("/users/7/other", Some("/**")),
                ("/", Some("/**")),
            ],
        );
    }

    #[test]
    fn a_slash_at_the_end_counts_and_an_empty_segment_is_no_template() {
        check(
            &["/users", "/users/{id}", "/"],
            &[
                ("/users/", None),
                ("/users", Some("/users")),
                ("/", Some("/")),
                ("", None),
                ("/x", None),
            ],
        );
    }

    #[test]
    fn a_rest_is_for_its_stem_too() {
        check(
            &["/files/**"],
            &[
                ("/files", Some("/files/**")),
                ("/files/a/b", Some("/files/**")),
                ("/filesystem", None),
            ],
        );
    }

    #[test]
    fn one_path_and_method_have_one_entry() {
        let mut table = table(&["/a/{x}"]);
        let add = |table: &mut Table<_>, pattern, method| {
            table.add(&Pattern::parse(pattern).unwrap(), method, "again")
        };
        assert_eq!(add(&mut table, "/a/{y}", "GET"), Err("/a/{x}"));
        assert_eq!(add(&mut table, "/a/{y}", "POST"), Ok(()));
        assert_eq!(table.find(b"/a/b").unwrap().len(), 2);
    }
}
