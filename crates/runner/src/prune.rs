//! What a timer removes: old jobs, mirrors and checkouts that nobody uses.
//!
//! **Invariant:** no job that runs, and no mirror of a repository that is allowed, is removed.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use host::{Host, HostError};
use job::{Id, Time};
use job_files::Files;
use job_store::Store;
use outcome::{Exit, Failure};
use serde::Serialize;
use tokio::time::sleep;

use crate::attempt::Attempt;
use crate::begun::time;
use crate::desk::sweep;
use crate::removal::remove_all;
use crate::site::Site;

/// So many jobs leave the queue in one step, for which all others wait.
const TOGETHER: u32 = 200;
/// Between two such steps.
const PAUSE: Duration = Duration::from_millis(20);

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
/// Those of the store, and of where the files are: the jobs whose files are there stay in the queue, all others go.
pub async fn prune_queue(store: &dyn Store, files: &Files, age: Duration) -> Result<u64, Failure> {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let before = Time::from_millis(store.now().await?.as_millis().saturating_sub(age));
    let before = before.map_err(|error| Failure::usage("arguments", error.to_string(), "name fewer days"))?;
    let (mut after, mut removed, mut failed) = (None, 0, None);
    loop {
        let ids = store.ended(before, after.as_ref(), TOGETHER).await?;
        let Some(last) = ids.last().cloned() else { break };
        let mut gone = Vec::new();
        for id in ids {
            match files.prune(&id).await {
                Ok(()) => gone.push(id),
                Err(error) => failed = Some(error),
            }
        }
        removed += store.forget(&gone).await?;
        if gone.is_empty() {
            break;
        }
        after = Some(last);
        sleep(PAUSE).await;
    }
    store.prune().await?;
    failed.map_or(Ok(removed), |error| Err(error.into()))
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
        let is_old = id.born_at().as_millis() < oldest && changed_at(&entry.path()) < oldest;
        if is_old && !runs(state, &id)? {
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

/// When an attempt last began or ended, in milliseconds: a job may have waited for long.
fn changed_at(job: &Path) -> i64 {
    let attempts = fs::read_dir(job).into_iter().flatten().flatten().map(|entry| entry.path());
    let changes = attempts.chain([job.to_owned()]).filter_map(|path| fs::symlink_metadata(path).ok());
    changes.map(|found| found.mtime().saturating_mul(1000)).max().unwrap_or(i64::MIN)
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
    use std::sync::Arc;
    use std::time::SystemTime;

    use host::Local;
    use job::Cancelled;
    use job_store::{Filter, NewJob};
    use tempfile::TempDir;

    use super::*;

    const OLD: &str = "20200131T235959123Z-0123456789abcdef";

    /// Nothing happened there for long.
    fn rest(dir: &Path) {
        fs::File::open(dir).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }

    /// A site with one old job.
    fn site() -> (TempDir, Site) {
        let dir = TempDir::new().unwrap();
        let site = Site { configs: dir.path().to_owned(), state: dir.path().join("state") };
        fs::write(dir.path().join("repo_allowlist.toml"), "schema = 1\n").unwrap();
        let old = site.state.join("jobs").join(OLD);
        fs::create_dir_all(&old).unwrap();
        rest(&old);
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

    /// A queue of jobs whose files others read elsewhere.
    struct Queue {
        state: TempDir,
        shared: TempDir,
        store: Arc<dyn Store>,
        files: Files,
    }

    impl Queue {
        async fn new() -> Self {
            let (state, shared) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let queue = format!("sqlite:{}", state.path().join("queue.db").display());
            let store = job_store::open(&queue, job_store::Settings::default()).await.unwrap();
            let files = Files::open(&format!("file://{}", shared.path().display()), state.path()).unwrap();
            Self { state, shared, store, files }
        }
    }

    /// Keeps a job in the queue.
    async fn submit(store: &dyn Store, id: Id) -> Id {
        let job = serde_json::json!({
            "job_id": id, "job_type": "hello", "repo_name": "project", "sha": "0123456789abcdef0123456789abcdef01234567",
            "params": {}, "priority": 0, "submitted_by": "me", "queued_at": "2020-01-31T23:59:59.123Z",
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "status": "queued", "epoch": 0, "attempt": 0, "max_attempts": 1,
            "not_before": "2020-01-31T23:59:59.123Z",
        });
        let job = serde_json::from_value(job).unwrap();
        let new = NewJob { job, idempotency_key: None, request_hash: String::new(), waiting: None };
        store.submit(&new).await.unwrap();
        id
    }

    /// The same with a file of it where others read them.
    async fn keep(store: &dyn Store, files: &Files, state: &Path, id: &str) -> Id {
        let id = submit(store, id.parse().unwrap()).await;
        let attempt = state.join("jobs").join(id.as_str()).join("1");
        fs::create_dir_all(&attempt).unwrap();
        fs::write(attempt.join("artifact.json"), "{}").unwrap();
        files.keep(&id, 1).await.unwrap();
        id
    }

    #[tokio::test]
    async fn j21_what_ended_leaves_the_queue_and_the_place_that_others_read_and_what_waits_stays() {
        let Queue { state, shared: _shared, store, files } = Queue::new().await;
        let ended = keep(store.as_ref(), &files, state.path(), OLD).await;
        let waits = keep(store.as_ref(), &files, state.path(), "20200131T235959123Z-1123456789abcdef").await;
        let by = Cancelled { by: "me".into(), why: "enough".into() };
        store.cancel(&ended, &by).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(prune_queue(store.as_ref(), &files, day).await.unwrap(), 0, "it ended now");
        assert_eq!(prune_queue(store.as_ref(), &files, Duration::ZERO).await.unwrap(), 1);
        assert_eq!(store.get(&ended).await.unwrap(), None);
        assert_eq!(files.size(&ended, 1, "artifact.json").await, Ok(None));
        assert!(store.get(&waits).await.unwrap().is_some());
        assert_eq!(files.size(&waits, 1, "artifact.json").await, Ok(Some(2)));
    }

    #[test]
    fn an_old_job_that_was_begun_lately_stays() {
        let (_dir, site) = site();
        let job = site.state.join("jobs").join(OLD);
        fs::create_dir(job.join("1")).unwrap();
        rest(&job);
        let prune = || prune(&Local::new(), &site, Duration::from_secs(60)).unwrap().jobs;
        assert_eq!((prune(), job.exists()), (0, true));
        rest(&job.join("1"));
        assert_eq!((prune(), job.exists()), (1, false));
    }

    #[tokio::test]
    async fn many_jobs_leave_the_queue_and_those_whose_files_cannot_be_removed_stay() {
        let Queue { state, shared, store, files } = Queue::new().await;
        let by = Cancelled { by: "me".into(), why: "enough".into() };
        for number in 0..=TOGETHER {
            let id = format!("20200131T235959123Z-{number:016x}").parse().unwrap();
            let id = submit(store.as_ref(), id).await;
            store.cancel(&id, &by).await.unwrap();
        }
        sleep(Duration::from_millis(5)).await;
        fs::remove_dir(shared.path()).unwrap();
        fs::write(shared.path(), "").unwrap();
        let failure = prune_queue(store.as_ref(), &files, Duration::ZERO).await.unwrap_err();
        assert_eq!(failure.class, "files-unavailable");
        assert_eq!(store.list(&Filter { most: 1, ..Filter::default() }).await.unwrap().len(), 1);
        let files = Files::local(state.path());
        assert_eq!(prune_queue(store.as_ref(), &files, Duration::ZERO).await.unwrap(), u64::from(TOGETHER) + 1);
        fs::remove_file(shared.path()).unwrap();
        fs::create_dir(shared.path()).unwrap();
    }

    #[test]
    fn two_prunings_at_once_both_end_well() {
        let (_dir, site) = site();
        for number in 0..200 {
            let dir = site.state.join("jobs").join(format!("20200131T235959123Z-{number:016x}"));
            fs::create_dir_all(dir.join("a/b")).unwrap();
            for dir in [dir.join("a"), dir] {
                rest(&dir);
            }
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
