//! What may happen to a job in a queue, and what its timeline tells of it.

use insta::assert_snapshot;
use job::life::{LEASE_EXPIRED, LONGEST_WAIT};
use job::{Cancelled, Ending, Kind, Life, Status, Step, Time};
use proptest::prelude::*;

const BIRTH: i64 = 1_000_000;

fn at(millis: i64) -> Time {
    Time::from_millis(BIRTH + millis).unwrap()
}

fn claim() -> Step {
    Step::Claim { worker: "vps/1".into() }
}

fn cancel() -> Step {
    Step::Cancel(Cancelled { by: "alice".into(), why: "a typo".into() })
}

fn end(status: Status) -> Step {
    let exit_code = i32::from(status != Status::Success);
    Step::End { status, ending: ending(exit_code, None), retry: false }
}

/// The infrastructure failed.
fn broken() -> Step {
    Step::End { status: Status::Error, ending: ending(-1, Some("disk-full")), retry: true }
}

fn ending(exit_code: i32, class: Option<&str>) -> Ending {
    let text = |text: &str| class.map(|_| text.to_owned());
    Ending { exit_code, exit: 4, class: class.map(str::to_owned), reason: text("no space"), next: text("make room") }
}

fn release() -> Step {
    Step::Release { why: "it stops".into() }
}

/// The life after `steps`, one a second, and its timeline.
fn check(max_attempts: u32, steps: &[Step]) -> String {
    let mut life = Life::new(at(0), max_attempts);
    let mut told = String::new();
    for (second, step) in (1..).zip(steps) {
        match life.step(step, at(second * 1000)) {
            Ok((next, events)) => {
                life = next;
                for event in events {
                    told += &format!("{second}s {}: {}\n", event.kind.as_str(), event.text);
                }
            }
            Err(illegal) => told += &format!("{second}s refused: {illegal}\n"),
        }
    }
    let after = life.not_before.as_millis() - BIRTH;
    let Life { status, epoch, attempt, ending, .. } = life;
    let class = ending.and_then(|ending| ending.class).unwrap_or_else(|| "-".into());
    told + &format!("= {} epoch {epoch} attempt {attempt} not before {after} ms, {class}\n", status.as_str())
}

