//! `review-finish`: advance the baseline of an approved range in an isolated commit and push.

use std::process::ExitCode;

use clap::Parser;
use cli::{Common, Context, Place};
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::{Options, run, teller};

/// Advance the baseline of an approved range in a commit of its own and push; safe to repeat
#[derive(Parser)]
#[command(name = "review-finish", version)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Place,
    /// Push to this remote instead of origin or the only one
    #[arg(long)]
    remote: Option<String>,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

fn finish(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits = Limits { rounds: 1, unapproved: Unapproved::Refuse, heal: false, push: true };
    let options = Options::from_environment(&cx.host, args.remote, limits, false)?;
    let end = run(&cx.host, &args.place.directory, &options, &teller(&cx.console))?;
    cx.console.result(&end)?;
    Ok(Exit::Done)
}

fn main() -> ExitCode {
    cli::main(finish)
}
