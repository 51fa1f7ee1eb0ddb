//! What was observed of a job in, how it ended out.
//!
//! **Invariant:** what was not observed never counts as good: an invariant that was not seen is false, and no success.
//! **Invariant:** a tree that changed is a failure however the job ended; no way to end skips that look.
//! **Invariant:** the conclusion is a success only when the log and every output were kept.

use crate::artifact::{Collected, Invariants};
use crate::size_cap::{self, SizeCapMeta};
use crate::status::Status;

/// The exit code of what did not come to an end of its own: an error, a time-out, a cancel.
pub const NO_EXIT_CODE: i32 = -1;
/// Why an invariant does not hold, in `invariants.reason`.
pub const MUTATION_DETECTED: &str = "MUTATION_DETECTED";
/// The warning that something in the job's directory was not kept.
pub const OUTPUT_REFUSED: &str = "OUTPUT_REFUSED";
/// The most changed files that are told.
pub const MAX_CHANGED: usize = 1000;

/// What a shell gives for a process that `SIGKILL` ended: for one that went over a limit.
const KILLED: i32 = SIGNALED + 9;
/// What a shell adds to the number of the signal that ended a process.
const SIGNALED: i32 = 128;

/// Exit codes of programs, as documented for all of them.
mod exit {
    pub(super) const DONE: u8 = 0;
    pub(super) const REFUSED: u8 = 1;
    pub(super) const NOT_READY: u8 = 3;
    pub(super) const INFRASTRUCTURE: u8 = 4;
}

/// A fact, or why it could not be had. Never a default in its place.
pub type Seen<T> = Result<T, Unseen>;

/// Why a fact could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen(pub String);

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A stable word.
    pub class: String,
    /// Why, for a person.
    pub reason: String,
    /// What to do next, for a person.
    pub next: String,
    /// What a program exits with for it.
    pub exit: u8,
}

/// How the job's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Signaled(i32),
    /// It was killed at its time limit, in seconds.
    TimedOut(u64),
    /// It was killed because somebody asked for that.
    Cancelled,
    /// It was killed because it used more than it may: of what, in words.
    OverLimit(String),
    /// It was not started, or nobody knows how it ended.
    Unknown(Trouble),
}

/// All that was observed of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// How its process ended.
    pub end: End,
    /// From inside, a write to the tree was refused.
    pub read_only: Seen<bool>,
    /// After the job, whatever its end, the tree is that of the commit.
    pub clean_tree: Seen<bool>,
    /// What it changed or tried to change, escaped for show.
    pub changed: Vec<String>,
    /// There is more of it.
    pub changed_cut: bool,
    /// Both logs were written.
    pub logs: Result<(), Trouble>,
    /// What it left, kept.
    pub collected: Result<Collected, Trouble>,
    /// The collected `size_cap_meta.json`, if there is one.
    pub size_cap_meta: Option<Vec<u8>>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// Its final state.
    pub status: Status,
    /// As in `artifact.json`.
    pub exit_code: i32,
    /// Why it is no success.
    pub why: Option<Why>,
    /// What must hold of every job.
    pub invariants: Invariants,
    /// Stable words.
    pub warnings: Vec<String>,
    /// A review that became packets, all of them kept.
    pub size_cap: Option<SizeCapMeta>,
    /// What `runner run` exits with: the job's own code where it has one.
    pub exit: u8,
}

/// Why a job is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// A stable word.
    pub class: String,
    /// Why, for a person.
    pub reason: String,
    /// What to do next, for a person.
    pub next: String,
}

/// A final state with its reason and what a program exits with.
type Verdict = (Status, Option<Why>, u8);

/// Concludes how a job ended.
pub fn conclude(observed: &Observed) -> Conclusion {
    let invariants = invariants(observed);
    let size_cap = size_cap(observed);
    let (status, why, exit) = judge(observed, &invariants, &size_cap);
    let exit_code = match (status, &observed.end) {
        (Status::Success | Status::Failure, End::Exited(code)) => *code,
        (Status::Success | Status::Failure, End::Signaled(signal)) => SIGNALED.saturating_add(*signal),
        (Status::Success | Status::Failure, End::OverLimit(_)) => KILLED,
        _ => NO_EXIT_CODE,
    };
    let size_cap = size_cap.ok().flatten().filter(|_| status == Status::Success);
    let refused = matches!(&observed.collected, Ok(collected) if !collected.refused.is_empty());
    let warnings = [size_cap.as_ref().map(|_| size_cap::WARNING), refused.then_some(OUTPUT_REFUSED)];
    let warnings = warnings.into_iter().flatten().map(str::to_owned).collect();
    Conclusion { status, exit_code, why, invariants, warnings, size_cap, exit }
}

fn invariants(observed: &Observed) -> Invariants {
    let mutated = !observed.changed.is_empty() || observed.clean_tree == Ok(false);
    let unseen = [("read_only", &observed.read_only), ("clean_tree", &observed.clean_tree)];
    let unseen = unseen.into_iter().filter_map(|(name, fact)| Some((name, fact.as_ref().err()?)));
    let mut details: Vec<String> = unseen.map(|(name, why)| format!("{name} was not observed: {}", why.0)).collect();
    let more = observed.changed.len().saturating_sub(MAX_CHANGED);
    if more > 0 {
        details.push(format!("{}{more} more files changed", at_least(observed)));
    }
    Invariants {
        read_only_ok: observed.read_only == Ok(true),
        clean_tree_ok: observed.clean_tree == Ok(true) && !mutated,
        reason: mutated.then(|| MUTATION_DETECTED.to_owned()),
        details: (!details.is_empty()).then(|| details.join("; ")),
        changed_files: observed.changed.iter().take(MAX_CHANGED).cloned().collect(),
    }
}

