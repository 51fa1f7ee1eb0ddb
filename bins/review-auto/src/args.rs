//! The arguments.

use clap::Parser;
use cli::Route;

/// Have the range from the remote's branch to HEAD reviewed; if it is approved, advance the baseline and push
#[derive(Parser)]
#[command(name = "review-auto", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) route: Route,
    /// Stop at the verdict; push nothing
    #[arg(long)]
    pub(crate) no_push: bool,
}
