//! Performs the commands of [`machine`](crate::machine) and reports what came of them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use host::Host;
use outcome::Failure;
use repo::{PolicySource, Repo, push_blocked, push_facts, range_facts};
use serde::Serialize;
use verdict::Oid;
use verdict::gate::{Pass, Update, judge, judge_range};
use verdict::policy::PATH;
use verdict::schema::{Decision, Finding, TestRun};

use crate::heal;
use crate::journal::{Entry, Journal};
use crate::machine::{Command, End, Event, Limits, Next, Remote, START, State, Unapproved, next};
use crate::progress::{Progress, line_of};
use crate::review::{Manner, check_reviewer, healable, in_history, review};
use crate::session::{Session, state_dir};
use crate::steps::{self, Heard, Tests, default_steps};

/// Blockers told at the end of a run; a person reads the rest above or in the record.
const TOLD: usize = 5;

/// Hears what a run does while it goes.
pub type Told = Arc<dyn Fn(Progress) + Send + Sync>;

/// How a run is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// The remote's name; else `origin`, else the only one.
    pub remote: Option<String>,
    /// What the run may do.
    pub limits: Limits,
    /// How it reviews.
    pub manner: Manner,
}

/// Takes the repository that `dir` is in from its commit to a push, as far as `options` say.
///
/// # Errors
/// Every way in which it did not get there: refused, blocked, broken off, not ready, busy.
pub fn run(host: &dyn Host, dir: &Path, options: &Options, told: &Told) -> Result<End, Failure> {
    let repo = Repo::open(dir)?;
    let journal = Journal::lock(&state_dir(&repo))?;
    let interrupted = journal.interrupted(host)?;
    told(Progress::working("asking the remote what it has"));
    let session = Session::open(host, &repo, options.remote.as_deref())?;
    if interrupted.is_some() {
        heal::remove_copies(&session)?;
    }
    told(Progress::Range {
        remote: session.remote.clone(),
        target: session.target.clone(),
        since: session.since_or_zero().to_string(),
        to: session.head.to_string(),
        policy: session.policy_from().to_owned(),
    });
    let mut run = Run {
        tip: session.head.clone(),
        session,
        options,
        told,
        tests: vec![],
        spent: 0,
        complaint: String::new(),
        pass: None,
    };
    let end = run.drive(&journal, interrupted)?;
    journal.clear(host)?;
    match end {
        End::Failed(failure) => Err(failure),
        end => Ok(end),
    }
}

struct Run<'a> {
    session: Session<'a>,
    options: &'a Options,
    told: &'a Told,
    /// The steps that ran in this round.
    tests: Vec<TestRun>,
    /// Tokens spent by the reviews and heals of this run.
    spent: u64,
    /// What this round found, for the healer.
    complaint: String,
    /// What is pushed: the head, or its baseline commit.
    tip: Oid,
    /// The gate's answer, until it is spent.
    pass: Option<Pass>,
}

