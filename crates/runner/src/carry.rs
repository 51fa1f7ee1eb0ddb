//! One job of a queue, carried from the claim to what the queue is told of its end.
//!
//! **Invariant:** a job that is not this worker's any more is killed, and nothing is said of it.
//! **Invariant:** the end of a job is told when its files are where they are read.
//! **Invariant:** what ended is told until the queue has heard it, or has given the job to another.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use host::{Cancel, Local};
use job::{Artifact, Ending, Id, Job, Status};
use job_files::{Files, FilesError};
use job_store::{Beat, Store, StoreError};
use outcome::{Exit, Failure};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::desk;
use crate::run::{Asked, Finished, Runner};
use crate::worker::{Works, lasting};

/// Longest time between two tries to tell the queue something.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long it is tried to keep the files of a job that ended.
const KEEPING: Duration = Duration::from_mins(10);
/// The longest that one try may take: a place that hangs never says so.
const LONGEST_UPLOAD: Duration = Duration::from_hours(1);

/// Why a job was stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// Somebody wants that.
    Cancelled,
    /// It is another worker's.
    Lost,
    /// The worker stops.
    Released,
}

/// A job that was claimed.
pub(crate) struct Claimed {
    pub(crate) job: Job,
    /// When the claim was asked for: the lease may be as old.
    pub(crate) asked: Instant,
    /// It has not seen what came after the claim.
    pub(crate) cancels: watch::Receiver<()>,
}

/// A job that is not carried any more.
pub(crate) struct Carried {
    pub(crate) id: Id,
    pub(crate) epoch: u32,
    /// It is the machine that failed, so that the next job would fare no better.
    pub(crate) unfit: bool,
}

/// Runs a job and tells the queue how it ended.
pub(crate) async fn carry(works: Arc<Works>, claimed: Claimed, release: CancellationToken) -> Carried {
    let (id, epoch) = (claimed.job.job_id.clone(), claimed.job.life.epoch);
    let failure = carry_on(&works, claimed, &release).await.err();
    let unfit = failure.as_ref().filter(|failure| of_the_machine(failure));
    if let Some(Failure { class, reason, .. }) = unfit {
        tracing::error!(job = %id, %class, "no more jobs are taken for now: {reason}");
    }
    Carried { unfit: unfit.is_some(), id, epoch }
}

/// Returns what came of the job.
async fn carry_on(works: &Arc<Works>, claimed: Claimed, release: &CancellationToken) -> Result<Finished, Failure> {
    let Claimed { job, asked, cancels } = claimed;
    let (id, epoch) = (job.job_id.clone(), job.life.epoch);
    tracing::info!(job = %id, epoch, trace_id = job.trace_id, "begins");
    let cancel = Cancel::default();
    let unwanted = CancellationToken::new();
    let mut ran = pin!(run_and_keep(works, &job, &cancel, release, &unwanted));
    let mut watching = Watching::new(works.store.as_ref(), cancels, asked);
    let mut stopped = None;
    let result = loop {
        tokio::select! {
            result = &mut ran => break result,
            () = watching.tick() => {
                let why = watching.look(&job).await;
                if why.is_some() {
                    unwanted.cancel();
                }
                stopped = why.filter(|why| *why == Stopped::Lost).or(stopped).or(why);
            }
            () = release.cancelled(), if stopped.is_none() => stopped = Some(Stopped::Released),
        }
        if stopped.is_some() {
            cancel.cancel();
        }
    };
    let (said, lease) = (Said::of(&result), works.store.lease());
    if stopped == Some(Stopped::Lost) {
        tracing::warn!(job = %id, epoch, "was given to another worker: what came of it is left out");
        return result;
    }
    let hand_back = match &result {
        // What did not end by itself. What is refused is refused again.
        _ if stopped == Some(Stopped::Released) && said.is_unfinished() => Some("it stops"),
        Err(failure) if of_the_machine(failure) && !has_begun(works, &job) => Some("it cannot begin jobs"),
        _ => None,
    };
    let told = match hand_back {
        Some(why) => tell(lease, release, || works.store.release(&id, epoch, why)).await,
        None => tell(lease, release, || works.store.end(&id, epoch, said.status, &said.ending, said.retry)).await,
    };
    match told {
        Some(Ok(Some(job))) => tracing::info!(job = %id, epoch, status = job.life.status.as_str(), "told"),
        Some(Ok(None)) => tracing::warn!(job = %id, epoch, "was given to another worker: what came of it is left out"),
        Some(Err(error)) => tracing::error!(job = %id, epoch, %error, "the queue was not told"),
        None => tracing::error!(job = %id, epoch, "the queue was not told: the job will be begun again"),
    }
    result
}

