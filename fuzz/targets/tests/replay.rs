//! The corpora, played again: what was found once stays mended.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "in a test, to panic is to fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz_targets::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz().join(folder)).unwrap();
    let stem = |entry: fs::DirEntry| {
        let path = entry.path();
        path.file_stem().unwrap().to_string_lossy().into_owned()
    };
    entries.map(|entry| stem(entry.unwrap())).collect()
}

#[test]
fn every_target_has_a_fuzzer_and_a_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

#[test]
fn every_target_is_described() {
    let text = fs::read_to_string(fuzz().join("../docs/fuzzing.md")).unwrap();
    for (name, _) in TARGETS {
        assert!(text.contains(&format!("`{name}`")), "docs/fuzzing.md does not name {name}");
    }
}

/// They are kept for ever, and played at every test.
#[test]
fn the_corpora_are_small() {
    let mut bytes = 0;
    for (name, _) in TARGETS {
        for entry in fs::read_dir(fuzz().join("corpus").join(name)).unwrap() {
            bytes += entry.unwrap().metadata().unwrap().len();
        }
    }
    assert!(bytes <= 2 << 20, "{bytes} bytes");
}

#[test]
fn the_corpora_find_nothing() {
    for (name, target) in TARGETS {
        let mut count = 0_usize;
        for entry in fs::read_dir(fuzz().join("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            // So that a panic says of what.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name}");
    }
}

#[test]
fn what_is_short_finds_nothing() {
    for (_, target) in TARGETS {
        target(b"");
        for byte in 0..=u8::MAX {
            target(&[byte]);
            target(&[byte, 0, byte]);
        }
    }
}
