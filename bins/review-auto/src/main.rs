//! `review-auto`: one review; unless `--no-push`, finish.

mod args;

use std::process::ExitCode;

use cli::Context;
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::perform;

use crate::args::Args;

fn review(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits = Limits { rounds: 1, unapproved: Unapproved::Review, heal: false, push: !args.no_push };
    perform(cx, args.route, limits)
}

fn main() -> ExitCode {
    cli::main(review)
}
