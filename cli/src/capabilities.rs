//! `gatehouse capabilities`: all that a module needs of its proxy, for `vm_config` of Envoy.

use std::fmt::Write as _;

use crate::arguments::CapabilitiesArguments;
use crate::module::Module;
use crate::output::{self, Failure, Outcome};

/// As wide as our files are.
const WIDTH: usize = 118;

/// Prints the block of a module.
pub(crate) fn run(arguments: &CapabilitiesArguments) -> Result<Outcome, Failure> {
    let module = Module::read(&arguments.module)?;
    let names = module.capabilities.iter().map(String::as_str);
    output::print(block(names, usize::from(arguments.indent)).as_bytes())?;
    Ok(Outcome::Well)
}

/// `capability_restriction_config`, indented by so many spaces.
pub(crate) fn block<'a>(names: impl Iterator<Item = &'a str>, indent: usize) -> String {
    let mut text = format!(
        "{:indent$}capability_restriction_config:\n{:indent$}  allowed_capabilities:\n{:indent$}    {{ ",
        "", "", ""
    );
    let inner = indent.saturating_add(6);
    let mut column = inner;
    for (index, name) in names.enumerate() {
        let piece = name.len().saturating_add(": {},".len());
        if index > 0 {
            let ends = column.saturating_add(piece).saturating_add(1) > WIDTH;
            text.push_str(if ends { ",\n" } else { ", " });
            column = if ends { inner } else { column.saturating_add(1) };
            if ends {
                // Cannot fail: it is written to memory.
                let _ = write!(text, "{:inner$}", "");
            }
        }
        let _ = write!(text, "{name}: {{}}");
        column = column.saturating_add(piece);
    }
    text.push_str(" }\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_as_wide_as_our_files() {
        let names: Vec<_> = (0..20).map(|index| format!("proxy_capability_{index}")).collect();
        let text = block(names.iter().map(String::as_str), 4);
        assert!(
            text.starts_with("    capability_restriction_config:\n      allowed_capabilities:\n")
        );
        assert!(text.ends_with("proxy_capability_19: {} }\n"));
        assert!(text.lines().all(|line| line.len() <= WIDTH && !line.ends_with(' ')), "{text}");
        assert_eq!(text.matches(": {}").count(), 20);
    }
}
