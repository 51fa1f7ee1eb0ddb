//! A job's life from its submission to its end: what may happen to it, what it becomes, and what its timeline tells.
//!
//! **Invariant:** nothing happens to a job that ended: the first end that is told counts.
//! **Invariant:** every step is told in the timeline, with who or what did it and why.
//! **Invariant:** only a failure of the infrastructure, or a worker that was lost, is followed by another attempt, and by
//! no more than [`Life::max_attempts`] of them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conclude::NO_EXIT_CODE;
use crate::id::Id;
use crate::record::Request;
use crate::status::{Illegal, Status};
use crate::time::Time;

/// How often a job is begun where nobody says another number.
pub const MAX_ATTEMPTS: u32 = 3;
/// The class of a job whose workers were lost, all of them.
pub const LEASE_EXPIRED: &str = "lease_expired";
/// The class of a job that somebody stopped.
pub const CANCELLED: &str = "cancelled";

/// How long a job waits after its first failed attempt, in milliseconds; each further wait is four times as long.
const FIRST_WAIT_MS: i64 = 1000;
/// The longest wait.
const LONGEST_WAIT_MS: i64 = 5 * 60 * 1000;

/// A job as the queue keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// The job, and the name of its directory.
    pub job_id: Id,
    /// What was asked for.
    #[serde(flatten)]
    pub request: Request,
    /// More is sooner: -100 to 100.
    pub priority: i32,
    /// Who asked for it.
    pub submitted_by: String,
    /// When.
    pub queued_at: Time,
    /// Also in artifact.json and in the logs of the service.
    pub trace_id: String,
    /// The job that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<Id>,
    /// Where it stands.
    #[serde(flatten)]
    pub life: Life,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Life {
    /// Its state.
    pub status: Status,
    /// How often it was handed to a worker. What is said about an earlier epoch counts no more.
    pub epoch: u32,
    /// Which attempt is running, or was the last; 0 before the first.
    pub attempt: u32,
    /// The most attempts.
    pub max_attempts: u32,
    /// It is not begun before.
    pub not_before: Time,
    /// Who works on it, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When the last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Who wants it stopped, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancelled>,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Option<Ending>,
}

/// A wish that a job be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
}

/// How a job, or one attempt at it, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ending {
    /// As in artifact.json.
    pub exit_code: i32,
    /// What a program that waited for the job exits with: the job's own code where it has one.
    pub exit: u8,
    /// A stable word for why it is no success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Why, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do next, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A worker takes it.
    Claim {
        /// Who.
        worker: String,
    },
    /// Somebody wants it stopped.
    Cancel(Cancelled),
    /// The worker says how it ended.
    End {
        /// A final state.
        status: Status,
        /// The rest of it.
        ending: Ending,
        /// Nothing is known of what was run: it may be tried again.
        retry: bool,
    },
    /// The worker was not heard of for too long.
    Lose,
    /// The worker hands it back: it stops, and did not finish.
    Release {
        /// Why.
        why: String,
    },
}

/// A line of a job's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What happened.
    pub kind: Kind,
    /// The same for a person, with who and why.
    pub text: String,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was submitted.
    Submitted,
    /// It has to wait.
    Waiting,
    /// An attempt began.
    Started,
    /// Somebody wants it stopped.
    CancelRequested,
    /// An attempt failed, and there will be another.
    Retried,
    /// A worker was lost.
    Lost,
    /// A worker handed it back.
    Released,
    /// It ended.
    Ended,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Submitted,
        Self::Waiting,
        Self::Started,
        Self::CancelRequested,
        Self::Retried,
        Self::Lost,
        Self::Released,
        Self::Ended,
    ];

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Waiting => "waiting",
            Self::Started => "started",
            Self::CancelRequested => "cancel_requested",
            Self::Retried => "retried",
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Ended => "ended",
        }
    }
}

impl Life {
    /// Of a job that is submitted at `now`.
    pub const fn new(now: Time, max_attempts: u32) -> Self {
        Self {
            status: Status::Queued,
            epoch: 0,
            attempt: 0,
            max_attempts,
            not_before: now,
            worker: None,
            started_at: None,
            finished_at: None,
            cancel: None,
            ending: None,
        }
    }

    /// What the job becomes by `step` at `now`, and what its timeline tells of it. A second wish to stop it changes and
    /// tells nothing.
    ///
    /// # Errors
    /// [`Illegal`] for what cannot happen to a job in this state.
    pub fn step(&self, step: &Step, now: Time) -> Result<(Self, Vec<Event>), Illegal> {
        let mut stepping = Stepping { life: self.clone(), events: Vec::new(), now };
        match step {
            Step::Claim { worker } => stepping.claim(worker)?,
            Step::Cancel(cancelled) => stepping.cancel(cancelled)?,
            Step::End { status, ending, retry } => stepping.end(*status, ending, *retry)?,
            Step::Lose => stepping.lose()?,
            Step::Release { why } => stepping.release(why)?,
        }
        Ok((stepping.life, stepping.events))
    }

    fn worker(&self) -> &str {
        self.worker.as_deref().unwrap_or("an unknown worker")
    }

    fn last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }
}

struct Stepping {
    life: Life,
    events: Vec<Event>,
    now: Time,
}

impl Stepping {
    fn claim(&mut self, worker: &str) -> Result<(), Illegal> {
        self.become_(Status::Running)?;
        let life = &mut self.life;
        (life.epoch, life.attempt) = (life.epoch.saturating_add(1), life.attempt.saturating_add(1));
        (life.worker, life.started_at) = (Some(worker.to_owned()), Some(self.now));
        self.tell(Kind::Started, format!("attempt {} of {} on {worker}", self.life.attempt, self.life.max_attempts));
        Ok(())
    }

