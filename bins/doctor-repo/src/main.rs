//! `doctor-repo`: health of a repository's gate.

mod args;

use std::path::Path;
use std::process::ExitCode;

use cli::Context;
use doctor::Report;
use hooks::{Facts, Site, Upstream, health};
use host::Host;
use outcome::{Exit, Failure};
use repo::{Git, Head, Repo, RepoError, policy_bytes};
use reviewer::Program;

use crate::args::Args;

fn examine(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { place, only } = args;
    let site = Site::observe(&cx.host, &place.directory)?;
    let codex = Program::find_version(&cx.host).map_err(|error| error.to_string());
    let remote_policy = remote_policy(&cx.host, &place.directory).map_err(|error| error.to_string());
    let report = Report::new(health(&cx.host, &site, &Facts { codex, remote_policy })).only(&only)?;
    cx.console.result(&report)?;
    Ok(report.exit())
}

/// As of the last fetch: a doctor does not wait for a network.
fn remote_policy(host: &dyn Host, directory: &Path) -> Result<Upstream, RepoError> {
    let repo = Repo::open(directory)?;
    let Head::Branch { name, .. } = repo.head()? else { return Ok(Upstream::None) };
    let Some(upstream) = Git::new(&repo, host).upstream(&name)? else { return Ok(Upstream::None) };
    let Some(id) = repo.reference(&upstream)? else { return Ok(Upstream::None) };
    Ok(Upstream::Has(policy_bytes(repo.objects(), &id)?))
}

fn main() -> ExitCode {
    cli::main(examine)
}
