//! The arguments.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use job::{Id, Status};
use runner_client::base;

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
    /// Have the service run a job
    Submit(Submit),
    /// Have the service run one of the ORB jobs, and print what came of it
    Orb(Orb),
    /// See a job's timeline and logs to its end; exits with the job's code
    Watch(Watch),
    /// Print the end of a job's logs, or follow them
    Logs(Logs),
    /// List jobs, the newest first
    List(List),
    /// Show a job: why it waits, what became of it, its timeline
    Show(OfJob),
    /// Stop a job: TERM, a while, KILL
    Cancel(Reasoned),
    /// Submit what an ended job was asked for with once more
    Rerun(Rerun),
    /// List what a job left, or fetch it
    Artifacts(Artifacts),
    /// List the processes that run jobs
    Workers(Service),
    /// Show what waits and what runs, by repository
    Queue(Service),
    /// Let a worker take no more jobs
    Drain(Drain),
    /// Print what makes a shell complete these commands
    Completions {
        /// The shell
        shell: Shell,
    },
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
    /// Also of this queue: `sqlite:PATH` or `postgres://USER@HOST/NAME` [default: queue.db in the state directory, where
    /// it is there]
    #[arg(long, value_name = "URL", env = "RUNNER_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Where the workers of that queue put artifacts: `file:///DIR` or `s3://BUCKET/PREFIX`
    #[arg(long, value_name = "URL", env = "RUNNER_FILES")]
    pub(crate) files: Option<String>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Where the service is, and by what it knows who asks.
///
/// The token is never an argument: those can be seen by everybody on the machine.
#[derive(Debug, ClapArgs)]
pub(crate) struct Service {
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
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Submit {
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
    /// More is sooner: -100 to 100 [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// How often it is tried where the infrastructure fails [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) max_attempts: Option<NonZeroU32>,
    /// The same key again, with the same request, is the same job [default: a random one]
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Where you believe the repository to be: another place is refused
    #[arg(long, value_name = "URL")]
    pub(crate) remote_url: Option<String>,
    /// Watch it to its end; exits with the job's code
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Orb {
    /// What to run
    #[arg(value_enum)]
    pub(crate) what: OrbJob,
    /// The repository, as the allowlist calls it
    #[arg(long, value_name = "NAME", default_value = "algo-nt8-orb")]
    pub(crate) repo: String,
    /// The commit [default: the tip of the default branch]
    #[arg(long, value_name = "ID")]
    pub(crate) sha: Option<String>,
    /// Where the review begins
    #[arg(long, value_name = "ID", required_if_eq("what", "review"))]
    pub(crate) since: Option<String>,
    /// Which day's logs are scored
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) logs_day: Option<String>,
    /// Which run is scored
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// Where the repository is [default: where the allowlist on this machine has it]
    #[arg(long, value_name = "URL", env = "ORB_REMOTE_URL", hide_env_values = true)]
    pub(crate) remote_url: Option<String>,
    /// The directory of the allowlists [default: ~/.config/ai-ops-runner, else
    /// /etc/ai-ops-runner]
    #[arg(long, value_name = "DIR")]
    pub(crate) configs: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrbJob {
    /// The bundle of a range for review, or its packets
    Review,
    /// Health of the repository
    Doctor,
    /// Score a run
    Score,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OfJob {
    /// The job's id
    pub(crate) id: Id,
    #[command(flatten)]
    pub(crate) service: Service,
}

pub(crate) type Watch = OfJob;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stream {
    /// What it wrote to its standard output
    Stdout,
    /// What it wrote to its standard error
    Stderr,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// The job's id
    pub(crate) id: Id,
    /// Also what is written from now on, to the job's end
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this one [default: both]
    #[arg(long, value_enum)]
    pub(crate) stream: Option<Stream>,
    /// How many lines: 1 to 10000 [default: 200; with --follow all]
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u32>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Those in this state: queued, running, success, failure, error, timeout, cancelled
    #[arg(long, value_parser = status)]
    pub(crate) status: Option<Status>,
    /// Those of this repository
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Option<String>,
    /// Those of this job of the allowlist
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// How many: 1 to 200
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
    /// Those that are older than this job
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<Id>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Reasoned {
    /// The job's id
    pub(crate) id: Id,
    /// Why, for the timeline
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rerun {
    /// Watch it to its end; exits with the job's code
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) of: Reasoned,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Artifacts {
    /// The job's id
    pub(crate) id: Id,
    /// Fetch them into this directory; nothing in it is replaced
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Only these files
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) service: Service,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Drain {
    /// What it is called
    pub(crate) worker: String,
    /// Let it take jobs again
    #[arg(long)]
    pub(crate) undo: bool,
    #[command(flatten)]
    pub(crate) service: Service,
}

fn status(text: &str) -> Result<Status, String> {
    let known = || Status::ALL.map(Status::as_str).join(", ");
    Status::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| format!("choose among {}", known()))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
