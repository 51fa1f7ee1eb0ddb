//! What nobody confirmed comes back, and what was confirmed stays.

use std::thread;
use std::time::Duration;

use insta::assert_snapshot;

use crate::scene::Scene;

#[test]
fn what_nobody_confirms_is_put_back_and_was_seen_to_be() {
    let scene = Scene::new();
    let before = scene.state();
    let waiting = scene.machine.command(crate::scene::PROGRAM).args(["apply", "--within", "10s"]).output().unwrap();
    assert_eq!(waiting.status.code(), Some(1));
    scene.wait();
    assert_eq!(scene.state(), before);
    assert!(scene.wan_gets_in());
    assert_snapshot!(scene.run(&["confirm"]).failed(1), @"
    nothing-pending: no change waits to be confirmed
    next: see: sshd-fix status
    ");
    let ended = scene.machine.sh("journalctl --output=cat --unit=sshd-fix-revert.service | grep 'put back: '").unwrap();
    assert_snapshot!(ended, @"put back: sshd listens again at 0.0.0.0:22, [::]:22");
}

#[test]
fn v02_a_reboot_puts_back_what_is_pending() {
    let mut scene = Scene::new();
    let before = scene.state();
    for power_is_cut in [false, true] {
        scene.run(&["apply", "--no-wait"]).done();
        assert!(!scene.wan_gets_in());
        if power_is_cut {
            scene.machine.power_cut().unwrap();
        } else {
            scene.machine.reboot().unwrap();
        }
        scene.wait();
        assert_eq!(scene.state(), before);
        assert!(scene.wan_gets_in());
    }
}

#[test]
fn v02_what_is_pending_is_put_back_at_a_boot_without_the_tailnet() {
    let mut scene = Scene::new();
    scene.run(&["apply", "--no-wait"]).done();
    scene.machine.set_tailnet_at_boot(false);
    scene.machine.power_cut().unwrap();
    scene.wait();
    assert!(scene.wan_gets_in());
}

#[test]
fn v02_sshd_comes_up_after_the_tailnet_does() {
    let mut scene = Scene::new();
    scene.lock_down();
    scene.machine.set_tailnet_at_boot(false);
    scene.machine.reboot().unwrap();
    // More often than systemd tries before it gives up for good, without the drop-in of the unit.
    scene
        .machine
        .sh("timeout 60 sh -c 'until [ $(systemctl show --value --property=NRestarts ssh.service) -gt 6 ]; do sleep 0.2; done'")
        .unwrap();
    assert_snapshot!(scene.machine.sh("ss -Htln 'sport = :22'").unwrap(), @"");
    scene.machine.attach_tailnet().unwrap();
    let came = (0..40).any(|_| {
        thread::sleep(Duration::from_millis(250));
        scene.tailnet_gets_in()
    });
    assert!(came && !scene.wan_gets_in(), "{}", scene.machine.journal());
}
