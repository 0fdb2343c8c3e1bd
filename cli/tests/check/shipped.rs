//! Every configuration that the project ships passes, strictly.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run;

const ENVIRONMENT: [(&str, &str); 3] =
    [("DAVE_PASSWORD", "x"), ("ACME_KEY", "long enough"), ("CLIENT_SECRET", "x")];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|known| known == ending)).collect()
}

#[track_caller]
fn passes(arguments: &[&str], text: &str) {
    let said = run(&[&["--strict", "--env"], arguments].concat(), text.as_bytes(), &ENVIRONMENT);
    assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
}

#[test]
fn every_bootstrap_and_every_manifest() {
    let all = [files("envoy", "yaml"), files("envoy/istio", "yaml")].concat();
    assert!(all.len() > 3);
    for file in all {
        passes(&[&file.display().to_string()], "");
    }
}

#[test]
fn every_example_in_a_readme() {
    let mut examples = 0;
    for entry in fs::read_dir(top().join("filters")).unwrap() {
        let readme = entry.unwrap().path().join("README.md");
        let Ok(text) = fs::read_to_string(&readme) else { continue };
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            passes(&["-"], block);
            examples += 1;
        }
    }
    assert!(examples >= 3, "{examples}");
}

#[test]
fn every_filter_is_known() {
    for entry in fs::read_dir(top().join("filters")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "bundle" {
            let said = run(&["--filter", &name, "-"], b"{}", &[]);
            assert_ne!(said.code, 2, "cli/src/check/known.rs does not know {name}: {}", said.err);
        }
    }
}

#[test]
fn every_code_is_explained() {
    let code = fs::read_to_string(top().join("cli/src/check/lints/mod.rs")).unwrap();
    let readme = fs::read_to_string(top().join("cli/README.md")).unwrap();
    let arms = code.lines().filter(|line| line.trim().starts_with("Self::"));
    let codes: Vec<_> = arms.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(codes.len() > 25, "{codes:?}");
    for code in codes {
        assert!(readme.contains(&format!("`{code}`")), "cli/README.md does not explain {code}");
    }
}
