//! `ship`: commit to push: test, review, heal, gate, push.

use std::process::ExitCode;

use clap::Parser;
use cli::{Common, Context, Place};
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::{Options, run, teller};

/// Take the current branch from commit to push: test, review, heal, gate, push
#[derive(Parser)]
#[command(name = "ship", version)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    place: Place,
    /// Ship to this remote instead of origin or the only one
    #[arg(long)]
    remote: Option<String>,
    /// Stop at an approving verdict; push nothing
    #[arg(long)]
    no_push: bool,
    /// Heal nothing: stop at the first blocker or failed test
    #[arg(long)]
    no_heal: bool,
    /// How often the change is tested and reviewed at most
    #[arg(long, env = "SHIP_MAX_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    max_attempts: u32,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

fn ship(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits =
        Limits { rounds: args.max_attempts, unapproved: Unapproved::Test, heal: !args.no_heal, push: !args.no_push };
    let options = Options::from_environment(&cx.host, args.remote, limits, cx.console.interactive())?;
    let end = run(&cx.host, &args.place.directory, &options, &teller(&cx.console))?;
    cx.console.result(&end)?;
    Ok(Exit::Done)
}

fn main() -> ExitCode {
    cli::main(ship)
}
