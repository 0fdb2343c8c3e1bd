//! What can go wrong with a module.

use std::fmt;

use super::state::LogLine;

/// Why a module could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(pub String);

/// The module trapped, or misused the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap(pub String);

/// Why a configuration is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotConfigured {
    /// The module refused it, and logged these lines.
    Refused(Vec<LogLine>),
    /// The module trapped.
    Trapped(Trap),
}

impl NotConfigured {
    /// The lines logged with the refusal, joined.
    ///
    /// # Panics
    /// If the module did not refuse but trapped.
    #[track_caller]
    pub fn reason(&self) -> String {
        match self {
            Self::Refused(lines) => {
                lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
            }
            Self::Trapped(trap) => panic!("{trap}"),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

impl std::error::Error for Trap {}
