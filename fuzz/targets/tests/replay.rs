//! The corpora, played again: what was found once stays mended. And changed at random, for a look without
//! a fuzzer: `GATEHOUSE_ROUNDS` says how often for each target, 20 if nothing does; `GATEHOUSE_SEED` from
//! which seed, and `GATEHOUSE_TARGET` for which target alone.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "in a test, to panic is to fail")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "test code"
)]

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
fn changed_corpora_find_nothing() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("GATEHOUSE_ROUNDS").unwrap_or(20);
    let one = std::env::var("GATEHOUSE_TARGET").ok();
    for (name, target) in TARGETS {
        if one.as_ref().is_some_and(|one| one != name) {
            continue;
        }
        let files = fs::read_dir(fuzz().join("corpus").join(name)).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let files: Vec<_> = files.into_iter().map(|path| fs::read(path).unwrap()).collect();
        let mut dice = Dice(number("GATEHOUSE_SEED").unwrap_or(1));
        for round in 0..rounds {
            let bytes = changed(&mut dice, &files);
            let played = std::panic::catch_unwind(|| target(&bytes));
            if let Err(panic) = played {
                let place = std::env::temp_dir().join(format!("gatehouse-fuzz-{name}"));
                fs::write(&place, &bytes).unwrap();
                println!("{name}, round {round}: what was played is in {}", place.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Two files, or one and bytes of no meaning, put together and changed in some places.
fn changed(dice: &mut Dice, files: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = files[dice.below(files.len())].clone();
    let other = match dice.below(3) {
        0 => (0..dice.below(400)).map(|_| dice.below(256) as u8).collect(),
        _ => files[dice.below(files.len())].clone(),
    };
    for _ in 0..dice.below(8) {
        let (at, from) = (dice.below(bytes.len() + 1), dice.below(other.len() + 1));
        let end = (from + dice.below(64)).min(other.len());
        match dice.below(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, other[from..end].iter().copied())),
            2 => bytes.extend(&other[from..]),
            3 => drop(bytes.drain(at..(at + dice.below(16)).min(bytes.len()))),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
        }
    }
    bytes.truncate(4096);
    bytes
}

/// `SplitMix64`: the same from the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
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
