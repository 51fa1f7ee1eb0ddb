//! The arguments.

use std::path::PathBuf;

use clap::Parser;
use runner_client::base;

/// Check a service of the runner from end to end: it runs jobs, refuses what it must, and proves what it did
#[derive(Debug, Parser)]
#[command(name = "runner-smoke", version)]
pub(crate) struct Args {
    /// The repository that jobs run on [default: the first of the allowlist on this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Option<String>,
    /// The commit [default: the tip of the default branch, as the remote has it]
    #[arg(long, value_name = "ID", requires = "repo")]
    pub(crate) sha: Option<String>,
    /// The repository of the ORB jobs
    #[arg(long, value_name = "NAME", default_value = "algo-nt8-orb")]
    pub(crate) orb_repo: String,
    /// How long each job may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) patience: u64,
    #[arg(
        long,
        value_name = "URL",
        env = "API_BASE",
        hide_env_values = true,
        help = format!("Where the API is: https://HOST, http://127.0.0.1:PORT or unix:/PATH [default: api.sock in the state directory, else {}]", base::DEFAULT)
    )]
    pub(crate) api: Option<String>,
    #[arg(
        long,
        value_name = "DIR",
        help = "The service's state directory, whose file `token` is for sockets where RUNNER_TOKEN is not set [default: ~/.local/state/ai-ops-runner]"
    )]
    pub(crate) state: Option<PathBuf>,
    /// The directory of the allowlists [default: ~/.config/ai-ops-runner, else
    /// /etc/ai-ops-runner]
    #[arg(long, value_name = "DIR")]
    pub(crate) configs: Option<PathBuf>,
}
