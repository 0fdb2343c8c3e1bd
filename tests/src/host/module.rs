//! Built modules: found, compiled once in a process, looked into.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use wasmtime::{Config, Engine, ExternType, Module, OptLevel};

use super::error::LoadError;

/// Where a built module lies: `dist/<name>.wasm`, or `dist/test/` for those of the tests.
pub fn path_of(name: &str) -> PathBuf {
    let dist = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../dist"));
    let test = dist.join("test").join(name).with_extension("wasm");
    if test.exists() { test } else { dist.join(name).with_extension("wasm") }
}

/// The size of a built module, in bytes.
pub fn size_of(name: &str) -> Result<u64, LoadError> {
    fs::metadata(path_of(name)).map(|file| file.len()).map_err(|error| missing(name, &error))
}

/// What a built module imports, as `module.function`, sorted.
pub fn imports_of(name: &str) -> Result<Vec<String>, LoadError> {
    let module = built(name)?;
    let mut names: Vec<_> =
        module.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect();
    names.sort();
    Ok(names)
}

/// The functions that a built module exports, sorted.
pub fn exports_of(name: &str) -> Result<Vec<String>, LoadError> {
    let module = built(name)?;
    let functions = module.exports().filter(|export| matches!(export.ty(), ExternType::Func(_)));
    let mut names: Vec<_> = functions.map(|export| export.name().to_owned()).collect();
    names.sort();
    Ok(names)
}

/// A built module, compiled once in a process.
pub(super) fn built(name: &str) -> Result<Module, LoadError> {
    let path = path_of(name);
    let key = path.display().to_string();
    compiled(&key, || fs::read(&path).map_err(|error| missing(name, &error)))
}

/// A module from its text or its bytes, compiled once in a process.
pub(super) fn written(text: &str) -> Result<Module, LoadError> {
    compiled(text, || Ok(text.as_bytes().to_vec()))
}

pub(super) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
        Engine::new(&config).expect("an engine for this machine")
    })
}

fn compiled(
    key: &str,
    bytes: impl FnOnce() -> Result<Vec<u8>, LoadError>,
) -> Result<Module, LoadError> {
    type Modules = Mutex<HashMap<String, Module>>;
    static MODULES: OnceLock<Modules> = OnceLock::new();
    let mut modules =
        MODULES.get_or_init(Modules::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(key) {
        return Ok(module.clone());
    }
    let module =
        Module::new(engine(), bytes()?).map_err(|error| LoadError(format!("{error:?}")))?;
    modules.insert(key.to_owned(), module.clone());
    Ok(module)
}

fn missing(name: &str, error: &std::io::Error) -> LoadError {
    LoadError(format!("dist/{name}.wasm: {error}; build the modules first"))
}
