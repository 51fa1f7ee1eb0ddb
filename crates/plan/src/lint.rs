//! Rules that a plan may not break, checked apart from what made it.

use std::path::{Path, PathBuf};

use crate::{Effect, Plan, Step};

/// A step that takes another one before it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// A kebab-case name.
    pub name: &'static str,
    /// What would happen without it, for a person.
    pub reason: &'static str,
    /// The steps that it is about.
    pub step: fn(&Effect) -> bool,
    /// Whether the second is what has to come before the first, which is such a step.
    pub needs: fn(&Effect, &Effect) -> bool,
    /// What makes worthless what came before.
    pub voided_by: fn(&Effect) -> bool,
}

/// A step that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step `{step}` breaks the rule `{rule}`: {reason}")]
pub struct Violation {
    /// The step's name.
    pub step: String,
    /// The rule's name.
    pub rule: &'static str,
    /// What would happen.
    pub reason: String,
}

/// A plan that breaks no rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked(Plan);

impl Checked {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

impl Plan {
    /// The right to apply the plan. Beside `rules`, whatever file it changes outside of the directory `own` has to be in
    /// its rollback.
    ///
    /// # Errors
    /// Every step that breaks a rule.
    pub fn checked(self, rules: &[Rule], own: &Path) -> Result<Checked, Vec<Violation>> {
        let mut violations: Vec<_> = rules.iter().flat_map(|rule| rule.broken_by(&self.steps)).collect();
        violations.extend(self.steps.iter().filter_map(|step| unrestored(step, &self.rollback, own)));
        if violations.is_empty() { Ok(Checked(self)) } else { Err(violations) }
    }
}

impl Rule {
    fn broken_by(&self, steps: &[Step]) -> Vec<Violation> {
        let bound = steps.iter().enumerate().filter(|(_, step)| (self.step)(&step.effect));
        let broken = bound.filter(|(at, step)| !self.is_met(&step.effect, &steps[..*at]));
        let violation =
            |step: &Step| Violation { step: step.name.clone(), rule: self.name, reason: self.reason.to_owned() };
        broken.map(|(_, step)| violation(step)).collect()
    }

    fn is_met(&self, step: &Effect, before: &[Step]) -> bool {
        let met = before.iter().rposition(|earlier| (self.needs)(step, &earlier.effect));
        met.is_some_and(|at| !before[at..].iter().any(|later| (self.voided_by)(&later.effect)))
    }
}

fn unrestored(step: &Step, rollback: &[Step], own: &Path) -> Option<Violation> {
    let path = file(&step.effect).filter(|path| !path.starts_with(own))?;
    if rollback.iter().any(|back| file(&back.effect) == Some(path)) {
        return None;
    }
    let reason = format!("nothing puts {} back", path.display());
    Some(Violation { step: step.name.clone(), rule: "rollback-complete", reason })
}

fn file(effect: &Effect) -> Option<&PathBuf> {
    match effect {
        Effect::Write { path, .. } | Effect::Remove { path } => Some(path),
        Effect::Run { .. } => None,
    }
}
