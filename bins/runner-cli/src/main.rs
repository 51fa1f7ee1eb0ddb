//! `runner`: allowlisted jobs on allowlisted repositories, in read-only worktrees at a pinned commit; here, or by a
//! service.

mod args;
mod fetch;
mod jobs;
mod orb;
mod run;
mod service;
mod told;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::init_if_asked();
    cli::main(run::run)
}
