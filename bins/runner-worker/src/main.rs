//! `runner-worker`: takes jobs from a queue that several share.

mod args;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::init_if_asked();
    cli::main(work::run)
}
