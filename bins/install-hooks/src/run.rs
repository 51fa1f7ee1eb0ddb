//! What the program does: find the programs and the policy, install them.

use std::io;
use std::path::PathBuf;

use cli::Context;
use hooks::{PinnedPolicy, Programs, Site, install};
use outcome::{Exit, Failure};
use repo::{Repo, policy_bytes};

use crate::args::Args;

pub(crate) fn run(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let repo = Repo::open(&args.place.directory)?;
    let site = Site::observe(&cx.host, &args.place.directory)?;
    let push_gate = args.gate.map_or_else(|| beside("push-gate"), Ok)?;
    let ship = Some(beside("ship")?).filter(|ship| ship.is_file());
    // The operator vouches for what is at HEAD now; a later change is judged by what is pinned here.
    let bytes = repo.head()?.id().map(|head| policy_bytes(repo.objects(), head)).transpose()?.flatten();
    let policy = PinnedPolicy { bytes, repin: args.repin };
    let installed = install(&cx.host, &site, &Programs { push_gate, ship }, &policy)?;
    cx.console.result(&installed)?;
    Ok(Exit::Done)
}

/// A program that was installed with this one.
fn beside(name: &str) -> Result<PathBuf, Failure> {
    let unknown = |error: io::Error| Failure::not_ready("own-path", error.to_string(), "name it: --gate FILE");
    Ok(std::env::current_exe().map_err(unknown)?.with_file_name(name))
}
