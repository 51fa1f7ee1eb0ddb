//! Every effect of every change fails once, and every one is the last before the program is killed.

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
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
            assert!(!machine.listeners().is_empty(), "effect {at}");
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

fn change(machine: &Machine) -> sshd_fix::Change {
    let Decision::Change(change) = decide(machine) else { panic!("nothing to change") };
    *change
}

/// What `apply` says, after it was seen that everything is as before.
fn put_back(machine: &Machine, announce: &dyn Fn(&plan::Step)) -> String {
    let before = in_use(machine);
    let failure = apply(machine, change(machine), announce).unwrap_err();
    machine.stranger(None);
    assert_eq!(in_use(machine), before);
    format!("{}: {}", failure.class, failure.reason)
}

#[test]
fn somebody_else_at_the_port_is_not_what_was_wanted() {
    for at in ["203.0.113.1:22", "100.64.0.1:22"] {
        let machine = Machine::debian(false);
        let appears = |step: &plan::Step| {
            if step.name == "restart" {
                machine.stranger(Some(at));
            }
        };
        let said = "put-back: sshd does not listen at 100.64.0.1:22 and nowhere else; everything is as it was";
        assert_eq!(put_back(&machine, &appears), said);
        assert_eq!(machine.sleeps(), 60, "fifteen seconds, a quarter of one each");
    }
}

#[test]
fn what_was_put_back_meanwhile_is_not_gone_on_with() {
    let machine = Machine::debian(false);
    let over = |step: &plan::Step| {
        if step.name == "unit-drop-in" {
            sshd_fix::revert(&machine, &|_| ()).unwrap();
        }
    };
    assert_snapshot!(put_back(&machine, &over), @"put-back: step `unit-drop-in`: the time was over, and it was put back meanwhile; everything is as it was");
}

