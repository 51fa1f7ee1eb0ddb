//! `doctor-repo`: health of a repository's gate.

mod args;

use std::process::ExitCode;

use cli::Context;
use doctor::Report;
use hooks::{Facts, Site, health};
use outcome::{Exit, Failure};
use reviewer::Program;

use crate::args::Args;

fn examine(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { place, only, .. } = args;
    let site = Site::observe(&cx.host, &place.directory)?;
    let codex = Program::find_version(&cx.host).map_err(|error| error.to_string());
    let report = Report::new(health(&cx.host, &site, &Facts { codex })).only(&only)?;
    cx.console.result(&report)?;
    Ok(report.exit())
}

fn main() -> ExitCode {
    cli::main(examine)
}
