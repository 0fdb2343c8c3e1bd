//! The result for people: a page of Markdown, whose parts are printed too.

use crate::report::{Measured, Report, Row, Verdict};
use crate::watch::NOISY;

/// The page, `bench.md`, which shows the chart beside it.
pub(crate) fn page(report: &Report) -> String {
    let sections: String = report.sections.iter().map(section).collect();
    [
        "# What the filters cost\n\n",
        "Written by `BENCH_PUBLISH=1 make bench`, with [`bench.json`](bench.json) and the chart; not by hand.\n\n",
        HOW,
        &machine(report),
        "\n![CPU time per request, section by section](bench.svg)\n\n",
        &targets(report),
        &sections,
        &core(report),
        &modules(report),
    ]
    .concat()
}

/// The same for a terminal, where the end is what one sees: the targets.
pub(crate) fn terminal(report: &Report) -> String {
    let sections: String = report.sections.iter().map(section).collect();
    let parts = [
        &sections,
        &core(report),
        &modules(report),
        "## Machine\n\n",
        &machine(report),
        "\n",
        &targets(report),
    ];
    parts.concat()
}

const HOW: &str = "\
What a request costs is the CPU time of the whole Envoy process: a release build with one worker, which
answers by itself, kept HTTP/1.1 connections. All variants of a section get the same requests from h2load,
with the same headers; the first has no filter, and what the others cost is what they cost above it in the
same round. Every round starts new processes, and goes through the variants in the other direction. What is
shown is the median over the rounds, with the quartiles. `empty` is a filter in Wasm that does nothing, on the
plain SDK; `floor`, on the plain SDK too, decides nothing, and makes the calls to the proxy that no filter with
that contract can do without (`tests/modules/floor`). A variant that counts what it does has to have counted
every request, or the run fails.

";

/// Where it was measured.
fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let others = 100.0 * report.others;
    let mut text = format!(
        "- {}, {} cores, {} GB, {}\n- Envoy {}\n- modules by {} and {}; load by {}\n\
         - {} at {}, {} rounds in {}:{:02} minutes\n\
         - others had {others:.1} % of the machine's time meanwhile; load average before it {:.2}\n",
        machine.cpu,
        machine.cores,
        machine.memory_gb,
        machine.kernel,
        machine.envoy,
        machine.rustc,
        machine.wasm_opt,
        machine.h2load,
        machine.commit,
        machine.date,
        report.rounds,
        report.seconds / 60,
        report.seconds % 60,
        machine.load_average,
    );
    if report.others > NOISY {
        text += "\n**The machine was not quiet: these figures are not to be relied on.**\n";
    }
    text
}

/// What was promised, and whether it is held.
fn targets(report: &Report) -> String {
    let all: Vec<_> = report.sections.iter().flat_map(verdicts).collect();
    if all.is_empty() {
        return "## Targets\n\nNone in these sections.\n".to_owned();
    }
    let held = all.iter().filter(|(_, _, verdict)| verdict.held).count();
    let rows = all.iter().map(|(section, row, verdict)| {
        vec![
            section.section.clone(),
            row.variant.clone(),
            verdict.measure.clone(),
            verdict.found.map_or_else(|| "too little".to_owned(), |found| found.to_string()),
            verdict.most.to_string(),
            if verdict.held { "held" } else { "**not held**" }.to_owned(),
        ]
    });
    let head = ["section", "variant", "measure", "found", "at most", "verdict"];
    let table = table(&head, rows.collect());
    format!("## Targets\n\nHeld by the median: {held} of {}.\n\n{table}", all.len())
}

fn verdicts(section: &Measured) -> impl Iterator<Item = (&Measured, &Row, &Verdict)> {
    let rows = section.variants.iter();
    rows.flat_map(move |row| row.targets.iter().map(move |verdict| (section, row, verdict)))
}

fn section(section: &Measured) -> String {
    let table = if section.by_size { by_size(section) } else { by_variant(section) };
    let Measured { section, about, requests, .. } = section;
    format!("\n## {}\n\n{} {requests} requests a round.\n\n{table}", cell(section), cell(about))
}

fn by_variant(section: &Measured) -> String {
    let reference = section.reference();
    let part = reference.map_or_else(String::new, |row| format!("of {}", row.variant));
    let rows = section.variants.iter().map(|row| {
        let whole = reference.map_or(0.0, |reference| reference.above_us.median);
        let part = row.above_us.median / whole;
        vec![
            row.variant.clone(),
            row.cpu_us.to_string(),
            row.above_us.to_string(),
            if whole > 0.0 { format!("{part:.2}") } else { String::new() },
        ]
    });
    let head = ["variant", "CPU per request, µs", "above no filter, µs", &part];
    table(&head, rows.collect())
}

