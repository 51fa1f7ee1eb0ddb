//! `runner-smoke`: end-to-end check of a runner's service.

mod args;
mod checks;
mod orb;

use cli::Context;
use doctor::Report;
use outcome::{Exit, Failure};
use runner::{Site, token};
use runner_client::{Base, Client};

use crate::args::Args;
use crate::checks::Smoke;

fn examine(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let base = Base::find(args.api.as_deref(), token::socket(&cx.host, args.state.clone()))?;
    let token = token::find(&cx.host, args.state.clone(), base.is_socket())?;
    let client = Client::new(base.clone(), Some(&token))?.cancelled_by(cx.cancel.clone());
    let stranger = Client::new(base, None)?.cancelled_by(cx.cancel.clone());
    let site = Site::find(&cx.host, args.configs.clone(), args.state.clone())?;
    let report = Report::new(Smoke::new(cx, &client, &stranger, &site, args.patience).checks(args)?);
    cx.console.finish();
    cx.console.result(&report)?;
    Ok(report.exit())
}

fn main() -> std::process::ExitCode {
    cli::main(|args, cx| examine(&args, cx))
}
