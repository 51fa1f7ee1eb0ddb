//! The arguments.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Parser;

/// Take jobs from a queue that several workers share, and run them
#[derive(Debug, Parser)]
#[command(name = "runner-worker", version)]
pub(crate) struct Args {
    /// The queue: `sqlite:PATH` or `postgres://USER@HOST/NAME` [default: queue.db in the state directory]
    #[arg(long, value_name = "URL", env = "RUNNER_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Where artifacts go, when the API is elsewhere: `file:///DIR` or `s3://BUCKET/PREFIX`
    #[arg(long, value_name = "URL", env = "RUNNER_FILES")]
    pub(crate) files: Option<String>,
    /// The directory of the allowlists [default: ~/.config/ai-ops-runner, else
    /// /etc/ai-ops-runner]
    #[arg(long, value_name = "DIR")]
    pub(crate) configs: Option<PathBuf>,
    /// The directory of mirrors, trees and jobs [default: ~/.local/state/ai-ops-runner]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// How many jobs are run at one time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<NonZeroU32>,
    /// How many checkouts are kept for later jobs
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) trees: usize,
    /// How long jobs may go on when the worker stops, in seconds; then they are handed back to the queue
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) grace: u64,
    /// How long nothing may be heard of a worker before its jobs are another's, in milliseconds: the same everywhere
    #[arg(long, value_name = "MS", hide = true, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) lease_ms: u64,
}
