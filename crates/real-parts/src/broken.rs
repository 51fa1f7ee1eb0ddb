//! Why a real part is not there.

use std::fmt;
use std::process::{Command, Output};

/// A part that could not be started or did not do what it was told. Its text says what was tried, what came of it and,
/// where that is known, what to do.
#[derive(thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

/// A test that unwraps it shows the text as it is.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Broken {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Names what was tried when it failed.
pub(crate) trait Trying<T> {
    fn trying(self, what: impl fmt::Display) -> Result<T, Broken>;
}

impl<T, E: fmt::Display> Trying<T> for Result<T, E> {
    fn trying(self, what: impl fmt::Display) -> Result<T, Broken> {
        self.map_err(|error| Broken(format!("{what}: {error}")))
    }
}

/// Runs a program to its end. Returns what it printed, without the newline at the end.
///
/// # Errors
/// When it cannot be started, or with what it said when it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, Broken> {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } = command.output().trying(&name)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned());
    }
    Err(Broken(format!("{name}: {status}: {}", String::from_utf8_lossy(&stderr).trim_end())))
}
