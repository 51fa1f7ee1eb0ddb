//! Many workers on one PostgreSQL, each as a process of its own would be: its own connections, its own hints.
//!
//! ```sh
//! cargo run --release --package job-store --example swarm -- 100 10000
//! ```
//!
//! Prints how many jobs a second went through, how long a claim took, and how often one came back empty. The jobs
//! themselves take 20 ms each.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it measures, and ends where it cannot")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use job::{Ending, Id, Job, Life, Request, Status, Time};
use job_store::{Claim, Limits, NewJob, Settings, Store, open};
use real_parts::Postgres;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a job takes.
const WORK: Duration = Duration::from_millis(20);
/// Repositories that the jobs are of, each with so many jobs at one time.
const REPOS: usize = 50;
const EACH: u32 = 4;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().unwrap());
    let (workers, jobs) = (args.next().unwrap_or(100), args.next().unwrap_or(10_000));
    let server = Postgres::builder().connections(u32::try_from(4 * workers + 20).unwrap()).start().unwrap();
    let url = server.url();
    let settings = Settings { connections: 2, ..Settings::default() };
    let store = open(&url, settings).await.unwrap();
    let start = Instant::now();
    for number in 0..jobs {
        store.submit(&job(number)).await.unwrap();
    }
    println!("{jobs} jobs of {REPOS} repositories submitted: {:.0}/s", rate(jobs, start));
    let (done, empty) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut swarm = JoinSet::new();
    let mut stores = Vec::new();
    for _ in 0..workers {
        stores.push(open(&url, settings).await.unwrap());
    }
    let start = Instant::now();
    for (number, store) in stores.into_iter().enumerate() {
        swarm.spawn(work(store, format!("worker/{number}"), Arc::clone(&done), Arc::clone(&empty), jobs));
    }
    let mut claims: Vec<Duration> = swarm.join_all().await.into_iter().flatten().collect();
    claims.sort();
    let at = |share: usize| claims[(claims.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!("{workers} workers: {:.0} jobs/s through, each of {} ms", rate(jobs, start), WORK.as_millis());
    println!("a claim: p50 {:.1} ms, p99 {:.1} ms; {} came back empty", at(50), at(99), empty.load(Ordering::Relaxed));
}

fn rate(jobs: usize, start: Instant) -> f64 {
    f64::from(u32::try_from(jobs).unwrap()) / start.elapsed().as_secs_f64()
}

/// Takes jobs one at a time until all are done. Returns how long its claims took that brought one.
async fn work(
    store: Arc<dyn Store>,
    name: String,
    done: Arc<AtomicUsize>,
    empty: Arc<AtomicUsize>,
    jobs: usize,
) -> Vec<Duration> {
    let limits = Limits { all: 10_000, each: EACH, named: BTreeMap::new() };
    let mut hints = store.hints().work();
    let mut took = Vec::new();
    while done.load(Ordering::Relaxed) < jobs {
        hints.mark_unchanged();
        let start = Instant::now();
        let claimed = store.claim(&Claim { worker: &name, most: 1, limits: &limits }).await.unwrap();
        let Some(job) = claimed.into_iter().next() else {
            empty.fetch_add(1, Ordering::Relaxed);
            let _ = timeout(store.poll(), hints.changed()).await;
            continue;
        };
        took.push(start.elapsed());
        sleep(WORK).await;
        let ending = Ending { exit_code: 0, exit: 0, class: None, reason: None, next: None };
        let told = store.end(&job.job_id, job.life.epoch, Status::Success, &ending, false).await.unwrap();
        assert!(told.is_some(), "nobody else has it");
        done.fetch_add(1, Ordering::Relaxed);
    }
    took
}

fn job(number: usize) -> NewJob {
    let now = Time::from_millis(1_790_000_000_000).unwrap();
    let job = Job {
        job_id: Id::new(now, (number as u64).to_be_bytes()),
        request: Request {
            job_type: "no_op".into(),
            repo_name: format!("repo-{}", number % REPOS),
            sha: "1".repeat(40),
            params: BTreeMap::new(),
        },
        priority: 0,
        submitted_by: "swarm".into(),
        queued_at: now,
        trace_id: String::new(),
        rerun_of: None,
        life: Life::new(now, 3),
    };
    NewJob { job, idempotency_key: None, request_hash: number.to_string(), waiting: None }
}
