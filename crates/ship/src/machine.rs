//! The run as a pure state machine: where it stands and what happened in, where it stands now and what to do next out.
//!
//! **Invariant:** nothing is pushed but by [`Command::Push`], which only follows [`Event::GatePassed`].
//! **Invariant:** an infrastructure failure is [`Event::Stopped`] and ends the run; only findings and failed tests,
//! which are other types, start a heal.
//! **Invariant:** every path ends: each heal uses up one of a bounded number of rounds.

use std::fmt;

use outcome::Failure;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

/// What a run may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How often the change is tested and reviewed at most; one less than that it is healed.
    pub rounds: u32,
    /// What a range that is not approved yet gets.
    pub unapproved: Unapproved,
    /// Blockers and failed tests may be healed.
    pub heal: bool,
    /// An approved change is pushed.
    pub push: bool,
}

/// What a range that is not approved yet gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unapproved {
    /// Tests, then a review.
    Test,
    /// A review alone.
    Review,
    /// A refusal.
    Refuse,
}

/// Where a run stands. Written to the journal before each command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    /// Looking at the repository and its remote.
    Observing,
    /// Running the test steps.
    Testing {
        /// Counts from 1.
        round: u32,
    },
    /// Having the change reviewed.
    Reviewing {
        /// Counts from 1.
        round: u32,
    },
    /// Having blockers or a failed test fixed.
    Healing {
        /// The round that found them.
        round: u32,
    },
    /// Making the commit that advances the baseline.
    Advancing,
    /// Asking the gate.
    Gating,
    /// Pushing.
    Pushing,
    /// Bringing the local branch to what the remote has.
    Following {
        /// This run pushed, rather than one that was interrupted.
        pushed: bool,
    },
}

/// What the remote has, compared with the local branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// The branch's head.
    HasHead,
    /// The baseline commit of the branch's head: pushed by a run that was interrupted before it could follow.
    HasBaseline,
    /// An ancestor, or no such branch.
    IsBehind,
}

/// What came of a command.
#[derive(Debug)]
pub enum Event {
    /// The repository was looked at.
    Observed {
        /// What the remote has.
        remote: Remote,
        /// The range has an approving verdict with all that the policy asks for.
        approved: bool,
        /// The round to go on with: 1, or where an interrupted run of the same range stood.
        round: u32,
    },
    /// Every test step passed.
    TestsPassed,
    /// A test step failed.
    TestsFailed(Failure),
    /// The verdict is APPROVED.
    Approved,
    /// The verdict is BLOCKED.
    Blocked {
        /// What a person reads.
        failure: Failure,
        /// A change to the tree can remove the blockers. Not so what is in the history.
        healable: bool,
    },
    /// A heal was accepted and committed.
    Healed,
    /// The baseline commit is made.
    Advanced,
    /// The gate let the push through.
    GatePassed,
    /// The remote took the push; it was read back and has what was pushed.
    Pushed,
    /// The local branch has what the remote has.
    Followed,
    /// The command could not be done, or the gate refused.
    Stopped(Failure),
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Look at the repository and its remote.
    Observe,
    /// Run the test steps.
    Test,
    /// Have the range reviewed.
    Review,
    /// Have fixed what this round found.
    Heal,
    /// Make the baseline commit.
    Advance,
    /// Ask the gate.
    Gate,
    /// Spend the gate's pass, and read the remote back.
    Push,
    /// Fast-forward the local branch.
    Follow,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The remote had it all.
    NothingToDo,
    /// Approved; pushing was not asked for.
    Approved,
    /// Pushed and read back.
    Pushed,
    /// Refused, blocked or broken off.
    Failed(Failure),
}

/// As a failure of any program: `schema` and `status`.
impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = match self {
            Self::NothingToDo => "nothing_to_do",
            Self::Approved => "approved",
            Self::Pushed => "pushed",
            Self::Failed(failure) => return failure.serialize(serializer),
        };
        let mut end = serializer.serialize_struct("End", 2)?;
        end.serialize_field("schema", &1)?;
        end.serialize_field("status", status)?;
        end.end()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo => f.write_str("nothing to do: the remote has it all"),
            Self::Approved => f.write_str("approved; nothing was pushed"),
            Self::Pushed => f.write_str("shipped"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// What follows: a command from a new state, or the end.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this; the run stands there meanwhile.
    Do(State, Command),
    /// The run is over.
    End(End),
}

