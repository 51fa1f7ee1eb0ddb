//! `doctor-repo`: health of a repository's gate.

use std::process::ExitCode;

use clap::Parser;
use cli::{Common, Context, Place};
use doctor::Report;
use hooks::{Facts, Site, health};
use outcome::{Exit, Failure};
use reviewer::Program;

/// Say whether the gate of a repository is in place and in force
#[derive(Parser)]
#[command(name = "doctor-repo", version)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Place,
    /// Look at this alone; can be given several times
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

fn examine(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { place, only, .. } = args;
    let site = Site::observe(&cx.host, &place.directory)?;
    let codex = Program::find(&cx.host).map(|program| program.version().to_owned()).map_err(|error| error.to_string());
    let report = Report::new(health(&cx.host, &site, &Facts { codex })).only(&only)?;
    cx.console.result(&report)?;
    Ok(report.exit())
}

fn main() -> ExitCode {
    cli::main(examine)
}
