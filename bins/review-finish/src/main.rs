//! `review-finish`: advance the baseline of an approved range in an isolated commit and push.

use std::process::ExitCode;

use clap::Parser;
use cli::{Context, Route};
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::perform;

/// Advance the baseline of an approved range in a commit of its own and push; safe to repeat
#[derive(Parser)]
#[command(name = "review-finish", version)]
struct Args {
    #[command(flatten)]
    route: Route,
}

fn finish(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits = Limits { rounds: 1, unapproved: Unapproved::Refuse, heal: false, push: true };
    perform(cx, args.route, limits)
}

fn main() -> ExitCode {
    cli::main(finish)
}
