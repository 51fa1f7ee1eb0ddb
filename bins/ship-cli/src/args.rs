//! The arguments.

use clap::Parser;
use cli::Route;

/// Take the current branch from commit to push: test, review, heal, gate, push
#[derive(Parser)]
#[command(name = "ship", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) route: Route,
    /// Stop at an approving verdict; push nothing
    #[arg(long)]
    pub(crate) no_push: bool,
    /// Heal nothing: stop at the first blocker or failed test
    #[arg(long)]
    pub(crate) no_heal: bool,
    /// How often the change is tested and reviewed at most
    #[arg(long, env = "SHIP_MAX_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) max_attempts: u32,
}
