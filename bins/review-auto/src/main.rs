//! `review-auto`: one review; unless `--no-push`, finish.

mod args;

use std::process::ExitCode;

use cli::Context;
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::{Options, run, teller};

use crate::args::Args;

fn review(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits = Limits { rounds: 1, unapproved: Unapproved::Review, heal: false, push: !args.no_push };
    let options = Options::from_environment(&cx.host, args.remote, limits, cx.console.interactive())?;
    let end = run(&cx.host, &args.place.directory, &options, &teller(&cx.console))?;
    cx.console.result(&end)?;
    Ok(Exit::Done)
}

fn main() -> ExitCode {
    cli::main(review)
}
