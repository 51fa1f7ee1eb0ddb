//! The suite on PostgreSQL, and what only a server can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use job::{Id, Status};
use job_store::{Claim, Limits, NewJob, Settings, Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::child::Child;
use crate::jobs::{audit, ending, get, job, no_limits, submit, succeed, take, take_some, tried};
use crate::lab::{Engine, Lab, eventually};

/// Runs `scenario` on a new database.
fn scenario(scenario: impl AsyncFnOnce(&Lab)) {
    Lab::with(Engine::Postgres, scenario);
}

#[path = "suite/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same suite for each engine")]
mod suite;

/// Again, until the server answers.
async fn persist<T>(mut attempt: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    eventually(async || match attempt().await {
        Ok(answer) => Some(answer),
        Err(StoreError::Unavailable(_)) => None,
        Err(error) => panic!("{error:?}"),
    })
    .await
}

/// Submits, also without a key, and does not give up.
async fn submit_many(store: Arc<dyn Store>, enough: Arc<AtomicBool>) -> Vec<Id> {
    let mut ids = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let new = tried("a", 1000);
        let key = (ids.len() % 2 == 0).then(|| new.job.job_id.to_string());
        let new = NewJob { idempotency_key: key, ..new };
        while let Err(error) = store.submit(&new).await {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        }
        ids.push(new.job.job_id);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    ids
}

/// Takes jobs and ends them, until somebody says that it is enough.
async fn work(store: Arc<dyn Store>, enough: Arc<AtomicBool>) {
    let limits = no_limits();
    while !enough.load(Ordering::Relaxed) {
        drop(store.reap().await);
        for job in store.claim(&Claim { worker: "w", most: 2, limits: &limits }).await.unwrap_or_default() {
            while let Err(error) = store.end(&job.job_id, job.life.epoch, Status::Success, &ending(0), false).await {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            }
        }
    }
}

#[test]
fn j18_j19_a_server_that_is_killed_in_the_middle_of_everything_loses_and_doubles_nothing() {
    scenario(async |lab| {
        let stores = [lab.open_with(Duration::from_secs(1)).await, lab.open_with(Duration::from_secs(1)).await];
        let [submitted, done] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (mut submitters, mut workers) = (JoinSet::new(), JoinSet::new());
        for store in stores.iter().cycle().take(4) {
            submitters.spawn(submit_many(Arc::clone(store), Arc::clone(&submitted)));
            workers.spawn(work(Arc::clone(store), Arc::clone(&done)));
        }
        let ended = async |most| {
            eventually(async || {
                let count = lab.try_number("SELECT count(*) FROM jobs WHERE status = 'success'").await?;
                (count >= most).then_some(count)
            })
            .await
        };
        let mut before = 0;
        for _ in 0..2 {
            before = ended(before + 20).await;
            lab.server().restart().unwrap();
        }
        ended(before + 20).await;
        submitted.store(true, Ordering::Relaxed);
        let ids = submitters.join_all().await.concat();
        eventually(async || stores[0].counts().await.unwrap().is_empty().then_some(())).await;
        done.store(true, Ordering::Relaxed);
        workers.join_all().await;
        audit(&*stores[1], ids).await;
    });
}

#[test]
fn a_store_whose_connections_were_dropped_recovers_and_hears_of_work_again() {
    scenario(async |lab| {
        let [store, other] = lab.open_some().await;
        let mut work = other.hints().work();
        for _ in 0..3 {
            submit(&*store, &job("a")).await;
            timeout(Duration::from_secs(5), work.changed()).await.unwrap().unwrap();
        }
        while timeout(Duration::from_millis(200), work.changed()).await.is_ok() {}
        lab.server().drop_connections().unwrap();
        // What happened meanwhile it cannot know.
        timeout(Duration::from_secs(5), work.changed()).await.unwrap().unwrap();
        for _ in 0..3 {
            let new = job("a");
            persist(async || store.submit(&new).await).await;
            timeout(Duration::from_secs(5), work.changed()).await.unwrap().unwrap();
        }
        assert_eq!(take_some(&*other, "w", 9, &no_limits()).await.len(), 6);
    });
}

#[test]
fn a_server_that_hangs_holds_everybody_up_and_nothing_is_lost() {
    scenario(async |lab| {
        let store = lab.open().await;
        submit(&*store, &job("a")).await;
        lab.server().stop();
        let taking = tokio::spawn({
            let store = Arc::clone(&store);
            async move { take(&*store, "w").await }
        });
        assert!(timeout(Duration::from_millis(300), store.get(&job("a").job.job_id)).await.is_err());
        lab.server().cont();
        let claimed = taking.await.unwrap().unwrap();
        let ended = succeed(&*store, &claimed).await.unwrap();
        assert_eq!(get(&*store, &ended.job_id).await, ended);
    });
}

#[test]
fn j19_a_program_that_stops_in_the_middle_of_a_claim_holds_up_nobody_for_longer_than_a_lease() {
    scenario(async |lab| {
        let store = lab.open().await;
        let id = submit(&*store, &job("a")).await.job_id;
        let mut child = Child::ready("obey", &lab.url, Duration::from_secs(1));
        let mut hold = lab.hold().await;
        child.order("claim");
        hold.reached().await;
        child.stop();
        hold.let_go().await;
        let claimed = timeout(Duration::from_secs(20), take(&*store, "w")).await.unwrap().unwrap();
        assert_eq!((claimed.job_id, claimed.life.epoch), (id, 1));
    });
}

#[test]
fn j19_limits_are_kept_whatever_isolation_the_database_has_as_its_own() {
    scenario(async |lab| {
        lab.sql("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'").await;
        let stores: [Arc<dyn Store>; 4] = lab.open_some().await;
        for _ in 0..40 {
            submit(&*stores[0], &job("a")).await;
        }
        let mut claimers = JoinSet::new();
        for n in 0..8 {
            let store = Arc::clone(&stores[n % 4]);
            claimers.spawn(async move {
                let limits = Limits { all: 3, ..no_limits() };
                take_some(&*store, "w", 1, &limits).await.len()
            });
        }
        assert_eq!(claimers.join_all().await.into_iter().sum::<usize>(), 3);
    });
}

#[test]
fn one_connection_is_enough() {
    scenario(async |lab| {
        let settings = Settings { connections: 1, ..Settings::default() };
        let store = job_store::open(&lab.url, settings).await.unwrap();
        let mut work = store.hints().work();
        timeout(Duration::from_secs(5), work.changed()).await.unwrap().unwrap();
        submit(&*store, &job("a")).await;
        let claimed = take(&*store, "w").await.unwrap();
        succeed(&*store, &claimed).await.unwrap();
    });
}

#[test]
fn a_key_that_is_too_long_for_the_server_is_told_as_such() {
    scenario(async |lab| {
        let store = lab.open().await;
        // It is compressed where that helps.
        let mut state = 7_u64;
        let key = (0..9000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from_u32(0x4e00 + u32::try_from(state >> 52).unwrap()).unwrap()
        });
        let error = store.submit(&crate::jobs::keyed("a", &key.collect::<String>(), "h1")).await.unwrap_err();
        assert!(matches!(error, StoreError::Text(_)), "{error:?}");
        assert!(matches!(store.bury("a\0b").await, Err(StoreError::Text(_))));
    });
}