fn by_size(section: &Measured) -> String {
    let rows = section.variants.iter().map(|row| {
        vec![
            row.variant.clone(),
            format!("{:.0}", row.ready_ms),
            format!("{:.1}", row.memory_mb),
            row.cpu_us.to_string(),
            row.above_us.to_string(),
        ]
    });
    let head =
        ["variant", "ready after, ms", "memory, MB", "CPU per request, µs", "above no filter, µs"];
    table(&head, rows.collect())
}

/// The parts of the core.
fn core(report: &Report) -> String {
    if report.core.is_empty() {
        return String::new();
    }
    let rows = report.core.iter().map(|part| {
        let [low, median, high] = part.nanoseconds;
        vec![part.name.clone(), format!("{median:.1} ({low:.1} to {high:.1})")]
    });
    let table = table(&["part", "median, ns (95 % between)"], rows.collect());
    format!("\n## The core, natively\n\n`cargo bench -p shared --features testing`\n\n{table}")
}

fn modules(report: &Report) -> String {
    let rows = report.machine.modules.iter().map(|module| {
        let kilobytes = module.bytes as f64 / 1000.0;
        vec![module.name.clone(), format!("{kilobytes:.0}"), format!("`{}`", module.sha256)]
    });
    format!("\n## Modules\n\n{}\n", table(&["module", "kB", "SHA-256"], rows.collect()))
}

/// A table that reads as one where it is not rendered, too.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<_> = head.iter().map(|word| (*word).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows)
        .map(|row| row.iter().map(|text| cell(text)).collect())
        .collect();
    let widths: Vec<_> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!(" {text:width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let (head, rows) = rows.split_at(1);
    let lines = head.iter().chain([&rule]).chain(rows);
    lines.map(|row| line(row)).collect()
}

/// Text that Markdown leaves as it is.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|")
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::report::test::report;

    #[test]
    fn shows_every_variant_with_its_parts() {
        let page = page(&report());
        let section = page.split("## A password\n").nth(1).unwrap();
        let lines: Vec<_> = section.lines().skip(1).take(8).collect();
        assert_eq!(
            lines,
            [
                "A password &amp; its check. 10000 requests a round.",
                "",
                "| variant          | CPU per request, µs    | above no filter, µs | of Envoy's &lt;own> |",
                "| ---------------- | ---------------------- | ------------------- | ------------------- |",
                "| no filter        | 11.00 (10.50 to 11.50) | 0.00 (0.00 to 0.00) | 0.00                |",
                "| empty            | 13.50 (12.75 to 13.75) | 2.00 (2.00 to 2.25) | 1.00                |",
                "| Envoy's &lt;own> | 13.00 (12.50 to 14.00) | 2.00 (2.00 to 2.50) | 1.00                |",
                "| basic-auth       | 16.00 (15.00 to 16.50) | 5.00 (4.50 to 5.00) | 2.50                |",
            ]
        );
    }

    #[test]
    fn shows_start_and_memory_by_size() {
        let page = page(&report());
        let row = "| basic-auth       | 210 (205 to 220) | 60.5 (60.2 to 60.8) | 16.00 (15.00 to 16.50) | 5.00 (4.50 to 5.00) |";
        assert!(page.contains(row), "{page}");
    }

    #[test]
    fn says_of_each_target_whether_it_is_held() {
        let page = page(&report());
        assert!(page.contains("Held by the median: 2 of 6."), "{page}");
        for line in [
            "| A password | basic-auth       | above empty, µs                 | 2.50 (2.25 to 2.75) | 3       | held         |",
            "| A password | basic-auth       | of Envoy's &lt;own>             | 2.00 (1.83 to 2.25) | 1       | **not held** |",
        ] {
            assert!(page.contains(line), "{page}");
        }
    }

    #[test]
    fn says_where_and_with_what() {
        let page = page(&report());
        for line in [
            "- A CPU, 2 cores, 25 GB, Linux 6.1.0\n- Envoy 1.40.0 (Clean, RELEASE)\n",
            "- modules by rustc 1.95.0 and wasm-opt version 108; load by h2load nghttp2/1.52.0\n",
            "- 0123456789ab at 2026-01-02, 3 rounds in 2:05 minutes\n",
            "- others had 1.2 % of the machine's time meanwhile; load average before it 0.25\n\n",
            "| basic-auth | 312 | `abab",
            "| path: plain | 81.0 (80.0 to 82.5)       |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("not quiet"));
    }

    #[test]
    fn says_that_the_machine_was_not_quiet() {
        let noisy = Report { others: 0.2, ..report() };
        assert!(page(&noisy).contains("**The machine was not quiet"));
    }

    #[test]
    fn the_terminal_ends_with_the_targets() {
        let text = terminal(&report());
        assert!(text.trim_end().rsplit("\n\n").nth(1).unwrap().starts_with("Held by the median"));
        let without = Report { sections: Vec::new(), ..report() };
        assert!(terminal(&without).ends_with("None in these sections.\n"));
    }
}
