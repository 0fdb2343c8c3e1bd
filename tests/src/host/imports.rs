//! The functions that a module may import, and what happens around each: counting and faults.

use wasmtime::{Caller, FuncType, Linker, Module, Val, ValType};

use super::error::LoadError;
use super::guest::{Done, Guest, Stop};
use super::module::engine;
use super::state::State;
use super::{http, services, wasi};

/// One import: its name, its parameters (`i` 32 bits, `I` 64) and what it does. All but
/// `proc_exit` return 32 bits.
pub(super) type Import = (&'static str, &'static str, fn(&mut Guest<'_>) -> Done);

/// Links what the module imports, and names what no proxy would give it.
pub(super) fn link(module: &Module) -> Result<Linker<State>, LoadError> {
    let mut linker = Linker::new(engine());
    let mut unknown = Vec::new();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        match find(from, name) {
            Some(found) => define(&mut linker, from, found)?,
            None => unknown.push(format!("{from}.{name}")),
        }
    }
    match &unknown[..] {
        [] => Ok(linker),
        names => Err(LoadError(format!("unknown imports: {}", names.join(", ")))),
    }
}

/// Whether there is a host call of this name.
pub(super) fn knows(name: &str) -> bool {
    find("env", name).or_else(|| find(WASI, name)).is_some()
}

fn find(module: &str, name: &str) -> Option<Import> {
    let known = match module {
        "env" => [http::IMPORTS, services::IMPORTS],
        WASI => [wasi::IMPORTS, &[]],
        _ => return None,
    };
    known.into_iter().flatten().find(|(known, ..)| *known == name).copied()
}

fn define(linker: &mut Linker<State>, module: &str, import: Import) -> Result<(), LoadError> {
    let (name, parameters, function) = import;
    let parameters = parameters.chars().map(|p| if p == 'I' { ValType::I64 } else { ValType::I32 });
    let results = (name != "proc_exit").then_some(ValType::I32);
    let signature = FuncType::new(engine(), parameters, results);
    let around = move |caller: Caller<'_, State>, arguments: &[Val], results: &mut [Val]| {
        let status = perform(caller, name, arguments, function)?;
        if let Some(result) = results.first_mut() {
            *result = Val::I32(status as i32);
        }
        Ok(())
    };
    let defined = linker.func_new(module, name, signature, around);
    defined.map(|_| ()).map_err(|error| LoadError(format!("{name}: {error:?}")))
}

/// Counts a call and makes it, unless it is to fail.
fn perform(
    mut caller: Caller<'_, State>,
    name: &'static str,
    arguments: &[Val],
    function: fn(&mut Guest<'_>) -> Done,
) -> wasmtime::Result<u32> {
    let state = caller.data_mut();
    *state.counts.entry(name).or_default() += 1;
    if let Some(status) = state.faults.status(name) {
        return Ok(status);
    }
    match function(&mut Guest::new(caller, name, arguments)) {
        Ok(()) => Ok(0),
        Err(Stop::Status(status)) => Ok(status),
        Err(Stop::Trap(error)) => Err(error),
    }
}

const WASI: &str = "wasi_snapshot_preview1";