/// Before the number of changed files.
fn at_least(observed: &Observed) -> &'static str {
    if observed.changed_cut { "at least " } else { "" }
}

/// The fallback, if the job says that it has one; an error if that is not so.
fn size_cap(observed: &Observed) -> Result<Option<SizeCapMeta>, String> {
    let (Some(bytes), Ok(collected)) = (&observed.size_cap_meta, &observed.collected) else { return Ok(None) };
    let meta = SizeCapMeta::parse(bytes).map_err(|invalid| format!("{}: {invalid}", size_cap::NAME))?;
    match meta.missing_in(collected) {
        None => Ok(Some(meta)),
        Some(path) => Err(format!("{} names {path}, which was not collected as it says", size_cap::NAME)),
    }
}

fn judge(observed: &Observed, invariants: &Invariants, size_cap: &Result<Option<SizeCapMeta>, String>) -> Verdict {
    mutation(observed, invariants)
        .or_else(|| stopped(&observed.end))
        .or_else(|| unproved(observed, invariants))
        .or_else(|| unkept(observed))
        .or_else(|| ended_badly(&observed.end))
        .or_else(|| incomplete(size_cap))
        .unwrap_or((Status::Success, None, exit::DONE))
}

fn failed(status: Status, class: &str, reason: String, next: &str, exit: u8) -> Verdict {
    (status, Some(Why { class: class.to_owned(), reason, next: next.to_owned() }), exit)
}

fn troubled(trouble: &Trouble) -> Verdict {
    let Trouble { class, reason, next, exit } = trouble;
    // No trouble is a success, whatever it calls itself.
    failed(Status::Error, class, reason.clone(), next, if *exit == exit::DONE { exit::INFRASTRUCTURE } else { *exit })
}

fn mutation(observed: &Observed, invariants: &Invariants) -> Option<Verdict> {
    invariants.reason.as_ref()?;
    let what = match &observed.changed[..] {
        [] => "the tree is no longer that of the commit".to_owned(),
        [only] => format!("{only} was changed"),
        [first, more @ ..] => format!("{first} and {}{} more were changed", at_least(observed), more.len()),
    };
    let next =
        "let the job write below $ARTIFACT_DIR and $TMPDIR alone; invariants.changed_files names what it changed";
    Some(failed(Status::Failure, "mutation-detected", what, next, exit::REFUSED))
}

fn stopped(end: &End) -> Option<Verdict> {
    match end {
        End::Unknown(trouble) => Some(troubled(trouble)),
        End::TimedOut(seconds) => {
            let reason = format!("the job ran longer than its {seconds} s and was killed");
            Some(failed(
                Status::Timeout,
                "timeout",
                reason,
                "make it faster, or raise timeout_sec",
                exit::INFRASTRUCTURE,
            ))
        }
        End::Cancelled => {
            let reason = "the job was stopped by a signal or a person".to_owned();
            Some(failed(Status::Cancelled, "cancelled", reason, "run it again", exit::INFRASTRUCTURE))
        }
        End::Exited(_) | End::Signaled(_) | End::OverLimit(_) => None,
    }
}

fn unproved(observed: &Observed, invariants: &Invariants) -> Option<Verdict> {
    if observed.read_only.is_err() || observed.clean_tree.is_err() {
        let reason = invariants.details.clone().unwrap_or_default();
        let next = "mend what could not be observed, then run the job again";
        return Some(failed(Status::Error, "invariant-unseen", reason, next, exit::INFRASTRUCTURE));
    }
    if invariants.read_only_ok {
        return None;
    }
    let reason = "a write to the tree from inside was not refused".to_owned();
    let next = "run jobs where the sandbox's probe succeeds";
    Some(failed(Status::Error, "not-read-only", reason, next, exit::NOT_READY))
}

fn unkept(observed: &Observed) -> Option<Verdict> {
    observed.logs.as_ref().err().or(observed.collected.as_ref().err()).map(troubled)
}

fn ended_badly(end: &End) -> Option<Verdict> {
    const READ: &str = "read stdout.log, stderr.log and the outputs";
    let (class, reason, next, code) = match end {
        End::Exited(0) | End::Unknown(_) | End::TimedOut(_) | End::Cancelled => return None,
        End::Exited(code) => ("job-failed", format!("the job exited with {code}"), READ, *code),
        End::Signaled(signal) => {
            ("job-signaled", format!("signal {signal} ended the job"), READ, SIGNALED.saturating_add(*signal))
        }
        End::OverLimit(what) => {
            let reason = format!("the job was killed: over its limit of {what}");
            ("over-limit", reason, "let it use less, or raise that limit", KILLED)
        }
    };
    Some(failed(Status::Failure, class, reason, next, own(code)))
}

/// The job's code as a program's; one that does not fit in a byte is 1, and never 0.
fn own(code: i32) -> u8 {
    u8::try_from(code).ok().filter(|code| *code != exit::DONE).unwrap_or(exit::REFUSED)
}

fn incomplete(size_cap: &Result<Option<SizeCapMeta>, String>) -> Option<Verdict> {
    let reason = size_cap.as_ref().err()?.clone();
    let next = "run the job again; it must write every packet that it names";
    Some(failed(Status::Failure, "size-cap-incomplete", reason, next, exit::REFUSED))
}
