//! A worker: takes jobs from the queue as long as it has room, and runs each with a lease.
//!
//! **Invariant:** a worker that cannot read the allowlists takes no job.
//! **Invariant:** a worker that stops leaves no job that runs: each ended, or was handed back.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use allowlist::Policy;
use host::Local;
use job::Time;
use job_files::Files;
use job_store::{Claim, Store, StoreError, WorkerInfo};
use outcome::Failure;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::attempt::Attempt;
use crate::begun::time;
use crate::carry::carry;
use crate::clock;
use crate::desk::sweep;
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
        keep_dead(&works.files, &dead).await;
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
        let mut jobs = JoinSet::new();
        let clock = AbortOnDropHandle::new(tokio::spawn(clock::run(Arc::clone(&self.works), stop.clone())));
        let worked = tokio::select! {
            worked = self.work(&mut jobs, &release, stop) => worked,
            // A queue that never answers is not waited for: what it gives now is given to another.
            () = lasting(stop, self.works.store.lease()) => Ok(()),
        };
        drop(clock);
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
        jobs: &mut JoinSet<()>,
        release: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let store = self.works.store.as_ref();
        let mut hints = store.hints().work();
        let mut greetings = interval(store.lease() / 3);
        greetings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            hints.mark_unchanged();
            // No news breaks this off: a job that was taken is run.
            self.take(jobs, release).await?;
            tokio::select! {
                () = stop.cancelled() => {}
                _ = greetings.tick() => self.greet().await?,
                Some(_) = jobs.join_next() => {}
                // Its sender lives as long as the store.
                Ok(()) = hints.changed() => {}
                () = sleep(store.poll()) => {}
            }
        }
        Ok(())
    }

    /// Takes as many jobs as there is room for.
    async fn take(&self, jobs: &mut JoinSet<()>, release: &CancellationToken) -> Result<(), Failure> {
        while jobs.try_join_next().is_some() {}
        let room = self.works.slots.saturating_sub(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        if room == 0 {
            return Ok(());
        }
        let Some(policy) = self.policy() else { return Ok(()) };
        let claim = Claim { worker: self.name(), most: room, limits: &limits(&policy) };
        let cancels = self.works.store.hints().cancels();
        let claimed = self.asked(self.works.store.claim(&claim)).await?;
        for job in claimed.into_iter().flatten() {
            jobs.spawn(carry(Arc::clone(&self.works), job, cancels.clone(), release.clone()));
        }
        Ok(())
    }

    /// Says that it is there, and looks after what other workers left behind.
    async fn greet(&self) -> Result<(), Failure> {
        let store = self.works.store.as_ref();
        let info = WorkerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            slots: self.works.slots,
            policy_sha256: self.policy().map(|policy| policy.sha256().to_owned()).unwrap_or_default(),
        };
        self.asked(store.greet(self.name(), &info)).await?;
        for job in self.asked(store.reap()).await?.into_iter().flatten() {
            tracing::warn!(job = %job.job_id, status = job.life.status.as_str(), "nothing was heard of its worker");
        }
        Ok(())
    }

    /// What the queue says. What passes by itself is told and waited for; a database of newer programs is not. One that does
    /// not answer for a lease has given to another what it gives now.
    async fn asked<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<Option<T>, Failure> {
        match timeout(self.works.store.lease(), answer).await {
            Ok(Ok(value)) => return Ok(Some(value)),
            Ok(Err(error @ (StoreError::Unavailable(_) | StoreError::Full(_)))) => {
                tracing::warn!(%error, "will be tried again");
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => tracing::warn!("the queue does not answer; will be tried again"),
        }
        Ok(None)
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

/// Keeps what there is of jobs whose worker died. That helps to see why; nobody waits for it.
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
