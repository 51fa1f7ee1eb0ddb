//! Every effect of every change fails once, and every one is the last before the program is killed.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use sshd_fix::paths::PENDING;
use sshd_fix::{Decision, Facts, apply, observe, plan};

use crate::machine::{Fault, Machine, State};

const WITHIN: Duration = Duration::from_mins(10);

fn facts(machine: &Machine) -> Facts {
    observe(machine, Path::new("/opt/sshd-fix"))
}

fn decide(machine: &Machine) -> Decision {
    plan(&facts(machine), WITHIN).unwrap()
}

/// What is in use, without what is kept of the change itself.
fn in_use(machine: &Machine) -> State {
    let mut state = machine.state();
    state
        .files
        .retain(|path, _| !path.starts_with("/var/lib/sshd-fix") && !path.display().to_string().contains("sshd-fix-"));
    state
}

/// The state before a change and the one after it.
fn ends(by_socket: bool) -> (State, State, usize) {
    let machine = Machine::debian(by_socket);
    let before = in_use(&machine);
    let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
    machine.fails(Fault::Never);
    apply(&machine, *change, &|_| ()).unwrap();
    (before, in_use(&machine), machine.effects())
}

#[test]
fn v01_whatever_step_fails_the_host_is_as_it_was() {
    for by_socket in [false, true] {
        let (before, after, effects) = ends(by_socket);
        assert_ne!(before, after);
        assert!(effects > 20, "{effects}");
        for at in 1..=effects {
            let machine = Machine::debian(by_socket);
            let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
            machine.fails(Fault::Once(at));
            let failure = apply(&machine, *change, &|_| ()).unwrap_err();
            assert_eq!(in_use(&machine), before, "effect {at}: {failure}");
            assert!(!machine.listeners().is_empty(), "effect {at}");
        }
    }
}

#[test]
fn v01_whatever_step_is_the_last_the_next_boot_is_as_before() {
    for by_socket in [false, true] {
        let (before, _, effects) = ends(by_socket);
        for at in 1..=effects + 1 {
            let machine = Machine::debian(by_socket);
            let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
            machine.fails(Fault::From(at));
            let _ = apply(&machine, *change, &|_| ());
            machine.reboot();
            let (now, mut before) = (in_use(&machine), before.clone());
            // A boot starts what is enabled: it does not matter what ran before.
            before.units.insert("ssh.service".into(), now.units["ssh.service"].clone());
            before.listens.clone_from(&now.listens);
            assert_eq!(now, before, "effect {at}");
            assert_eq!(machine.listeners().len(), 2, "effect {at}");
            // And it can be begun again.
            let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
            apply(&machine, *change, &|_| ()).unwrap();
        }
    }
}

#[test]
fn v01_a_way_back_that_fails_is_gone_again() {
    for by_socket in [false, true] {
        for at in 1.. {
            let machine = Machine::debian(by_socket);
            let before = in_use(&machine);
            let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
            apply(&machine, *change, &|_| ()).unwrap();
            machine.fails(Fault::Once(at));
            let first = sshd_fix::revert(&machine, &|_| ());
            let effects = machine.effects();
            if machine.state().files.contains_key(Path::new(PENDING)) {
                sshd_fix::revert(&machine, &|_| ()).unwrap();
            }
            assert_eq!(in_use(&machine), before, "effect {at}");
            sshd_fix::tidy(&machine, &|_| ()).unwrap();
            let left = |path: &Path| path.display().to_string().contains("sshd-fix-");
            assert!(!machine.state().files.keys().any(|path| left(path)), "effect {at}");
            if effects < at {
                assert!(first.is_ok() && at > 15, "{at}");
                break;
            }
        }
    }
}

proptest! {
    #[test]
    fn a_change_leaves_nothing_to_change(
        by_socket: bool,
        enabled: bool,
        masked: bool,
        users in "[a-z]{1,8}",
        former in proptest::option::of("(# [a-z]{0,9}\n){0,3}"),
    ) {
        let machine = Machine::debian(by_socket).with("/etc/ssh/sshd_config.d/10-users.conf", &format!("AllowUsers {users}\n"));
        let machine = former.iter().fold(machine, |machine, text| machine.with(sshd_fix::paths::DROP_IN, text));
        machine.unit_is(if by_socket { "ssh.service" } else { "ssh.socket" }, enabled && by_socket, masked && !by_socket);
        let before = in_use(&machine);
        let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
        apply(&machine, *change, &|_| ()).unwrap();
        let after = in_use(&machine);
        prop_assert!(plan(&facts(&machine), WITHIN).is_err(), "one change at a time");
        sshd_fix::revert(&machine, &|_| ()).unwrap();
        prop_assert_eq!(&in_use(&machine), &before);
        let Decision::Change(change) = decide(&machine) else { panic!("nothing to change") };
        apply(&machine, *change, &|_| ()).unwrap();
        prop_assert_eq!(in_use(&machine), after);
        machine.forget_pending();
        prop_assert!(matches!(decide(&machine), Decision::Right(_)));
    }
}
