//! Jobs, and what is done with them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use job::{Ending, Id, Job, Kind, Life, Request, Status, Time};
use job_store::{Claim, Filter, Limits, NewJob, Store, Submission};

/// An id that no other process of these tests gives.
fn new_id(born: Time) -> Id {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Id::new(born, ((u64::from(process) << 32) | u64::from(count)).to_be_bytes())
}

pub(crate) fn job(repo: &str) -> NewJob {
    born(repo, Duration::ZERO)
}

/// One that was born so long ago.
pub(crate) fn born(repo: &str, ago: Duration) -> NewJob {
    let now = Time::try_from(SystemTime::now() - ago).unwrap();
    let request = Request {
        job_type: "check".into(),
        repo_name: repo.into(),
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        params: BTreeMap::new(),
    };
    let job = Job {
        job_id: new_id(now),
        request,
        priority: 0,
        submitted_by: "alice".into(),
        queued_at: now,
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        rerun_of: None,
        life: Life::new(now, 3),
    };
    NewJob { job, idempotency_key: None, request_hash: "h1".into(), waiting: None }
}

pub(crate) fn keyed(repo: &str, key: &str, hash: &str) -> NewJob {
    NewJob { idempotency_key: Some(key.into()), request_hash: hash.into(), ..job(repo) }
}

pub(crate) fn urgent(repo: &str, priority: i32) -> NewJob {
    let mut new = job(repo);
    new.job.priority = priority;
    new
}

pub(crate) fn tried(repo: &str, max_attempts: u32) -> NewJob {
    let mut new = job(repo);
    new.job.life.max_attempts = max_attempts;
    new
}

pub(crate) async fn submit(store: &dyn Store, new: &NewJob) -> Job {
    match store.submit(new).await.unwrap() {
        Submission::New(job) => job,
        Submission::Known(job) => panic!("{} is known", job.job_id),
    }
}

pub(crate) fn no_limits() -> Limits {
    Limits { all: u32::MAX, each: u32::MAX, named: BTreeMap::new() }
}

pub(crate) async fn take(store: &dyn Store, worker: &str) -> Option<Job> {
    take_some(store, worker, 1, &no_limits()).await.pop()
}

pub(crate) async fn take_some(store: &dyn Store, worker: &str, most: u32, limits: &Limits) -> Vec<Job> {
    store.claim(&Claim { worker, most, limits }).await.unwrap()
}

pub(crate) fn ending(exit_code: i32) -> Ending {
    Ending { exit_code, exit: 0, class: None, reason: None, next: None }
}

/// The worker that has it says that it ended well. `None` when that did not count.
pub(crate) async fn succeed(store: &dyn Store, job: &Job) -> Option<Job> {
    store.end(&job.job_id, job.life.epoch, Status::Success, &ending(0), false).await.unwrap()
}

/// Of a job that is there.
pub(crate) async fn get(store: &dyn Store, id: &Id) -> Job {
    store.get(id).await.unwrap().unwrap()
}

pub(crate) async fn all(store: &dyn Store) -> Vec<Job> {
    store.list(&Filter { most: 1_000_000, ..Filter::default() }).await.unwrap()
}

/// Every line of a job's timeline.
pub(crate) async fn timeline(store: &dyn Store, id: &Id) -> String {
    let events = store.events(id).await.unwrap();
    events.iter().map(|event| format!("{}: {}\n", event.kind.as_str(), event.text)).collect()
}

/// That exactly these jobs are there, and that each ended once, well, and began as often as its epoch says.
pub(crate) async fn audit(store: &dyn Store, ids: impl IntoIterator<Item = Id>) {
    let mut expected: Vec<Id> = ids.into_iter().collect();
    expected.sort();
    let mut jobs = all(store).await;
    jobs.reverse();
    assert_eq!(jobs.iter().map(|job| job.job_id.clone()).collect::<Vec<_>>(), expected);
    for job in &jobs {
        let events = store.events(&job.job_id).await.unwrap();
        let count = |kind| events.iter().filter(|event| event.kind == kind).count();
        assert_eq!(job.life.status, Status::Success, "{job:?}");
        assert_eq!((count(Kind::Ended), count(Kind::Started)), (1, job.life.epoch as usize), "{events:?}");
    }
    assert_eq!(store.counts().await.unwrap(), []);
}
