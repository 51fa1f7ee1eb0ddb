//! The queue of jobs. One trait, two engines: SQLite inside the process, and PostgreSQL for workers on many machines.
//!
//! The record of a job is the queue: there is no second place that could disagree with it. What may happen to a job is
//! decided by [`job::Life::step`] alone; a store reads the job under a lock, steps, and writes job and timeline in one
//! transaction.
//!
//! **Invariant:** a job that was accepted is in the database, synced, before anybody is told so.
//! **Invariant:** a job may run more than once, but it ends once: only the worker of its last epoch can end it.
//! **Invariant:** no more jobs of a repository run at one time than its limit, on however many machines.
//! **Invariant:** a hint that there is news may be lost; nothing but time is lost with it.

mod engine_kind;
mod error;
mod hints;
mod limits;
mod open;
mod postgres;
mod sqlite;

pub use error::StoreError;
pub use hints::{Hint, Hints};
pub use limits::Limits;
pub use open::{Settings, open};

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use job::{Cancelled, Ending, Event, Id, Job, Status, Time};
use serde::{Deserialize, Serialize};

/// A job that is to be kept.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job; its life is not begun.
    pub job: Job,
    /// The same key from the same submitter is the same job.
    pub idempotency_key: Option<String>,
    /// SHA-256 of all that was asked for.
    pub request_hash: String,
    /// Why it will have to wait, for its timeline.
    pub waiting: Option<String>,
}

/// A job that is kept now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// It is new.
    New(Job),
    /// It was submitted before, by the same key and the same request.
    Known(Job),
}

/// Who takes jobs, and how many at most.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// What the worker is called.
    pub worker: &'a str,
    /// The most jobs that are taken.
    pub most: u32,
    /// How many jobs may run.
    pub limits: &'a Limits,
}

/// What a worker hears of a job that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// It is still this worker's.
    Yours {
        /// Somebody wants it stopped.
        cancel: Option<Cancelled>,
    },
    /// It is not: whatever still runs of it is to be killed, and what comes of it counts for nothing.
    Lost,
}

/// What is said of a job that somebody wants to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It was not begun and ended, or its worker will stop it.
    Asked(Job),
    /// It had ended before.
    Ended(Job),
}

/// Which jobs are listed, the newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this state.
    pub status: Option<Status>,
    /// Of this repository.
    pub repo: Option<String>,
    /// Of this kind.
    pub job_type: Option<String>,
    /// Older than this one.
    pub before: Option<Id>,
    /// So many at most.
    pub most: u32,
}

/// What waits and what runs of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The repository.
    pub repo: String,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// The program's version.
    pub version: String,
    /// When it began.
    pub started_at: Time,
    /// How many jobs it runs at one time: none while it cannot begin any.
    pub slots: u32,
    /// SHA-256 of its policy.
    pub policy_sha256: String,
}

/// A worker that was heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWorker {
    /// What it is called.
    pub name: String,
    /// What it said of itself.
    pub info: WorkerInfo,
    /// When it was last heard of.
    pub seen_at: Time,
    /// It was heard of within two leases.
    pub alive: bool,
    /// It is to take no more jobs.
    pub draining: bool,
    /// What it runs.
    pub running: Vec<Id>,
}

/// Who may do what, by the hash of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the secret, in hex.
    pub hash: String,
    /// Whose it is.
    pub name: String,
    /// What it is good for: words of the one who asks.
    pub scopes: Vec<String>,
    /// It is good until then.
    pub expires_at: Option<Time>,
}