#[test]
fn a_job_runs_once_when_nothing_goes_wrong() {
    assert_snapshot!(check(3, &[claim(), end(Status::Success)]), @r"
    1s started: attempt 1 of 3 on vps/1
    2s ended: success with exit code 0
    = success epoch 1 attempt 1 not before 0 ms, -
    ");
    assert_snapshot!(check(3, &[claim(), end(Status::Failure)]), @r"
    1s started: attempt 1 of 3 on vps/1
    2s ended: failure with exit code 1
    = failure epoch 1 attempt 1 not before 0 ms, -
    ");
}

#[test]
fn only_what_the_infrastructure_broke_is_tried_again_later_and_later() {
    assert_snapshot!(check(3, &[claim(), broken(), claim(), broken(), claim(), broken()]), @r"
    1s started: attempt 1 of 3 on vps/1
    2s retried: attempt 1 of 3 failed: disk-full: no space; it is tried again
    3s started: attempt 2 of 3 on vps/1
    4s retried: attempt 2 of 3 failed: disk-full: no space; it is tried again
    5s started: attempt 3 of 3 on vps/1
    6s ended: error with exit code -1: disk-full: no space
    = error epoch 3 attempt 3 not before 8000 ms, disk-full
    ");
}

#[test]
fn each_wait_is_four_times_the_one_before_and_none_is_longer_than_five_minutes() {
    let (mut life, mut waits) = (Life::new(at(0), 9), Vec::new());
    for _ in 0..8 {
        for step in [claim(), broken()] {
            life = life.step(&step, at(0)).unwrap().0;
        }
        waits.push(life.not_before.as_millis() - BIRTH);
    }
    assert_eq!(waits, [1, 4, 16, 64, 256, 300, 300, 300].map(|seconds| seconds * 1000));
    assert_eq!(LONGEST_WAIT.as_secs(), 300);
}

#[test]
fn j19_a_lost_worker_costs_an_attempt_and_the_last_one_ends_the_job() {
    assert_snapshot!(check(2, &[claim(), Step::Lose, claim(), Step::Lose]), @r"
    1s started: attempt 1 of 2 on vps/1
    2s lost: nothing was heard of vps/1 for too long; it is begun again
    3s started: attempt 2 of 2 on vps/1
    4s lost: nothing was heard of vps/1 for too long
    4s ended: error: lease_expired: no attempt is left
    = error epoch 2 attempt 2 not before 2000 ms, lease_expired
    ");
    assert_eq!(LEASE_EXPIRED, "lease_expired");
}

#[test]
fn a_worker_that_stops_hands_back_its_job_and_no_attempt_is_spent() {
    assert_snapshot!(check(1, &[claim(), release(), claim(), end(Status::Success)]), @r"
    1s started: attempt 1 of 1 on vps/1
    2s released: vps/1 handed it back: it stops
    3s started: attempt 1 of 1 on vps/1
    4s ended: success with exit code 0
    = success epoch 2 attempt 1 not before 2000 ms, -
    ");
}

#[test]
fn a_job_that_is_to_stop_is_begun_no_more() {
    assert_snapshot!(check(3, &[cancel(), claim()]), @r"
    1s cancel_requested: alice wants it stopped: a typo
    1s ended: cancelled: it was not begun
    2s refused: a job that is cancelled does not become running
    = cancelled epoch 0 attempt 0 not before 0 ms, cancelled
    ");
    for (how, step) in [("broken", broken()), ("lost", Step::Lose), ("released", release())] {
        let told = check(3, &[claim(), cancel(), cancel(), step]);
        assert!(told.contains("= cancelled epoch 1 attempt 1"), "{how}: {told}");
        assert_eq!(told.matches("cancel_requested").count(), 1, "{how}: {told}");
    }
    let stopped = check(3, &[claim(), cancel(), end(Status::Cancelled)]);
    assert!(
        stopped.ends_with(
            "3s ended: cancelled: it was stopped\n= cancelled epoch 1 attempt 1 not before 0 ms, cancelled\n"
        )
    );
}

#[test]
fn what_ended_before_it_could_be_stopped_ended_as_it_did() {
    assert_snapshot!(check(3, &[claim(), cancel(), end(Status::Success), cancel()]), @r"
    1s started: attempt 1 of 3 on vps/1
    2s cancel_requested: alice wants it stopped: a typo
    3s ended: success with exit code 0
    4s refused: a job that is success does not become cancelled
    = success epoch 1 attempt 1 not before 0 ms, -
    ");
}

#[test]
fn only_of_a_job_that_runs_a_worker_has_anything_to_say() {
    for step in [end(Status::Error), end(Status::Success), broken(), Step::Lose, release()] {
        let told = check(1, std::slice::from_ref(&step));
        assert!(told.starts_with("1s refused: a job that is queued does not become "), "{told}");
        let told = check(1, &[claim(), end(Status::Success), step]);
        assert!(told.contains("3s refused: a job that is success does not become "), "{told}");
    }
}

#[test]
fn a_job_does_not_end_in_a_state_that_is_no_end() {
    for status in [Status::Queued, Status::Running] {
        let retry = Step::End { status, ending: ending(-1, None), retry: true };
        for step in [end(status), retry] {
            let told = check(3, &[claim(), step]);
            assert!(told.contains("2s refused: a job that is running does not become "), "{told}");
            assert!(told.contains("= running epoch 1 attempt 1 "), "{told}");
        }
    }
}

#[test]
fn a_kind_is_written_as_it_is_called() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let statuses = Status::ALL;
    prop_oneof![
        4 => Just(claim()),
        1 => Just(cancel()),
        1 => proptest::sample::select(statuses.to_vec()).prop_map(end),
        2 => Just(broken()),
        2 => Just(Step::Lose),
        2 => Just(release()),
    ]
}

proptest! {
    #[test]
    fn j19_whatever_happens_a_job_is_not_begun_too_often_and_ends_once(steps in prop::collection::vec(any_step(), 0..40), max in 1_u32..5) {
        let (mut life, mut ends, mut now) = (Life::new(at(0), max), 0, 0);
        for step in steps {
            now += 1;
            let Ok((next, events)) = life.step(&step, at(now)) else { continue };
            prop_assert!(!life.status.is_final());
            prop_assert!(next.attempt <= max && next.epoch >= life.epoch);
            prop_assert_eq!(next.status.is_final(), next.finished_at.is_some() && next.ending.is_some());
            prop_assert!(next.not_before.as_millis() - at(now).as_millis() <= i64::try_from(LONGEST_WAIT.as_millis()).unwrap());
            ends += events.iter().filter(|event| event.kind == Kind::Ended).count();
            life = next;
        }
        prop_assert_eq!(ends, usize::from(life.status.is_final()));
    }
}
