//! `openclaw-doctor`: whether a host of the runner is healthy, and closed to the internet.

#![allow(clippy::disallowed_methods, reason = "the program's own path and its lock belong to this process")]

mod args;
mod lock;

use std::process::ExitCode;
use std::time::Duration;

use cli::Context;
use host_doctor::Site;
use outcome::{Exit, Failure};

use crate::args::Args;
use crate::lock::Lock;

fn examine(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { only, timeout, api } = args;
    let _lock = Lock::take(&cx.host)?;
    let program = std::env::current_exe().map_err(|error| {
        Failure::not_ready("own-path", error.to_string(), "run it by its path, from a file that is still there")
    })?;
    cx.console.working("looking at this host");
    let report = host_doctor::examine(Site { program, api }, &only, Duration::from_secs(timeout), &cx.cancel)?;
    cx.console.finish();
    cx.console.result(&report)?;
    Ok(report.exit())
}

fn main() -> ExitCode {
    cli::main(examine)
}
