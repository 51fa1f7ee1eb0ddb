//! Who waits for news is woken by it.

use std::time::Duration;

use job::{Cancelled, Status};
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::scenario;
use crate::jobs::{ending, job, submit, succeed, take};
use crate::lab::Engine;

/// Far less than whoever only looks now and then would need.
async fn told(hint: &mut Receiver<()>) -> bool {
    let told = timeout(Duration::from_secs(5), hint.changed()).await.is_ok();
    hint.mark_unchanged();
    told
}

#[test]
fn whoever_waits_is_told_at_once_of_work_and_of_news() {
    scenario(async |lab| {
        let store = lab.open().await;
        // Of SQLite programs beside it nothing is told.
        let other = if lab.engine() == Engine::Postgres { lab.open().await } else { store.clone() };
        let (mut work, mut news) = (other.hints().work(), other.hints().news());
        // The first may be told of what was before.
        for _ in 0..3 {
            submit(&*store, &job("a")).await;
            assert!(told(&mut work).await && told(&mut news).await);
        }
        while timeout(Duration::from_millis(200), news.changed()).await.is_ok() {}
        work.mark_unchanged();
        let first = take(&*store, "w").await.unwrap();
        assert!(told(&mut news).await);
        store.cancel(&first.job_id, &Cancelled { by: "bob".into(), why: "late".into() }).await.unwrap();
        assert!(told(&mut news).await);
        // That it runs, or is to stop, lets nobody begin another.
        assert!(!work.has_changed().unwrap());
        succeed(&*store, &first).await.unwrap();
        assert!(told(&mut work).await && told(&mut news).await);
        let second = take(&*store, "w").await.unwrap();
        store.release(&second.job_id, 1, "it stops").await.unwrap().unwrap();
        assert!(told(&mut work).await);
        take(&*store, "w").await.unwrap();
        store.bury("w").await.unwrap();
        assert!(told(&mut work).await);
        take(&*store, "w").await.unwrap();
        store.end(&second.job_id, 3, Status::Error, &ending(-1), true).await.unwrap().unwrap();
        assert!(told(&mut work).await);
    });
}

#[test]
fn what_came_of_nothing_is_not_told() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        take(&*store, "w").await.unwrap();
        let cancelled = Cancelled { by: "bob".into(), why: "late".into() };
        store.cancel(&id, &cancelled).await.unwrap();
        let (work, news) = (store.hints().work(), store.hints().news());
        let cancels = store.hints().cancels();
        // Every worker would ask for each of its jobs.
        assert!(store.cancel(&id, &cancelled).await.unwrap().is_some());
        store.beat(&id, 1).await.unwrap();
        assert_eq!(store.end(&id, 7, Status::Success, &ending(0), false).await.unwrap(), None);
        assert!(take(&*store, "w").await.is_none());
        assert_eq!(store.reap().await.unwrap(), []);
        if lab.engine() == Engine::Sqlite {
            assert!([work, news, cancels].iter().all(|hint| !hint.has_changed().unwrap()));
        }
        assert!(store.poll() <= Duration::from_secs(1));
        assert_eq!(store.lease(), Duration::from_mins(1));
    });
}
