//! What no plan of this may break, whoever made it.

use plan::{Effect, Expect, Rule};

use crate::paths::{BOOT_UNIT, CANDIDATE, PENDING, REVERT_UNIT, TIMER_UNIT};

fn touches_units(effect: &Effect) -> bool {
    let words = effect.words();
    let verbs = ["restart", "start", "stop", "disable", "mask", "reload"];
    words.first() == Some(&"systemctl")
        && words.get(1).is_some_and(|verb| verbs.contains(verb))
        && words.iter().any(|word| word.contains('.') && !word.starts_with("sshd-fix-"))
}

fn judges_what_is_in_use(effect: &Effect) -> bool {
    let Effect::Run { expect: Expect::Lines { .. }, .. } = effect else { return false };
    let words = effect.words();
    words.starts_with(&["sshd", "-T"]) && !words.contains(&"-f")
}

fn judges_the_candidate(effect: &Effect) -> bool {
    let Effect::Run { expect: Expect::Lines { .. }, .. } = effect else { return false };
    effect.words().starts_with(&["sshd", "-T", "-f"])
}

fn writes_below(effect: &Effect, dirs: &[&str]) -> bool {
    let (Effect::Write { path, .. } | Effect::Remove { path }) = effect else { return false };
    dirs.iter().any(|dir| path.starts_with(dir))
}

fn changes_what_is_in_use(effect: &Effect) -> bool {
    writes_below(effect, &["/etc/ssh"])
        || writes_below(effect, &["/etc/systemd"]) && !writes_below(effect, &[BOOT_UNIT, REVERT_UNIT, TIMER_UNIT])
}

/// What no plan of this may break, whoever made it.
pub const RULES: &[Rule] = &[
    Rule {
        name: "validated",
        reason: "sshd would be touched before it judged the configuration that it reads: it could be left without a listener",
        step: touches_units,
        needs: judges_what_is_in_use,
        voided_by: |effect| writes_below(effect, &["/etc/ssh"]),
    },
    Rule {
        name: "candidate-first",
        reason: "what sshd reads would be changed before sshd judged how it will be",
        step: changes_what_is_in_use,
        needs: judges_the_candidate,
        voided_by: |effect| writes_below(effect, &[CANDIDATE]),
    },
    Rule {
        name: "journalled",
        reason: "what was there before would not be kept",
        step: |effect| changes_what_is_in_use(effect) || touches_units(effect),
        needs: |effect| writes_below(effect, &[PENDING]),
        voided_by: |_| false,
    },
    Rule {
        name: "armed",
        reason: "nothing would put it back",
        step: |effect| changes_what_is_in_use(effect) || touches_units(effect),
        needs: |effect| effect.words() == ["systemctl", "is-active", "sshd-fix-revert.timer"],
        voided_by: |_| false,
    },
    Rule {
        name: "disabled-before-masked",
        reason: "a mask leaves what requires the socket, and sshd would not start",
        step: |effect| effect.words().starts_with(&["systemctl", "mask"]),
        needs: |effect| effect.words().starts_with(&["systemctl", "disable", "--now"]),
        voided_by: |_| false,
    },
];