#[test]
fn a_claim_reads_few_jobs_though_many_wait_and_few_did_when_it_was_planned() {
    const WAITING: i64 = 5000;
    scenario(async |lab| {
        let store = lab.open().await;
        for _ in 0..10 {
            submit(&*store, &job("a")).await;
            succeed(&*store, &take(&*store, "w").await.unwrap()).await;
        }
        lab.sql("VACUUM ANALYZE jobs").await;
        let wait = "INSERT INTO jobs (id, status, repo, job_type, priority, not_before, epoch, submitted_by, request_hash, doc)
            SELECT 'x' || n, 'queued', 'full', 'j', 0, 0, 0, 'me', '', '' FROM generate_series(1, 5000) n";
        lab.sql(wait).await;
        let limits = Limits { all: 9, each: 9, named: [("full".to_owned(), 1)].into() };
        lab.sql("UPDATE jobs SET status = 'running' WHERE id = 'x1'").await;
        for _ in 0..20 {
            submit(&*store, &job("b")).await;
            let claimed = store.claim(&Claim { worker: "w", most: 1, limits: &limits }).await.unwrap();
            succeed(&*store, &claimed[0]).await;
        }
        // What a connection read is told at its end.
        drop(store);
        let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_waiting'";
        eventually(async || (lab.number(scans).await > 40).then_some(())).await;
        let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint";
        let read = lab.number(read).await;
        assert!(read < 2 * WAITING, "{read}");
    });
}
