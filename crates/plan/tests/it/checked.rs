//! What may run.

use std::path::Path;

use insta::assert_snapshot;
use plan::{Effect, Plan, Rule, Step};

use crate::sample;

const VALIDATED: Rule = Rule {
    name: "validated",
    reason: "a broken configuration would leave no server",
    step: |effect| effect.words().starts_with(&["systemctl", "restart"]),
    needs: |_, earlier| earlier.words() == ["server", "--check"],
    voided_by: |effect| matches!(effect, Effect::Write { path, .. } if path.starts_with("/etc")),
};

fn check(plan: Plan) -> String {
    match plan.checked(&[VALIDATED], Path::new("/var/lib/own")) {
        Ok(checked) => format!("{} steps", checked.plan().steps.len()),
        Err(violations) => violations.iter().map(|violation| format!("{violation}\n")).collect(),
    }
}

#[test]
fn a_plan_that_breaks_no_rule_may_be_applied() {
    assert_snapshot!(check(sample()), @"3 steps");
    assert_snapshot!(check(Plan::default()), @"0 steps");
}

#[test]
fn a_step_without_the_one_it_needs_is_found() {
    let mut plan = sample();
    plan.steps.remove(1);
    assert_snapshot!(check(plan), @"step `restart` breaks the rule `validated`: a broken configuration would leave no server");
}

#[test]
fn what_is_needed_may_depend_on_the_step() {
    let stopped = Rule {
        name: "stopped",
        reason: "it would go on",
        step: |effect| effect.words().starts_with(&["systemctl", "mask"]),
        needs: |mask, earlier| {
            earlier.words().starts_with(&["systemctl", "stop"]) && earlier.words()[2] == mask.words()[2]
        },
        voided_by: |_| false,
    };
    let call = |verb: &str, unit: &str| Step::new(verb, Effect::run(["systemctl", verb, unit]), "");
    let check = |stops: &str| {
        let plan = Plan { steps: vec![call("stop", stops), call("mask", "a.socket")], rollback: vec![] };
        plan.checked(&[stopped], Path::new("/")).is_ok()
    };
    assert!(check("a.socket") && !check("b.socket"));
}

#[test]
fn what_was_needed_is_worth_nothing_after_a_change() {
    let mut plan = sample();
    plan.steps.swap(0, 1);
    assert_snapshot!(check(plan), @"step `restart` breaks the rule `validated`: a broken configuration would leave no server");
}

#[test]
fn a_file_that_nothing_puts_back_is_found() {
    let mut plan = sample();
    plan.rollback.remove(0);
    assert_snapshot!(check(plan.clone()), @"step `config` breaks the rule `rollback-complete`: nothing puts /etc/server.conf back");
    plan.steps[0].effect = Effect::write("/var/lib/own/state", 0o600, "");
    assert_snapshot!(check(plan), @"3 steps");
}
