//! What is wrong with a package, said so that its author can mend it.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Whether a package can be published in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The package is refused.
    Error,
    /// The package is taken; somebody should look.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it stops the package.
    pub severity: Severity,
    /// Stable short name of the kind of problem, such as `missing-file`.
    pub code: &'static str,
    /// File in the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Element at that place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl Problem {
    /// A problem that stops the package.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A problem that does not stop the package.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self { severity, code, file: None, line: None, element: None, message, advice: String::new() }
    }

    /// In which file.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = Some(shown(file));
        self
    }

    /// At which line, from 1.
    #[must_use]
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// At which element.
    #[must_use]
    pub fn in_element(mut self, element: &str) -> Self {
        self.element = Some(shown(element));
        self
    }

    /// What to do.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.severity {
            Severity::Error => f.write_str("error")?,
            Severity::Warning => f.write_str("warning")?,
        }
        write!(f, "[{}]", self.code)?;
        if let Some(file) = &self.file {
            write!(f, " {file}")?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
        }
        if let Some(element) = &self.element {
            write!(f, " <{element}>")?;
        }
        write!(f, ": {}", self.message)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, " ({})", self.advice) }
    }
}

/// Everything that is wrong with a package, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Problems that stop it; the first thousand.
    pub errors: Vec<Problem>,
    /// Problems that do not; the first thousand.
    pub warnings: Vec<Problem>,
}

impl CheckReport {
    /// Adds a problem, once.
    pub fn push(&mut self, problem: Problem) {
        let list = match problem.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() < limits::PROBLEMS && !list.contains(&problem) {
            list.push(problem);
        }
    }

    /// Adds several problems.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }

    /// Whether nothing stops the package.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many problems stop the package, in words: `1 error`.
    pub fn errors_counted(&self) -> String {
        counted(self.errors.len(), "error")
    }

    /// How many do not, in words.
    pub fn warnings_counted(&self) -> String {
        counted(self.warnings.len(), "warning")
    }

    /// Whether some problem has this code.
    pub fn has(&self, code: &str) -> bool {
        self.errors.iter().chain(&self.warnings).any(|p| p.code == code)
    }
}

impl std::fmt::Display for CheckReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for problem in self.errors.iter().chain(&self.warnings) {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Text of the package's author as it may appear in a message: short, without control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(LONGEST).map(clean).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_readable_line() {
        let problem = Problem::error("missing-file", "'a.png' is not in the package")
            .in_file("items/1.xml")
            .at_line(12)
            .in_element("img")
            .advice("add the file or correct the path");
        assert_eq!(
            problem.to_string(),
            "error[missing-file] items/1.xml:12 <img>: 'a.png' is not in the package (add the file or correct the path)"
        );
    }

    #[test]
    fn hostile_names_cannot_fill_or_break_a_line() {
        let problem = Problem::warning("x", "y").in_file(&format!("a\nb{}", "x".repeat(10_000)));
        let text = problem.to_string();
        assert!(!text.contains('\n') && text.len() < 300, "{text}");
    }

    #[test]
    fn the_thousand_and_first_problem_is_dropped() {
        let mut report = CheckReport::default();
        for n in 0..=limits::PROBLEMS {
            report.push(Problem::error("n", n.to_string()));
        }
        report.push(Problem::error("n", "0"));
        assert_eq!(report.errors.len(), limits::PROBLEMS);
        assert_eq!(
            (report.errors_counted().as_str(), report.warnings_counted().as_str()),
            ("1000 errors", "0 warnings")
        );
        report.errors.truncate(1);
        assert_eq!(report.errors_counted(), "1 error");
    }
}
