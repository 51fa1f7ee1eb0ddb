//! The arguments.

use std::path::PathBuf;

use clap::Parser;
use cli::Place;

/// Install the push gate, its hooks and the pinned policy outside the work tree; safe to repeat
#[derive(Debug, Parser)]
#[command(name = "install-hooks", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The gate's program [default: push-gate beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) gate: Option<PathBuf>,
    /// Replace the policy that was pinned before by the present one
    #[arg(long)]
    pub(crate) repin: bool,
}