#[test]
fn a_way_back_that_does_not_lead_there_stays_armed() {
    let machine = Machine::debian(false);
    apply(&machine, change(&machine), &|_| ()).unwrap();
    machine.takes("0.0.0.0:22");
    let failure = sshd_fix::revert(&machine, &|_| ()).unwrap_err();
    assert_snapshot!(failure.text(), @"
    not-put-back: not everything could be put back: sshd does not listen where it did, at 0.0.0.0:22, [::]:22
    next: it is tried again by sshd-fix-revert.service; see: systemctl status sshd-fix-revert, sshd-fix status
    ");
    assert_eq!(machine.sleeps(), 240, "a minute, a quarter of a second each");
    assert!(machine.state().files.contains_key(Path::new(PENDING)));
    machine.takes("");
    sshd_fix::revert(&machine, &|_| ()).unwrap();
}

#[test]
fn a_change_that_fails_and_does_not_come_back_tells_both() {
    let machine = Machine::debian(false);
    let broken = |step: &plan::Step| {
        if step.name == "restart" {
            machine.takes("0.0.0.0:22");
            machine.stranger(Some("203.0.113.1:22"));
        }
    };
    let failure = apply(&machine, change(&machine), &broken).unwrap_err();
    assert_snapshot!(failure.text(), @"
    not-put-back: sshd does not listen at 100.64.0.1:22 and nowhere else; not everything could be put back: sshd does not listen where it did, at 0.0.0.0:22, [::]:22
    next: it is tried again by sshd-fix-revert.service; see: systemctl status sshd-fix-revert, sshd-fix status
    ");
}

#[test]
fn a_boot_puts_the_files_back_before_anything_starts() {
    let machine = Machine::debian(true);
    let before = in_use(&machine);
    apply(&machine, change(&machine), &|_| ()).unwrap();
    sshd_fix::boot(&machine, &|_| ()).unwrap();
    assert_eq!(in_use(&machine).files, before.files);
    assert!(machine.state().units["ssh.socket"].enabled && !machine.state().units["ssh.socket"].masked);
    assert!(machine.state().files.contains_key(Path::new(PENDING)), "whether it is back is looked at later");
}

#[test]
fn who_waits_learns_how_it_ended() {
    let ended = |end: &dyn Fn(&Machine)| {
        let machine = Machine::debian(false);
        apply(&machine, change(&machine), &|_| ()).unwrap();
        end(&machine);
        sshd_fix::await_confirmation(&machine).map_err(|failure| failure.class)
    };
    let confirmed = |machine: &Machine| {
        machine.keep_confirmed();
        machine.forget_pending();
    };
    assert_eq!(ended(&confirmed), Ok(()));
    let reverted = |machine: &Machine| drop(sshd_fix::revert(machine, &|_| ()).unwrap());
    assert_eq!(ended(&reverted), Err("put-back".into()));
    let mut machine = Machine::debian(false);
    apply(&machine, change(&machine), &|_| ()).unwrap();
    machine.sleepless = true;
    let interrupted = sshd_fix::await_confirmation(&machine).unwrap_err();
    assert_eq!(interrupted.class, "interrupted");
}

/// A confirmation that was killed before anything was disarmed.
#[test]
fn a_change_that_was_put_back_does_not_count_as_confirmed() {
    let machine = Machine::debian(false);
    apply(&machine, change(&machine), &|_| ()).unwrap();
    machine.keep_confirmed();
    sshd_fix::revert(&machine, &|_| ()).unwrap();
    assert!(sshd_fix::await_confirmation(&machine).is_err());
    let nothing = sshd_fix::rollback(&machine, Path::new("/opt/sshd-fix"), &|_| ()).unwrap_err();
    assert_eq!(nothing.class, "nothing-to-put-back");
    // And one that was confirmed after that is not taken for put back.
    apply(&machine, change(&machine), &|_| ()).unwrap();
    machine.forget_pending();
    sshd_fix::await_confirmation(&machine).unwrap();
}

/// What `rollback` does to a machine whose change was confirmed.
fn taken_back(machine: &Machine) -> Result<(), String> {
    sshd_fix::rollback(machine, Path::new("/opt/sshd-fix"), &|_| ())
        .map(drop)
        .map_err(|failure| failure.class.into_owned())
}

fn confirmed(by_socket: bool) -> Machine {
    let machine = Machine::debian(by_socket);
    apply(&machine, change(&machine), &|_| ()).unwrap();
    machine.keep_confirmed();
    machine.forget_pending();
    sshd_fix::tidy(&machine, &|_| ()).unwrap();
    machine
}

#[test]
fn v01_what_was_confirmed_is_taken_back_whatever_step_is_the_last() {
    for by_socket in [false, true] {
        for at in 1.. {
            let machine = confirmed(by_socket);
            let (before, after) = (in_use(&Machine::debian(by_socket)), in_use(&machine));
            machine.fails(Fault::From(at));
            let ended = taken_back(&machine);
            let pending = machine.state().files.contains_key(Path::new(PENDING));
            machine.reboot();
            let now = in_use(&machine);
            assert!(now.files == before.files || now.files == after.files && !pending, "effect {at}");
            assert!(!machine.listeners().is_empty(), "effect {at}");
            if ended.is_ok() {
                assert!(at > 20, "{at}");
                break;
            }
        }
    }
}

#[test]
fn nothing_is_taken_back_to_where_nobody_would_listen() {
    let machine = confirmed(false);
    let after = in_use(&machine);
    machine.edit(sshd_fix::paths::CONFIRMED, |text| {
        text.replace("0.0.0.0:22", "192.0.2.1:22").replace("[::]:22", "192.0.2.2:22")
    });
    assert_eq!(taken_back(&machine), Err("leads-nowhere".into()));
    assert_eq!(in_use(&machine), after);
}

/// A kill in the middle of a change to a socket, and somebody who begins again at once.
#[test]
fn v01_a_change_that_waits_is_not_forgotten_by_the_next() {
    let machine = Machine::debian(true);
    let effects = std::cell::Cell::new(0);
    apply(&machine, change(&machine), &|step| {
        if step.name == "service-enable" {
            effects.set(machine.effects());
        }
    })
    .unwrap();
    let machine = Machine::debian(true);
    let before = in_use(&machine);
    let change = change(&machine);
    machine.fails(Fault::From(effects.get() + 1));
    apply(&machine, change, &|_| ()).unwrap_err();
    machine.fails(Fault::Never);
    assert!(machine.listeners().is_empty());
    assert_eq!(plan(&facts(&machine), WITHIN).unwrap_err().class, "pending");
    sshd_fix::tidy(&machine, &|_| ()).unwrap();
    sshd_fix::revert(&machine, &|_| ()).unwrap();
    assert_eq!(in_use(&machine), before);
}

#[test]
fn a_drop_in_of_the_unit_that_another_one_overrides_is_not_enough() {
    let mut machine = Machine::debian(false);
    machine.overridden = true;
    assert_snapshot!(put_back(&machine, &|_| ()), @"put-back: step `retries`: `systemctl show --property=Restart,RestartUSec,RestartPreventExitStatus,StartLimitIntervalUSec ssh.service`: it says `Restart=on-failure`, `RestartPreventExitStatus=255`, `RestartUSec=100ms`, `StartLimitIntervalUSec=10s` and has to say `Restart=always`, `RestartPreventExitStatus=`, `RestartUSec=1s`, `StartLimitIntervalUSec=0`; everything is as it was");
}

#[test]
fn a_step_that_comes_after_it_was_put_back_is_undone() {
    let machine = Machine::debian(false);
    let late = |step: &plan::Step| {
        if step.name == "drop-in-dir" {
            sshd_fix::revert(&machine, &|_| ()).unwrap();
            machine.edit(sshd_fix::paths::DROP_IN, |_| "ListenAddress 100.64.0.1\n".into());
        }
    };
    assert!(put_back(&machine, &late).starts_with("put-back: "));
}

proptest! {
    #[test]
    fn a_change_leaves_nothing_to_change(
        by_socket: bool,
        enabled: bool,
        masked: bool,
        users in "[a-z]{1,8}",
        former in proptest::option::of("((# [a-z]{0,9}|ListenAddress 100[.]64[.]0[.]1|AddressFamily inet|)\n){0,3}"),
    ) {
        let machine = Machine::debian(by_socket).with("/etc/ssh/sshd_config.d/10-users.conf", &format!("AllowUsers {users}\n"));
        let machine = former.iter().fold(machine, |machine, text| machine.with(sshd_fix::paths::DROP_IN, text));
        let machine = if by_socket { machine } else { machine.restarted() };
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
