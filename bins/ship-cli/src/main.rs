//! `ship`: commit to push: test, review, heal, gate, push.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cli::Common;
use ship::machine::Unapproved;

/// Take the current branch from commit to push: test, review, heal, gate, push
#[derive(Parser)]
#[command(name = "ship", version)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: cli::Place,
    /// Stop at an approving verdict; push nothing
    #[arg(long)]
    no_push: bool,
    /// Heal nothing: stop at the first blocker or failed test
    #[arg(long)]
    no_heal: bool,
    /// How often the change is tested and reviewed at most
    #[arg(long, env = "SHIP_MAX_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    max_attempts: u32,
}
