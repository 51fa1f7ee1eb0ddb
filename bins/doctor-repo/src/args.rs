//! The arguments.

use clap::Parser;
use cli::Place;

/// Say whether the gate of a repository is in place and in force
#[derive(Parser)]
#[command(name = "doctor-repo", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Look at this alone; can be given several times
    #[arg(long, value_name = "CHECK")]
    pub(crate) only: Vec<String>,
}
