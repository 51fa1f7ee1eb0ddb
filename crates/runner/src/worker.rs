//! A worker: takes jobs from the queue as long as it has room, and runs each with a lease.
//!
//! **Invariant:** a worker that cannot read the allowlists takes no job.
//! **Invariant:** a worker that stops leaves no job that runs: each ended, or was handed back.

use std::collections::BTreeSet;
use std::future::pending;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use allowlist::Policy;
use host::Local;
use job::{Id, Job, Time};
use job_files::Files;
use job_store::{Claim, Store, StoreError, WorkerInfo};
use outcome::Failure;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::attempt::Attempt;
use crate::begun::time;
use crate::carry::{Carried, Claimed, carry};
use crate::clock;
use crate::desk::{self, sweep};
use crate::limits::limits;
use crate::policies::Policies;
use crate::seat::Seat;
use crate::site::Site;

/// The queue of one machine, in its state directory.
pub const QUEUE: &str = "queue.db";

/// What a worker works with.
pub struct Works {
    /// The queue.
    pub store: Arc<dyn Store>,
    /// Where readers of what jobs leave find it.
    pub files: Files,
    /// Where everything is.
    pub site: Site,
    /// What was allowed when that was last asked.
    pub policies: Policies,
    /// A program that becomes the init of a sandbox; this project's programs are looked for beside it.
    pub program: PathBuf,
    /// How many trees are kept.
    pub trees: usize,
    /// How many jobs are run at one time.
    pub slots: u32,
    /// How long jobs may go on when the worker stops.
    pub grace: Duration,
}

/// A worker with its name.
pub struct Worker {
    works: Arc<Works>,
    seat: Seat,
    started_at: Time,
    /// Why the allowlists could not be read when that was last tried.
    told: Mutex<Option<String>>,
}

/// A claim that was asked for.
struct Claiming {
    asked: Instant,
    cancels: watch::Receiver<()>,
    answer: JoinHandle<Result<Vec<Job>, StoreError>>,
}

/// What a worker does.
struct Doing {
    jobs: JoinSet<Carried>,
    /// The jobs of these tasks, with their epochs: a job may come back before its task is known to have ended.
    carried: BTreeSet<(Id, u32)>,
    claiming: Option<Claiming>,
    /// A claim was not answered: what it took, nobody runs.
    in_doubt: bool,
    /// Nothing shows that a job can be begun here.
    unfit: bool,
}

impl Doing {
    /// Nothing.
    fn new() -> Self {
        Self { jobs: JoinSet::new(), carried: BTreeSet::new(), claiming: None, in_doubt: false, unfit: true }
    }

    fn ended(&mut self, carried: Result<Carried, JoinError>) {
        if let Ok(Carried { id, epoch, unfit }) = carried {
            self.carried.remove(&(id, epoch));
            self.unfit |= unfit;
        }
    }
}

/// What the claim took that is under way; fails when it is not answered within `patience`. Waits for ever where there is
/// none.
async fn answer(claiming: &mut Option<Claiming>, patience: Duration) -> Result<Vec<Claimed>, StoreError> {
    let Some(claim) = claiming else { return pending().await };
    let answered = timeout_at(claim.asked + patience, &mut claim.answer).await;
    let Some(claim) = claiming.take() else { return Ok(Vec::new()) };
    let Ok(Ok(answer)) = answered else {
        claim.answer.abort();
        return Err(StoreError::silent());
    };
    let claimed = |job| Claimed { job, asked: claim.asked, cancels: claim.cancels.clone() };
    Ok(answer?.into_iter().map(claimed).collect())
}

