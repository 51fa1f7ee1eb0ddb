//! What a timer removes: old jobs, mirrors and checkouts that nobody uses.
//!
//! **Invariant:** no job that runs, and no mirror of a repository that is allowed, is removed.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use host::{Host, HostError};
use job::Id;
use outcome::{Exit, Failure};
use serde::Serialize;

use crate::begun::time;
use crate::desk::sweep;
use crate::site::Site;

/// What was removed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    schema: u32,
    status: &'static str,
    /// Jobs that ended.
    jobs: usize,
    /// Mirrors of repositories that are not allowed any more.
    mirrors: usize,
    /// Mirrors whose packs were made one.
    repacked: usize,
    /// Commits that were kept only because a job once ran on them.
    pins: usize,
    /// Checkouts that had been put into quarantine.
    quarantined: usize,
    /// Checkouts that were never finished.
    unfinished: usize,
    /// Idle checkouts that are as they were; all of them, where this is told.
    scanned: usize,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, mirrors, repacked, pins, quarantined, unfinished, scanned, .. } = self;
        write!(f, "removed {jobs} jobs, {mirrors} mirrors, {pins} pins, {quarantined} checkouts in quarantine and ")?;
        write!(f, "{unfinished} unfinished ones; repacked {repacked} mirrors; {scanned} checkouts are as they were")
    }
}

/// Removes what is older than `age`, or was not used for so long, and compares the checkouts that nobody uses with what
/// was last seen of them.
///
/// # Errors
/// Those of [`Site::policy`] and of the machine; git's, when a mirror cannot be packed; refused, class
/// `mutation-detected`, when a checkout was changed: everything was done then all the same.
pub fn prune(host: &dyn Host, site: &Site, age: Duration) -> Result<Removed, Failure> {
    let policy = site.policy(host)?;
    let state = site.own_state(host)?;
    sweep(host, state)?;
    let jobs = prune_jobs(host, state, age)?;
    let urls: Vec<&str> = policy.repos().values().map(|repo| repo.url.as_str()).collect();
    let pruned = worktree::prune(host, state, &urls, age)?;
    if pruned.scanned.mutated > 0 {
        let quarantine = state.join("quarantine");
        let reason =
            format!("{} idle checkouts were changed; they are in {} now", pruned.scanned.mutated, quarantine.display());
        return Err(Failure::refused("mutation-detected", reason, "find out what changed them; jobs get new ones"));
    }
    Ok(Removed {
        schema: 1,
        status: Exit::Done.status(),
        jobs,
        mirrors: pruned.mirrors,
        repacked: pruned.repacked,
        pins: pruned.pins,
        quarantined: pruned.quarantined,
        unfinished: pruned.unfinished,
        scanned: pruned.scanned.same,
    })
}

/// What is no job's directory is left alone.
fn prune_jobs(host: &dyn Host, state: &Path, age: Duration) -> Result<usize, Failure> {
    let jobs = state.join("jobs");
    let entries = match fs::read_dir(&jobs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(HostError::io(&jobs))?,
    };
    let oldest = time(host)?.as_millis().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(HostError::io(&jobs))?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<Id>().ok()) else { continue };
        let runs = host.stat(&state.join("running").join(id.as_str()))?.is_some();
        if !runs && id.born_at().as_millis() < oldest {
            fs::remove_dir_all(entry.path()).map_err(HostError::io(&jobs))?;
            removed += 1;
        }
    }
    Ok(removed)
}
