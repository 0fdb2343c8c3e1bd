//! The result as a chart in SVG: a bar for each variant, its median, with the quartiles as a line on it.
//!
//! It has its own ground, and colours for light and for dark of which each can be read on it; no meaning
//! is in colour alone. Sections by size are tables of the page.

use svg::Document;
use svg::node::element::{Group, Line, Rectangle, Style, Text, Title};

use crate::plan::Whose;
use crate::report::{Measured, Report, Row};
use crate::watch::NOISY;

const WIDTH: f64 = 900.0;
/// Where bars begin, and how long the longest may be; names stand before them, values behind.
const LEFT: f64 = 290.0;
const LONGEST: f64 = 430.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;
/// What a section has above its rows for its name, and below them for its scale.
const NAME: f64 = 44.0;
const SCALE: f64 = 26.0;
const HEAD: f64 = 74.0;
/// About how many steps a scale has.
const STEPS: f64 = 6.0;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.name { font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.ground { fill: #ffffff }
.grid { stroke: #d1d9e0 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.ours { fill: #4493f8 }
.envoy { fill: #e08a3c }
.yardstick { fill: #9198a1 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .small { fill: #9198a1 }
  .ground { fill: #0d1117 }
  .grid { stroke: #3d444d }
  .spread { stroke: #f0f6fc }
  .ours { fill: #1f6feb }
  .envoy { fill: #b3591b }
  .yardstick { fill: #656c76 }
}
";

/// The chart, `bench.svg`.
pub(crate) fn chart(report: &Report) -> String {
    let sections: Vec<_> = report.sections.iter().filter(|section| !section.by_size).collect();
    let height = HEAD + sections.iter().map(|section| height_of(section)).sum::<f64>();
    let mut chart = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .add(Title::new("What the filters cost: CPU time per request"))
        .add(Style::new(STYLE))
        .add(rectangle("ground", 0.0, 0.0, WIDTH, height));
    chart = chart.add(head(report));
    let mut top = HEAD;
    for section in sections {
        chart = chart.add(draw(section, top));
        top += height_of(section);
    }
    format!("{chart}\n")
}

fn head(report: &Report) -> Group {
    let machine = &report.machine;
    let what = "Microseconds of CPU time per request above no filter: medians, and quartiles over";
    let what = format!("{what} {} rounds.", report.rounds);
    let noise = if report.others > NOISY { ", while the machine was not quiet" } else { "" };
    let place = format!(
        "{}, {} cores, Envoy {}, one worker, {}{noise}",
        machine.cpu, machine.cores, machine.envoy, machine.date
    );
    let head = Group::new()
        .add(text("title", 16.0, 26.0, "What the filters cost"))
        .add(text("small", 16.0, 46.0, &what))
        .add(text("small", 16.0, 62.0, &place));
    let legend = [("ours", "Gatehouse"), ("envoy", "Envoy’s own"), ("yardstick", "yardstick")];
    legend.into_iter().zip(0_u8..).fold(head, |head, ((class, words), place)| {
        let left = 550.0 + 118.0 * f64::from(place);
        head.add(rectangle(class, left, 15.0, 12.0, 12.0)).add(text("", left + 18.0, 26.0, words))
    })
}

/// The variants of a section that have something to show: no filter is the zero of the scale.
fn rows(section: &Measured) -> impl Iterator<Item = &Row> {
    section.variants.iter().filter(|row| row.whose != Whose::Nobody)
}

fn height_of(section: &Measured) -> f64 {
    NAME + ROW * rows(section).count() as f64 + SCALE
}

fn draw(section: &Measured, top: f64) -> Group {
    let greatest = rows(section).map(|row| row.above_us.high).fold(0.1, f64::max);
    let at = |value: f64| LEFT + LONGEST * (value / greatest).clamp(0.0, 1.0);
    let bottom = top + height_of(section) - SCALE;
    let mut group = Group::new().add(text("name", 16.0, top + 26.0, &section.section));
    for value in scale(greatest) {
        group = group.add(line("grid", (at(value), top + NAME - 6.0), (at(value), bottom))).add(
            text("small", at(value), bottom + 14.0, &value.to_string())
                .set("text-anchor", "middle"),
        );
    }
    for (row, place) in rows(section).zip(0_u8..) {
        let middle = top + NAME + ROW * f64::from(place) + ROW / 2.0;
        let spread = row.above_us;
        let label = text("", LEFT - 10.0, middle + 4.5, &row.variant).set("text-anchor", "end");
        let length = at(spread.median) - LEFT;
        group = group
            .add(label)
            .add(rectangle(class(row.whose), LEFT, middle - BAR / 2.0, length, BAR))
            .add(line("spread", (at(spread.low), middle), (at(spread.high), middle)))
            .add(end(at(spread.low), middle))
            .add(end(at(spread.high), middle))
            .add(text("", at(spread.high.max(spread.median)) + 10.0, middle + 4.5, &value(row)));
    }
    group
}

/// The median, and what of it is not as it was to be.
fn value(row: &Row) -> String {
    let missed = row.targets.iter().any(|target| !target.held);
    format!("{:.2}{}", row.above_us.median, if missed { " (target not held)" } else { "" })
}

const fn class(whose: Whose) -> &'static str {
    match whose {
        Whose::Ours => "ours",
        Whose::Envoy => "envoy",
        Whose::Yardstick | Whose::Nobody => "yardstick",
    }
}

/// Zero, and round numbers in equal steps up to the greatest.
fn scale(greatest: f64) -> Vec<f64> {
    let power = 10_f64.powf((greatest / STEPS).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| greatest / step <= STEPS).unwrap_or(steps[3]);
    let count = (greatest / step).floor() as u32;
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    (0..=count).map(|number| rounded(step * f64::from(number))).collect()
}

fn text(class: &str, x: f64, y: f64, words: &str) -> Text {
    let text = Text::new(words).set("x", shown(x)).set("y", shown(y));
    if class.is_empty() { text } else { text.set("class", class) }
}

fn rectangle(class: &str, x: f64, y: f64, width: f64, height: f64) -> Rectangle {
    Rectangle::new()
        .set("class", class)
        .set("x", shown(x))
        .set("y", shown(y))
        .set("width", shown(width))
        .set("height", shown(height))
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Line {
    Line::new()
        .set("class", class)
        .set("x1", shown(from.0))
        .set("y1", shown(from.1))
        .set("x2", shown(to.0))
        .set("y2", shown(to.1))
}

/// The end of a spread.
fn end(x: f64, middle: f64) -> Line {
    line("spread", (x, middle - 4.0), (x, middle + 4.0))
}

/// No more digits than a screen shows.
fn shown(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod test {
    use roxmltree::Node;

    use super::*;
    use crate::report::test::report;

    /// What is found of the chart's elements, which are read as any reader of XML would.
    fn all<T>(report: &Report, find: impl Fn(&Node<'_, '_>) -> Option<T>) -> Vec<T> {
        let text = chart(report);
        let document =
            roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        document.descendants().filter_map(|node| find(&node)).collect()
    }

    fn number(node: &Node<'_, '_>, name: &str) -> f64 {
        node.attribute(name).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }

    fn is_rectangle(node: &Node<'_, '_>) -> bool {
        node.tag_name().name() == "rect"
    }

    fn words(report: &Report) -> Vec<String> {
        all(report, |node| {
            (node.tag_name().name() == "text")
                .then(|| node.text().unwrap_or_default().trim().to_owned())
        })
    }

    /// How long a value is drawn where 5.25 is the greatest.
    fn length(value: f64) -> f64 {
        shown(LONGEST * value / 5.25)
    }

    #[test]
    fn a_bar_is_as_long_as_its_median() {
        let bars = all(&report(), |node| {
            let class = node.attribute("class")?.to_owned();
            (number(node, "height") == BAR).then(|| (class, number(node, "width")))
        });
        let expected = [("yardstick", 2.0), ("envoy", 2.0), ("ours", 5.0), ("ours", 5.0)];
        assert_eq!(bars, expected.map(|(class, median)| (class.to_owned(), length(median))));
    }

    #[test]
    fn the_quartiles_are_a_line() {
        let lines = all(&report(), |node| {
            let level = number(node, "y1") == number(node, "y2");
            (node.attribute("class") == Some("spread") && level)
                .then(|| (number(node, "x1"), number(node, "x2")))
        });
        let quartiles = [(2.0, 2.25), (2.0, 2.5), (4.5, 5.0), (4.75, 5.25)];
        assert_eq!(lines, quartiles.map(|(low, high)| (LEFT + length(low), LEFT + length(high))));
    }

    #[test]
    fn every_variant_has_its_name_and_its_value_in_words() {
        let words = words(&report());
        for word in
            ["A password", "empty", "Envoy's <own>", "basic-auth", "2.00", "5.00 (target not held)"]
        {
            assert!(words.iter().any(|known| known == word), "{word}: {words:?}");
        }
        assert!(!words.iter().any(|word| word == "no filter"));
    }

    #[test]
    fn sections_by_size_are_left_to_the_page() {
        let count =
            |report: &Report| words(report).iter().filter(|word| *word == "A password").count();
        assert_eq!(count(&report()), 1);
    }

    #[test]
    fn what_is_less_than_nothing_has_no_length() {
        let mut report = report();
        let row = &mut report.sections[0].variants[1];
        row.above_us = crate::spread::Spread { low: -2.0, median: -1.0, high: -0.5 };
        let widths = all(&report, |node| is_rectangle(node).then(|| number(node, "width")));
        assert!(widths.iter().all(|width| *width >= 0.0), "{widths:?}");
        assert!(words(&report).contains(&"-1.00".to_owned()));
    }

    #[test]
    fn it_says_that_the_machine_was_not_quiet() {
        let says = |report: &Report| words(report).iter().any(|word| word.contains("not quiet"));
        assert!(says(&Report { others: 0.2, ..report() }) && !says(&report()));
    }

    #[test]
    fn nothing_is_drawn_outside() {
        let outside = all(&report(), |node| {
            let right = ["x", "x1", "x2"].map(|name| number(node, name));
            let right = right.into_iter().fold(0.0, f64::max);
            (right > WIDTH).then_some(right)
        });
        assert!(outside.is_empty(), "{outside:?}");
    }

    #[test]
    fn a_scale_has_round_numbers_up_to_the_greatest() {
        assert_eq!(scale(5.25), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(scale(110.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(scale(0.1), [0.0, 0.02, 0.04, 0.06, 0.08, 0.1]);
    }
}