/// The first step of every run.
pub const START: (State, Command) = (State::Observing, Command::Observe);

/// What follows when `event` happens in `state`.
///
/// An event that does not belong to the state is a bug and ends the run.
#[must_use]
pub fn next(state: State, event: Event, limits: Limits) -> Next {
    match (state, event) {
        (_, Event::Stopped(failure)) => Next::End(End::Failed(failure)),
        (State::Observing, Event::Observed { remote, approved, round }) => begin(remote, approved, round, limits),
        (State::Testing { round }, Event::TestsPassed) => Next::Do(State::Reviewing { round }, Command::Review),
        (State::Testing { round }, Event::TestsFailed(failure)) => heal(round, failure, limits),
        (State::Reviewing { .. }, Event::Approved) => approved(limits),
        (State::Reviewing { round }, Event::Blocked { failure, healable: true }) => heal(round, failure, limits),
        (State::Reviewing { .. }, Event::Blocked { failure, healable: false }) => Next::End(End::Failed(failure)),
        (State::Healing { round }, Event::Healed) => test(round + 1),
        (State::Advancing, Event::Advanced) => Next::Do(State::Gating, Command::Gate),
        (State::Gating, Event::GatePassed) => Next::Do(State::Pushing, Command::Push),
        (State::Pushing, Event::Pushed) => follow(true),
        (State::Following { pushed: true }, Event::Followed) => Next::End(End::Pushed),
        (State::Following { pushed: false }, Event::Followed) => Next::End(End::NothingToDo),
        (state, event) => Next::End(End::Failed(misplaced(state, &event))),
    }
}

fn begin(remote: Remote, is_approved: bool, round: u32, limits: Limits) -> Next {
    match remote {
        Remote::HasHead => Next::End(End::NothingToDo),
        Remote::HasBaseline => follow(false),
        Remote::IsBehind if is_approved => approved(limits),
        Remote::IsBehind => match limits.unapproved {
            Unapproved::Test => test(round),
            Unapproved::Review => Next::Do(State::Reviewing { round }, Command::Review),
            Unapproved::Refuse => Next::End(End::Failed(not_approved())),
        },
    }
}

fn not_approved() -> Failure {
    Failure::refused(
        "not-reviewed",
        "there is no approving verdict that the gate accepts for this range",
        "run ship, or review-auto",
    )
}

fn test(round: u32) -> Next {
    Next::Do(State::Testing { round }, Command::Test)
}

fn approved(limits: Limits) -> Next {
    if limits.push { Next::Do(State::Advancing, Command::Advance) } else { Next::End(End::Approved) }
}

fn heal(round: u32, failure: Failure, limits: Limits) -> Next {
    if limits.heal && round < limits.rounds {
        Next::Do(State::Healing { round }, Command::Heal)
    } else {
        Next::End(End::Failed(failure))
    }
}

fn follow(pushed: bool) -> Next {
    Next::Do(State::Following { pushed }, Command::Follow)
}

