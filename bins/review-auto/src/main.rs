//! `review-auto`: one review; unless `--no-push`, finish.

use std::process::ExitCode;

use clap::Parser;
use cli::{Common, Context, Place};
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::{Options, run, teller};

/// Have the range from the remote's branch to HEAD reviewed; if it is approved, advance the baseline and push
#[derive(Parser)]
#[command(name = "review-auto", version)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Place,
    /// Compare with this remote instead of origin or the only one
    #[arg(long)]
    remote: Option<String>,
    /// Stop at the verdict; push nothing
    #[arg(long)]
    no_push: bool,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

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
