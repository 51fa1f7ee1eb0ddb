//! The arguments.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser};

/// Say who can reach what on this machine, and whether that is meant
#[derive(Debug, Parser)]
#[command(name = "port-audit", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) text: Text,
    /// What could not be looked at counts as a violation
    #[arg(long)]
    pub(crate) strict: bool,
    /// What may be reached by anybody [default: `port_audit.toml` in ~/.config/ai-ops-runner, else in /etc/ai-ops-runner;
    /// else nothing]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Print SARIF 2.1.0
    #[arg(long, conflicts_with = "json")]
    pub(crate) sarif: bool,
    /// What differs from this file counts as a violation too
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write to this file what can be reached now, for --baseline
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,
}

/// What another machine printed, on standard input, to be judged instead of this one.
#[derive(Debug, ClapArgs)]
pub(crate) struct Text {
    /// Judge the text of `ss -tlnp` or `ss -tulnp` on standard input instead of this machine
    #[arg(long, group = "text")]
    pub(crate) stdin_ss: bool,
    /// Judge the text of macOS's `netstat -anv -p tcp` and `-p udp` on standard input instead of this machine
    #[arg(long, group = "text")]
    pub(crate) stdin_netstat: bool,
    /// An address that the machine of the text has in its tailnet; may be given several times [default: those of this
    /// machine]
    #[arg(long, value_name = "ADDRESS", requires = "text")]
    pub(crate) tailnet: Vec<IpAddr>,
}
