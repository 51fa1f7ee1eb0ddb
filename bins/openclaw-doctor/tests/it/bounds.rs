//! How the program is called, and that it ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::scene::{PROGRAM, Scene};

#[test]
fn help() {
    let scene = Scene::new();
    assert_snapshot!(scene.run(&["--help"]).told());
    assert_snapshot!(scene.run(&["--only", "tailscal"]).told(), @"
    exit 2
    unknown-check: there is no check `tailscal`
    next: choose among tailscale, serve, sshd, port-audit, firewall, published-ports, compose, healthz, readyz, disk, inodes, failed-units, clock
    ");
    assert_snapshot!(scene.run(&["--timeout", "0"]).told(), @"
    exit 2
    error: invalid value '0' for '--timeout <SECONDS>': 0 is not in 1..=3600

    For more information, try '--help'.
    ");
}

#[test]
fn a_check_that_hangs_fails_alone_and_what_it_ran_is_killed() {
    let scene = Scene::new();
    // It ends for nobody's asking.
    scene.script("/usr/bin/tailscale", "trap '' TERM; sleep 1000 & while :; do wait; done");
    let begun = Instant::now();
    let ran = scene.run(&["--timeout", "2"]).told();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_snapshot!(ran, @"
    exit 1
    FAIL: tailscale: it took longer than 2 s
          next: see what hangs, or give it more time: --timeout SECONDS
    FAIL: serve: it took longer than 2 s
          next: see what hangs, or give it more time: --timeout SECONDS
    FAIL: sshd: it took longer than 2 s
          next: see what hangs, or give it more time: --timeout SECONDS
    FAIL: port-audit: tcp 0.0.0.0:22 by sshd (N) of ssh.service: the SSH server is reached from anywhere; tcp [::]:22 by sshd (N) of ssh.service: the SSH server is reached from anywhere
          next: sshd-fix plan, then sshd-fix apply; all of it: sudo port-audit
    PASS: firewall: UFW is active, also after a boot: deny (incoming)
    PASS: published-ports: there is no Docker on this host
    PASS: compose: no compose stack here: /opt/ai-ops-runner has no compose file
    PASS: healthz: http://127.0.0.1:8000
    PASS: readyz: worker: 1 worker takes jobs
    PASS: disk: /
    PASS: inodes: /
    PASS: failed-units: no unit has failed
    PASS: clock: synchronized
    === Doctor Summary: 9/13 passed ===
    ");
    assert_snapshot!(scene.sh("pgrep -f '[b]in/tailscale |[s]leep 1000' || echo none"), @"none");
}

#[test]
fn a_second_run_is_told_that_the_first_goes_on() {
    let scene = Scene::new();
    scene.script("/usr/bin/tailscale", "touch /run/asked; sleep 1000");
    let mut first = scene.machine.command(PROGRAM);
    let first = first.args(["--timeout", "60", "--only", "tailscale"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let first = first.spawn().unwrap();
    scene.sh("until [ -e /run/asked ]; do sleep 0.1; done");
    assert_snapshot!(scene.only(&["disk"]), @"
    exit 5
    doctor-running: another run of openclaw-doctor looks at this host
    next: wait until it ends, then try again
    ");
    // Whoever stops the first one is told so, and the next can look.
    scene.sh("pkill -TERM openclaw-doctor");
    let first = first.wait_with_output().unwrap();
    assert_snapshot!(format!("exit {:?}\n{}", first.status.code(), String::from_utf8_lossy(&first.stderr)), @"
    exit Some(4)
    interrupted: the checks were not waited for
    next: run it again
    ");
    assert!(scene.only(&["disk"]).starts_with("exit 0"));
    assert_snapshot!(scene.sh("pgrep -f '[b]in/tailscale |[s]leep 1000' || echo none"), @"none");
}
