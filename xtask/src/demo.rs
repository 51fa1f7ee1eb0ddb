//! `cargo xtask demo`: what this project does, in a temporary directory, without key, network or anything to set up.

#[cfg(target_os = "linux")]
mod host;
mod runner;
mod ship;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use clap::{Args, ValueEnum};
use outcome::Failure;

use crate::workshop::{Tool, Workshop, unusable};

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to show
    #[arg(value_enum, default_value_t)]
    subject: Subject,
    /// Keep the directory and say where it is
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Subject {
    /// A branch from commit to push
    #[default]
    Ship,
    /// A job in its sandbox, and jobs that try to get out
    Runner,
    /// A machine with a public sshd: found, locked down, confirmed; and once not confirmed
    #[cfg(target_os = "linux")]
    Host,
}

/// Runs one demo.
///
/// # Errors
/// The failure of the first step that does not end as it should.
pub(crate) fn run(workshop: &Workshop, arguments: &Arguments) -> Result<(), Failure> {
    let base = workshop.target("demo");
    fs::create_dir_all(&base).map_err(|error| unusable(&base, &error))?;
    let dir = tempfile::Builder::new().prefix("demo-").tempdir_in(&base).map_err(|error| unusable(&base, &error))?;
    let outcome = match arguments.subject {
        Subject::Ship => ship::run(workshop, dir.path()),
        Subject::Runner => runner::run(workshop, dir.path()),
        #[cfg(target_os = "linux")]
        Subject::Host => host::run(workshop, dir.path()),
    };
    if arguments.keep {
        println!("kept in {}", dir.keep().display());
    }
    outcome
}

fn say(what: &str) {
    println!("\n=== {what}");
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| unusable(path, &error))
}

/// A tool in `dir`, with a home, an identity and a git configuration of the demo's own.
fn tool(workshop: &Workshop, program: impl AsRef<OsStr>, dir: &Path, home: &Path) -> Tool {
    let git = [("NAME", "agent"), ("EMAIL", "agent@example.invalid")];
    let tool = workshop.tool(program).dir(dir).env("HOME", home);
    let tool = tool.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.iter().fold(tool, |tool, (what, value)| {
        tool.env(&format!("GIT_AUTHOR_{what}"), value).env(&format!("GIT_COMMITTER_{what}"), value)
    })
}
