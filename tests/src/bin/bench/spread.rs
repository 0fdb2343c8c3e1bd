//! What was found in several rounds: the middle, and how far the rounds lie apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// First quartile, median, third quartile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of the values of all rounds. Nothing where there are none, or where one is no number: a part of
    /// nothing, say.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let usable = !sorted.is_empty() && sorted.iter().all(|value| value.is_finite());
        let at = |part| to_thousandths(quantile(&sorted, part));
        usable.then(|| Self { low: at(0.25), median: at(0.5), high: at(0.75) })
    }
}

/// The value at a part of the way through sorted ones, on a line between the two that it falls between.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * part;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// No more digits than mean something.
fn to_thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// `1.25 (1.20 to 1.40)`, with two digits or as many as asked for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { low, median, high } = self;
        write!(f, "{median:.digits$} ({low:.digits$} to {high:.digits$})")
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], text: &str) {
        assert_eq!(Spread::of(values).map(|spread| spread.to_string()).unwrap_or_default(), text);
    }

    #[test]
    fn quartiles_of_an_odd_number_are_values() {
        check(&[5.0, 1.0, 4.0, 2.0, 3.0], "3.00 (2.00 to 4.00)");
    }

    #[test]
    fn quartiles_of_an_even_number_lie_between() {
        check(&[4.0, 1.0, 2.0, 3.0], "2.50 (1.75 to 3.25)");
    }

    #[test]
    fn one_round_has_no_spread() {
        check(&[-1.234], "-1.23 (-1.23 to -1.23)");
    }

    #[test]
    fn nothing_and_a_part_of_nothing_are_no_result() {
        check(&[], "");
        check(&[1.0, f64::INFINITY], "");
        check(&[1.0, f64::NAN], "");
    }
}
