//! The decision on a push: the facts of every update in, [`Pass`] or every reason against it out.
//!
//! **Invariant:** a [`Pass`] exists only because [`judge`] returned it; nothing else makes, copies or reads one in.
//! **Invariant:** every update is judged, and every reason is told, not the first.
//! **Invariant:** what could not be seen refuses.
//!
//! A protected ref may move from what the remote has (`since`) to a commit that a verdict approved, or to a baseline
//! commit on top of one: a commit with one parent, the approved one, that changes nothing but [`BASELINE_PATH`], which
//! then holds the parent's id, and says [`BASELINE_MESSAGE`].

mod facts;
mod pre_push;
mod refusal;

use std::collections::BTreeSet;

pub use facts::{
    BASELINE_MESSAGE, BASELINE_PATH, Base, BaselineFile, BaselineFlaw, Content, Observed, PushFacts, RangeFacts,
    ReviewFacts, Tip, Unseen, UpdateFacts,
};
pub use pre_push::{MAX_STDIN, Malformed, Update, parse_pre_push};
pub use refusal::{Reason, Refusal, Refusals};

use crate::oid::Oid;
use crate::policy::{Policy, RefClass, TestStep};
use crate::schema::{Decision, Invalid, Verdict};
use crate::show;

/// The right to make these updates, once. Not `Clone`: the push takes it by value.
#[derive(Debug)]
pub struct Pass {
    updates: Vec<Approved>,
}

/// One update a [`Pass`] allows.
#[derive(Debug)]
pub struct Approved {
    remote_ref: String,
    new: Oid,
    expected_old: Oid,
}

impl Pass {
    /// The updates that may be made; none when nothing was to be pushed.
    pub fn updates(&self) -> &[Approved] {
        &self.updates
    }
}

impl Approved {
    /// The full name of the ref on the remote.
    pub fn remote_ref(&self) -> &str {
        &self.remote_ref
    }

    /// What the ref may become: an object's id, or zeros for its deletion.
    pub const fn new_id(&self) -> &Oid {
        &self.new
    }

    /// What the remote must still have when the push arrives; zeros when it must not have the ref.
    pub const fn expected_old(&self) -> &Oid {
        &self.expected_old
    }
}

/// Decides a push.
///
/// # Errors
/// [`Refusals`]: every reason against every update.
pub fn judge(facts: &PushFacts) -> Result<Pass, Refusals> {
    let mut seen = BTreeSet::new();
    let mut refusals = Vec::new();
    for facts in &facts.updates {
        let name = &facts.update.remote_ref;
        let twice = (!seen.insert(name)).then_some(Reason::Twice);
        let reasons = twice.into_iter().chain(against_update(facts));
        refusals.extend(reasons.map(|reason| Refusal { subject: show::line(name), reason }));
    }
    if refusals.is_empty() { Ok(pass(facts)) } else { Err(Refusals(refusals)) }
}

/// Decides, without a push, whether `facts.to` could be pushed to a protected ref that is at `facts.since`: by the
/// same checks as [`judge`], for CI and servers.
///
/// # Errors
/// [`Refusals`]: every reason against it.
pub fn judge_range(facts: &RangeFacts) -> Result<(), Refusals> {
    let reasons = match &facts.policy {
        Ok(policy) => against_protected(policy, &facts.since, &facts.to, &facts.review),
        Err(unseen) => vec![without_policy(unseen, Some(&facts.review))],
    };
    let subject = format!("{}..{}", facts.since, facts.to);
    let refusals: Vec<_> = reasons.into_iter().map(|reason| Refusal { subject: subject.clone(), reason }).collect();
    if refusals.is_empty() { Ok(()) } else { Err(Refusals(refusals)) }
}

fn pass(facts: &PushFacts) -> Pass {
    let approved = |update: &Update| Approved {
        remote_ref: update.remote_ref.clone(),
        new: update.new.clone(),
        expected_old: update.old.clone(),
    };
    Pass { updates: facts.updates.iter().map(|facts| approved(&facts.update)).collect() }
}

