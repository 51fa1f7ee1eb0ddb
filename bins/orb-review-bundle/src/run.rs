//! The arguments, and what is told.

use std::path::Path;

use clap::Parser;
use cli::Context;
use orb::{Place, review};
use outcome::{Exit, Failure};

/// Write the review bundle of a tree, or packets where it is over its size cap: a job
///
/// Runs `ops/review_bundle.sh` of the working directory from the commit `SINCE_SHA` to HEAD. `REVIEW_BUNDLE.txt` in
/// `ARTIFACT_DIR` is the bundle. Where the script says that it is over its size cap (exit 6), it says where the packets
/// are, and `size_cap_meta.json` names all that was written; that is a success too.
#[derive(Parser)]
#[command(name = "orb-review-bundle", version)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, cx: &Context) -> Result<Exit, Failure> {
    let place = Place::of(&cx.host, Path::new("."))?;
    let console = cx.console.clone();
    let reviewed = review(&place, Box::new(move |line| console.note(line)))?;
    cx.console.result(&reviewed)?;
    Ok(Exit::Done)
}
