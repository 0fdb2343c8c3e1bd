//! What was found, and how it is told.

use std::fmt;

use anstyle::Style;
use serde::Serialize;
use shared::config::Invalid;

use crate::output::{self, Failure, GREEN, Outcome, RED, YELLOW, plain};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Worth knowing.
    Info,
    /// Legal, and likely not meant.
    Warning,
    /// Refused by the filter or the proxy, or open where it is meant to be closed.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    path: String,
    level: Level,
    code: &'static str,
    message: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The file that is being looked at.
    pub(crate) file: String,
    findings: Vec<Finding>,
    /// How many configurations of filters were checked.
    pub(crate) filters: usize,
}

#[derive(Serialize)]
struct Json<'a> {
    ok: bool,
    files: usize,
    filters: usize,
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Report {
    /// Adds a finding in the file that is being looked at.
    pub(crate) fn add(
        &mut self,
        (line, path): (usize, &str),
        (level, code): (Level, &'static str),
        message: impl Into<String>,
    ) {
        let (file, path, message) = (self.file.clone(), path.to_owned(), message.into());
        self.findings.push(Finding { file, line, path, level, code, message });
    }

    /// How many findings there are so far.
    pub(crate) fn len(&self) -> usize {
        self.findings.len()
    }

    /// The errors and warnings, each once, with their lines.
    pub(crate) fn problems(mut self) -> Vec<(Level, usize, Invalid)> {
        self.findings.sort();
        self.findings.dedup();
        let worse = self.findings.into_iter().filter(|finding| finding.level > Level::Info);
        let problem = |finding: Finding| {
            let Finding { line, path, level, code, message, .. } = finding;
            (level, line, Invalid::at(path, format!("[{code}] {message}")))
        };
        worse.map(problem).collect()
    }

    /// The errors, each once.
    pub(crate) fn errors(self) -> Vec<Invalid> {
        self.located().into_iter().map(|(_, error)| error).collect()
    }

    /// The same, with their lines.
    pub(crate) fn located(mut self) -> Vec<(usize, Invalid)> {
        self.findings.sort();
        self.findings.dedup();
        let errors = self.findings.into_iter().filter(|finding| finding.level == Level::Error);
        errors.map(|finding| (finding.line, Invalid::at(finding.path, finding.message))).collect()
    }

    /// Tells all of it. With `is_strict` warnings are errors to the exit code.
    pub(crate) fn tell(
        mut self,
        files: usize,
        is_strict: bool,
        is_json: bool,
    ) -> Result<Outcome, Failure> {
        self.findings.sort();
        self.findings.dedup();
        let (errors, warnings) = (self.count(Level::Error), self.count(Level::Warning));
        let ok = errors == 0 && !(is_strict && warnings > 0);
        match self.print(files, (errors, warnings), ok, is_json) {
            // Who reads no further has what they wanted, and the verdict is the same: `… | head`.
            Ok(()) | Err(Failure::Closed) => Ok(if ok { Outcome::Well } else { Outcome::Unwell }),
            Err(failure) => Err(failure),
        }
    }

    fn print(
        &self,
        files: usize,
        (errors, warnings): (usize, usize),
        ok: bool,
        is_json: bool,
    ) -> Result<(), Failure> {
        let filters = self.filters;
        if is_json {
            let findings = &self.findings;
            let json = Json { ok, files, filters, errors, warnings, findings };
            let text = serde_json::to_string_pretty(&json)
                .map_err(|error| Failure::because(error.to_string()))?;
            output::say(text)?;
        } else {
            for finding in &self.findings {
                output::say(finding)?;
            }
            let files = counted(files, "file");
            let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
            let style = if ok { GREEN } else { RED };
            let filters = counted(filters, "configuration");
            output::remark(format_args!(
                "{style}{filters} in {files}: {errors}, {warnings}{style:#}"
            ));
        }
        Ok(())
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, path, level, code, message } = self;
        let style: Style = match level {
            Level::Info => GREEN,
            Level::Warning => YELLOW,
            Level::Error => RED,
        };
        write!(f, "{}:{line}: ", plain(file))?;
        if !path.is_empty() {
            write!(f, "{}: ", plain(path))?;
        }
        write!(f, "{style}{level}[{code}]{style:#}: {}", plain(message))
    }
}
