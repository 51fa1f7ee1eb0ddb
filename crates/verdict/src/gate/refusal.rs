//! Reasons against a push, in words for a person and as classes for a program.

use std::fmt;

use super::facts::{BaselineFlaw, Unseen};
use crate::schema::{Finding, Invalid};
use crate::show;

/// Findings told in one reason; a person reads the rest in the verdict.
const TOLD: usize = 5;

/// Every reason against a push; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(pub(super) Vec<Refusal>);

/// One reason against one update. `Display` is what a person reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {reason}")]
pub struct Refusal {
    /// The ref or range, safe to print.
    pub subject: String,
    /// The reason.
    pub reason: Reason,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A fact is missing.
    #[error("could not see {0}")]
    Unseen(String),
    /// No pattern of the policy fits, or the name is made to look like another.
    #[error("the policy knows no such ref")]
    UnknownRef,
    /// Two updates of one ref.
    #[error("the ref stands there twice")]
    Twice,
    /// A protected ref would be deleted.
    #[error("a protected ref would be deleted")]
    Deletion,
    /// What the remote has is not here.
    #[error("the remote's commit is not in this repository")]
    BaseMissing,
    /// A protected ref would be rewound or replaced.
    #[error("not a fast-forward of what the remote has")]
    NotFastForward,
    /// The history is cut.
    #[error("the history of the range is shallow")]
    Shallow,
    /// The last commit changes the baseline file in another way than finishing does.
    #[error("the last commit is no baseline commit: {0}")]
    Baseline(BaselineFlaw),
    /// Only a baseline commit on what the remote has already.
    #[error("there is no reviewed commit to push")]
    NothingReviewed,
    /// The facts are about another push.
    #[error("what was looked at is not what is pushed")]
    OtherFacts,
    /// The rules block, whatever a verdict says.
    #[error("the rules block: {}", summaries(.0))]
    Rules(Vec<Finding>),
    /// Nobody reviewed the range.
    #[error("no verdict for this range")]
    NoVerdict,
    /// A verdict file that cannot be read might be one that blocks.
    #[error("a verdict for this range is invalid: {0}")]
    InvalidVerdict(Invalid),
    /// The review found something.
    #[error("the review BLOCKED it: {}", summaries(.0))]
    Blocked(Vec<Finding>),
    /// Nobody was asked.
    #[error("the verdict is simulated")]
    Simulated,
    /// The verdict is about other commits.
    #[error("the verdict is about another range")]
    OtherRange,
    /// The verdict is about another tree.
    #[error("the verdict is about another tree")]
    OtherTree,
    /// The verdict is about other content.
    #[error("the verdict is about other content")]
    OtherBundle,
    /// The verdict was given under another policy.
    #[error("the verdict was given under another policy")]
    OtherPolicy,
    /// Another server was asked than the policy names.
    #[error("the reviewer was asked at another endpoint than the policy's")]
    OtherEndpoint,
    /// Another model was asked than the policy names.
    #[error("another model reviewed than the policy's")]
    OtherModel,
    /// Not the Codex version the policy pins.
    #[error("the reviewer is not the Codex version the policy pins")]
    CodexVersion,
    /// Not a Codex program the policy pins.
    #[error("the reviewer is not a program the policy pins")]
    CodexBinary,
    /// A required test step did not run or did not pass.
    #[error("required test step `{0}` did not pass")]
    TestNotPassed(String),
}

impl Refusals {
    /// All of them, in the order of the updates and of the checks.
    pub fn iter(&self) -> std::slice::Iter<'_, Refusal> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Refusals {
    type Item = &'a Refusal;
    type IntoIter = std::slice::Iter<'a, Refusal>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Refusals {}

/// A line for each reason, followed by one that says what to do.
impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{refusal} [{}]\n  next: {}", refusal.reason.class(), refusal.reason.next())?;
        }
        Ok(())
    }
}

impl Reason {
    /// A stable name for programs, in kebab-case.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Unseen(_) => "unseen",
            Self::UnknownRef => "unknown-ref",
            Self::Twice => "ref-twice",
            Self::Deletion => "protected-deletion",
            Self::BaseMissing => "base-missing",
            Self::NotFastForward => "not-fast-forward",
            Self::Shallow => "shallow-history",
            Self::Baseline(_) => "bad-baseline",
            Self::NothingReviewed => "nothing-reviewed",
            Self::OtherFacts => "other-facts",
            Self::Rules(_) => "rule-blockers",
            Self::NoVerdict => "no-verdict",
            Self::InvalidVerdict(_) => "invalid-verdict",
            Self::Blocked(_) => "review-blocked",
            Self::Simulated => "simulated-verdict",
            Self::OtherRange => "other-range",
            Self::OtherTree => "other-tree",
            Self::OtherBundle => "other-content",
            Self::OtherPolicy => "other-policy",
            Self::OtherEndpoint => "other-endpoint",
            Self::OtherModel => "other-model",
            Self::CodexVersion => "codex-version",
            Self::CodexBinary => "codex-binary",
            Self::TestNotPassed(_) => "test-not-passed",
        }
    }

    /// What the person who pushes can do.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Unseen(_) => "mend what could not be read, then push again",
            Self::UnknownRef => "push a ref that [refs] in configs/ship.toml names, spelled as there",
            Self::Twice => "push each ref once",
            Self::Deletion => "do not delete it; take it out of `protected` in a reviewed change first",
            Self::BaseMissing => "git fetch, then review again: ship",
            Self::NotFastForward => "git fetch and rebase, then review again: ship",
            Self::Shallow => "git fetch --unshallow, then push again",
            Self::Baseline(_) => "drop that commit; review-finish makes the right one",
            Self::NothingReviewed => "drop the baseline commit, or commit something and ship it",
            Self::OtherFacts => "push again; if it stays, report it as a bug",
            Self::Rules(_) => "take it out of every commit of the range, or allow it in a reviewed [[rules.allow]]",
            Self::InvalidVerdict(_) => "look at the verdict file, remove it if it is not a review's, then: ship",
            Self::Blocked(_) => "mend the blockers in a new commit, then: ship",
            Self::NoVerdict => "review this range: ship",
            Self::Simulated => "review it for real, without CODEX_SKIP: ship",
            Self::OtherRange
            | Self::OtherTree
            | Self::OtherBundle
            | Self::OtherPolicy
            | Self::OtherEndpoint
            | Self::OtherModel => "review exactly this range under the policy in force: ship",
            Self::CodexVersion | Self::CodexBinary => "install the Codex CLI the policy pins, then: ship",
            Self::TestNotPassed(_) => "make the step pass, then: ship",
        }
    }
}

impl From<&Unseen> for Reason {
    fn from(unseen: &Unseen) -> Self {
        Self::Unseen(show::clip(&unseen.0, 500))
    }
}

fn summaries(findings: &[Finding]) -> String {
    let mut told: Vec<String> = findings.iter().take(TOLD).map(Finding::summary).collect();
    if findings.len() > TOLD {
        told.push(format!("and {} more", findings.len() - TOLD));
    }
    told.join("; ")
}
