//! Runs the steps of a plan.

use std::collections::BTreeSet;

use host::{Host, Output, Status};
use outcome::Failure;

use crate::{Checked, Effect, Expect, Step};

/// A step that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step `{step}`: {reason}")]
pub struct Broken {
    /// The step's name.
    pub step: String,
    /// Why it did not.
    pub reason: String,
}

/// All of them, for a person.
pub fn reasons(broken: &[Broken]) -> String {
    let reasons: Vec<_> = broken.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

/// Runs the steps in order, each after `before` was asked, which may announce it or refuse it.
///
/// # Errors
/// The first step that did not work; those after it were not begun. What was done stays: the plan's rollback puts it
/// back.
pub fn apply(
    host: &dyn Host,
    plan: &Checked,
    mut before: impl FnMut(&Step) -> Result<(), Failure>,
) -> Result<(), Broken> {
    plan.plan().steps.iter().try_for_each(|step| {
        before(step).map_err(|failure| broken(step, failure.reason))?;
        perform(host, step)
    })
}

/// Runs all of the steps in order, as a rollback needs it: one that does not work keeps none of the others from it.
///
/// # Errors
/// All that did not work.
pub fn restore(host: &dyn Host, steps: &[Step], mut before: impl FnMut(&Step)) -> Result<(), Vec<Broken>> {
    let broken: Vec<_> = steps
        .iter()
        .filter_map(|step| {
            before(step);
            perform(host, step).err()
        })
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}

fn perform(host: &dyn Host, step: &Step) -> Result<(), Broken> {
    let done = match &step.effect {
        Effect::Write { path, mode, text } => host.write_atomic(path, text.as_bytes(), *mode),
        Effect::Remove { path } => host.remove(path),
        Effect::Run { expect, .. } => {
            let command = step.effect.command().ok_or_else(|| broken(step, "names no program"))?;
            let output = host.run(&command).map_err(|error| broken(step, error.to_string()))?;
            return judge(&output, expect).map_err(|reason| broken(step, format!("`{command}`: {reason}")));
        }
    };
    done.map_err(|error| broken(step, error.to_string()))
}

fn judge(output: &Output, expect: &Expect) -> Result<(), String> {
    if output.status != Status::Exited(0) {
        let said = [output.stderr_text(), output.stdout_text()].into_iter().find(|said| !said.is_empty());
        return Err(format!("{}: {}", output.status, said.unwrap_or_else(|| "it said nothing".into())));
    }
    let Expect::Lines { starting, exactly } = expect else { return Ok(()) };
    if output.cut {
        return Err("it says more than is read".into());
    }
    let said = output.stdout_text();
    let about = |line: &&str| starting.iter().any(|start| line.starts_with(start));
    let lines = said.lines().map(str::trim).filter(about).map(str::to_owned).collect();
    if *exactly == lines {
        return Ok(());
    }
    let listed = |lines: &BTreeSet<String>| {
        let quoted: Vec<_> = lines.iter().map(|line| format!("`{line}`")).collect();
        if quoted.is_empty() { "nothing".into() } else { quoted.join(", ") }
    };
    Err(format!("it says {} and has to say {}", listed(&lines), listed(exactly)))
}

fn broken(step: &Step, reason: impl Into<String>) -> Broken {
    Broken { step: step.name.clone(), reason: reason.into() }
}