    fn cancel(&mut self, cancelled: &Cancelled) -> Result<(), Illegal> {
        // Of a job that ended, so that it is told.
        self.life.status.step(Status::Cancelled)?;
        if self.life.cancel.is_some() {
            return Ok(());
        }
        self.life.cancel = Some(cancelled.clone());
        self.tell(Kind::CancelRequested, format!("{} wants it stopped: {}", cancelled.by, cancelled.why));
        if self.life.status == Status::Queued { self.cancelled("it was not begun") } else { Ok(()) }
    }

    fn end(&mut self, status: Status, ending: &Ending, retry: bool) -> Result<(), Illegal> {
        self.runs(status)?;
        if !status.is_final() {
            return Err(Illegal { from: self.life.status, to: status });
        }
        let because = match (&ending.class, &ending.reason) {
            (Some(class), Some(reason)) => format!(": {class}: {reason}"),
            _ => String::new(),
        };
        if retry && self.life.cancel.is_none() && !self.life.last_attempt() {
            return self.again(Kind::Retried, wait(self.life.attempt), |life| {
                format!("attempt {} of {} failed{because}; it is tried again", life.attempt, life.max_attempts)
            });
        }
        // Somebody wanted it stopped, and it was: what broke then is no news.
        if self.life.cancel.is_some() && (retry || status == Status::Cancelled) {
            return self.cancelled("it was stopped");
        }
        self.final_(status, ending.clone())?;
        self.tell(Kind::Ended, format!("{} with exit code {}{because}", status.as_str(), ending.exit_code));
        Ok(())
    }

    fn lose(&mut self) -> Result<(), Illegal> {
        self.runs(Status::Queued)?;
        let reason = format!("nothing was heard of {} for too long", self.life.worker());
        if self.life.cancel.is_some() {
            self.tell(Kind::Lost, reason);
            return self.cancelled("its worker was lost");
        }
        if !self.life.last_attempt() {
            return self.again(Kind::Lost, 0, |_| format!("{reason}; it is begun again"));
        }
        let Life { attempt, max_attempts, .. } = self.life;
        let ending = Ending {
            exit_code: NO_EXIT_CODE,
            exit: 4,
            class: Some(LEASE_EXPIRED.into()),
            reason: Some(format!("{reason}, in attempt {attempt} of {max_attempts}")),
            next: Some("see what became of that worker, then run the job again".into()),
        };
        self.final_(Status::Error, ending)?;
        self.tell(Kind::Lost, reason);
        self.tell(Kind::Ended, format!("error: {LEASE_EXPIRED}: no attempt is left"));
        Ok(())
    }

    fn release(&mut self, why: &str) -> Result<(), Illegal> {
        self.runs(Status::Queued)?;
        if self.life.cancel.is_some() {
            return self.cancelled("it was stopped");
        }
        self.again(Kind::Released, 0, |life| format!("{} handed it back: {why}", life.worker()))?;
        // It was not the job's fault.
        self.life.attempt = self.life.attempt.saturating_sub(1);
        Ok(())
    }

    /// Back to the queue, for `wait` milliseconds at least.
    fn again(&mut self, kind: Kind, wait: i64, text: impl FnOnce(&Life) -> String) -> Result<(), Illegal> {
        let text = text(&self.life);
        self.become_(Status::Queued)?;
        self.life.not_before = Time::from_millis(self.now.as_millis().saturating_add(wait)).unwrap_or(self.now);
        self.tell(kind, text);
        Ok(())
    }

    /// What only a worker says is said of a job that runs.
    fn runs(&self, to: Status) -> Result<(), Illegal> {
        if self.life.status == Status::Running { Ok(()) } else { Err(Illegal { from: self.life.status, to }) }
    }

    fn cancelled(&mut self, how: &str) -> Result<(), Illegal> {
        let (by, why) = match &self.life.cancel {
            Some(Cancelled { by, why }) => (by.as_str(), why.as_str()),
            None => ("somebody", "no reason is known"),
        };
        let ending = Ending {
            exit_code: NO_EXIT_CODE,
            exit: 1,
            class: Some(CANCELLED.into()),
            reason: Some(format!("{by} stopped it: {why}")),
            next: Some("run it again when it is wanted".into()),
        };
        self.final_(Status::Cancelled, ending)?;
        self.tell(Kind::Ended, format!("cancelled: {how}"));
        Ok(())
    }

    fn final_(&mut self, status: Status, ending: Ending) -> Result<(), Illegal> {
        self.become_(status)?;
        (self.life.finished_at, self.life.ending) = (Some(self.now), Some(ending));
        Ok(())
    }

    fn become_(&mut self, to: Status) -> Result<(), Illegal> {
        self.life.status = self.life.status.step(to)?;
        Ok(())
    }

    fn tell(&mut self, kind: Kind, text: impl Into<String>) {
        self.events.push(Event { at: self.now, kind, text: text.into() });
    }
}

/// How long a job waits after its failed attempt number `attempt`, in milliseconds.
fn wait(attempt: u32) -> i64 {
    let factor = 4_i64.saturating_pow(attempt.saturating_sub(1));
    FIRST_WAIT_MS.saturating_mul(factor).min(LONGEST_WAIT_MS)
}

/// The longest time a job waits between two attempts.
pub const LONGEST_WAIT: Duration = Duration::from_millis(LONGEST_WAIT_MS.unsigned_abs());