impl Run<'_> {
    fn drive(&mut self, journal: &Journal, interrupted: Option<Entry>) -> Result<End, Failure> {
        let (mut state, mut command) = START;
        let mut round = self.round(interrupted);
        loop {
            round = state.round().unwrap_or(round);
            let since = self.session.since_or_zero();
            journal.write(self.session.host, &Entry::new(&self.session.target, since.as_str(), round, state))?;
            self.announce(state);
            let event = self.perform(command, round).unwrap_or_else(Event::Stopped);
            match next(state, event, self.limits()) {
                Next::Do(at, then) => (state, command) = (at, then),
                Next::End(end) => return Ok(end),
            }
        }
    }

    /// The round to go on with: that of an interrupted run of the same range, else the first.
    fn round(&self, interrupted: Option<Entry>) -> u32 {
        let since = self.session.since_or_zero();
        let same = |entry: &Entry| entry.target == self.session.target && entry.since == since.as_str();
        let Some(entry) = interrupted.filter(same) else { return 1 };
        (self.told)(Progress::Resumed { at: entry.state });
        entry.round.clamp(1, self.options.limits.rounds)
    }

    /// Nothing is healed where the policy names nothing that may be.
    fn limits(&self) -> Limits {
        let Limits { heal, .. } = self.options.limits;
        Limits { heal: heal && !self.session.policy.heal.paths.is_empty(), ..self.options.limits }
    }

    /// The failure that a heal would have been for, where one was wanted and the policy has none.
    fn unhealed(&self, failure: Failure) -> Failure {
        if self.limits().heal == self.options.limits.heal {
            return failure;
        }
        let next = format!("{}; the policy lets nothing be healed (heal.paths in {PATH})", failure.next);
        Failure { next, ..failure }
    }

    fn announce(&self, state: State) {
        if let Some(step) = state.step() {
            (self.told)(Progress::Step { step, round: state.round().unwrap_or(1) });
        }
    }

    fn perform(&mut self, command: Command, round: u32) -> Result<Event, Failure> {
        match command {
            Command::Observe => self.observe(round),
            Command::Test => self.test(),
            Command::Review => self.review(),
            Command::Heal => self.heal(),
            Command::Advance => self.advance(),
            Command::Gate => self.gate(),
            Command::Push => self.push(),
            Command::Follow => self.follow(),
        }
    }

    fn observe(&self, round: u32) -> Result<Event, Failure> {
        let remote = self.session.standing;
        let approved = remote == Remote::IsBehind && self.is_approved()?;
        let Options { manner, limits, .. } = self.options;
        if remote == Remote::IsBehind && !approved && limits.unapproved == Unapproved::Test && !manner.simulated {
            check_reviewer(&self.session, manner.interactive)?;
        }
        Ok(Event::Observed { remote, approved, round })
    }

    /// The gate would let the head through as it is.
    fn is_approved(&self) -> Result<bool, Failure> {
        if self.session.is_new_name() {
            return Ok(true);
        }
        let Session { repo, target, head, .. } = &self.session;
        let since = self.session.since_or_zero();
        if self.session.store().list(&since, head)?.is_empty() {
            return Ok(false);
        }
        let facts = range_facts(repo, target, &since, head, self.source(), vec![]);
        Ok(judge_range(&facts).is_ok())
    }

    fn test(&mut self) -> Result<Event, Failure> {
        let chosen = &self.session.policy.tests.steps;
        let steps = if chosen.is_empty() { default_steps(&self.session.root_names()?) } else { chosen.clone() };
        let told = Arc::clone(self.told);
        let heard: Heard = Arc::new(move |line| told(Progress::working(line)));
        let passed = |run: &TestRun| {
            (self.told)(Progress::Tested { name: run.name.clone(), duration_ms: run.duration_ms });
        };
        let outcome = steps::run(self.session.host, &self.session.root, &steps, &heard, &passed)?;
        match outcome {
            Tests::Passed(runs) => {
                self.session.unchanged()?;
                self.tests = runs;
                Ok(Event::TestsPassed)
            }
            Tests::Failed { failure, output } => {
                (self.told)(Progress::TestFailed { reason: failure.reason.clone(), output: output.clone() });
                // A heal could not be taken over into a tree or a branch that changed.
                if let Err(changed) = self.session.unchanged() {
                    let reason = format!("{}; then {}: {}", failure.reason, changed.class, changed.reason);
                    return Err(Failure { reason, ..failure });
                }
                self.complaint = format!("{}\n\n{output}", failure.reason);
                let reason = format!("{}\n{}", failure.reason, steps::end_of(&output)).trim_end().to_owned();
                Ok(Event::TestsFailed(self.unhealed(Failure { reason, ..failure })))
            }
        }
    }

    fn review(&mut self) -> Result<Event, Failure> {
        if self.session.is_gated() && self.session.policy.tests.required && self.tests.is_empty() {
            return Err(Failure::refused(
                "tests-required",
                "the policy requires tests, and a review without them is no approval",
                "run ship; to push nothing, ship --no-push",
            ));
        }
        let told = |progress| (self.told)(progress);
        let reviewed = review(&self.session, self.options.manner, std::mem::take(&mut self.tests), self.spent, &told)?;
        self.spent = reviewed.spent;
        self.session.unchanged()?;
        let blockers = &reviewed.verdict.blockers;
        match reviewed.verdict.verdict {
            Decision::Approved => Ok(Event::Approved),
            Decision::Blocked => {
                self.complaint = heal::complaint_of(blockers);
                let failure = blocked(blockers, reviewed.in_history);
                let failure = if reviewed.healable { self.unhealed(failure) } else { failure };
                Ok(Event::Blocked { failure, healable: reviewed.healable })
            }
        }
    }

    fn heal(&mut self) -> Result<Event, Failure> {
        let told = |progress| (self.told)(progress);
        let interactive = self.options.manner.interactive;
        let mended = heal::heal(&self.session, &self.complaint, interactive, self.spent, &told)?;
        (self.session.head, self.spent) = (mended.commit, mended.spent);
        Ok(Event::Healed)
    }

    /// The baseline advances on gated refs; elsewhere nobody reads it.
    fn advance(&mut self) -> Result<Event, Failure> {
        let head = &self.session.head;
        self.tip = if self.session.is_gated() { self.session.git().baseline_commit(head)? } else { head.clone() };
        Ok(Event::Advanced)
    }

    fn gate(&mut self) -> Result<Event, Failure> {
        let update = Update {
            local_ref: self.tip.to_string(),
            new: self.tip.clone(),
            remote_ref: self.session.target.clone(),
            old: self.session.present_or_zero(),
        };
        let facts = push_facts(self.session.repo, vec![update], self.source());
        self.pass = Some(judge(&facts).map_err(|refusals| push_blocked(&refusals))?);
        Ok(Event::GatePassed)
    }

    fn push(&mut self) -> Result<Event, Failure> {
        let spent =
            || Failure::bug("no-pass", "the gate's pass was spent before", "report this with the command you ran");
        let pass = self.pass.take().ok_or_else(spent)?;
        let pushed = self.session.git().push(&self.session.remote, pass, self.session.hooks.as_deref());
        let pushed = pushed.map_err(|failure| self.session.unless_moved(&self.tip, failure))?;
        for (target, id) in pushed.refs {
            (self.told)(Progress::Pushed { target, id: id.to_string() });
        }
        Ok(Event::Pushed)
    }

    fn follow(&mut self) -> Result<Event, Failure> {
        let head = &self.session.head;
        if self.session.standing == Remote::HasBaseline {
            self.tip = self.session.git().baseline_commit(head)?;
        }
        self.session.git().fast_forward(self.session.repo, head, &self.tip)?;
        Ok(Event::Followed)
    }

    fn source(&self) -> PolicySource<'_> {
        PolicySource { pinned: self.session.pinned.as_deref() }
    }
}

