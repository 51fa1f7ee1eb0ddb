//! A program keeps its hands off the database of a newer one.

use std::time::Duration;

use job::{Cancelled, Status};
use job_store::{Beat, Claim, StoreError, Token, WorkerInfo};
use outcome::Failure;

use super::scenario;
use crate::jobs::{all, ending, job, no_limits, submit, take};
use crate::lab::{Lab, open};

/// What a newer program does first.
async fn migrate(lab: &Lab) {
    let columns = "version, description, success, checksum, execution_time";
    for version in [2, 3] {
        lab.sql(&format!("INSERT INTO _sqlx_migrations ({columns}) VALUES ({version}, 'newer', true, 'x', 1)")).await;
    }
}

fn is_newer(error: &StoreError) -> bool {
    matches!(error, StoreError::Schema { is: 3, knows: 1 })
}

#[test]
fn the_database_of_a_newer_program_is_not_opened() {
    scenario(async |lab| {
        let store = lab.open().await;
        let kept = submit(&*store, &job("a")).await;
        migrate(lab).await;
        let error = open(&lab.url, Duration::from_secs(1)).await.err().unwrap();
        assert!(is_newer(&error), "{error:?}");
        insta::assert_snapshot!(error, @"the queue's database has version 3 and this program knows 1");
        assert_eq!(Failure::from(error).class, "store-newer");
        assert_eq!(all(&*store).await, [kept]);
    });
}

#[test]
fn a_program_that_runs_while_a_newer_one_comes_touches_nothing_more() {
    scenario(async |lab| {
        let store = lab.open().await;
        submit(&*store, &job("a")).await;
        let kept = take(&*store, "w").await.unwrap();
        let waits = submit(&*store, &job("a")).await;
        let token = Token { hash: "h".into(), name: "a".into(), scopes: Vec::new(), expires_at: None };
        store.put_token(&token).await.unwrap();
        migrate(lab).await;
        let id = &kept.job_id;
        let cancelled = Cancelled { by: "bob".into(), why: "late".into() };
        for error in [
            store.end(id, 1, Status::Success, &ending(0), false).await.unwrap_err(),
            store.release(id, 1, "it stops").await.unwrap_err(),
            store.cancel(id, &cancelled).await.unwrap_err(),
            store.bury("w").await.unwrap_err(),
            store.reap().await.unwrap_err(),
            store.drain("w", true).await.unwrap_err(),
            store.put_token(&token).await.unwrap_err(),
            store.remove_tokens("a").await.unwrap_err(),
            store.forget(&[]).await.unwrap_err(),
            store.prune().await.unwrap_err(),
        ] {
            assert!(is_newer(&error), "{error:?}");
        }
        assert_eq!(store.beat(id, 1).await.unwrap(), Beat::Lost, "it is another's, who can end it");
        let error = store.submit(&job("a")).await.unwrap_err();
        assert!(is_newer(&error), "{error:?}");
        let limits = no_limits();
        let error = store.claim(&Claim { worker: "w", most: 1, limits: &limits }).await.unwrap_err();
        assert!(is_newer(&error), "{error:?}");
        let started_at = store.now().await.unwrap();
        let info = WorkerInfo { version: "1".into(), started_at, slots: 1, policy_sha256: "ab".into() };
        let error = store.greet("w", &info).await.unwrap_err();
        assert!(is_newer(&error), "{error:?}");
        let left = all(&*store).await;
        assert!(left.len() == 2 && left.contains(&kept) && left.contains(&waits));
        assert_eq!(store.workers().await.unwrap(), []);
    });
}

#[test]
fn programs_that_open_a_new_database_at_once_all_do() {
    scenario(async |lab| {
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = lab.url.clone();
            opening.spawn(async move { open(&url, Duration::from_mins(1)).await });
        }
        let mut children = Vec::new();
        for _ in 0..4 {
            children.push(crate::child::Child::start("obey", &lab.url, Duration::from_mins(1)));
        }
        for opened in opening.join_all().await {
            submit(&*opened.unwrap(), &job("a")).await;
        }
        for mut child in children {
            assert_eq!(child.hear().as_deref(), Some("ready"));
            child.answer("submit");
        }
        assert_eq!(all(&*lab.open().await).await.len(), 12);
        assert_eq!(lab.number("SELECT count(*) FROM _sqlx_migrations").await, 1);
    });
}