fn against_update(facts: &UpdateFacts) -> Vec<Reason> {
    let policy = match &facts.policy {
        Ok(policy) => policy,
        Err(unseen) => return vec![without_policy(unseen, facts.review.as_ref().ok())],
    };
    let Update { remote_ref, old, new, .. } = &facts.update;
    match (policy.classify(remote_ref), &facts.review) {
        (RefClass::Open, _) => Vec::new(),
        (RefClass::Unknown, _) => vec![Reason::UnknownRef],
        (RefClass::Protected, _) if new.is_zero() => vec![Reason::Deletion],
        (RefClass::Protected, Ok(review)) => against_protected(policy, old, new, review),
        (RefClass::Protected, Err(unseen)) => vec![unseen.into()],
    }
}

/// A policy that is on a commit which is not here has a way out of its own: to fetch it.
fn without_policy(unseen: &Unseen, review: Option<&ReviewFacts>) -> Reason {
    let missing = review.is_some_and(|review| review.base == Ok(Base::Missing));
    if missing { Reason::BaseMissing } else { unseen.into() }
}

fn against_protected(policy: &Policy, since: &Oid, pushed: &Oid, facts: &ReviewFacts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    reasons.extend(against_base(since, &facts.base));
    reasons.extend(against_shallow(&facts.shallow));
    let reviewed = match reviewed(since, pushed, &facts.tip) {
        Ok(reviewed) => Some(reviewed),
        Err(reason) => {
            reasons.push(reason);
            None
        }
    };
    match &facts.content {
        Ok(content) => {
            reasons.extend(against_content(since, reviewed, content));
            reasons.extend(against_verdicts(policy, content, &facts.verdicts));
        }
        // Without a reviewed commit, which is told above, there is no content either.
        Err(unseen) if reviewed.is_some() => reasons.push(unseen.into()),
        Err(_) => {}
    }
    distinct(reasons)
}

/// What cannot be read is met by several checks, and told once.
fn distinct(reasons: Vec<Reason>) -> Vec<Reason> {
    let mut told: Vec<Reason> = Vec::with_capacity(reasons.len());
    for reason in reasons {
        if !told.contains(&reason) {
            told.push(reason);
        }
    }
    told
}

fn against_base(since: &Oid, base: &Observed<Base>) -> Option<Reason> {
    match base {
        _ if since.is_zero() => None,
        Ok(Base::Ancestor) => None,
        Ok(Base::Missing) => Some(Reason::BaseMissing),
        Ok(Base::NotAncestor) => Some(Reason::NotFastForward),
        Err(unseen) => Some(unseen.into()),
    }
}

fn against_shallow(shallow: &Observed<bool>) -> Option<Reason> {
    match shallow {
        Ok(false) => None,
        Ok(true) => Some(Reason::Shallow),
        Err(unseen) => Some(unseen.into()),
    }
}

/// The commit that a verdict has to approve.
fn reviewed<'a>(since: &Oid, pushed: &Oid, tip: &'a Observed<Tip>) -> Result<&'a Oid, Reason> {
    let tip = tip.as_ref().map_err(Reason::from)?;
    if tip.pushed != *pushed {
        return Err(Reason::OtherFacts);
    }
    match tip.reviewed() {
        Ok(commit) if commit == since => Err(Reason::NothingReviewed),
        Ok(commit) => Ok(commit),
        Err(flaw) => Err(Reason::Baseline(flaw)),
    }
}

fn against_content(since: &Oid, reviewed: Option<&Oid>, content: &Content) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if content.since != *since || reviewed.is_some_and(|commit| *commit != content.to) {
        reasons.push(Reason::OtherFacts);
    }
    if !content.rule_blockers.is_empty() {
        reasons.push(Reason::Rules(content.rule_blockers.clone()));
    }
    reasons
}