impl Worker {
    /// Takes a name, and gives back to the queue what an earlier worker of this name left behind.
    ///
    /// # Errors
    /// Those of the state directory, of the machine and of the store.
    pub async fn new(works: Works) -> Result<Self, Failure> {
        let host = Local::new();
        let site = Site { state: works.site.own_state(&host)?, configs: works.site.configs.clone() };
        let seat = Seat::take(&host, &site.state)?;
        let dead = sweep(&host, &site.state)?;
        works.store.part(&seat.name).await?;
        for job in works.store.bury(&seat.name).await? {
            tracing::warn!(job = %job.job_id, status = job.life.status.as_str(), "was left behind by an earlier worker");
        }
        // Nobody waits for it.
        let _ = timeout(works.store.lease(), keep_dead(&works.files, &dead)).await;
        let works = Arc::new(Works { site, ..works });
        Ok(Self { works, seat, started_at: time(&host)?, told: Mutex::default() })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.seat.name
    }

    /// Takes and runs jobs until `stop`, then lets those that run end for as long as they may, and hands back the others.
    ///
    /// # Errors
    /// Not ready, class `store-newer`, when the queue belongs to newer programs.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), Failure> {
        let release = CancellationToken::new();
        let mut doing = Doing::new();
        let clock = AbortOnDropHandle::new(tokio::spawn(clock::run(Arc::clone(&self.works), stop.clone())));
        let worked = tokio::select! {
            worked = self.work(&mut doing, &release, stop) => worked,
            // A queue that never answers is not waited for.
            () = lasting(stop, self.works.store.lease()) => Ok(()),
        };
        drop(clock);
        self.hand_back_late(&mut doing).await;
        let jobs = &mut doing.jobs;
        if !jobs.is_empty() {
            tracing::info!(jobs = jobs.len(), "stops: waits for what runs");
            let done = timeout(self.works.grace, async { while jobs.join_next().await.is_some() {} });
            if done.await.is_err() {
                release.cancel();
                while jobs.join_next().await.is_some() {}
            }
        }
        // It is forgotten after a while all the same.
        let _ = timeout(self.works.store.lease(), self.works.store.part(&self.seat.name)).await;
        worked
    }

    async fn work(
        &self,
        doing: &mut Doing,
        release: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let store = self.works.store.as_ref();
        let mut hints = store.hints().work();
        let mut greetings = interval(store.lease() / 3);
        greetings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A claim that took nothing is no reason for the next one.
        let mut due = true;
        while !stop.is_cancelled() {
            if due && doing.claiming.is_none() {
                hints.mark_unchanged();
                doing.claiming = self.claim(doing);
                due = false;
            }
            let Doing { jobs, claiming, .. } = &mut *doing;
            tokio::select! {
                () = stop.cancelled() => {}
                _ = greetings.tick() => due |= self.greet(doing).await?,
                Some(carried) = jobs.join_next() => {
                    doing.ended(carried);
                    due = true;
                }
                claimed = answer(claiming, store.lease()) => {
                    doing.in_doubt |= claimed.is_err();
                    for claimed in passing(claimed)?.into_iter().flatten() {
                        doing.carried.insert((claimed.job.job_id.clone(), claimed.job.life.epoch));
                        doing.jobs.spawn(carry(Arc::clone(&self.works), claimed, release.clone()));
                    }
                }
                // Its sender lives as long as the store.
                Ok(()) = hints.changed() => due = true,
                () = sleep(store.poll()) => due = true,
            }
        }
        Ok(())
    }

    /// Asks for as many jobs as there is room for.
    fn claim(&self, doing: &Doing) -> Option<Claiming> {
        let room = self.works.slots.saturating_sub(u32::try_from(doing.jobs.len()).unwrap_or(u32::MAX));
        if room == 0 || doing.unfit {
            return None;
        }
        let limits = limits(&*self.policy()?);
        let (store, worker) = (Arc::clone(&self.works.store), self.name().to_owned());
        let (asked, cancels) = (Instant::now(), store.hints().cancels());
        let answer =
            tokio::spawn(async move { store.claim(&Claim { worker: &worker, most: room, limits: &limits }).await });
        Some(Claiming { asked, cancels, answer })
    }

    /// Says that it is there, and looks after what other workers left behind, and itself. Returns whether it may take jobs
    /// that it did not take before.
    async fn greet(&self, doing: &mut Doing) -> Result<bool, Failure> {
        let (store, policy, was_unfit) = (self.works.store.as_ref(), self.policy(), doing.unfit);
        doing.unfit = was_unfit && !self.is_fit().await;
        let takes_jobs = policy.is_some() && !doing.unfit;
        let info = WorkerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            slots: if takes_jobs { self.works.slots } else { 0 },
            policy_sha256: policy.map(|policy| policy.sha256().to_owned()).unwrap_or_default(),
        };
        self.asked(store.greet(self.name(), &info)).await?;
        for job in self.asked(store.reap()).await?.into_iter().flatten() {
            tracing::warn!(job = %job.job_id, status = job.life.status.as_str(), "nothing was heard of its worker");
        }
        if doing.in_doubt && doing.claiming.is_none() {
            doing.in_doubt = self.asked(self.hand_back(&doing.carried)).await?.is_none();
        }
        Ok(was_unfit && !doing.unfit)
    }

    /// What the queue says, in time.
    async fn asked<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>, Failure> {
        passing(timeout(self.works.store.lease(), answer).await.unwrap_or_else(|_| Err(StoreError::silent())))
    }

    /// Whether a job can be begun on this machine.
    async fn is_fit(&self) -> bool {
        let site = self.works.site.clone();
        let fit = spawn_blocking(move || desk::can_begin(&Local::new(), &site)).await;
        match fit.unwrap_or_else(|panicked| Err(Failure::bug("panic", panicked.to_string(), "report this"))) {
            Ok(()) => true,
            Err(failure) => {
                tracing::error!(class = %failure.class, "takes no job: {}", failure.reason);
                false
            }
        }
    }

    /// Hands back what the queue takes for this worker's, and is not.
    async fn hand_back(&self, carried: &BTreeSet<(Id, u32)>) -> Result<(), StoreError> {
        let store = self.works.store.as_ref();
        let mine = store.workers().await?.into_iter().filter(|worker| worker.name == self.name());
        for id in mine.flat_map(|worker| worker.running) {
            let Some(Job { life, .. }) = store.get(&id).await? else { continue };
            if life.worker.as_deref() == Some(self.name()) && !carried.contains(&(id.clone(), life.epoch)) {
                store.release(&id, life.epoch, "its claim was not answered").await?;
            }
        }
        Ok(())
    }

    /// Hands back what a claim took while the worker stopped.
    async fn hand_back_late(&self, doing: &mut Doing) {
        if doing.claiming.is_none() {
            return;
        }
        for Claimed { job, .. } in answer(&mut doing.claiming, self.works.store.lease()).await.unwrap_or_default() {
            let back = self.works.store.release(&job.job_id, job.life.epoch, "it stops");
            // Another gets it after its lease all the same.
            let _ = timeout(self.works.store.lease(), back).await;
        }
    }

    fn policy(&self) -> Option<Arc<Policy>> {
        let policy = self.works.policies.now(&Local::new(), &self.works.site);
        let why = policy.as_ref().err().map(|failure| failure.reason.clone());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // It is looked several times a second: told is what is new.
        if let Err(failure) = &policy
            && *told != why
        {
            tracing::error!(class = %failure.class, "takes no job: {}", failure.reason);
        }
        *told = why;
        policy.ok()
    }
}