/// A queue of jobs. Every method may fail with [`StoreError::Unavailable`], and then may or may not have been done:
/// each can be called again.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps a job.
    ///
    /// # Errors
    /// [`StoreError::OtherRequest`] when the key was used for another request; [`StoreError::Schema`].
    async fn submit(&self, new: &NewJob) -> Result<Submission, StoreError>;

    /// Takes jobs: the most urgent, then the oldest, of repositories that are not at their limit. Each has an epoch and a
    /// lease from now on.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when the database is that of a newer program.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Job>, StoreError>;

    /// Renews the lease of a job that is run.
    async fn beat(&self, id: &Id, epoch: u32) -> Result<Beat, StoreError>;

    /// Says how a job ended, or that it is to be tried again. `None` when it was not the worker's to say, and when it was
    /// said before: whoever was not answered the first time looks whether the job ended in this epoch.
    async fn end(
        &self,
        id: &Id,
        epoch: u32,
        status: Status,
        ending: &Ending,
        retry: bool,
    ) -> Result<Option<Job>, StoreError>;

    /// Hands back a job that was not finished. `None` when it was not the worker's.
    async fn release(&self, id: &Id, epoch: u32, why: &str) -> Result<Option<Job>, StoreError>;

    /// Wants a job stopped. `None` when there is no such job.
    async fn cancel(&self, id: &Id, cancelled: &Cancelled) -> Result<Option<Stopped>, StoreError>;

    /// Queues again, or ends, every job whose worker was not heard of for a lease. Returns them as they are now.
    async fn reap(&self) -> Result<Vec<Job>, StoreError>;

    /// The same for the jobs of one worker that is known to have died.
    async fn bury(&self, worker: &str) -> Result<Vec<Job>, StoreError>;

    /// One job.
    async fn get(&self, id: &Id) -> Result<Option<Job>, StoreError>;

    /// Jobs, the newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<Job>, StoreError>;

    /// A job's timeline, the oldest line first.
    async fn events(&self, id: &Id) -> Result<Vec<Event>, StoreError>;

    /// Every repository with a job that waits or runs, by name.
    async fn counts(&self) -> Result<Vec<Count>, StoreError>;

    /// How many jobs run of each repository.
    async fn running(&self) -> Result<BTreeMap<String, u64>, StoreError>;

    /// A worker says that it is there. Returns whether it is to take no more jobs.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when the database is that of a newer program.
    async fn greet(&self, name: &str, info: &WorkerInfo) -> Result<bool, StoreError>;

    /// A worker says that it goes.
    async fn part(&self, name: &str) -> Result<(), StoreError>;

    /// Whether a worker is to take no more jobs. `false` when there is no such worker.
    async fn drain(&self, name: &str, draining: bool) -> Result<bool, StoreError>;

    /// The workers by name.
    async fn workers(&self) -> Result<Vec<KnownWorker>, StoreError>;

    /// Keeps a token, in the place of one with the same hash.
    async fn put_token(&self, token: &Token) -> Result<(), StoreError>;

    /// The token with this hash, unless it expired.
    async fn token(&self, hash: &str) -> Result<Option<Token>, StoreError>;

    /// The tokens by name, without those that expired.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// Removes the tokens of this name. Says how many there were.
    async fn remove_tokens(&self, name: &str) -> Result<u64, StoreError>;

    /// Jobs that ended before then, the oldest first, behind `after`: so many at most.
    async fn ended(&self, before: Time, after: Option<&Id>, most: u32) -> Result<Vec<Id>, StoreError>;

    /// Removes those of these jobs that ended, with their timelines, in one step that holds up all others: some hundred
    /// take some milliseconds. Says how many.
    async fn forget(&self, ids: &[Id]) -> Result<u64, StoreError>;

    /// Removes tokens that expired, and workers of which nothing was heard for a day.
    async fn prune(&self) -> Result<(), StoreError>;

    /// The time by the clock that counts here: the database's, where several machines share it.
    async fn now(&self) -> Result<Time, StoreError>;

    /// Where news is hinted at.
    fn hints(&self) -> &Hints;

    /// How long nothing may be heard of a worker before its jobs are another's.
    fn lease(&self) -> Duration;

    /// How often to look for what no hint told.
    fn poll(&self) -> Duration;
}
