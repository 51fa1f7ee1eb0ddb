//! One job of a queue, carried from the claim to what the queue is told of its end.
//!
//! **Invariant:** a job that is not this worker's any more is killed, and nothing is said of it.
//! **Invariant:** what ended is told until the queue has heard it, or has given the job to another.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use host::{Cancel, Local};
use job::{Artifact, Ending, Job, Status};
use job_store::{Beat, Store, StoreError};
use outcome::{Exit, Failure};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::run::{Asked, Finished, Runner};
use crate::worker::{Works, lasting};

/// Longest time between two tries to tell the queue something.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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

/// Runs a job and tells the queue how it ended.
pub(crate) async fn carry(works: Arc<Works>, job: Job, release: CancellationToken) {
    let (id, epoch) = (job.job_id.clone(), job.life.epoch);
    tracing::info!(job = %id, epoch, trace_id = job.trace_id, "begins");
    let cancel = Cancel::default();
    let ran = {
        let (works, job, cancel) = (Arc::clone(&works), job.clone(), cancel.clone());
        spawn_blocking(move || run(&works, &job, &cancel))
    };
    let mut ran = pin!(ran);
    let mut watching = Watching::new(works.store.as_ref());
    let mut stopped = None;
    let result = loop {
        tokio::select! {
            result = &mut ran => break result,
            () = watching.tick() => {
                let why = watching.look(&job).await;
                stopped = stopped.or(why);
            }
            () = release.cancelled(), if stopped.is_none() => stopped = Some(Stopped::Released),
        }
        if stopped.is_some() {
            cancel.cancel();
        }
    };
    let result = result.unwrap_or_else(|panicked| Err(Failure::bug("panic", panicked.to_string(), "report this")));
    let (said, lease) = (Said::of(&result), works.store.lease());
    if stopped == Some(Stopped::Lost) {
        tracing::warn!(job = %id, epoch, "was given to another worker: what came of it is left out");
        return;
    }
    let told = if stopped == Some(Stopped::Released) && said.status == Status::Cancelled {
        tell(lease, &release, || works.store.release(&id, epoch, "it stops")).await
    } else {
        tell(lease, &release, || works.store.end(&id, epoch, said.status, &said.ending, said.retry)).await
    };
    match told {
        Some(Ok(Some(job))) => tracing::info!(job = %id, epoch, status = job.life.status.as_str(), "told"),
        Some(Ok(None)) => tracing::warn!(job = %id, epoch, "was given to another worker: what came of it is left out"),
        Some(Err(error)) => tracing::error!(job = %id, epoch, %error, "the queue was not told"),
        None => tracing::error!(job = %id, epoch, "the queue was not told: the job will be begun again"),
    }
}

fn run(works: &Works, job: &Job, cancel: &Cancel) -> Result<Finished, Failure> {
    let host = Local::cancelled_by(cancel.clone());
    let runner = Runner {
        host: &host,
        site: &works.site,
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
    fn new(store: &'a dyn Store) -> Self {
        let mut beats = interval(store.lease() / 3);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { store, beats, cancels: store.hints().cancels(), heard: Instant::now() }
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
        let patience = over.max(asked + self.store.lease() / 3);
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
                let retry = status == Status::Error && finished.exit == Exit::Infrastructure.code();
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
                retry: failure.exit == Exit::Infrastructure,
            },
        }
    }
}
