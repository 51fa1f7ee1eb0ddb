//! Workers, tokens, and what is removed.

use std::time::Duration;

use job::{Status, Time};
use job_store::{Store, Token, WorkerInfo};

use super::scenario;
use crate::jobs::{all, born, ending, job, keyed, no_limits, submit, succeed, take, take_some};
use crate::lab::eventually;

fn info(slots: u32) -> WorkerInfo {
    let started_at = Time::from_millis(1_700_000_000_000).unwrap();
    WorkerInfo { version: "1.2.3".into(), started_at, slots, policy_sha256: "ab".repeat(32) }
}

async fn after(store: &dyn Store, millis: i64) -> Time {
    Time::from_millis(store.now().await.unwrap().as_millis() + millis).unwrap()
}

#[test]
fn a_worker_is_known_with_what_it_says_and_what_it_runs_until_it_parts() {
    scenario(async |lab| {
        let [store, other] = lab.open_some().await;
        assert_eq!(store.workers().await.unwrap(), []);
        let before = store.now().await.unwrap();
        for (name, slots) in [("b", 1), ("B", 2), ("a", 3)] {
            assert!(!store.greet(name, &info(slots)).await.unwrap());
        }
        store.greet("b", &info(4)).await.unwrap();
        for _ in 0..3 {
            submit(&*store, &job("a")).await;
        }
        let mut held: Vec<_> =
            take_some(&*store, "b", 2, &no_limits()).await.into_iter().map(|job| job.job_id).collect();
        take(&*store, "somebody").await.unwrap();
        let workers = other.workers().await.unwrap();
        assert_eq!(workers.iter().map(|worker| worker.name.as_str()).collect::<Vec<_>>(), ["B", "a", "b"]);
        held.sort();
        assert_eq!((&workers[2].running, &workers[2].info), (&held, &info(4)));
        assert!(workers.iter().all(|worker| worker.alive && !worker.draining && worker.seen_at >= before));
        store.part("b").await.unwrap();
        store.part("nobody").await.unwrap();
        assert_eq!(other.workers().await.unwrap().len(), 2);
    });
}

#[test]
fn a_worker_that_drains_is_told_until_it_may_go_on() {
    scenario(async |lab| {
        let [store, other] = lab.open_some().await;
        store.greet("w", &info(1)).await.unwrap();
        let mut work = other.hints().work();
        work.mark_unchanged();
        assert!(other.drain("w", true).await.unwrap());
        work.changed().await.unwrap();
        assert!(store.greet("w", &info(1)).await.unwrap());
        assert!(other.workers().await.unwrap()[0].draining);
        assert!(other.drain("w", false).await.unwrap());
        assert!(!store.greet("w", &info(1)).await.unwrap());
        assert!(!other.drain("nobody", true).await.unwrap());
    });
}

#[test]
fn a_worker_that_was_not_heard_of_for_two_leases_is_not_alive() {
    scenario(async |lab| {
        let store = lab.open_with(Duration::from_millis(400)).await;
        store.greet("w", &info(1)).await.unwrap();
        let alive = async || store.workers().await.unwrap()[0].alive;
        assert!(alive().await);
        lab.sql("UPDATE workers SET seen_at = seen_at - 500").await;
        assert!(alive().await);
        eventually(async || (!alive().await).then_some(())).await;
        store.greet("w", &info(1)).await.unwrap();
        assert!(alive().await);
        // By a clock that was put back since.
        lab.sql("UPDATE workers SET seen_at = seen_at + 100000").await;
        assert!(!alive().await);
    });
}

fn token(hash: &str, name: &str, expires_at: Option<Time>) -> Token {
    Token { hash: hash.into(), name: name.into(), scopes: vec!["submit".into(), "read".into()], expires_at }
}

