//! What no plan of this may break, whoever made it.

use std::path::Path;

use plan::{Effect, Expect, Rule};

use crate::paths::{
    BOOT, BOOT_UNIT, BOOT_WANTED, CANDIDATE, PENDING, PROGRAM, REVERT_UNIT, STATE, TIMER, TIMER_UNIT, TIMER_WANTED,
};

/// The program's own units and what enables them.
const OWN: [&str; 5] = [BOOT_UNIT, REVERT_UNIT, TIMER_UNIT, BOOT_WANTED, TIMER_WANTED];

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule {
        name: "validated",
        reason: "sshd would be touched before it judged the configuration that it reads: it could be left without a listener",
        step: touches_units,
        needs: |_, earlier| is_judgement(earlier) && !earlier.words().contains(&"-f"),
        voided_by: |effect| file(effect).is_some_and(|path| path.starts_with("/etc/ssh")),
    },
    Rule {
        name: "candidate-first",
        reason: "what sshd reads would be changed before sshd judged how it will be",
        step: changes_files,
        needs: |_, earlier| is_judgement(earlier) && earlier.words().contains(&"-f"),
        voided_by: |effect| file(effect).is_some_and(|path| path.starts_with(CANDIDATE)),
    },
    Rule {
        name: "journalled",
        reason: "what was there before would not be kept",
        step: changes,
        needs: |_, earlier| is_pending(earlier),
        voided_by: |effect| matches!(effect, Effect::Remove { path } if path == Path::new(PENDING)),
    },
    Rule {
        name: "synced",
        reason: "after a power cut the change could be there and what puts it back not",
        step: is_pending,
        needs: |_, earlier| earlier.words() == ["sync"],
        voided_by: |effect| file(effect).is_some_and(is_own) || effect.words().starts_with(&["systemctl", "enable"]),
    },
    Rule {
        name: "comes-back-at-a-boot",
        reason: "after a reboot nothing would put it back",
        step: is_pending,
        needs: |_, earlier| earlier.words() == ["systemctl", "enable", BOOT, TIMER],
        voided_by: |effect| file(effect).is_some_and(is_own),
    },
    Rule {
        name: "can-come-back",
        reason: "what puts it back might not run",
        step: is_pending,
        needs: |_, earlier| earlier.words() == ["systemd-run", "--quiet", "--wait", "--collect", PROGRAM, "--version"],
        voided_by: |effect| effect.words().first() == Some(&"install") && effect.words().last() == Some(&PROGRAM),
    },
    Rule {
        name: "armed",
        reason: "no time would put it back",
        step: changes,
        needs: |_, earlier| is_waiting(earlier),
        voided_by: |effect| {
            effect.words().first() == Some(&"systemctl") && effect.words().contains(&TIMER) && !is_waiting(effect)
        },
    },
    Rule {
        name: "disabled-before-masked",
        reason: "a mask leaves what requires the socket, and sshd would not start",
        step: |effect| effect.words().starts_with(&["systemctl", "mask"]),
        needs: |mask, earlier| {
            earlier.words().starts_with(&["systemctl", "disable", "--now"])
                && earlier.words().last() == mask.words().last()
        },
        voided_by: |_| false,
    },
];

fn file(effect: &Effect) -> Option<&Path> {
    match effect {
        Effect::Write { path, .. } | Effect::Remove { path } => Some(path),
        Effect::Run { .. } => None,
    }
}

fn is_own(path: &Path) -> bool {
    OWN.iter().any(|own| path == Path::new(own))
}

/// Something that is in use.
fn changes(effect: &Effect) -> bool {
    changes_files(effect) || touches_units(effect)
}

fn changes_files(effect: &Effect) -> bool {
    file(effect).is_some_and(|path| !path.starts_with(STATE) && !is_own(path))
}

/// Of others; whatever is not known to be harmless.
fn touches_units(effect: &Effect) -> bool {
    const HARMLESS: [&str; 4] = ["show", "is-active", "is-enabled", "daemon-reload"];
    let words = effect.words();
    let [program, verb, names @ ..] = words.as_slice() else { return false };
    let ours = |name: &&str| name.starts_with("sshd-fix-");
    *program == "systemctl" && !HARMLESS.contains(verb) && (names.is_empty() || !names.iter().all(ours))
}

/// sshd says where it would listen, and that has to be so.
fn is_judgement(effect: &Effect) -> bool {
    matches!(effect, Effect::Run { expect: Expect::Lines { .. }, .. }) && effect.words().starts_with(&["sshd", "-T"])
}

fn is_pending(effect: &Effect) -> bool {
    matches!(effect, Effect::Write { path, .. } if path == Path::new(PENDING))
}

fn is_waiting(effect: &Effect) -> bool {
    matches!(effect, Effect::Run { expect: Expect::Lines { .. }, .. })
        && effect.words() == ["systemctl", "show", "--property=SubState", TIMER]
}
