//! No more jobs run than may, and none is dropped for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use job_store::{Count, Limits, Store};
use tokio::task::JoinSet;

use super::scenario;
use crate::jobs::{audit, job, submit, succeed, take_some, urgent};

fn limits(all: u32, each: u32, named: &[(&str, u32)]) -> Limits {
    let named = named.iter().map(|(repo, limit)| ((*repo).to_owned(), *limit)).collect();
    Limits { all, each, named }
}

/// What the claimers of a test run, as they see it.
type Running = Mutex<BTreeMap<String, u64>>;

fn check(running: &BTreeMap<String, u64>, limits: &Limits) {
    assert!(running.values().sum::<u64>() <= u64::from(limits.all), "{running:?}");
    for (repo, count) in running {
        assert!(*count <= u64::from(limits.of(repo)), "{repo}: {running:?}");
    }
}

#[test]
fn j19_no_limit_is_ever_exceeded_and_no_job_is_dropped() {
    scenario(async |lab| {
        let stores: [Arc<dyn Store>; 4] = lab.open_some().await;
        let limits = Arc::new(limits(5, 2, &[("one", 1), ("many", 4)]));
        let mut ids = Vec::new();
        for n in 0..80 {
            ids.push(submit(&*stores[0], &job(["one", "many", "many", "x", "y"][n % 5])).await.job_id);
        }
        let most = take_some(&*stores[0], "w", 9, &limits).await;
        assert_eq!(most.len(), 5);
        for job in most {
            stores[0].release(&job.job_id, 1, "it stops").await.unwrap().unwrap();
        }
        let (running, over) = (Arc::new(Running::default()), Arc::new(AtomicBool::new(false)));
        let watcher = tokio::spawn({
            let (store, limits, over) = (lab.open().await, Arc::clone(&limits), Arc::clone(&over));
            async move {
                while !over.load(Ordering::Relaxed) {
                    let counts = store.counts().await.unwrap();
                    let running: BTreeMap<_, _> = counts.into_iter().map(|count| (count.repo, count.running)).collect();
                    check(&running, &limits);
                }
            }
        });
        let mut claimers = JoinSet::new();
        for n in 0..8 {
            let (store, limits, running) = (Arc::clone(&stores[n % 4]), Arc::clone(&limits), Arc::clone(&running));
            claimers.spawn(async move { work(&*store, &format!("w{n}"), &limits, &running).await });
        }
        claimers.join_all().await;
        over.store(true, Ordering::Relaxed);
        watcher.await.unwrap();
        audit(&*stores[0], ids).await;
    });
}

/// Until no job is left that waits.
async fn work(store: &dyn Store, name: &str, limits: &Limits, running: &Running) {
    while store.counts().await.unwrap().iter().any(|count| count.queued > 0) {
        for job in take_some(store, name, 2, limits).await {
            let repo = &job.request.repo_name;
            {
                let mut running = running.lock().unwrap();
                *running.entry(repo.clone()).or_default() += 1;
                check(&running, limits);
            }
            tokio::task::yield_now().await;
            *running.lock().unwrap().get_mut(repo).unwrap() -= 1;
            succeed(store, &job).await.unwrap();
        }
    }
}

#[test]
fn jobs_of_a_full_repository_wait_while_those_of_others_pass() {
    scenario(async |lab| {
        let store = lab.open().await;
        let limits = limits(3, 1, &[("none", 0)]);
        for repo in ["none", "a", "a", "b"] {
            submit(&*store, &urgent(repo, if repo == "b" { -5 } else { 5 })).await;
        }
        let claimed = take_some(&*store, "w", 9, &limits).await;
        assert_eq!(claimed.iter().map(|job| job.request.repo_name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let count = |repo: &str, queued, running| Count { repo: repo.into(), queued, running };
        assert_eq!(store.counts().await.unwrap(), [count("a", 1, 1), count("b", 0, 1), count("none", 1, 0)]);
        assert_eq!(take_some(&*store, "w", 9, &limits).await, []);
        succeed(&*store, &claimed[0]).await.unwrap();
        let next = take_some(&*store, "w", 9, &limits).await;
        assert_eq!(next.iter().map(|job| job.request.repo_name.as_str()).collect::<Vec<_>>(), ["a"]);
    });
}

#[test]
fn a_repository_that_may_run_nothing_runs_nothing() {
    scenario(async |lab| {
        let store = lab.open().await;
        for repo in ["a", "b", "named"] {
            submit(&*store, &job(repo)).await;
        }
        let claimed = take_some(&*store, "w", 9, &limits(9, 0, &[("named", 1)])).await;
        assert_eq!(claimed.iter().map(|job| job.request.repo_name.as_str()).collect::<Vec<_>>(), ["named"]);
        assert_eq!(take_some(&*store, "w", 9, &limits(0, 9, &[])).await, []);
        assert_eq!(take_some(&*store, "w", 9, &limits(2, 9, &[])).await.len(), 1);
    });
}