#[test]
fn a_token_is_known_by_its_hash_until_it_expires_or_is_removed() {
    scenario(async |lab| {
        let [store, other] = lab.open_some().await;
        let soon = token("h2", "bob", Some(after(&*store, 60_000).await));
        for token in [&token("h3", "bob", None), &soon, &token("h1", "Alice", None)] {
            store.put_token(token).await.unwrap();
        }
        assert_eq!(other.token("h2").await.unwrap(), Some(soon.clone()));
        assert_eq!(other.tokens().await.unwrap(), [token("h1", "Alice", None), soon.clone(), token("h3", "bob", None)]);
        assert_eq!(other.token("h").await.unwrap(), None);
        let changed = Token { scopes: Vec::new(), name: "carol".into(), ..soon };
        store.put_token(&changed).await.unwrap();
        assert_eq!(other.token("h2").await.unwrap(), Some(changed.clone()));
        let now = other.now().await.unwrap();
        store.put_token(&Token { expires_at: Some(now), ..changed }).await.unwrap();
        assert_eq!(other.token("h2").await.unwrap(), None);
        assert_eq!(other.tokens().await.unwrap().len(), 2);
        store.put_token(&token("h4", "bob", None)).await.unwrap();
        assert_eq!(store.remove_tokens("bob").await.unwrap(), 2);
        assert_eq!(store.remove_tokens("bob").await.unwrap(), 0);
        assert_eq!(other.tokens().await.unwrap(), [token("h1", "Alice", None)]);
    });
}

#[test]
fn what_ended_before_a_time_is_removed_and_what_runs_or_waits_is_kept() {
    scenario(async |lab| {
        let store = lab.open().await;
        let hour = Duration::from_hours(1);
        let old = job_store::NewJob { idempotency_key: Some("k".into()), ..born("a", hour) };
        let old = submit(&*store, &old).await.job_id;
        let claimed = take(&*store, "w").await.unwrap();
        store.end(&old, 1, Status::Failure, &ending(1), false).await.unwrap().unwrap();
        assert_eq!(claimed.job_id, old);
        // It was submitted before that, and ended after.
        assert_eq!(store.ended(after(&*store, -60_000).await, None, 9).await.unwrap(), []);
        for _ in 0..2 {
            submit(&*store, &born("a", hour)).await;
        }
        let running = take(&*store, "w").await.unwrap();
        let limit = after(&*store, 1).await;
        eventually(async || (store.now().await.unwrap() > limit).then_some(())).await;
        let young = submit(&*store, &job("b")).await;
        let young = store.cancel(&young.job_id, &cancelled()).await.unwrap().unwrap();
        assert_eq!(store.ended(limit, None, 9).await.unwrap(), std::slice::from_ref(&old));
        assert_eq!(store.ended(limit, Some(&old), 9).await.unwrap(), []);
        assert_eq!(store.ended(limit, None, 0).await.unwrap(), []);
        assert_eq!(store.forget(&[old.clone(), running.job_id.clone()]).await.unwrap(), 1);
        assert_eq!(store.ended(limit, None, 9).await.unwrap(), []);
        let left = all(&*store).await;
        assert_eq!(
            left.iter().map(|job| job.life.status).collect::<Vec<_>>(),
            [Status::Cancelled, Status::Queued, Status::Running].into_iter().collect::<Vec<_>>()
        );
        drop(young);
        assert_eq!(store.events(&old).await.unwrap(), []);
        assert_eq!(lab.number("SELECT count(*) FROM events WHERE job NOT IN (SELECT id FROM jobs)").await, 0);
        // Its key is free again.
        submit(&*store, &keyed("a", "k", "h2")).await;
        succeed(&*store, &running).await.unwrap();
    });
}

fn cancelled() -> job::Cancelled {
    job::Cancelled { by: "bob".into(), why: "late".into() }
}

#[test]
fn expired_tokens_and_workers_of_yesterday_are_removed_too() {
    scenario(async |lab| {
        let store = lab.open().await;
        store.put_token(&token("h1", "a", None)).await.unwrap();
        store.put_token(&token("h2", "b", Some(after(&*store, 60_000).await))).await.unwrap();
        store.put_token(&token("h3", "c", Some(after(&*store, -1).await))).await.unwrap();
        store.greet("old", &info(1)).await.unwrap();
        lab.sql("UPDATE workers SET seen_at = seen_at - 90000000").await;
        store.greet("new", &info(1)).await.unwrap();
        lab.sql("UPDATE workers SET seen_at = seen_at - 80000000 WHERE name = 'new'").await;
        store.prune().await.unwrap();
        assert_eq!(lab.number("SELECT count(*) FROM tokens").await, 2);
        let workers = store.workers().await.unwrap();
        assert_eq!(workers.iter().map(|worker| worker.name.as_str()).collect::<Vec<_>>(), ["new"]);
    });
}
