//! Where the built modules are.

use std::path::{Path, PathBuf};

/// The top of the project.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the project")
}

/// The built module of a filter, or of a filter that is for tests only.
pub fn module(name: &str) -> PathBuf {
    let places = [format!("dist/{name}.wasm"), format!("dist/test/{name}.wasm")];
    let found = places.iter().map(|place| top().join(place)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no {} nor {}; run `make wasm`", places[0], places[1]))
}

/// The module that has every filter.
pub const BUNDLE: &str = "gatehouse";

/// The names of the filters: the folders in `filters/`, but for the one that bundles them.
pub fn filters() -> Vec<String> {
    let folders = std::fs::read_dir(top().join("filters")).expect("filters/ is there");
    let mut names: Vec<_> = folders
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("src/main.rs").exists())
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .filter(|name| name != "bundle")
        .collect();
    names.sort();
    names
}