/// Whether another worker, or this one later, may do what this one could not.
fn of_the_machine(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::NotReady | Exit::Busy | Exit::Infrastructure)
}

/// One that was not begun has cost no attempt.
fn has_begun(works: &Works, job: &Job) -> bool {
    let attempt = Attempt { id: job.job_id.clone(), epoch: Some(job.life.epoch) };
    desk::has_begun(&works.site.state, &attempt)
}

/// Runs a job, and sends what there is of it to where it is read: its logs while it runs, all of it when it ended. A job
/// whose files are not there failed, unless nobody wants it any more.
async fn run_and_keep(
    works: &Arc<Works>,
    job: &Job,
    cancel: &Cancel,
    release: &CancellationToken,
    unwanted: &CancellationToken,
) -> Result<Finished, Failure> {
    let (id, epoch, ended) = (&job.job_id, job.life.epoch, CancellationToken::new());
    let ran = async {
        let (works, job, cancel) = (Arc::clone(works), job.clone(), cancel.clone());
        let ran = spawn_blocking(move || run(&works, &job, &cancel)).await;
        ended.cancel();
        ran.unwrap_or_else(|panicked| Err(Failure::bug("panic", panicked.to_string(), "report this")))
    };
    let (result, ()) = tokio::join!(ran, works.files.follow(id, epoch, ended.clone()));
    let kept = unwanted.run_until_cancelled(keep(&works.files, id, epoch, release)).await;
    result.and_then(|finished| with_files(finished, kept))
}

/// What is told of a job that ended, with what became of its files: `None` where nobody wanted them any more.
fn with_files(finished: Finished, kept: Option<Result<bool, FilesError>>) -> Result<Finished, Failure> {
    match kept {
        // Of one that was stopped nobody misses them.
        _ if finished.artifact.status == Status::Cancelled => Ok(finished),
        Some(Ok(true)) => Ok(finished),
        Some(Ok(false)) => Err(FilesError::Unavailable("somebody removed them".into()).into()),
        Some(Err(error)) => Err(error.into()),
        None => Err(FilesError::silent().into()),
    }
}

/// Keeps the files of a job that ended, again and again while that is not possible. A worker that stops is less patient.
async fn keep(files: &Files, id: &Id, epoch: u32, release: &CancellationToken) -> Result<bool, FilesError> {
    let began = Instant::now();
    let patience = || if release.is_cancelled() { LONGEST_WAIT } else { KEEPING };
    let waits = ExponentialBuilder::default().with_max_delay(LONGEST_WAIT).with_jitter().without_max_times();
    let keep = || files.keep(id, epoch);
    let kept = keep
        .retry(waits)
        .when(|_| began.elapsed() < patience())
        .notify(|error, _| tracing::warn!(job = %id, epoch, %error, "its files were not kept: will be tried again"));
    tokio::select! {
        kept = kept => kept,
        () = sleep(KEEPING + LONGEST_UPLOAD) => Err(FilesError::silent()),
        () = lasting(release, 3 * LONGEST_WAIT) => Err(FilesError::silent()),
    }
}

