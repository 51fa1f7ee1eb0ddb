//! The suite on SQLite, and what only a file can be.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use job_store::{Claim, NewJob, StoreError};

use crate::jobs::{all, audit, job, no_limits, submit, succeed, take};
use crate::lab::{Engine, Lab, block_on, open};

/// Runs `scenario` on a new database.
fn scenario(scenario: impl AsyncFnOnce(&Lab)) {
    Lab::with(Engine::Sqlite, scenario);
}

#[path = "suite/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same suite for each engine")]
mod suite;

const LONG: Duration = Duration::from_mins(1);

#[test]
fn the_queue_and_what_belongs_to_it_are_for_its_owner_alone() {
    scenario(async |lab| {
        let store = lab.open().await;
        submit(&*store, &job("a")).await;
        for suffix in ["", "-wal", "-shm"] {
            let file = PathBuf::from(format!("{}{suffix}", lab.file().display()));
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{suffix}");
        }
    });
}

#[test]
fn a_place_where_no_queue_can_be_is_told_by_name() {
    let error = block_on(open("sqlite:/nowhere/queue", LONG)).err().unwrap();
    insta::assert_snapshot!(error, @"/nowhere/queue: No such file or directory (os error 2)");
}

#[test]
fn a_file_that_is_no_database_is_told_as_such_and_left_alone() {
    scenario(async |lab| {
        let text = "This is the diary of somebody, and no database. ".repeat(100);
        std::fs::write(lab.file(), &text).unwrap();
        let error = open(&lab.url, LONG).await.err().unwrap();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert_eq!(std::fs::read_to_string(lab.file()).unwrap(), text);
    });
}

/// A process that closes a file gives up its locks on it, whoever opened it: another program would take the log away.
#[test]
fn j19_a_file_that_is_opened_a_second_time_stays_locked() {
    scenario(async |lab| {
        let inode = |file: PathBuf| std::fs::metadata(file).unwrap().ino();
        let locks = || {
            let of = format!("{} ", inode(lab.file()));
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            locks.lines().filter(|lock| lock.rsplit(':').next().is_some_and(|lock| lock.starts_with(&of))).count()
        };
        let _first = lab.open().await;
        assert_eq!(locks(), 1);
        let second = lab.open().await;
        assert_eq!(locks(), 1);
        drop(second);
        assert_eq!(locks(), 1);
    });
}

/// A file system of a few MiB, as only root can make it.
struct Small(PathBuf);

impl Small {
    fn new(dir: &Path) -> Self {
        mount(dir, &["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
        Self(dir.to_owned())
    }

    fn grow(&self) {
        mount(&self.0, &["-o", "remount,size=64m"]);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn mount(dir: &Path, args: &[&str]) {
    let status = Command::new("mount").args(args).arg(dir).status();
    assert!(status.unwrap().success(), "run the tests as root, as CI does");
}

#[test]
fn j19_a_full_disk_is_told_as_such_and_when_there_is_space_everything_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let small = Small::new(dir.path());
    block_on(async {
        let url = format!("sqlite:{}", dir.path().join("queue").display());
        let store = open(&url, LONG).await.unwrap();
        let big = || {
            let mut new = job("a");
            new.job.request.params.insert("big".into(), "x".repeat(20_000));
            NewJob { idempotency_key: Some(new.job.job_id.to_string()), ..new }
        };
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        // Now and then there is a little space again: the log is begun anew.
        while refused.len() < 20 {
            let new = big();
            match store.submit(&new).await {
                Ok(_) => kept.push(new.job.job_id),
                Err(StoreError::Full(_)) => refused.push(new),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(kept.len() > 10, "{}", kept.len());
        // What a job needs to go on may still fit, or not: it is said.
        let limits = no_limits();
        match store.claim(&Claim { worker: "w", most: 1, limits: &limits }).await {
            Ok(claimed) => drop(succeed(&*store, &claimed[0]).await),
            Err(error) => assert!(matches!(error, StoreError::Full(_)), "{error:?}"),
        }
        assert_eq!(all(&*store).await.len(), kept.len());
        small.grow();
        for new in refused {
            kept.push(submit(&*store, &new).await.job_id);
        }
        while let Some(job) = take(&*store, "w").await {
            succeed(&*store, &job).await.unwrap();
        }
        drop(store);
        audit(&*open(&url, LONG).await.unwrap(), kept).await;
    });
}
