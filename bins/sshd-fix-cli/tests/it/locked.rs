//! What a change does, and what it leaves alone.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use insta::assert_snapshot;

use crate::scene::{PROGRAM, Scene, TAILNET};

#[test]
fn help() {
    let help = |words: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_sshd-fix")).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_snapshot!(help(&["--help"]));
    assert_snapshot!(help(&["apply", "--help"]));
}

#[test]
fn sshd_is_locked_down_and_confirmed_over_the_tailnet() {
    let scene = Scene::new();
    assert!(scene.wan_gets_in() && scene.tailnet_gets_in());
    assert_snapshot!(scene.run(&["status"]).done(), @"
    open: the ports of sshd are listened at: 0.0.0.0:22, [::]:22
    next: sudo sshd-fix plan
    ");
    let pending = scene.run(&["apply", "--no-wait"]).done();
    let (before, left, after) = words(&pending);
    assert!((590..=600).contains(&left), "{pending}");
    assert_snapshot!(format!("{before} in … s {after}"), @"
    pending: sshd listens at 100.64.0.1:22; in … s it listens again at 0.0.0.0:22, [::]:22
    next: log in anew over the tailnet and run: sudo sshd-fix confirm
    ");
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
    let confirmed = scene.ssh(scene.machine.tailnet(), TAILNET, "sshd-fix confirm");
    assert_snapshot!(confirmed.done(), @"confirmed: sshd listens at 100.64.0.1:22 and nowhere else");
    assert_snapshot!(scene.run(&["status"]).done(), @"locked-down: sshd listens at 100.64.0.1:22 and nowhere else");
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
    assert_snapshot!(scene.run(&["rollback"]).done(), @"put back: sshd listens again at 0.0.0.0:22, [::]:22");
    assert!(scene.wan_gets_in() && scene.tailnet_gets_in());
    assert_snapshot!(scene.run(&["rollback"]).failed(1), @"
    nothing-to-put-back: sshd-fix has changed nothing here
    next: see: sshd-fix status
    ");
}

/// What is said before and after the seconds that are left.
fn words(pending: &str) -> (&str, u32, &str) {
    let (before, rest) = pending.split_once(" in ").unwrap();
    let (left, after) = rest.split_once(" s ").unwrap();
    (before, left.parse().unwrap(), after)
}

/// As when the connection breaks off that it was begun over, and somebody presses Ctrl-C more than once.
#[test]
fn no_signal_stops_it_in_the_middle() {
    let scene = Scene::new();
    let mut apply = scene.machine.command(PROGRAM);
    let mut apply = apply.args(["apply", "--no-wait"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut announced = BufReader::new(apply.stderr.take().unwrap()).lines().map(Result::unwrap);
    announced.find(|line| line.starts_with("arm-boot: ")).unwrap();
    scene.machine.sh("for signal in INT HUP INT TERM; do pkill -$signal -x sshd-fix; sleep 0.02; done").unwrap();
    assert!(announced.any(|line| line.starts_with("restart: ")));
    apply.wait().unwrap();
    assert!(!scene.wan_gets_in() && scene.tailnet_gets_in());
    assert!(scene.run(&["status"]).done().starts_with("pending: "));
}

#[test]
fn one_run_at_a_time() {
    let scene = Scene::new();
    scene.machine.sh("mkdir -m 700 /var/lib/sshd-fix").unwrap();
    let mut holder = scene.machine.command("flock");
    let mut held = holder.args(["/var/lib/sshd-fix/lock", "sleep", "60"]).spawn().unwrap();
    scene.machine.sh("until pgrep -x sleep; do sleep 0.05; done").unwrap();
    for words in [&["apply"][..], &["confirm"], &["rollback"]] {
        assert!(scene.run(words).failed(5).starts_with("sshd-fix-locked: "));
    }
    scene.run(&["status"]).done();
    held.kill().unwrap();
    held.wait().unwrap();
}

#[test]
fn v03_an_sshd_that_is_right_is_not_touched_again() {
    let scene = Scene::new();
    scene.lock_down();
    let process = || scene.machine.sh("systemctl show --property=MainPID,NRestarts ssh.service").unwrap();
    let (state, before) = (scene.state(), process());
    assert_snapshot!(scene.run(&["plan"]).done(), @"sshd listens at 100.64.0.1:22 and nowhere else: there is nothing to do");
    assert_snapshot!(scene.run(&["apply"]).done(), @"sshd listens at 100.64.0.1:22 and nowhere else: there is nothing to do");
    assert_eq!((scene.state(), process()), (state, before));
}

#[test]
fn only_the_plan_that_was_read_is_carried_out() {
    let scene = Scene::new();
    let planned: serde_json::Value = serde_json::from_str(&scene.run(&["plan", "--json"]).done()).unwrap();
    let read = planned["plan_sha256"].as_str().unwrap();
    let before = scene.state();
    scene.machine.write("/etc/ssh/sshd_config.d/10-more.conf", "MaxAuthTries 3\n").unwrap();
    assert!(scene.run(&["apply", "--plan-sha256", read]).failed(1).starts_with("another-plan: the plan is "));
    scene.machine.remove("/etc/ssh/sshd_config.d/10-more.conf").unwrap();
    assert_eq!(scene.state(), before);
    scene.run(&["apply", "--no-wait", "--plan-sha256", read]).done();
    assert!(!scene.wan_gets_in());
    assert_snapshot!(scene.run(&["apply"]).failed(1), @"
    pending: a change to 100.64.0.1:22 waits to be confirmed
    next: log in anew over the tailnet and run: sshd-fix confirm; or run: sshd-fix rollback
    ");
}

#[test]
fn programs_read_it_as_json() {
    let scene = Scene::new();
    assert_snapshot!(scene.run(&["status", "--json"]).done(), @r#"{"schema":1,"status":"done","state":"open","at":["0.0.0.0:22","[::]:22"],"reason":null}"#);
    let pending: serde_json::Value =
        serde_json::from_str(&scene.run(&["apply", "--no-wait", "--json"]).done()).unwrap();
    let of = |field: &str| pending[field].to_string();
    assert_snapshot!([of("schema"), of("status"), of("state"), of("at"), of("before")].join(" "), @r#"1 "done" "pending" "100.64.0.1:22" ["0.0.0.0:22","[::]:22"]"#);
    assert_snapshot!(scene.run(&["rollback", "--json"]).done(), @r#"{"schema":1,"status":"done","done":"put back","wanted":"100.64.0.1:22","before":["0.0.0.0:22","[::]:22"]}"#);
}

#[test]
fn everything_else_that_sshd_is_told_stays() {
    let scene = Scene::new();
    scene
        .machine
        .write("/etc/ssh/sshd_config.d/10-users.conf", "AllowUsers root\nPasswordAuthentication no\n")
        .unwrap();
    let others = || scene.machine.sh("sshd -T | grep -v ^listenaddress | grep -v ^addressfamily").unwrap();
    let before = others();
    scene.lock_down();
    assert_eq!(others(), before);
}
