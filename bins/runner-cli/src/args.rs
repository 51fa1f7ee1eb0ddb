//! The arguments.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Run allowlisted jobs on allowlisted repositories, in read-only worktrees at a pinned commit
#[derive(Debug, Parser)]
#[command(name = "runner", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Run one job here, without a service; exits with the job's code
    Run(Run),
    /// Let jobs run on a repository: its directory on this machine, or its URL
    Allow(Allow),
    /// Remove what is old: jobs, mirrors that nobody uses, checkouts in quarantine
    Prune(Prune),
}

/// Where the runner finds what is allowed and keeps what it makes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Where {
    /// The directory of the allowlists [default: ~/.config/ai-ops-runner, else
    /// /etc/ai-ops-runner]
    #[arg(long, value_name = "DIR")]
    pub(crate) configs: Option<PathBuf>,
    /// The directory of mirrors, trees and jobs [default: ~/.local/state/ai-ops-runner]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// The job, as the allowlist calls it
    pub(crate) job: String,
    /// The repository, as the allowlist calls it
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: String,
    /// The commit: its full id, which an allowed branch must have
    #[arg(long, value_name = "ID")]
    pub(crate) sha: String,
    /// A parameter of the job; may be given several times
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// How many checkouts are kept for later jobs
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) trees: usize,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Allow {
    /// The directory of a repository, or its URL
    #[arg(value_name = "DIR-OR-URL")]
    pub(crate) repository: String,
    /// What requests call it [default: the last part of its path]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A branch whose commits may be run on; may be given several times [default: the one that the directory is on, or
    /// main]
    #[arg(long = "branch", value_name = "BRANCH")]
    pub(crate) branches: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Prune {
    /// How old a job has to be, and how long anything else was not used
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) place: Where,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