/// What to do about a blocker that no further commit removes.
const IN_HISTORY: &str =
    "what is in the history stays there: rewrite the commits (git rebase -i), replace leaked keys, then ship again";

fn blocked(blockers: &[Finding], in_history: bool) -> Failure {
    let (count, plural) = (blockers.len(), if blockers.len() == 1 { "" } else { "s" });
    let mut reason = format!("the review has {count} blocker{plural}");
    let told = blockers.iter().take(TOLD).map(|blocker| format!("\n- {}", line_of(blocker)));
    reason.extend(told.chain((count > TOLD).then(|| format!("\n- and {} more", count - TOLD))));
    let next = if in_history { IN_HISTORY } else { "mend what the verdict names, commit, then ship again" };
    Failure::refused("blocked", reason, next)
}

/// What [`autoheal`] did.
#[derive(Debug, Clone, Serialize)]
pub struct Mended {
    schema: u32,
    status: &'static str,
    /// The commit on the branch.
    pub commit: String,
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "healed in {}; it is not reviewed yet", self.commit)
    }
}

/// Has the blockers of the verdict for HEAD mended, as a ship would, and nothing else.
///
/// # Errors
/// Refused, when the run is simulated, when no verdict blocks HEAD, or when no heal can remove what blocks it; else those
/// of a heal.
pub fn autoheal(host: &dyn Host, dir: &Path, options: &Options, told: &Told) -> Result<Mended, Failure> {
    if options.manner.simulated || !options.limits.heal {
        let reason = "a simulated run asks no model, and a heal needs one";
        return Err(Failure::refused("simulated-heal", reason, "unset CODEX_SKIP, then run autoheal"));
    }
    let repo = Repo::open(dir)?;
    let _lock = Journal::lock(&state_dir(&repo))?;
    told(Progress::working("asking the remote what it has"));
    let session = Session::open(host, &repo, options.remote.as_deref())?;
    let verdicts = session.store().list(&session.since_or_zero(), &session.head)?;
    let blocking = verdicts.into_iter().filter_map(Result::ok).find(|verdict| verdict.verdict == Decision::Blocked);
    let Some(verdict) = blocking else {
        return Err(Failure::refused(
            "nothing-to-heal",
            "no verdict blocks HEAD",
            "run ship --no-push --no-heal first",
        ));
    };
    mendable(&session)?;
    let complaint = heal::complaint_of(&verdict.blockers);
    let mended = heal::heal(&session, &complaint, options.manner.interactive, 0, &|progress| told(progress))?;
    Ok(Mended { schema: 1, status: "healed", commit: mended.commit.to_string() })
}

