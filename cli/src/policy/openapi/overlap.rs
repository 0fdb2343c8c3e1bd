//! Paths that are of two operations.
//!
//! 1. OpenAPI has a path without templates come before one with (3.1, 4.8.8), and says nothing of `/u/{id}`
//!    and `/{x}/admin`, which both are for `/u/admin`. If they differ in what they require, somebody has to
//!    say which of them the server takes.
//! 2. The policy takes the one whose literal comes first, and so does the router of Goa's servers (chi).

use serde_json::Value;
use shared::matching::path::{Pattern, Segment};

use super::{Dialect, Reader};

/// An operation where it is offered.
pub(super) struct Offer {
    pub(super) method: String,
    pub(super) id: String,
    /// Its path in the document.
    pub(super) path: String,
    /// The path in the policy.
    pub(super) pattern: String,
    pub(super) security: Value,
    /// Whether it is said to come first.
    pub(super) is_first: bool,
}

impl Reader<'_> {
    /// Refuses operations that have paths in common and differ in what they require.
    pub(super) fn overlaps(&mut self) {
        let offered = std::mem::take(&mut self.offered);
        // One that the filter does not take is refused by it. One without a template is a special case of
        // what it is also of.
        let open: Vec<_> = offered
            .iter()
            .filter_map(|offer| Some((offer, Pattern::parse(&offer.pattern).ok()?)))
            .filter(|(_, pattern)| pattern.has_rest() || pattern.segments().contains(&Segment::Any))
            .collect();
        for (index, (other, others)) in open.iter().enumerate() {
            for (one, ones) in open.iter().take(index) {
                if one.method != other.method || one.security == other.security {
                    continue;
                }
                let first = match contest(ones, others) {
                    None => continue,
                    Some(Side::One) => one,
                    Some(Side::Other) => other,
                };
                let (one_path, other_path) = (&one.path, &other.path);
                if first.is_first || self.dialect == Dialect::Goa {
                    self.report.push(format!(
                        "{}: where `{other_path}` and `{one_path}` have paths in common, `{}` comes first",
                        other.id, first.id
                    ));
                    continue;
                }
                let why = format!(
                    "{}: `{other_path}` and `{one_path}` of `{}` have paths in common, and require \
                     different things; if the server takes `{first}` there, as the policy does, say \
                     --first '{first}'",
                    other.id,
                    one.id,
                    first = first.id
                );
                let place = format!("paths.{other_path}.{}", other.method.to_lowercase());
                self.fault(&place, why);
            }
        }
        self.offered = offered;
    }
}

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    One,
    Other,
}

/// What stands at a place of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part<'p> {
    Literal(&'p [u8]),
    Any,
    Rest,
    End,
}

/// Which of two patterns the policy takes for the paths of both; `None` where there are none, or where one
/// has no paths but the other's.
fn contest(one: &Pattern, other: &Pattern) -> Option<Side> {
    // Whether the narrower of two parts is the one's or the other's, place by place.
    let (mut first, mut is_contested) = (None, false);
    for (a, b) in parts(one).zip(parts(other)) {
        let narrower = match (a, b) {
            (Part::End, Part::End) | (Part::Rest, Part::Rest) => break,
            (Part::Rest, _) => Side::Other,
            (_, Part::Rest) => Side::One,
            (a, b) if a == b => continue,
            // A template is for what is not empty.
            (Part::Literal(text), Part::Any) if !text.is_empty() => Side::One,
            (Part::Any, Part::Literal(text)) if !text.is_empty() => Side::Other,
            _ => return None,
        };
        is_contested |= *first.get_or_insert(narrower) != narrower;
        if a == Part::Rest || b == Part::Rest {
            break;
        }
    }
    first.filter(|_| is_contested)
}

fn parts(pattern: &Pattern) -> impl Iterator<Item = Part<'_>> {
    let segments = pattern.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => Part::Literal(text),
        Segment::Any => Part::Any,
    });
    let rest = pattern.has_rest().then_some(Part::Rest);
    segments.chain(rest).chain(std::iter::repeat(Part::End))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, side: Option<Side>) {
        let pattern = |text| Pattern::parse(text).unwrap();
        assert_eq!(contest(&pattern(one), &pattern(other)), side, "{one} {other}");
        let turned = side.map(|side| if side == Side::One { Side::Other } else { Side::One });
        assert_eq!(contest(&pattern(other), &pattern(one)), turned, "{other} {one}");
    }

    #[test]
    fn the_literal_that_comes_first_decides() {
        check("/u/{id}", "/{x}/admin", Some(Side::One));
        check("/a/{x}/c/{y}", "/a/b/{z}/{y}", Some(Side::Other));
        check("/f/**", "/{x}/admin", Some(Side::One));
        check("/f/**", "/{x}", Some(Side::One));
        check("/{x}/**", "/{x}/{y}", None);
        check("/{x}/b/**", "/a/{y}/c", Some(Side::Other));
    }

    #[test]
    fn a_special_case_is_no_contest_and_neither_are_paths_apart() {
        check("/u/{id}", "/u/admin", None);
        check("/u/{id}", "/{x}/{y}", None);
        check("/**", "/{x}/admin", None);
        check("/u/{id}", "/{x}/admin/b", None);
        check("/u/{id}", "/v/{id}", None);
        check("/u/{id}", "/{x}/", None);
        check("/f/**", "/{x}/**", None);
    }
}