fn run(works: &Works, job: &Job, cancel: &Cancel) -> Result<Finished, Failure> {
    let host = Local::cancelled_by(cancel.clone());
    let runner = Runner {
        host: &host,
        site: &works.site,
        policies: &works.policies,
        program: &works.program,
        trees: works.trees,
        live: &|_, _| {},
        cancel,
    };
    let request = &job.request;
    let asked = Asked {
        job: request.job_type.clone(),
        repo: request.repo_name.clone(),
        sha: request.sha.clone(),
        params: request.params.clone(),
    };
    let attempt = Attempt { id: job.job_id.clone(), epoch: Some(job.life.epoch) };
    runner.attempt(&asked, &attempt, &job.trace_id)
}

/// Tells the queue something, again and again while it does not answer. A worker that stops does so for as long as the
/// job may be its own: `None` when it was not heard.
async fn tell<F>(
    lease: Duration,
    release: &CancellationToken,
    say: impl Fn() -> F,
) -> Option<Result<Option<Job>, StoreError>>
where
    F: Future<Output = Result<Option<Job>, StoreError>>,
{
    let waits = ExponentialBuilder::default().with_max_delay(LONGEST_WAIT).with_jitter();
    let passes = |error: &StoreError| matches!(error, StoreError::Unavailable(_) | StoreError::Full(_));
    let say = || async { timeout(lease, say()).await.unwrap_or_else(|_| Err(StoreError::silent())) };
    tokio::select! {
        told = say.retry(waits.without_max_times()).when(passes) => Some(told),
        () = lasting(release, lease) => None,
    }
}

/// Keeps the lease of a job.
struct Watching<'a> {
    store: &'a dyn Store,
    beats: tokio::time::Interval,
    cancels: watch::Receiver<()>,
    heard: Instant,
}

impl<'a> Watching<'a> {
    /// Of a job whose claim was asked for then: its lease is not older.
    fn new(store: &'a dyn Store, cancels: watch::Receiver<()>, asked: Instant) -> Self {
        let every = store.lease() / 3;
        let mut beats = interval_at(asked + every, every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { store, beats, cancels, heard: asked }
    }

    /// Waits until there is a reason to look.
    async fn tick(&mut self) {
        tokio::select! {
            _ = self.beats.tick() => {}
            // Its sender lives as long as the store.
            Ok(()) = self.cancels.changed() => {}
        }
    }

    /// Renews the lease. Says why the job is to be stopped, if it is.
    async fn look(&mut self, job: &Job) -> Option<Stopped> {
        let asked = Instant::now();
        // Another may have it from then on. A worker that was stopped until after that asks all the same.
        let over = self.heard + self.store.lease();
        let patience = if asked < over { over } else { asked + self.store.lease() / 3 };
        match timeout_at(patience, self.store.beat(&job.job_id, job.life.epoch)).await {
            Ok(Ok(Beat::Yours { cancel })) => {
                self.heard = asked;
                cancel.map(|_| Stopped::Cancelled)
            }
            Ok(Ok(Beat::Lost)) | Err(_) => Some(Stopped::Lost),
            Ok(Err(error)) => {
                tracing::warn!(job = %job.job_id, %error, "the lease was not renewed");
                (asked >= over).then_some(Stopped::Lost)
            }
        }
    }
}

/// What the queue is told.
#[derive(Debug)]
struct Said {
    status: Status,
    ending: Ending,
    /// The infrastructure failed, not the job.
    retry: bool,
}

impl Said {
    fn of(result: &Result<Finished, Failure>) -> Self {
        match result {
            Ok(finished) => {
                let Artifact { status, exit_code, class, reason, next, .. } = finished.artifact.clone();
                let again = [Exit::Infrastructure, Exit::Busy].map(Exit::code);
                let retry = status == Status::Error && again.contains(&finished.exit);
                Self { status, ending: Ending { exit_code, exit: finished.exit, class, reason, next }, retry }
            }
            Err(failure) => Self {
                status: Status::Error,
                ending: Ending {
                    exit_code: job::conclude::NO_EXIT_CODE,
                    exit: failure.exit.code(),
                    class: Some(failure.class.to_string()),
                    reason: Some(failure.reason.clone()),
                    next: Some(failure.next.clone()),
                },
                retry: of_the_machine(failure),
            },
        }
    }