/// Keeps what there is of jobs whose worker died. That helps to see why.
async fn keep_dead(files: &Files, dead: &[Attempt]) {
    for Attempt { id, epoch } in dead {
        let Some(epoch) = *epoch else { continue };
        if let Err(error) = files.keep(id, epoch).await {
            tracing::warn!(job = %id, epoch, %error, "the files of a job whose worker died were not kept");
            return;
        }
    }
}

/// Until it was cancelled for that long.
pub(crate) async fn lasting(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    sleep(time).await;
}

/// What passes by itself is told and waited for; a database of newer programs is not.
fn passing<T>(result: Result<T, StoreError>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ (StoreError::Unavailable(_) | StoreError::Full(_))) => {
            tracing::warn!(%error, "will be tried again");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// How many jobs are run at one time: as many as are wanted, else as there are processors.
pub fn slots(wanted: Option<NonZeroU32>) -> u32 {
    let processors = || available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok());
    wanted.map(NonZeroU32::get).or_else(processors).unwrap_or(1)
}

/// The queue at `url`, or the one in the state directory. A job is another's when nothing was heard of its worker for `lease`;
/// all programs of a queue have the same.
///
/// # Errors
/// Those of the store.
pub async fn queue(url: Option<&str>, site: &Site, lease: Duration) -> Result<Arc<dyn Store>, Failure> {
    let own = format!("sqlite:{}", site.state.join(QUEUE).display());
    let settings = job_store::Settings { lease, ..job_store::Settings::default() };
    Ok(job_store::open(url.unwrap_or(&own), settings).await?)
}

