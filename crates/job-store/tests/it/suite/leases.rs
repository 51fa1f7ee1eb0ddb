//! A worker that is not heard of loses its jobs, and what it says of them afterwards counts for nothing.

use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use job::life::LEASE_EXPIRED;
use job::{Cancelled, Job, Status};
use job_store::{Beat, Filter, Stopped, Store};
use tokio::task::JoinSet;

use super::scenario;
use crate::jobs::{ending, get, job, no_limits, submit, succeed, take, take_some, timeline, tried};
use crate::lab::{Lab, eventually};

const SHORT: Duration = Duration::from_millis(300);

fn alice() -> Cancelled {
    Cancelled { by: "alice".into(), why: "a typo".into() }
}

/// The job, when its lease is over.
async fn reaped(store: &dyn Store) -> Job {
    eventually(async || store.reap().await.unwrap().pop()).await
}

#[test]
fn j19_a_beat_renews_the_lease_and_who_stays_silent_loses_the_job() {
    scenario(async |lab| {
        let store = lab.open_with(SHORT).await;
        let id = submit(&*store, &job("a")).await.job_id;
        take(&*store, "w").await.unwrap();
        let lease = async || lab.number("SELECT lease_until FROM jobs").await;
        let first = lease().await;
        let renewed = eventually(async || {
            assert_eq!(store.beat(&id, 1).await.unwrap(), Beat::Yours { cancel: None });
            let now = lease().await;
            (now > first + 400).then_some(now)
        });
        renewed.await;
        assert_eq!(store.reap().await.unwrap(), []);
        let lost = reaped(&*store).await;
        assert_eq!((lost.life.status, lost.life.epoch, lost.life.attempt), (Status::Queued, 1, 1));
        assert_eq!(store.beat(&id, 1).await.unwrap(), Beat::Lost);
    });
}

#[test]
fn a_beat_tells_who_wants_the_job_stopped_and_why() {
    scenario(async |lab| {
        let [store, other] = lab.open_some().await;
        let id = submit(&*store, &job("a")).await.job_id;
        take(&*store, "w").await.unwrap();
        let Some(Stopped::Asked(asked)) = other.cancel(&id, &alice()).await.unwrap() else { panic!("it runs") };
        assert_eq!(asked.life.status, Status::Running);
        let bob = Cancelled { by: "bob".into(), why: "late".into() };
        assert!(matches!(other.cancel(&id, &bob).await.unwrap(), Some(Stopped::Asked(_))));
        // It has its lease still.
        assert_eq!(store.reap().await.unwrap(), []);
        assert_eq!(store.beat(&id, 1).await.unwrap(), Beat::Yours { cancel: Some(alice()) });
        let ended = store.end(&id, 1, Status::Cancelled, &ending(-1), false).await.unwrap().unwrap();
        assert_eq!(ended.life.ending.unwrap().reason.as_deref(), Some("alice stopped it: a typo"));
        assert!(matches!(other.cancel(&id, &bob).await.unwrap(), Some(Stopped::Ended(_))));
        assert_snapshot!(timeline(&*store, &id).await, @"
        submitted: by alice
        started: attempt 1 of 3 on w
        cancel_requested: alice wants it stopped: a typo
        ended: cancelled: it was stopped
        ");
    });
}

#[test]
fn a_job_that_waits_is_stopped_at_once_and_one_that_is_not_there_is_none() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        let Some(Stopped::Asked(asked)) = store.cancel(&id, &alice()).await.unwrap() else { panic!("it waits") };
        assert_eq!(asked.life.status, Status::Cancelled);
        assert!(take(&*store, "w").await.is_none());
        assert_eq!(store.cancel(&job("a").job.job_id, &alice()).await.unwrap(), None);
    });
}

#[test]
fn j19_only_the_worker_of_the_last_epoch_says_anything_of_a_job() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        let old = take(&*store, "old").await.unwrap();
        store.bury("old").await.unwrap();
        let new = take(&*store, "new").await.unwrap();
        for epoch in [0, 1, 3] {
            assert_eq!(store.beat(&id, epoch).await.unwrap(), Beat::Lost);
            assert_eq!(store.end(&id, epoch, Status::Failure, &ending(1), false).await.unwrap(), None);
            assert_eq!(store.end(&id, epoch, Status::Error, &ending(-1), true).await.unwrap(), None);
            assert_eq!(store.release(&id, epoch, "it stops").await.unwrap(), None);
        }
        assert_eq!(succeed(&*store, &old).await, None);
        assert_eq!(get(&*store, &id).await, new);
        let ended = succeed(&*store, &new).await.unwrap();
        assert_eq!(store.end(&id, 2, Status::Failure, &ending(1), false).await.unwrap(), None);
        assert_eq!(store.release(&id, 2, "it stops").await.unwrap(), None);
        assert_eq!(store.beat(&id, 2).await.unwrap(), Beat::Lost);
        assert_eq!(get(&*store, &id).await, ended);
        let unknown = job("a").job.job_id;
        assert_eq!(store.beat(&unknown, 1).await.unwrap(), Beat::Lost);
        assert_eq!(store.end(&unknown, 1, Status::Failure, &ending(1), false).await.unwrap(), None);
        assert_eq!(store.get(&unknown).await.unwrap(), None);
    });
}

