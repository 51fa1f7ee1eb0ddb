//! The arguments.

use clap::Parser;
use runner_client::base;

/// Say whether this host is healthy, and closed to the internet
///
/// Nothing is changed. Run it by sudo: much of it is told to root alone.
#[derive(Parser)]
#[command(name = "openclaw-doctor", version)]
pub(crate) struct Args {
    /// Look at this alone; can be given several times
    #[arg(long, value_name = "CHECK")]
    pub(crate) only: Vec<String>,
    /// How long each check may take
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    #[arg(
        long,
        value_name = "URL",
        env = "API_BASE",
        hide_env_values = true,
        help = format!("Where the API is: https://HOST, http://127.0.0.1:PORT or unix:/PATH [default: /var/lib/ai-ops-runner/api.sock, else {}]", base::DEFAULT)
    )]
    pub(crate) api: Option<String>,
}
