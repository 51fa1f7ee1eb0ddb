//! `sshd-fix`: bind sshd to the tailnet alone, in a way that cannot lock the operator out.

#![allow(clippy::disallowed_methods, reason = "the program's own path and its lock belong to this process")]

mod args;
mod lock;
mod run;
mod signals;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
