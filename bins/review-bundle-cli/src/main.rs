//! `review-bundle`: the bundle of a range, or its packets.

mod args;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
