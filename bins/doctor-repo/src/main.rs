//! `doctor-repo`: health of a repository's gate.

mod args;

use std::path::Path;
use std::process::ExitCode;

use cli::Context;
use doctor::Report;
use hooks::{Facts, Site, health};
use outcome::{Exit, Failure};
use repo::{Repo, RepoError, policy_bytes};
use reviewer::Program;

use crate::args::Args;

fn examine(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { place, only } = args;
    let site = Site::observe(&cx.host, &place.directory)?;
    let codex = Program::find_version(&cx.host).map_err(|error| error.to_string());
    let remote_policy = remote_policy(&place.directory).map_err(|error| error.to_string());
    let report = Report::new(health(&cx.host, &site, &Facts { codex, remote_policy })).only(&only)?;
    cx.console.result(&report)?;
    Ok(report.exit())
}

/// As of the last fetch: a doctor does not wait for a network.
fn remote_policy(directory: &Path) -> Result<Option<Vec<u8>>, RepoError> {
    let repo = Repo::open(directory)?;
    let main = repo.reference("refs/remotes/origin/main")?;
    main.map_or(Ok(None), |main| policy_bytes(repo.objects(), &main))
}

fn main() -> ExitCode {
    cli::main(examine)
}
