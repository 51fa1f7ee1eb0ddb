//! Many answers become one decision: every expected packet answered exactly once, any blocker blocks.

use std::collections::BTreeSet;

use crate::answer::{Answer, AnswerFinding};
use crate::schema::{Decision, Finding, MAX_FINDINGS, Source};
use crate::show;

/// What the rules found without a model. They can only block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleFindings {
    /// Block the range.
    pub blockers: Vec<Finding>,
    /// Are told and block nothing.
    pub notices: Vec<Finding>,
}

/// The decision over a whole range: the parts of a [`Verdict`](crate::Verdict) that a review makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// BLOCKED exactly when there is a blocker.
    pub verdict: Decision,
    /// The rules' blockers, then those of the answers in the order of the packets; none twice.
    pub blockers: Vec<Finding>,
    /// Likewise what does not block.
    pub non_blocking: Vec<Finding>,
}

/// Why there is no decision: the range is not reviewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// No packet was expected: an empty review approves nothing.
    #[error("there was nothing to review")]
    Nothing,
    /// Packets without an answer.
    #[error("not answered: {}", .0.join(", "))]
    Unanswered(Vec<String>),
    /// A packet expected or answered twice.
    #[error("packet {0} stands there twice")]
    Twice(String),
    /// An answer about a packet that was not asked.
    #[error("packet {0} was not asked for")]
    Unexpected(String),
}

/// Joins the `answers` about the packets in `expected` with what the rules found.
///
/// # Errors
/// [`Missing`] unless each expected packet has exactly one answer and there is no other answer.
pub fn aggregate(expected: &[&str], answers: &[Answer], rules: RuleFindings) -> Result<Aggregate, Missing> {
    let answers = in_order(expected, answers)?;
    let mut blockers = rules.blockers;
    let mut non_blocking = rules.notices;
    for answer in answers {
        blockers.extend(answer.blockers.iter().map(AnswerFinding::to_finding));
        non_blocking.extend(answer.non_blocking.iter().map(AnswerFinding::to_finding));
    }
    Ok(decide(blockers, non_blocking))
}

/// The decision when rules alone block and no reviewer is asked; `None` when they do not.
pub fn by_rules(rules: RuleFindings) -> Option<Aggregate> {
    if rules.blockers.is_empty() { None } else { Some(decide(rules.blockers, rules.notices)) }
}

fn decide(blockers: Vec<Finding>, non_blocking: Vec<Finding>) -> Aggregate {
    let verdict = if blockers.is_empty() { Decision::Approved } else { Decision::Blocked };
    Aggregate { verdict, blockers: bounded(blockers), non_blocking: bounded(non_blocking) }
}

fn in_order<'a>(expected: &[&str], answers: &'a [Answer]) -> Result<Vec<&'a Answer>, Missing> {
    if expected.is_empty() {
        return Err(Missing::Nothing);
    }
    let mut answered = answers.iter().map(|answer| answer.packet.as_str());
    if let Some(packet) = twice(expected.iter().copied()).or_else(|| twice(answered.clone())) {
        return Err(Missing::Twice(show::clip(packet, 80)));
    }
    if let Some(packet) = answered.find(|packet| !expected.contains(packet)) {
        return Err(Missing::Unexpected(show::clip(packet, 80)));
    }
    let found: Vec<_> = expected.iter().map(|id| (id, answers.iter().find(|answer| answer.packet == *id))).collect();
    let unanswered: Vec<String> =
        found.iter().filter(|(_, answer)| answer.is_none()).map(|(id, _)| show::clip(id, 80)).collect();
    if unanswered.is_empty() {
        Ok(found.into_iter().filter_map(|(_, answer)| answer).collect())
    } else {
        Err(Missing::Unanswered(unanswered))
    }
}

fn twice<'a>(mut ids: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    ids.find(|id| !seen.insert(*id))
}

/// Takes out repetitions, and says in a last entry how many there are beyond what a verdict may hold.
fn bounded(mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    findings.retain(|finding| seen.insert((finding.id(), finding.detail.clone())));
    if findings.len() > MAX_FINDINGS {
        let more = findings.len() - (MAX_FINDINGS - 1);
        findings.truncate(MAX_FINDINGS - 1);
        findings.push(Finding::new(Source::Rule, None, None, &format!("{more} more findings"), ""));
    }
    findings
}
