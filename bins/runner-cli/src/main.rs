//! `runner`: allowlisted jobs on allowlisted repositories, in read-only worktrees at a pinned commit.

mod args;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::init_if_asked();
    cli::main(run::run)
}
