//! `make bench`, with so few requests that its figures mean nothing: that it measures, compares and
//! writes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(folder: &Path, wishes: &[(&str, &str)]) -> Output {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    for name in ["BENCH_SECTION", "BENCH_PUBLISH", "BENCH_FROM"] {
        bench.env_remove(name);
    }
    // Sections have the names of filters: they are what they say, whatever the tests run as.
    bench.env_remove("GATEHOUSE_TEST_AS");
    bench.env("BENCH_TO", folder).env("BENCH_ROUNDS", "1").env("BENCH_REQUESTS", "64");
    bench.envs(wishes.iter().copied()).output().unwrap()
}

#[test]
fn a_small_run_writes_all_that_a_large_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[("BENCH_SECTION", "a PASSWORD")]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in
        ["1 sections, 7 variants, 1 rounds: about", "round 1 of 1", "## Targets", "written:"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }

    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("bench.json")).unwrap();
    let section = &report["sections"][0];
    assert_eq!(
        (&section["section"], &section["requests"]),
        (&"A password, a key".into(), &64.into())
    );
    let variants = section["variants"].as_array().unwrap();
    for variant in variants {
        let name = &variant["variant"];
        assert!(variant["cpu_us"]["median"].as_f64().unwrap() > 0.0, "{name}");
        assert!(variant["ready_ms"]["median"].as_f64().unwrap() > 1.0, "{name}");
        assert!(variant["memory_mb"]["median"].as_f64().unwrap() > 10.0, "{name}");
    }
    // An Envoy without a filter, and one with 10,000 keys.
    let memory = |place: usize| variants[place]["memory_mb"]["median"].as_f64().unwrap();
    assert!(memory(6) > memory(0) + 1.0, "{} and {}", memory(6), memory(0));
    assert_eq!(variants[6]["targets"][0]["measure"], "above empty, µs");

    let machine = &report["machine"];
    assert!(machine["envoy"].as_str().unwrap().starts_with("1."), "{machine:#}");
    let digest = machine["modules"][0]["sha256"].as_str().unwrap();
    let module = fs::read(tests::modules::module("access-policy")).unwrap();
    assert_eq!(
        (digest.len(), machine["modules"][0]["bytes"].as_u64()),
        (64, Some(module.len() as u64))
    );

    assert!(read("bench.md").contains("\n| api-key-auth, 10,000 keys "), "{}", read("bench.md"));
    let chart = read("bench.svg");
    let chart = roxmltree::Document::parse(&chart).unwrap();
    let words: Vec<_> = chart.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    assert!(words.contains(&"basic-auth, remembered"), "{words:?}");
}

#[test]
fn wishes_that_cannot_be_met_are_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    for (wishes, error) in [
        (
            &[("BENCH_SECTION", "nonsense")][..],
            "bench: no section has `nonsense` in its name; there are\n  A password, a key\n",
        ),
        (&[("BENCH_ROUNDS", "0")], "bench: BENCH_ROUNDS is `0`: a number from 1 on\n"),
        (&[("BENCH_REQUESTS", "many")], "bench: BENCH_REQUESTS is `many`: a number from 8 on\n"),
        (
            &[("BENCH_SECTION", "chain"), ("BENCH_PUBLISH", "1")],
            "bench: BENCH_PUBLISH is for all sections: leave BENCH_SECTION away\n",
        ),
        (
            &[("BENCH_FROM", "/nowhere")],
            "bench: /nowhere: No such file or directory (os error 2)\n",
        ),
    ] {
        let output = run(folder.path(), wishes);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.starts_with(error), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
