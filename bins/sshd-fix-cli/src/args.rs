//! The arguments.

use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use jiff::SignedDuration;

/// Bind sshd to the tailnet alone, in a way that cannot lock you out
///
/// `plan` shows every step. `apply` takes them and waits: from another machine of the tailnet log in anew and run `sshd-fix
/// confirm` there. Without it everything is put back, also by a reboot.
#[derive(Debug, Parser)]
#[command(name = "sshd-fix", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) act: Act,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Act {
    /// Show every step, with its reason, and what puts it back
    Plan(Time),
    /// Take the steps, and wait until they are confirmed or put back
    Apply(Apply),
    /// Make the change stay: only over a new connection that came in over the tailnet
    Confirm,
    /// Put back what waits to be confirmed, or what was confirmed last
    Rollback,
    /// Say how it stands
    Status,
    /// Put back what waits to be confirmed: the timer's
    #[command(hide = true)]
    Revert,
    /// Put the files of it back while the machine starts: the boot's
    #[command(hide = true)]
    Boot,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Time {
    /// How long there is to confirm, from 10s to 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub(crate) within: Duration,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) time: Time,
    /// Take the steps of the plan with this SHA-256, as `plan` showed it, or none
    #[arg(long, value_name = "SHA256")]
    pub(crate) plan_sha256: Option<String>,
    /// Do not wait
    #[arg(long)]
    pub(crate) no_wait: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let time: SignedDuration = text.parse().map_err(|_| "write it as 10m or 90s".to_owned())?;
    let time = Duration::try_from(time).map_err(|_| "it is negative".to_owned())?;
    let allowed = Duration::from_secs(10)..=Duration::from_hours(1);
    if allowed.contains(&time) { Ok(time) } else { Err("it is from 10s to 1h".into()) }
}
