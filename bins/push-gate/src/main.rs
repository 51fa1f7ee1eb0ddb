//! `push-gate`: the decision on a push.

mod args;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