fn misplaced(state: State, event: &Event) -> Failure {
    Failure::bug("misplaced-event", format!("{event:?} while {state:?}"), "report this with the command you ran")
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { rounds: 2, unapproved: Unapproved::Test, heal: true, push: true };

    fn failed() -> Failure {
        Failure::refused("blocked", "one blocker", "fix it")
    }

    fn behind(approved: bool) -> Event {
        Event::Observed { remote: Remote::IsBehind, approved, round: 1 }
    }

    fn blocked(healable: bool) -> Event {
        Event::Blocked { failure: failed(), healable }
    }

    /// Runs the machine over `events` and shows what it did.
    fn run(limits: Limits, events: impl IntoIterator<Item = Event>) -> String {
        let (mut state, command) = START;
        let mut done = vec![format!("{command:?}")];
        for event in events {
            match next(state, event, limits) {
                Next::Do(at, command) => {
                    state = at;
                    done.push(format!("{command:?}"));
                }
                Next::End(End::Failed(failure)) => return format!("{} → {}", done.join(" "), failure.class),
                Next::End(end) => return format!("{} → {end:?}", done.join(" ")),
            }
        }
        format!("{} …", done.join(" "))
    }

    #[test]
    fn a_clean_change_goes_all_the_way() {
        use Event::{Advanced, Approved, Followed, GatePassed, Pushed, TestsPassed};
        let way = [behind(false), TestsPassed, Approved, Advanced, GatePassed, Pushed, Followed];
        assert_snapshot!(run(LIMITS, way), @"Observe Test Review Advance Gate Push Follow → Pushed");
    }

    #[test]
    fn a_blocked_change_is_healed_tested_and_reviewed_again_within_bounds() {
        use Event::{Healed, TestsPassed};
        let way = || [behind(false), TestsPassed, blocked(true), Healed, TestsPassed, blocked(true)];
        assert_snapshot!(run(LIMITS, way()), @"Observe Test Review Heal Test Review → blocked");
        assert_snapshot!(run(Limits { heal: false, ..LIMITS }, way()), @"Observe Test Review → blocked");
    }

    #[test]
    fn a08_failing_tests_are_healed_without_a_review_of_what_failed() {
        let way = [behind(false), Event::TestsFailed(failed()), Event::Healed];
        assert_snapshot!(run(LIMITS, way), @"Observe Test Heal Test …");
    }

    #[test]
    fn what_is_in_the_history_is_not_healed() {
        assert_snapshot!(run(LIMITS, [behind(false), Event::TestsPassed, blocked(false)]), @"Observe Test Review → blocked");
    }

    #[test]
    fn r13_an_infrastructure_failure_never_heals() {
        let down = Failure::infrastructure("reviewer-timeout", "no answer", "ship again");
        let way = [behind(false), Event::TestsPassed, Event::Stopped(down)];
        assert_snapshot!(run(LIMITS, way), @"Observe Test Review → reviewer-timeout");
    }

    #[test]
    fn s05_an_interrupted_run_goes_on_where_it_can() {
        let seen = |remote| Event::Observed { remote, approved: true, round: 1 };
        assert_snapshot!(run(LIMITS, [seen(Remote::HasHead)]), @"Observe → NothingToDo");
        assert_snapshot!(run(LIMITS, [seen(Remote::HasBaseline), Event::Followed]), @"Observe Follow → NothingToDo");
        assert_snapshot!(run(LIMITS, [behind(true)]), @"Observe Advance …");
        let last_round = Event::Observed { remote: Remote::IsBehind, approved: false, round: 2 };
        assert_snapshot!(run(LIMITS, [last_round, Event::TestsFailed(failed())]), @"Observe Test → blocked");
    }

    #[test]
    fn without_push_an_approved_change_stays_here() {
        let limits = Limits { push: false, ..LIMITS };
        assert_snapshot!(run(limits, [behind(false), Event::TestsPassed, Event::Approved]), @"Observe Test Review → Approved");
    }

    #[test]
    fn a_review_needs_no_tests_and_a_finish_needs_a_verdict() {
        let limits = |unapproved| Limits { unapproved, ..LIMITS };
        assert_snapshot!(run(limits(Unapproved::Review), [behind(false)]), @"Observe Review …");
        assert_snapshot!(run(limits(Unapproved::Refuse), [behind(false)]), @"Observe → not-reviewed");
        assert_snapshot!(run(limits(Unapproved::Refuse), [behind(true)]), @"Observe Advance …");
    }

    #[test]
    fn an_event_out_of_place_is_a_bug_and_ends_the_run() {
        assert_snapshot!(run(LIMITS, [Event::Pushed]), @"Observe → misplaced-event");
    }

    fn any_event() -> impl Strategy<Value = Event> {
        (0_u8..13, any::<bool>(), 0_u32..4).prop_map(|(kind, flag, round)| match kind {
            0 => Event::Observed { remote: Remote::IsBehind, approved: flag, round },
            1 | 2 => Event::TestsPassed,
            3 => Event::TestsFailed(failed()),
            4 | 5 => Event::Approved,
            6 => blocked(flag),
            7 => Event::Healed,
            8 => Event::Advanced,
            9 => Event::GatePassed,
            10 => Event::Pushed,
            11 => Event::Followed,
            _ => Event::Stopped(failed()),
        })
    }

    proptest! {
        #[test]
        fn g14_no_sequence_of_events_pushes_without_the_gate(events in proptest::collection::vec(any_event(), 0..40)) {
            let (mut state, _) = START;
            for event in events {
                let passed = matches!(event, Event::GatePassed);
                match next(state, event, LIMITS) {
                    Next::Do(at, command) => {
                        prop_assert!(command != Command::Push || (passed && state == State::Gating));
                        state = at;
                    }
                    Next::End(_) => break,
                }
            }
        }
    }
}
