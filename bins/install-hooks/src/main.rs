//! `install-hooks`: install the hooks and a copy of the gate outside the work tree.

mod args;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
