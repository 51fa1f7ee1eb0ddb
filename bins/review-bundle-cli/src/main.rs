//! `review-bundle`: the bundle of a range, or its packets.

mod args;
mod packet_dir;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