/// One verdict without an objection is enough. Against it stand only verdicts that cannot be read, and real ones
/// that blocked the same content: asking again until somebody approves is no way through.
fn against_verdicts(
    policy: &Policy,
    content: &Content,
    verdicts: &Observed<Vec<Result<Verdict, Invalid>>>,
) -> Vec<Reason> {
    let verdicts = match verdicts {
        Ok(verdicts) if verdicts.is_empty() => return vec![Reason::NoVerdict],
        Ok(verdicts) => verdicts,
        Err(unseen) => return vec![unseen.into()],
    };
    let mut standing = Vec::new();
    let mut objections = Vec::new();
    let mut approved = false;
    for verdict in verdicts {
        match checked(verdict) {
            Err(invalid) => standing.push(Reason::InvalidVerdict(invalid)),
            Ok(verdict) if is_sticky(verdict, content) => standing.push(Reason::Blocked(verdict.blockers.clone())),
            Ok(verdict) => {
                let against = against_verdict(policy, content, verdict);
                approved |= against.is_empty();
                objections
                    .extend(against.into_iter().filter(|reason| !objections.contains(reason)).collect::<Vec<_>>());
            }
        }
    }
    if !approved {
        standing.extend(objections);
    }
    standing
}

/// A verdict that was built and not read is held to the same rules.
fn checked(verdict: &Result<Verdict, Invalid>) -> Result<&Verdict, Invalid> {
    let verdict = verdict.as_ref().map_err(Invalid::clone)?;
    verdict.check().map(|()| verdict)
}

fn is_sticky(verdict: &Verdict, content: &Content) -> bool {
    verdict.verdict == Decision::Blocked
        && !verdict.meta.simulated
        && verdict.meta.bundle_sha256 == content.bundle_sha256
}

fn against_verdict(policy: &Policy, content: &Content, verdict: &Verdict) -> Vec<Reason> {
    let meta = &verdict.meta;
    if meta.simulated {
        return vec![Reason::Simulated];
    }
    let mut reasons = Vec::new();
    let mut refuse_if = |holds: bool, reason: Reason| {
        if holds {
            reasons.push(reason);
        }
    };
    refuse_if(verdict.verdict == Decision::Blocked, Reason::Blocked(verdict.blockers.clone()));
    refuse_if(meta.since_sha != content.since || meta.to_sha != content.to, Reason::OtherRange);
    refuse_if(meta.to_tree != content.to_tree, Reason::OtherTree);
    refuse_if(meta.bundle_sha256 != content.bundle_sha256, Reason::OtherBundle);
    refuse_if(meta.policy_sha256 != *policy.sha256(), Reason::OtherPolicy);
    reasons.extend(against_reviewer(policy, verdict));
    reasons.extend(against_tests(policy, verdict));
    reasons
}

/// What the policy wants of the reviewer.
fn against_reviewer(policy: &Policy, verdict: &Verdict) -> Vec<Reason> {
    let Some(reviewer) = &verdict.meta.reviewer else { return vec![Reason::InvalidVerdict(Invalid::NoReviewer)] };
    let wanted = &policy.review;
    let mut reasons = Vec::new();
    if reviewer.endpoint != wanted.base_url {
        reasons.push(Reason::OtherEndpoint);
    }
    if wanted.model.is_some() && reviewer.model != wanted.model {
        reasons.push(Reason::OtherModel);
    }
    let codex = verdict.meta.codex_cli.as_ref().map(|codex| &codex.version);
    if wanted.codex_version.is_some() && codex != wanted.codex_version.as_ref() {
        reasons.push(Reason::CodexVersion);
    }
    let is_pinned = |binary| wanted.codex_sha256.contains(binary);
    if !wanted.codex_sha256.is_empty() && !reviewer.binary_sha256.as_ref().is_some_and(is_pinned) {
        reasons.push(Reason::CodexBinary);
    }
    reasons
}

fn against_tests(policy: &Policy, verdict: &Verdict) -> Vec<Reason> {
    if !policy.tests.required {
        return Vec::new();
    }
    let passed = |step: &&TestStep| {
        let mut runs = verdict.tests_run.iter().filter(|run| run.name == step.name && run.argv == step.argv).peekable();
        runs.peek().is_some() && runs.all(|run| run.exit_code == 0)
    };
    let missing = policy.tests.steps.iter().filter(|step| !passed(step));
    missing.map(|step| Reason::TestNotPassed(step.name.clone())).collect()
}
