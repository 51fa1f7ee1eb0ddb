//! What a timer removes: old jobs, mirrors and checkouts that nobody uses.
//!
//! **Invariant:** no job that runs, and no mirror of a repository that is allowed, is removed.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use host::{Host, HostError};
use job::{Id, Time};
use job_files::Files;
use job_store::Store;
use outcome::{Exit, Failure};
use serde::Serialize;

use crate::attempt::Attempt;
use crate::begun::time;
use crate::desk::sweep;
use crate::removal::remove_all;
use crate::site::Site;

/// What was removed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    schema: u32,
    status: &'static str,
    /// Jobs that ended, with what they left on this machine.
    jobs: usize,
    /// Jobs that ended, out of the queue and from where others read them.
    queue: u64,
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
        let Self { jobs, queue, mirrors, repacked, pins, quarantined, unfinished, scanned, .. } = self;
        write!(
            f,
            "removed {jobs} jobs and {queue} of the queue, {mirrors} mirrors, {pins} pins, {quarantined} checkouts in "
        )?;
        write!(
            f,
            "quarantine and {unfinished} unfinished ones; repacked {repacked} mirrors; {scanned} checkouts are as they were"
        )
    }
}

impl Removed {
    /// With what [`prune_queue`] removed.
    #[must_use]
    pub fn and_of_queue(self, queue: u64) -> Self {
        Self { queue, ..self }
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
    let state = &site.own_state(host)?;
    // Where a dead job cannot be finished, such as on a full disk, room is made first.
    let swept = sweep(host, state);
    let jobs = prune_jobs(host, state, age)?;
    let urls: Vec<&str> = policy.repos().values().map(|repo| repo.url.as_str()).collect();
    let pruned = worktree::prune(host, state, &urls, age)?;
    swept?;
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
        queue: 0,
        mirrors: pruned.mirrors,
        repacked: pruned.repacked,
        pins: pruned.pins,
        quarantined: pruned.quarantined,
        unfinished: pruned.unfinished,
        scanned: pruned.scanned.same,
    })
}

/// Removes from the queue what ended and is older than `age`, and its files where others read them. Returns how many jobs.
///
/// # Errors
/// Those of the store, and of where the files are: their jobs stay in the queue then.
pub async fn prune_queue(store: &dyn Store, files: &Files, age: Duration) -> Result<u64, Failure> {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let before = Time::from_millis(store.now().await?.as_millis().saturating_sub(age));
    let before = before.map_err(|error| Failure::usage("arguments", error.to_string(), "name fewer days"))?;
    for id in store.ended(before).await? {
        files.prune(&id).await?;
    }
    Ok(store.prune(before).await?)
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
        if id.born_at().as_millis() < oldest && !runs(state, &id)? {
            match remove_all(&entry.path()) {
                // Another pruning was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                gone => {
                    gone.map_err(HostError::io(&jobs))?;
                    removed += 1;
                }
            }
        }
    }
    Ok(removed)
}

