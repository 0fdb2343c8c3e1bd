//! What a built module asks of its proxy, and what the proxy may ask of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wasmparser::{ExternalKind, Parser, Payload};

use crate::output::Failure;

/// What Envoy calls at every module: no capability stands for it.
const UNASKED: [&str; 1] = ["proxy_on_memory_allocate"];

/// A built module.
pub(crate) struct Module {
    /// The name of its file, without the ending.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The functions that it imports and the callbacks that it exports, as Envoy names them in
    /// `capability_restriction_config`.
    pub(crate) capabilities: BTreeSet<String>,
}

impl Module {
    /// Reads one. A file that is no module, or one for no proxy, is refused.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let because =
            |why: &dyn std::fmt::Display| Failure::because(format!("{}: {why}", path.display()));
        let bytes = fs::read(path).map_err(|error| because(&error))?;
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        if !bytes.starts_with(b"\0asm") {
            return Err(because(&"is no WebAssembly module"));
        }
        // More than the first line of a message is for who wrote the parser.
        let broken = |error: wasmparser::BinaryReaderError| {
            let why = error.message().lines().next().unwrap_or_default();
            because(&format_args!("is a broken WebAssembly module: {why}"))
        };
        let (abi, capabilities) = look_into(&bytes).map_err(broken)?;
        if !abi {
            return Err(because(&"exports no proxy_abi_version: it is no module for a proxy"));
        }
        Ok(Self { name: name.unwrap_or_default(), bytes, capabilities })
    }
}

/// Whether it says which version of the ABI it speaks, and what it imports and exports.
fn look_into(bytes: &[u8]) -> wasmparser::Result<(bool, BTreeSet<String>)> {
    let mut names = BTreeSet::new();
    let mut abi = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    names.insert(import?.name.to_owned());
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    abi |= export.name.starts_with("proxy_abi_version_");
                    let is_callback =
                        export.kind == ExternalKind::Func && export.name.starts_with("proxy_on_");
                    if is_callback && !UNASKED.contains(&export.name) {
                        names.insert(export.name.to_owned());
                    }
                }
            }
            _ => (),
        }
    }
    Ok((abi, names))
}
