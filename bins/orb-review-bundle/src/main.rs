//! `orb-review-bundle`: the repository's review bundle, or packets where it is over its size cap.

mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