/// Where others read what jobs leave: at `url`, or in the state directory.
///
/// # Errors
/// Those of [`Files::open`].
pub fn files(url: Option<&str>, site: &Site) -> Result<Files, Failure> {
    url.map_or_else(|| Ok(Files::local(&site.state)), |url| Ok(Files::open(url, &site.state)?))
}

/// The running program, also where another was put in its place meanwhile: what becomes the init of a sandbox.
///
/// # Errors
/// Not ready, class `own-path`, without `/proc`.
pub fn own_program() -> Result<PathBuf, Failure> {
    let program = Path::new("/proc/self/exe").canonicalize();
    program.map_err(|error| Failure::not_ready("own-path", error.to_string(), "mount /proc"))
}

#[cfg(test)]
mod tests {
    use job::Status;
    use job_store::{Limits, NewJob, Settings};
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn j19_what_a_claim_took_that_was_not_answered_is_handed_back_and_what_runs_is_not() {
        let dir = TempDir::new().unwrap();
        let site = Site { configs: dir.path().to_owned(), state: dir.path().join("state") };
        let queue = format!("sqlite:{}", dir.path().join("queue.db").display());
        let store = job_store::open(&queue, Settings::default()).await.unwrap();
        let (files, policies) = (Files::local(&site.state), Policies::default());
        let (program, grace) = ("/proc/self/exe".into(), Duration::ZERO);
        let works = Works { store: Arc::clone(&store), files, site, policies, program, trees: 1, slots: 1, grace };
        let worker = Worker::new(works).await.unwrap();
        let limits = Limits { all: 9, each: 9, named: [].into() };
        let mut claimed = Vec::new();
        for (digit, name) in [("0", worker.name()), ("1", worker.name()), ("2", "another")] {
            let job = serde_json::json!({
                "job_id": format!("20260131T235959123Z-{}", digit.repeat(16)), "job_type": "hello", "repo_name": "project",
                "sha": "a".repeat(40), "params": {}, "priority": 0, "submitted_by": "me",
                "queued_at": "2026-01-31T23:59:59.123Z", "trace_id": "0af7651916cd43dd8448eb211c80319c", "status": "queued",
                "epoch": 0, "attempt": 0, "max_attempts": 1, "not_before": "2026-01-31T23:59:59.123Z",
            });
            let job = serde_json::from_value(job).unwrap();
            let new = NewJob { job, idempotency_key: None, request_hash: String::new(), waiting: None };
            store.submit(&new).await.unwrap();
            claimed.extend(store.claim(&Claim { worker: name, most: 1, limits: &limits }).await.unwrap());
        }
        let started_at = store.now().await.unwrap();
        let info = WorkerInfo { version: "1".into(), started_at, slots: 1, policy_sha256: String::new() };
        store.greet(worker.name(), &info).await.unwrap();
        worker.hand_back(&[(claimed[1].job_id.clone(), 1)].into()).await.unwrap();
        let mut now = Vec::new();
        for job in &claimed {
            let life = store.get(&job.job_id).await.unwrap().unwrap().life;
            now.push((life.status, life.attempt));
        }
        assert_eq!(now, [(Status::Queued, 0), (Status::Running, 1), (Status::Running, 1)]);
    }
}
