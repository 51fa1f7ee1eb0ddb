//! Machines: that they are real ones, and what can be done to them.

use insta::assert_snapshot;
use real_parts::{Machine, Tree};

fn booted() -> Machine {
    Machine::boot(&Tree::debian().unwrap()).unwrap()
}

#[test]
fn systemd_is_the_first_process_and_every_unit_has_started() {
    let machine = booted();
    assert_snapshot!(machine.sh("cat /proc/1/comm; systemctl is-system-running").unwrap(), @"
    systemd
    running
    ");
}

#[test]
fn a_reboot_keeps_what_is_on_the_disk_and_loses_what_is_not() {
    let mut machine = booted();
    machine.sh("echo kept >/etc/kept; echo lost >/run/lost").unwrap();
    machine.reboot().unwrap();
    assert_eq!(machine.read("/etc/kept").unwrap(), "kept\n");
    assert!(!machine.exists("/run/lost"));
}