#[test]
fn j18_of_many_who_end_one_job_at_once_one_does() {
    scenario(async |lab| {
        let stores: [Arc<dyn Store>; 4] = lab.open_some().await;
        submit(&*stores[0], &job("a")).await;
        let claimed = take(&*stores[0], "w").await.unwrap();
        let mut enders = JoinSet::new();
        for n in 0..16 {
            let (store, job) = (Arc::clone(&stores[n % 4]), claimed.clone());
            enders.spawn(async move { succeed(&*store, &job).await.is_some() });
        }
        let counted = enders.join_all().await.into_iter().filter(|counts| *counts).count();
        assert_eq!(counted, 1);
        assert_eq!(timeline(&*stores[0], &claimed.job_id).await.matches("ended: ").count(), 1);
    });
}

#[test]
fn j19_a_job_whose_workers_were_all_lost_is_an_error_that_says_so() {
    scenario(async |lab| {
        let store = lab.open_with(SHORT).await;
        let id = submit(&*store, &tried("a", 2)).await.job_id;
        for epoch in 1..=2 {
            assert_eq!(eventually(async || take(&*store, "w").await).await.life.epoch, epoch);
            reaped(&*store).await;
        }
        let lost = get(&*store, &id).await;
        assert_eq!(lost.life.status, Status::Error);
        assert_eq!(lost.life.ending.unwrap().class.as_deref(), Some(LEASE_EXPIRED));
        assert_snapshot!(timeline(&*store, &id).await, @"
        submitted: by alice
        started: attempt 1 of 2 on w
        lost: nothing was heard of w for too long; it is begun again
        started: attempt 2 of 2 on w
        lost: nothing was heard of w for too long
        ended: error: lease_expired: no attempt is left
        ");
    });
}

/// Changes a lease of a minute to end so many milliseconds later than it does. Says whether that is over.
async fn is_over(lab: &Lab, store: &dyn Store, later: i64) -> bool {
    submit(store, &job("a")).await;
    let claimed = take(store, "w").await.unwrap();
    let id = &claimed.job_id;
    lab.sql(&format!("UPDATE jobs SET lease_until = lease_until + {later} WHERE id = '{id}'")).await;
    let lost = store.reap().await.unwrap();
    assert_eq!(get(store, id).await.life.status == Status::Queued, !lost.is_empty());
    store.bury("w").await.unwrap();
    let claimed = take(store, "w").await.unwrap();
    succeed(store, &claimed).await.unwrap();
    !lost.is_empty()
}

#[test]
fn j19_a_lease_that_no_clock_of_ours_gave_is_over() {
    scenario(async |lab| {
        let store = lab.open().await;
        let minute = 60_000;
        assert!(!is_over(lab, &*store, 0).await);
        assert!(is_over(lab, &*store, -minute - 1000).await);
        assert!(!is_over(lab, &*store, -minute + 10_000).await);
        // The clock was put back a little, which is no reason to take a job away; or began anew.
        assert!(!is_over(lab, &*store, minute).await);
        assert!(is_over(lab, &*store, minute + 10_000).await);
        assert!(is_over(lab, &*store, 1 << 40).await);
    });
}

#[test]
fn j19_a_job_that_runs_without_a_lease_is_lost() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        take(&*store, "w").await.unwrap();
        lab.sql("UPDATE jobs SET lease_until = NULL, lease_ms = NULL").await;
        assert_eq!(store.reap().await.unwrap().pop().unwrap().job_id, id);
    });
}

#[test]
fn j19_the_jobs_of_a_worker_that_died_are_taken_from_it_and_from_nobody_else() {
    scenario(async |lab| {
        let store = lab.open().await;
        for _ in 0..3 {
            submit(&*store, &job("a")).await;
        }
        let dead = take_some(&*store, "dead", 2, &no_limits()).await;
        let alive = take(&*store, "alive").await.unwrap();
        assert_eq!(store.bury("nobody").await.unwrap(), []);
        let lost = store.bury("dead").await.unwrap();
        assert_eq!(lost.len(), 2);
        assert!(lost.iter().all(|job| job.life.status == Status::Queued));
        assert_eq!(store.bury("dead").await.unwrap(), []);
        assert_eq!(get(&*store, &alive.job_id).await, alive);
        assert_eq!(succeed(&*store, &dead[0]).await, None);
    });
}

#[test]
fn j19_of_many_reapers_one_takes_the_job_and_none_from_its_next_worker() {
    scenario(async |lab| {
        let stores = [lab.open_with(SHORT).await, lab.open_with(SHORT).await];
        for _ in 0..10 {
            submit(&*stores[0], &job("a")).await;
        }
        take_some(&*stores[0], "w", 10, &no_limits()).await;
        let patient = lab.open().await;
        let mut reapers = JoinSet::new();
        for n in 0..4 {
            let (store, patient) = (Arc::clone(&stores[n % 2]), Arc::clone(&patient));
            reapers.spawn(async move {
                let mut lost = 0;
                while patient.list(&running()).await.unwrap().iter().filter(|job| job.life.epoch == 2).count() < 10 {
                    lost += store.reap().await.unwrap().len();
                    take_some(&*patient, "next", 10, &no_limits()).await;
                }
                lost
            });
        }
        assert_eq!(reapers.join_all().await.into_iter().sum::<usize>(), 10);
    });
}

fn running() -> Filter {
    Filter { status: Some(Status::Running), most: 100, ..Filter::default() }
}

#[test]
fn a_job_that_is_handed_back_is_begun_again_and_no_attempt_is_spent() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &tried("a", 1)).await.job_id;
        take(&*store, "w").await.unwrap();
        let back = store.release(&id, 1, "it stops").await.unwrap().unwrap();
        assert_eq!((back.life.status, back.life.epoch, back.life.attempt), (Status::Queued, 1, 0));
        let again = take(&*store, "w").await.unwrap();
        assert_eq!((again.life.epoch, again.life.attempt), (2, 1));
        assert!(succeed(&*store, &again).await.is_some());
    });
}
