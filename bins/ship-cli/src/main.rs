//! `ship`: commit to push: test, review, heal, gate, push.

mod args;

use std::process::ExitCode;

use cli::Context;
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::perform;

use crate::args::Args;

fn ship(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits =
        Limits { rounds: args.max_attempts, unapproved: Unapproved::Test, heal: !args.no_heal, push: !args.no_push };
    perform(cx, args.route, limits)
}

fn main() -> ExitCode {
    cli::main(ship)
}
