//! Several checks at one time, each in a thread of its own.
//!
//! **Invariant:** it ends: a check that hangs is told to stop, waited for while it can clean up, and then left behind.

#![allow(clippy::disallowed_methods, reason = "it measures how long checks take")]

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use doctor::Check;
use host::Cancel;
use outcome::Failure;

/// How often it looks whether somebody wants to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long a check may take to kill what it runs: longer than [`host::Local`] gives it.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// A check that is not made yet. What it is handed says when it is to stop.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) look: Box<dyn FnOnce(&Cancel) -> Check + Send>,
}

/// Makes all of them, each within `patience`. What they found, in their order.
///
/// # Errors
/// Infrastructure, class `interrupted`, when `cancel` said so.
pub(crate) fn together(works: Vec<Work>, patience: Duration, cancel: &Cancel) -> Result<Vec<Check>, Failure> {
    let names: Vec<_> = works.iter().map(|work| work.name).collect();
    let cancels: Vec<_> = names.iter().map(|_| Cancel::default()).collect();
    let mut checks: Vec<Option<Check>> = names.iter().map(|_| None).collect();
    let (report, reports) = mpsc::channel();
    for (at, work) in works.into_iter().enumerate() {
        let (report, cancel) = (report.clone(), cancels[at].clone());
        // Whether anybody still waits for it is not the check's business.
        thread::spawn(move || report.send((at, caught(work, &cancel))).ok());
    }
    drop(report);
    take(&reports, patience, cancel, |at, check| checks[at] = Some(check));
    let late = |at: &usize| checks[*at].is_none();
    (0..names.len()).filter(late).for_each(|at| cancels[at].cancel());
    // What is found from here on came too late; that it comes says that nothing of it runs any more.
    take(&reports, CLEAN_UP, &Cancel::default(), |_, _| ());
    if cancel.is_cancelled() {
        return Err(Failure::infrastructure("interrupted", "the checks were not waited for", "run it again"));
    }
    Ok(names.into_iter().zip(checks).map(|(name, check)| check.unwrap_or_else(|| too_late(name, patience))).collect())
}

/// Hands on what comes, until nothing can come any more, the time is over or somebody wants to stop.
fn take(reports: &Receiver<(usize, Check)>, time: Duration, cancel: &Cancel, mut keep: impl FnMut(usize, Check)) {
    let begun = Instant::now();
    while !cancel.is_cancelled() {
        let left = time.saturating_sub(begun.elapsed());
        match reports.recv_timeout(left.min(TICK)) {
            Ok((at, check)) => keep(at, check),
            Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
            Err(_) => return,
        }
    }
}

fn caught(work: Work, cancel: &Cancel) -> Check {
    let Work { name, look } = work;
    panic::catch_unwind(AssertUnwindSafe(|| look(cancel))).unwrap_or_else(|_| {
        let next = "report it with the command you ran; what it said is above";
        Check::fail(name, "check-broken", "this check has a bug", next)
    })
}

fn too_late(name: &'static str, patience: Duration) -> Check {
    let message = format!("it took longer than {} s", patience.as_secs());
    Check::fail(name, "check-timeout", message, "see what hangs, or give it more time: --timeout SECONDS")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::shown;

    fn work(name: &'static str, look: impl FnOnce(&Cancel) -> Check + Send + 'static) -> Work {
        Work { name, look: Box::new(look) }
    }

    fn hang(cancel: &Cancel) {
        while !cancel.is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn made(works: Vec<Work>, patience: Duration, cancel: &Cancel) -> Result<String, Failure> {
        let checks = together(works, patience, cancel)?;
        Ok(checks.iter().map(|check| shown(check) + "\n").collect())
    }

    #[test]
    fn a_check_that_hangs_is_stopped_and_fails_alone() {
        let (say, said) = mpsc::channel();
        let works = vec![
            work("hangs", move |cancel| {
                hang(cancel);
                say.send("stopped").unwrap();
                Check::pass("hangs", "too late")
            }),
            work("quick", |_| Check::pass("quick", "is there")),
        ];
        assert_snapshot!(made(works, Duration::from_secs(1), &Cancel::default()).unwrap(), @"
        FAIL: hangs: it took longer than 1 s
              next: see what hangs, or give it more time: --timeout SECONDS
              class: check-timeout
        PASS: quick: is there
              class: ok
        ");
        assert_eq!(said.try_recv(), Ok("stopped"), "it was waited for");
    }

    #[test]
    fn all_of_them_go_on_at_one_time() {
        // Each waits for the other.
        let (to_one, from_two) = mpsc::channel();
        let (to_two, from_one) = mpsc::channel();
        let works = vec![
            work("one", move |_| {
                to_two.send(()).unwrap();
                from_two.recv().unwrap();
                Check::pass("one", "met")
            }),
            work("two", move |_| {
                to_one.send(()).unwrap();
                from_one.recv().unwrap();
                Check::pass("two", "met")
            }),
        ];
        let begun = Instant::now();
        assert_snapshot!(made(works, Duration::from_secs(60), &Cancel::default()).unwrap(), @"
        PASS: one: met
              class: ok
        PASS: two: met
              class: ok
        ");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_check_with_a_bug_fails_alone() {
        let works = vec![work("broken", |_| panic!("a bug")), work("quick", |_| Check::pass("quick", "is there"))];
        assert_snapshot!(made(works, Duration::from_secs(60), &Cancel::default()).unwrap(), @"
        FAIL: broken: this check has a bug
              next: report it with the command you ran; what it said is above
              class: check-broken
        PASS: quick: is there
              class: ok
        ");
    }

    #[test]
    fn who_wants_to_stop_does_not_wait() {
        let cancel = Cancel::default();
        let stop = cancel.clone();
        let works = vec![
            work("hangs", |cancel| {
                hang(cancel);
                Check::pass("hangs", "")
            }),
            work("stops", move |_| {
                stop.cancel();
                Check::pass("stops", "")
            }),
        ];
        let begun = Instant::now();
        assert_snapshot!(made(works, Duration::from_secs(60), &cancel).unwrap_err().text(), @"
        interrupted: the checks were not waited for
        next: run it again
        ");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
