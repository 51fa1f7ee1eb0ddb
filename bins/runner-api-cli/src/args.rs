//! The arguments.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use runner_api::Scope;

/// Serve the runner: an HTTP API, live logs, metrics and a page for the operator
#[derive(Debug, Parser)]
#[command(name = "runner-api", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) serve: Serve,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Who may use the service, and for what
    Token(Token),
}

/// Where everything is.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// The queue: `sqlite:PATH` or `postgres://USER@HOST/NAME` [default: queue.db in the state directory]
    #[arg(long, value_name = "URL", env = "RUNNER_STORE", hide_env_values = true, global = true)]
    pub(crate) store: Option<String>,
    /// The directory of the allowlists [default: ~/.config/ai-ops-runner, else
    /// /etc/ai-ops-runner]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) configs: Option<PathBuf>,
    /// The directory of the queue, mirrors, trees and jobs [default: ~/.local/state/ai-ops-runner]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state: Option<PathBuf>,
    /// How long nothing may be heard of a worker before its jobs are another's, in milliseconds: the same everywhere
    #[arg(long, value_name = "MS", hide = true, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(100..), global = true)]
    pub(crate) lease_ms: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Run jobs too: nothing else is needed then
    #[arg(long)]
    pub(crate) with_worker: bool,
    /// The address of loopback to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    /// Listen on this socket too; who may connect to it is believed about Tailscale-User-Login
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Where artifacts are, when workers are elsewhere: `file:///DIR` or `s3://BUCKET/PREFIX`
    #[arg(long, value_name = "URL", env = "RUNNER_FILES")]
    pub(crate) files: Option<String>,
    /// How many jobs the worker runs at one time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<NonZeroU32>,
    /// How many checkouts the worker keeps for later jobs
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) trees: usize,
    /// How long jobs may go on when the service stops, in seconds; then they are handed back to the queue
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) grace: u64,
    /// Requests a second that one user may send
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) rate: NonZeroU32,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) action: TokenAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token and print it, this once
    Add {
        /// Whose it is: what timelines will say
        name: String,
        /// What it is good for
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// For how long [default: for ever]
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
    },
    /// List tokens: whose they are and what they are good for
    List,
    /// Make the tokens of this name good for nothing
    Remove {
        /// Whose they are
        name: String,
    },
}
