//! Who gets which job, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use job::life::LONGEST_WAIT;
use job::{Id, Status};
use job_store::Store;
use tokio::task::JoinSet;

use super::scenario;
use crate::jobs::{audit, born, ending, get, job, no_limits, submit, succeed, take, take_some, timeline, urgent};
use crate::lab::eventually;

#[test]
fn a_claim_gives_the_next_epoch_the_next_attempt_and_a_lease() {
    scenario(async |lab| {
        let store = lab.open_with(Duration::from_secs(7)).await;
        let queued = submit(&*store, &job("a")).await;
        assert_eq!((queued.life.status, queued.life.epoch, queued.life.attempt), (Status::Queued, 0, 0));
        let claimed = take(&*store, "w1").await.unwrap();
        assert_eq!((claimed.life.status, claimed.life.epoch, claimed.life.attempt), (Status::Running, 1, 1));
        assert_eq!(claimed.life.worker.as_deref(), Some("w1"));
        assert!(claimed.life.started_at.unwrap() >= queued.queued_at);
        assert_eq!(get(&*store, &queued.job_id).await, claimed);
        assert_eq!(lab.number("SELECT lease_ms FROM jobs").await, 7000);
        assert_eq!(store.bury("w1").await.unwrap().len(), 1);
        let again = take(&*store, "w2").await.unwrap();
        assert_eq!((again.life.epoch, again.life.attempt), (2, 2));
        assert_snapshot!(timeline(&*store, &queued.job_id).await, @"
        submitted: by alice
        started: attempt 1 of 3 on w1
        lost: nothing was heard of w1 for too long; it is begun again
        started: attempt 2 of 3 on w2
        ");
    });
}

#[test]
fn a_claim_gives_as_many_jobs_as_were_asked_for_and_each_once() {
    scenario(async |lab| {
        let store = lab.open().await;
        assert!(take(&*store, "w").await.is_none());
        for _ in 0..5 {
            submit(&*store, &job("a")).await;
        }
        assert_eq!(take_some(&*store, "w", 0, &no_limits()).await, []);
        assert_eq!(take_some(&*store, "w", 3, &no_limits()).await.len(), 3);
        assert_eq!(take_some(&*store, "w", 3, &no_limits()).await.len(), 2);
        assert_eq!(take_some(&*store, "w", 3, &no_limits()).await, []);
    });
}

#[test]
fn the_most_urgent_job_is_first_and_of_those_the_oldest() {
    scenario(async |lab| {
        let store = lab.open().await;
        let mut expected = BTreeMap::new();
        for (at, (repo, priority)) in
            [("b", 0), ("a", -100), ("a", 7), ("c", 100), ("b", 7), ("a", 0)].iter().enumerate()
        {
            expected.insert((-priority, at), submit(&*store, &urgent(repo, *priority)).await.job_id);
        }
        // How old it is, is told by the order of submission, and by no clock.
        expected.insert((0, 9), submit(&*store, &born("c", Duration::from_hours(1))).await.job_id);
        let mut claimed = Vec::new();
        while let Some(job) = take(&*store, "w").await {
            claimed.push(job.job_id);
        }
        assert_eq!(claimed, expected.into_values().collect::<Vec<_>>());
    });
}

#[test]
fn what_is_tried_again_waits_and_then_is_claimed() {
    scenario(async |lab| {
        let store = lab.open().await;
        let first = submit(&*store, &job("a")).await;
        let claimed = take(&*store, "w").await.unwrap();
        let ended = store.end(&first.job_id, 1, Status::Error, &ending(-1), true).await.unwrap().unwrap();
        assert_eq!((ended.life.status, ended.life.finished_at), (Status::Queued, None));
        assert!(ended.life.not_before > claimed.life.started_at.unwrap());
        let second = submit(&*store, &job("a")).await;
        assert_eq!(take(&*store, "w").await.unwrap().job_id, second.job_id);
        let again = eventually(async || take(&*store, "w").await).await;
        assert!(again.life.started_at.unwrap() >= ended.life.not_before);
        assert_eq!((again.job_id, again.life.epoch, again.life.attempt), (first.job_id, 2, 2));
    });
}

#[test]
fn j19_a_wait_that_no_clock_of_ours_gave_strands_no_job() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        let now = store.now().await.unwrap().as_millis();
        let longest = i64::try_from(LONGEST_WAIT.as_millis()).unwrap();
        lab.sql(&format!("UPDATE jobs SET not_before = {}", now + longest)).await;
        assert!(take(&*store, "w").await.is_none());
        lab.sql(&format!("UPDATE jobs SET not_before = {}", now + longest + 60_000)).await;
        assert_eq!(take(&*store, "w").await.unwrap().job_id, id);
    });
}

#[test]
fn j18_j19_programs_that_claim_at_once_never_get_the_same_job() {
    scenario(async |lab| {
        let stores: [Arc<dyn Store>; 4] = lab.open_some().await;
        let mut ids = Vec::new();
        for n in 0..200 {
            ids.push(submit(&*stores[0], &job(["a", "b", "c"][n % 3])).await.job_id);
        }
        let mut workers = JoinSet::new();
        for n in 0..8 {
            let store = Arc::clone(&stores[n % 4]);
            workers.spawn(async move { work(&*store, &format!("w{n}")).await });
        }
        let mut done: Vec<Id> = workers.join_all().await.concat();
        done.sort();
        assert_eq!(done, ids);
        audit(&*stores[0], ids).await;
    });
}

/// Takes jobs and ends them, as long as there are some.
async fn work(store: &dyn Store, name: &str) -> Vec<Id> {
    let mut done = Vec::new();
    while let Some(job) = take(store, name).await {
        assert_eq!(job.life.epoch, 1);
        done.push(succeed(store, &job).await.unwrap().job_id);
    }
    done
}

#[test]
fn a_job_of_a_quiet_repository_is_found_behind_thousands_of_a_busy_one() {
    scenario(async |lab| {
        let store = lab.open().await;
        submit(&*store, &job("busy")).await;
        let first = take(&*store, "w").await.unwrap();
        let copy = "INSERT INTO jobs (id, status, repo, job_type, priority, not_before, epoch, submitted_by, request_hash, doc)";
        let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)";
        let rows =
            "SELECT id || i, 'queued', repo, job_type, 50, not_before, 0, submitted_by, request_hash, doc FROM jobs, n";
        lab.sql(&format!("{copy} {numbers} {rows}")).await;
        let quiet = submit(&*store, &job("quiet")).await;
        let mut limits = no_limits();
        limits.named.insert("busy".into(), 1);
        let claimed = take_some(&*store, "w", 9, &limits).await;
        assert_eq!(claimed.iter().map(|job| &job.job_id).collect::<Vec<_>>(), [&quiet.job_id]);
        assert_eq!(get(&*store, &first.job_id).await.life.status, Status::Running);
    });
}
