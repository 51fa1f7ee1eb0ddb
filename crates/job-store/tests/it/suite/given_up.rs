//! Whoever asks a store may go away before it answers, at any moment.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use job::Status;
use job_store::{Beat, Claim};

use super::scenario;
use crate::jobs::{all, get, job, no_limits, submit, succeed, take};
use crate::lab::{Engine, eventually};

/// Works on it for so many turns at most, then drops it.
async fn give_up_after<T>(turns: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..turns {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
        // Nobody is woken; the next turn is soon.
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    None
}

#[test]
fn j19_a_request_that_is_given_up_at_any_moment_leaves_nothing_half_done() {
    scenario(async |lab| {
        let store = lab.open().await;
        let held = submit(&*store, &job("held")).await.job_id;
        take(&*store, "w").await.unwrap();
        let limits = no_limits();
        let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
        let mut watcher = lab.raw().await;
        for turns in 0..60 {
            let new = job("a");
            give_up_after(turns, store.submit(&new)).await;
            give_up_after(turns, store.claim(&Claim { worker: "away", most: 1, limits: &limits })).await;
            give_up_after(turns, store.end(&held, 7, Status::Success, &crate::jobs::ending(0), false)).await;
            // What is done outside of a transaction is done: it does not find itself in one that nobody ends.
            if lab.engine() == Engine::Postgres {
                eventually(async || (watcher.number(open).await.unwrap() == 0).then_some(())).await;
            }
            assert_eq!(store.beat(&held, 1).await.unwrap(), Beat::Yours { cancel: None });
        }
        let job = get(&*store, &held).await;
        store.bury("away").await.unwrap();
        succeed(&*store, &job).await.unwrap();
        let other = lab.open().await;
        for job in all(&*other).await {
            let timeline = other.events(&job.job_id).await.unwrap();
            assert!(!timeline.is_empty() && job.life.status != Status::Running, "{job:?}");
        }
        assert_eq!(get(&*other, &held).await.life.status, Status::Success);
    });
}
