//! What is wrong with the two files: every problem at once, each with its place.

use std::fmt;

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// `job_allowlist.toml`
    Jobs,
    /// `repo_allowlist.toml`
    Repos,
}

impl File {
    /// The name it has in `configs/`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jobs => "job_allowlist.toml",
            Self::Repos => "repo_allowlist.toml",
        }
    }
}

/// One thing that is wrong with a file; prints as `FILE:LINE:COLUMN: KEY: WHY`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub file: File,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The table path (`jobs.orb_doctor.timeout_sec`); empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.name(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.why)
    }
}

/// Every problem of both files, by file and line; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `None` when there is none.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// In the order of the files.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// A word that programs can match on.
    pub const fn class(&self) -> &'static str {
        "bad-allowlist"
    }

    /// What to do next.
    pub const fn next(&self) -> &'static str {
        "mend the allowlist at the places named; nothing is admitted until it is understood whole"
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
