//! What is refused, and that nothing was changed by then.

use insta::assert_snapshot;

use crate::scene::Scene;

/// Why it is refused, after it was seen that nothing was changed.
fn refused(scene: &Scene) -> String {
    let before = scene.state();
    let why = scene.run(&["apply"]).failed(1);
    assert_eq!(scene.state(), before);
    assert!(!scene.machine.exists("/var/lib/sshd-fix/pending"));
    assert!(scene.wan_gets_in());
    why
}

fn with(path: &str, text: &str) -> String {
    refused(&Scene::built(|builder| builder.file(path, text).unwrap()))
}

#[test]
fn what_else_binds_sshd_is_named() {
    assert_snapshot!(with("/etc/ssh/sshd_config.d/50-cloud.conf", "# by the cloud\nListenAddress 0.0.0.0\n"), @"
    listen-elsewhere: /etc/ssh/sshd_config.d/50-cloud.conf:2 says `listenaddress 0.0.0.0`
    next: take line 2 out of /etc/ssh/sshd_config.d/50-cloud.conf, then plan again
    ");
    assert_snapshot!(with("/etc/default/ssh", "SSHD_OPTS=\"-o ListenAddress=0.0.0.0\"\n"), @"
    sshd-opts: ssh.service starts sshd with `ListenAddress=0.0.0.0`, which no file can change
    next: take it out of /etc/default/ssh (or /etc/sysconfig/sshd), then plan again
    ");
    assert_snapshot!(with("/etc/ssh/sshd_config.d/50-ports.conf", "Port 22\nPort 2222\n"), @"
    sshd-not-changed: 3 reasons
    several-ports: sshd would listen at several ports: listenaddress 0.0.0.0:22, listenaddress 0.0.0.0:2222, listenaddress [::]:22, listenaddress [::]:2222
      next: leave one `Port`, then plan again
    several-ports: /etc/ssh/sshd_config.d/50-ports.conf:1 says `port 22`
      next: take line 1 out of /etc/ssh/sshd_config.d/50-ports.conf, then plan again
    several-ports: /etc/ssh/sshd_config.d/50-ports.conf:2 says `port 2222`
      next: take line 2 out of /etc/ssh/sshd_config.d/50-ports.conf, then plan again
    next: mend each of them, then plan again
    ");
    assert_snapshot!(with("/etc/ssh/sshd_config", "PermitRootLogin yes\nUsePAM yes\n"), @"
    include-missing: /etc/ssh/sshd_config does not include /etc/ssh/sshd_config.d/*.conf, so that a drop-in has no effect
    next: put `Include /etc/ssh/sshd_config.d/*.conf` first in /etc/ssh/sshd_config, then plan again
    ");
}

#[test]
fn what_the_units_would_do_otherwise_is_named() {
    let unit = "/etc/systemd/system/ssh.service.d/override.conf";
    assert_snapshot!(with(unit, "[Service]\nEnvironment=\"SSHD_OPTS=-o ListenAddress=0.0.0.0\"\n"), @r#"
    sshd-unit: ssh.service: its environment `"SSHD_OPTS=-o ListenAddress=0.0.0.0"` is not understood
    next: start sshd by the unit of its package, then plan again
    "#);
    assert_snapshot!(with("/etc/systemd/system/ssh.service.d/zzz.conf", "[Service]\nRestart=no\n").lines().last().unwrap(), @"next: mend it, then plan again");
    let socket = "[Unit]\nRequires=ssh.socket\nAfter=ssh.socket\n";
    assert_snapshot!(with("/etc/systemd/system/ssh.service.d/00-socket.conf", socket), @"
    sshd-unit: ssh.service requires ssh.socket by a line of its own: it would not start without it
    next: take the line out of its drop-ins (systemctl cat), then plan again
    ");
    let scene = Scene::new();
    scene.machine.write("/etc/ssh/sshd_not_to_be_run", "").unwrap();
    assert_snapshot!(refused(&scene), @"
    sshd-not-to-be-run: /etc/ssh/sshd_not_to_be_run is there: sshd would not be started again
    next: remove it, then plan again
    ");
}

#[test]
fn an_override_of_the_unit_does_not_win() {
    let unit = "/etc/systemd/system/ssh.service.d/override.conf";
    let scene = Scene::built(|builder| builder.file(unit, "[Service]\nRestart=on-failure\nRestartSec=5s\n").unwrap());
    scene.lock_down();
}

#[test]
fn v01_a_way_back_that_could_not_run_is_none() {
    let scene = Scene::new();
    scene.machine.sh("mkdir -p /var/lib/sshd-fix; mount -t tmpfs -o noexec none /var/lib/sshd-fix").unwrap();
    let why = refused(&scene);
    assert!(why.contains("put-back: step `program-runs`: "), "{why}");
}

#[test]
fn a_tailnet_that_will_not_be_there_is_named() {
    let state = "/var/lib/tailscale-stub/status.json";
    assert_snapshot!(with(state, r#"{"BackendState":"NeedsLogin","TailscaleIPs":null,"Self":{}}"#), @"
    sshd-not-changed: 2 reasons
    tailscale-down: Tailscale is NeedsLogin and not Running
      next: run: tailscale up, see that it says Running, then plan again
    no-address: the machine has no IPv4 address in the tailnet
      next: run: tailscale up, see that it says Running, then plan again
    next: mend each of them, then plan again
    ");
    assert_snapshot!(with(state, "Logged out."), @"
    tailscale: tailscale does not tell its state: exit 0: expected value at line 1 column 1
    next: run: tailscale status --json, and mend what it says
    ");
    let expired =
        r#"{"BackendState":"Running","TailscaleIPs":["100.64.0.1"],"Self":{"KeyExpiry":"2026-01-01T00:00:00Z"}}"#;
    assert_snapshot!(with(state, expired), @"
    key-expires: the machine's key in the tailnet ends at 2026-01-01T00:00:00Z: nobody would get in after that
    next: at the console renew it by: tailscale up --force-reauth, or have it never expire, then plan again
    ");
    let other = r#"{"BackendState":"Running","TailscaleIPs":["100.64.0.9"],"Self":{}}"#;
    assert_snapshot!(with(state, other), @"
    address-missing: no interface has 100.64.0.9, the address of the tailnet
    next: have Tailscale run with its interface (not in userspace mode), then plan again
    ");
}

#[test]
fn v01_a_configuration_that_sshd_rejects_stops_nothing() {
    let scene = Scene::new();
    scene.machine.write("/etc/ssh/sshd_config.d/60-wrong.conf", "NoSuchKeyword yes\n").unwrap();
    assert_snapshot!(refused(&scene), @r"
    sshd-config-invalid: sshd would not start as it is: /etc/ssh/sshd_config.d/60-wrong.conf: line 1: Bad configuration option: NoSuchKeyword\u{d}
    /etc/ssh/sshd_config.d/60-wrong.conf: terminating, 1 bad configuration options
    next: mend what it says, then plan again
    ");
}

/// An sshd whose last check of what is in use fails: as when a file changed since.
#[test]
fn v01_a_check_that_fails_after_the_files_are_in_place_leaves_the_listener() {
    let scene = Scene::built(|builder| {
        builder
            .prepared(
                r#"mv /usr/sbin/sshd /usr/sbin/sshd.real
                   printf '#!/bin/sh\n[ -e /run/broken ] && [ "$1" = -t ] && [ "$2" != -f ] && exit 255\nexec /usr/sbin/sshd.real "$@"\n' >/usr/sbin/sshd
                   chmod 755 /usr/sbin/sshd"#,
            )
            .unwrap()
    });
    scene.machine.write("/run/broken", "").unwrap();
    assert_snapshot!(refused(&scene), @"
    runtime-dir: sshd checks nothing without it
    candidate-clear: of an earlier run
    candidate: to be judged before it is in use
    candidate: to be judged before it is in use
    candidate-valid: a configuration that does not hold would leave no listener
    candidate-listens: whatever else the files say must not bind sshd elsewhere
    state-dir: what puts back is kept here
    program: the one that runs may be gone by then
    program-runs: the file system may forbid it
    arm-boot: a reboot puts back
    arm-revert: and looks whether it is
    arm-timer: as does the time that passes
    arm-read: so that systemd knows them
    arm-enable: also after a reboot
    arm-sync: and after a power cut
    pending: what was there before; from here on it comes back
    arm-start: the time begins, also where one of before still counts
    armed: nothing is changed while nothing would put it back
    drop-in-dir: where it is read from
    drop-in: sshd listens on the tailnet alone
    unit-drop-in-dir: where it is read from
    unit-drop-in: at a boot the address comes up after sshd, which would give up for good
    read: so that systemd knows it
    retries: another drop-in of the unit may say otherwise, and win
    valid: the same again, of what is in use from here on
    strays: of a write that was cut off
    drop-in-back: it was not there
    unit-drop-in-back: it was not there
    unit-drop-in-back-dir: it was not there
    socket-unmask: it was not masked
    read-back: so that systemd knows it
    disarm: from here on nothing comes back
    disarm-stop: it is not needed any more
    strays: of a write that was cut off
    disarm-unit: it is not needed any more
    disarm-unit: it is not needed any more
    disarm-unit: it is not needed any more
    disarm-unit: it is not needed any more
    disarm-unit: it is not needed any more
    disarm-program: it is not needed any more
    disarm-read: so that systemd forgets them
    put-back: step `valid`: `/usr/sbin/sshd -t -D`: exit 255: it said nothing; everything is as it was
    next: mend it, then plan again
    ");
}
