//! The invariants of the tree. Where one does not hold, the message says what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::modules::{filters, top};

/// Every file below the places where source is, by its ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in ["shared", "filters", "cli", "tests"] {
        collect(&top().join(place), ending, &mut found);
    }
    assert!(!found.is_empty());
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|known| known == ending) {
            found.push(path);
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    let path = top().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_file_says_first_what_it_is() {
    for path in files("rs") {
        assert!(read(&path).starts_with("//! "), "{} does not open with `//! `", path.display());
    }
}

#[test]
fn files_can_be_read_at_a_sitting() {
    for path in files("rs") {
        let lines = read(&path).lines().count();
        assert!(lines <= 520, "{} has {lines} lines: split it", path.display());
    }
}

#[test]
fn the_abi_is_named_in_the_adapter_alone() {
    // `cli/src/module.rs` reads what a built module exports.
    let adapter = [
        "shared/src/proxy",
        "shared/src/plugin.rs",
        "shared/src/lib.rs",
        "cli/src/module.rs",
        "tests/",
    ];
    for path in files("rs") {
        let place = path.strip_prefix(top()).unwrap().to_string_lossy().into_owned();
        if adapter.iter().any(|allowed| place.starts_with(allowed)) {
            continue;
        }
        let text = read(&path);
        for word in
            ["unsafe {", "unsafe fn", "no_mangle", "proxy_on_", "extern \"C\"", "shared::proxy::"]
        {
            // The program reads the names of a built module's exports.
            let is_data = word == "proxy_on_" && place.starts_with("cli/");
            assert!(
                is_data || !text.contains(word),
                "{place} says `{word}`: that belongs in shared/src/proxy"
            );
        }
    }
}

#[test]
fn every_filter_has_the_same_shape() {
    let table = read("README.md");
    for name in filters() {
        for file in ["Cargo.toml", "README.md", "src/lib.rs", "src/main.rs", "src/config.rs"] {
            read(format!("filters/{name}/{file}"));
        }
        read(format!("envoy/{name}.yaml"));
        read(format!("envoy/istio/{name}.yaml"));
        let snake = name.replace('-', "_");
        read(format!("tests/proxy/{snake}.rs"));
        read(format!("tests/module/{snake}.rs"));
        let forbids =
            read(format!("filters/{name}/src/lib.rs")).contains("#![forbid(unsafe_code)]");
        assert!(forbids, "{name}: lib.rs has no #![forbid(unsafe_code)]");
        assert!(
            table.contains(&format!("(filters/{name}/README.md)")),
            "{name} is not in README.md"
        );
        let readme = read(format!("filters/{name}/README.md"));
        for section in ["## Rules", "## Settings", "```yaml"] {
            assert!(readme.contains(section), "filters/{name}/README.md has no {section}");
        }
    }
}

/// What a filter's module says in `plugin!`: its type, and its phases.
fn plugin_of(name: &str) -> (String, Vec<String>) {
    let main = read(format!("filters/{name}/src/main.rs"));
    let arguments = main.split_once("plugin!(").unwrap().1.split_once(')').unwrap().0;
    let mut arguments = arguments.split(',').map(|argument| argument.trim().to_owned());
    let plugin = arguments.next().unwrap();
    (plugin.rsplit("::").next().unwrap().to_owned(), arguments.collect())
}

#[test]
fn the_bundle_has_every_filter_with_its_phases() {
    let (lib, main) = (read("filters/bundle/src/lib.rs"), read("filters/bundle/src/main.rs"));
    for name in filters() {
        let (plugin, phases) = plugin_of(&name);
        let calls: String = phases.iter().map(|phase| format!(".{phase}()")).collect();
        let line = format!("Kind::of::<{plugin}>(Phases::REQUEST{calls}),");
        assert!(lib.contains(&line), "filters/bundle/src/lib.rs has no `{line}` for {name}");
        for phase in phases {
            let says = main.contains(&format!(", {phase}"));
            assert!(says, "filters/bundle/src/main.rs does not say `{phase}`, as {name} does");
        }
    }
}

#[test]
fn filters_do_not_depend_on_each_other_nor_on_the_sdk() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let needs = package["dependencies"].as_array().unwrap();
        let needs: Vec<_> = needs.iter().map(|need| need["name"].as_str().unwrap()).collect();
        if filters().contains(&name.to_owned()) {
            let other = needs.iter().find(|need| filters().contains(&(**need).to_owned()));
            assert!(other.is_none(), "{name} depends on {other:?}");
        }
        assert!(
            matches!(name, "empty" | "floor") || !needs.contains(&"proxy-wasm"),
            "{name} depends on the SDK"
        );
    }
}

#[test]
fn every_member_has_the_lints_of_the_workspace() {
    for path in files("toml") {
        let text = read(&path);
        if text.contains("[package]") {
            assert!(text.contains("[lints]\nworkspace = true"), "{}", path.display());
        }
    }
}

#[test]
fn every_path_that_a_document_names_exists() {
    for document in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "envoy/README.md"]
    {
        let text = read(document);
        for word in text.split('`').skip(1).step_by(2) {
            let starts = ["shared/", "filters/", "cli/", "tests/", "envoy/", "scripts/", ".ci/"];
            if starts.iter().any(|start| word.starts_with(start)) && !word.contains(['*', ' ', 'N'])
            {
                assert!(top().join(word).exists(), "{document} names {word}, which is not there");
            }
        }
    }
}

/// All documents of the tree.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in ["cli", "envoy", "filters", "fuzz", "shared", "tests"] {
        collect(&top().join(place), "md", &mut found);
    }
    let here = fs::read_dir(top()).unwrap().map(|entry| entry.unwrap().path());
    found.extend(here.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    assert!(found.len() > 12, "{found:?}");
    found
}

/// A name of so many words is that of a test, or of nothing else here.
#[test]
fn every_test_that_a_document_names_exists() {
    let source: String = files("rs").iter().map(read).collect();
    let is_test = |word: &&str| {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        word.matches('_').count() >= 5 && word.bytes().all(is_name)
    };
    let mut count = 0;
    for document in documents() {
        for name in read(&document).split('`').filter(is_test) {
            let there = source.contains(&format!("fn {name}("));
            assert!(there, "{} names the test `{name}`: there is none", document.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for path in documents() {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '\n']).next()) {
            let link = link.split('#').next().unwrap();
            let is_elsewhere = link.is_empty() || link.contains("://");
            let leads = path.parent().unwrap().join(link).exists();
            assert!(is_elsewhere || leads, "{}: nothing is at {link}", path.display());
        }
    }
}

#[test]
fn every_make_command_that_a_document_names_exists() {
    let makefile = read("Makefile");
    let exists = |target: &str| {
        let rule = format!("{target}:");
        makefile.lines().any(|line| line.starts_with(&rule))
    };
    let mut count = 0;
    for path in documents() {
        let text = read(&path);
        // In backticks, at the start of a line, or behind another command.
        let starts = ["`make ", "\nmake ", "&& make "];
        let named = starts.iter().flat_map(|start| text.split(start).skip(1));
        for target in named.filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next())
        {
            let place = path.display();
            assert!(target.is_empty() || exists(target), "{place}: there is no `make {target}`");
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}