/// Whether any attempt at the job runs.
fn runs(state: &Path, id: &Id) -> Result<bool, HostError> {
    let running = state.join("running");
    let entries = match fs::read_dir(&running) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(HostError::io(&running))?,
    };
    for entry in entries {
        let name = entry.map_err(HostError::io(&running))?.file_name();
        if name.to_str().and_then(|name| name.parse::<Attempt>().ok()).is_some_and(|attempt| attempt.id == *id) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use host::Local;
    use job::Cancelled;
    use job_store::NewJob;
    use tempfile::TempDir;

    use super::*;

    const OLD: &str = "20200131T235959123Z-0123456789abcdef";

    /// A site with one old job.
    fn site() -> (TempDir, Site) {
        let dir = TempDir::new().unwrap();
        let site = Site { configs: dir.path().to_owned(), state: dir.path().join("state") };
        fs::write(dir.path().join("repo_allowlist.toml"), "schema = 1\n").unwrap();
        fs::create_dir_all(site.state.join("jobs").join(OLD)).unwrap();
        (dir, site)
    }

    #[test]
    fn what_is_old_goes_also_where_a_dead_job_cannot_be_finished() {
        let (_dir, site) = site();
        let dead = "20200131T235959123Z-1123456789abcdef";
        let dir = site.state.join("jobs").join(dead);
        // A directory is in the way of its digest, as a full disk would be.
        fs::create_dir_all(dir.join("artifact.json.sha256")).unwrap();
        fs::write(dir.join(".died.json"), include_bytes!("../tests/samples/died.json")).unwrap();
        fs::create_dir(site.state.join("running")).unwrap();
        fs::write(site.state.join("running").join(dead), "").unwrap();
        prune(&Local::new(), &site, Duration::from_secs(60)).unwrap_err();
        assert!(!site.state.join("jobs").join(OLD).exists());
        assert!(dir.exists(), "its marker is there");
    }

    /// Keeps a job in the queue, and a file of it where others read them.
    async fn keep(store: &dyn Store, files: &Files, state: &Path, id: &str) -> Id {
        let job = serde_json::json!({
            "job_id": id, "job_type": "hello", "repo_name": "project", "sha": "0123456789abcdef0123456789abcdef01234567",
            "params": {}, "priority": 0, "submitted_by": "me", "queued_at": "2020-01-31T23:59:59.123Z",
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "status": "queued", "epoch": 0, "attempt": 0, "max_attempts": 1,
            "not_before": "2020-01-31T23:59:59.123Z",
        });
        let job = serde_json::from_value(job).unwrap();
        let new = NewJob { job, idempotency_key: None, request_hash: String::new(), waiting: None };
        store.submit(&new).await.unwrap();
        let attempt = state.join("jobs").join(id).join("1");
        fs::create_dir_all(&attempt).unwrap();
        fs::write(attempt.join("artifact.json"), "{}").unwrap();
        files.keep(&new.job.job_id, 1).await.unwrap();
        new.job.job_id
    }

    #[tokio::test]
    async fn j21_what_ended_leaves_the_queue_and_the_place_that_others_read_and_what_waits_stays() {
        let (state, shared) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let queue = format!("sqlite:{}", state.path().join("queue.db").display());
        let store = job_store::open(&queue, job_store::Settings::default()).await.unwrap();
        let files = Files::open(&format!("file://{}", shared.path().display()), state.path()).unwrap();
        let ended = keep(store.as_ref(), &files, state.path(), OLD).await;
        let waits = keep(store.as_ref(), &files, state.path(), "20200131T235959123Z-1123456789abcdef").await;
        let by = Cancelled { by: "me".into(), why: "enough".into() };
        store.cancel(&ended, &by).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(prune_queue(store.as_ref(), &files, day).await.unwrap(), 0, "it ended now");
        assert_eq!(prune_queue(store.as_ref(), &files, Duration::ZERO).await.unwrap(), 1);
        assert_eq!(store.get(&ended).await.unwrap(), None);
        assert_eq!(files.size(&ended, 1, "artifact.json").await, Ok(None));
        assert!(store.get(&waits).await.unwrap().is_some());
        assert_eq!(files.size(&waits, 1, "artifact.json").await, Ok(Some(2)));
    }

    #[test]
    fn two_prunings_at_once_both_end_well() {
        let (_dir, site) = site();
        for number in 0..200 {
            let dir = site.state.join("jobs").join(format!("20200131T235959123Z-{number:016x}"));
            fs::create_dir_all(dir.join("a/b")).unwrap();
        }
        let prune = || prune(&Local::new(), &site, Duration::from_secs(60)).map_err(|failure| failure.text());
        std::thread::scope(|scope| {
            let runs = [(); 3].map(|()| scope.spawn(prune));
            for run in runs {
                run.join().unwrap().unwrap();
            }
        });
        assert_eq!(fs::read_dir(site.state.join("jobs")).unwrap().count(), 0);
    }
}