    /// The job did not end by itself: it has no exit code, and had time left.
    fn is_unfinished(&self) -> bool {
        self.ending.exit_code == job::conclude::NO_EXIT_CODE && self.status != Status::Timeout
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const ID: &str = "20260131T235959123Z-0123456789abcdef";

    /// A state directory with an attempt, and a shared one that is gone.
    fn gone() -> (TempDir, TempDir, Files) {
        let (state, shared) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let attempt = state.path().join(format!("jobs/{ID}/1"));
        fs::create_dir_all(&attempt).unwrap();
        fs::write(attempt.join("artifact.json"), "{}").unwrap();
        let files = Files::open(&format!("file://{}", shared.path().display()), state.path()).unwrap();
        fs::remove_dir(shared.path()).unwrap();
        // Nothing can be made in its place.
        fs::write(shared.path(), "").unwrap();
        (state, shared, files)
    }

    #[tokio::test]
    async fn j19_a_job_whose_claim_was_answered_late_asks_at_once_whether_it_is_its_own() {
        let dir = TempDir::new().unwrap();
        let queue = format!("sqlite:{}", dir.path().join("queue.db").display());
        let store = job_store::open(&queue, job_store::Settings::default()).await.unwrap();
        let begun = |asked| Watching::new(store.as_ref(), store.hints().cancels(), asked);
        let soon = Duration::from_secs(1);
        let late = Instant::now().checked_sub(store.lease() / 2).unwrap();
        assert!(timeout(soon, begun(late).tick()).await.is_ok());
        assert!(timeout(soon, begun(Instant::now()).tick()).await.is_err());
    }

    #[test]
    fn no_job_ends_well_without_its_files() {
        let told = |status, kept| {
            let artifact = Artifact::parse(include_bytes!("../tests/samples/died.json")).unwrap();
            let finished = Finished { artifact: Artifact { status, ..artifact }, artifact_dir: "/".into(), exit: 0 };
            with_files(finished, kept).map_err(|failure| failure.class.to_string()).map(drop)
        };
        let away = || Some(Err(FilesError::silent()));
        assert_eq!(told(Status::Success, Some(Ok(true))), Ok(()));
        assert_eq!(told(Status::Success, Some(Ok(false))), Err("files-unavailable".into()));
        assert_eq!(told(Status::Success, away()), Err("files-unavailable".into()));
        assert_eq!(told(Status::Success, None), Err("files-unavailable".into()));
        assert_eq!(told(Status::Cancelled, away()), Ok(()));
        assert_eq!(told(Status::Cancelled, None), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_kept_is_kept_when_it_can() {
        let ((_state, shared, files), id) = (gone(), ID.parse().unwrap());
        let release = CancellationToken::new();
        let back = async {
            sleep(KEEPING / 2).await;
            fs::remove_file(shared.path()).unwrap();
            fs::create_dir(shared.path()).unwrap();
        };
        let (kept, ()) = tokio::join!(keep(&files, &id, 1, &release), back);
        assert_eq!(kept, Ok(true));
        assert_eq!(files.size(&id, 1, "artifact.json").await, Ok(Some(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_be_kept_is_told_in_the_end_and_sooner_by_a_worker_that_stops() {
        let ((_state, shared, files), id) = (gone(), ID.parse().unwrap());
        let release = CancellationToken::new();
        for most in [KEEPING, LONGEST_WAIT] {
            let began = Instant::now();
            let failure = Failure::from(keep(&files, &id, 1, &release).await.unwrap_err());
            assert_eq!((failure.exit, &*failure.class), (Exit::Infrastructure, "files-unavailable"));
            assert!((most..most + 3 * LONGEST_WAIT).contains(&began.elapsed()));
            release.cancel();
        }
        fs::remove_file(shared.path()).unwrap();
        fs::create_dir(shared.path()).unwrap();
    }
}