/// A heal can remove what the rules find in the range of `session`. What a reviewer found is left to the healer.
fn mendable(session: &Session<'_>) -> Result<(), Failure> {
    let collected = repo::collect(session.repo.objects(), session.since.as_ref(), &session.head, &session.policy)?;
    if healable(&collected, &session.policy) {
        return Ok(());
    }
    let (reason, next) = if in_history(&collected) {
        ("the rules block what is in the history", IN_HISTORY)
    } else {
        ("the rules block a file that may not be healed", "mend what the verdict names, commit, then ship again")
    };
    Err(Failure::refused("not-healable", reason, next))
}

impl State {
    const fn round(self) -> Option<u32> {
        match self {
            Self::Testing { round } | Self::Reviewing { round } | Self::Healing { round } => Some(round),
            Self::Observing | Self::Advancing | Self::Gating | Self::Pushing | Self::Following { .. } => None,
        }
    }

    const fn step(self) -> Option<&'static str> {
        match self {
            Self::Observing | Self::Advancing => None,
            Self::Testing { .. } => Some("test"),
            Self::Reviewing { .. } => Some("review"),
            Self::Healing { .. } => Some("heal"),
            Self::Gating => Some("gate"),
            Self::Pushing => Some("push"),
            Self::Following { .. } => Some("follow"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use verdict::schema::Source;

    #[test]
    fn a_blocked_review_names_its_first_blockers() {
        let blocker =
            |line| Finding::new(Source::Reviewer, Some("src/a.py"), Some(line), "eval", "runs what it is given");
        let blockers: Vec<_> = (1..=7).map(blocker).collect();
        assert_snapshot!(blocked(&blockers, false).text(), @r"
        blocked: the review has 7 blockers
        - src/a.py:1: eval: runs what it is given
        - src/a.py:2: eval: runs what it is given
        - src/a.py:3: eval: runs what it is given
        - src/a.py:4: eval: runs what it is given
        - src/a.py:5: eval: runs what it is given
        - and 2 more
        next: mend what the verdict names, commit, then ship again
        ");
    }
}
