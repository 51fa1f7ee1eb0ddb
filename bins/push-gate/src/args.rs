//! The arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use cli::Place;

/// Decide on a push: only an approved, non-simulated verdict for exactly that range lets a protected ref through
#[derive(Debug, Parser)]
#[command(name = "push-gate", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Decide as git's pre-push hook, on the lines that git writes to stdin
    PrePush {
        /// A hook that was here before: run with the same input after the gate lets the push through
        #[arg(long, value_name = "HOOK")]
        former: Option<PathBuf>,
        /// What git gives the hook: the remote's name and URL
        #[arg(value_name = "REMOTE", num_args = 0..=2)]
        remote: Vec<OsString>,
    },
    /// Decide on a range that nobody pushes right now, as a server or CI does
    Verify {
        /// The range: what the protected ref has (zeros for nothing) and what it would have
        #[arg(long, value_name = "A..B", value_parser = range)]
        range: (String, String),
        /// The protected ref of the range
        #[arg(long = "ref", value_name = "REF", default_value = "refs/heads/main")]
        refname: String,
        /// A verdict file, beside those that are stored for the range
        #[arg(long, value_name = "FILE")]
        verdict: Option<PathBuf>,
    },
}

fn range(text: &str) -> Result<(String, String), String> {
    match text.split_once("..") {
        Some((since, to)) if !since.is_empty() && !to.is_empty() && !to.starts_with('.') => {
            Ok((since.to_owned(), to.to_owned()))
        }
        _ => Err("not of the form A..B".to_owned()),
    }
}
