//! `port-audit`: who can reach what on this machine.

mod args;
mod run;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(|args, cx| run::run(&args, cx))
}
