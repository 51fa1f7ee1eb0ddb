//! `autoheal`: fix the blockers of the verdict for HEAD, inside the allowed paths.

use std::process::ExitCode;

use clap::Parser;
use cli::{Context, Route};
use outcome::{Exit, Failure};
use ship::machine::{Limits, Unapproved};
use ship::{Options, autoheal, teller};

/// Have the blockers of the verdict for HEAD mended inside the policy's directories, as one commit
#[derive(Parser)]
#[command(name = "autoheal", version)]
struct Args {
    #[command(flatten)]
    route: Route,
}

fn heal(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let limits = Limits { rounds: 1, unapproved: Unapproved::Refuse, heal: true, push: false };
    let options = Options::from_environment(&cx.host, args.route.remote, limits, cx.console.interactive())?;
    let mended = autoheal(&cx.host, &args.route.place.directory, &options, &teller(&cx.console));
    cx.console.finish();
    cx.console.result(&mended?)?;
    Ok(Exit::Done)
}

fn main() -> ExitCode {
    cli::main(heal)
}
