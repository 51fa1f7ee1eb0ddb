//! `runner-api`: the runner as an HTTP service, with a worker where it is asked for.

mod args;
mod serve;
mod tokens;

use std::process::ExitCode;

use args::{Action, Args};

fn main() -> ExitCode {
    sandbox::init_if_asked();
    cli::main(|args: Args, cx| match args.action {
        None => serve::run(&args.serve, &args.common, cx),
        Some(Action::Token(token)) => tokens::run(token.action, &args.common, cx),
    })
}
