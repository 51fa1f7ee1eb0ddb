//! Who may confirm: only somebody who came in by the new way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::scene::{Scene, TAILNET};

fn pending() -> Scene {
    let scene = Scene::new();
    scene.run(&["apply", "--no-wait"]).done();
    scene
}

fn still_pending(scene: &Scene) {
    assert!(scene.machine.exists("/var/lib/sshd-fix/pending"));
}

#[test]
fn nobody_confirms_at_the_console() {
    let scene = pending();
    assert_snapshot!(scene.run(&["confirm"]).failed(1), @"
    no-connection: this does not show that the new way in works: you are on this machine and came through no connection (tmux, screen, mosh and systemd-run hide it)
    next: from another machine of the tailnet log in anew by SSH, and run there: sudo sshd-fix confirm
    ");
    still_pending(&scene);
}

#[test]
fn nobody_confirms_over_a_connection_that_was_there_before() {
    let scene = Scene::new();
    let mut ssh = scene.client(scene.machine.tailnet(), TAILNET);
    let mut ssh = ssh
        .arg("cat >/dev/null; exec sshd-fix confirm 2>&1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    scene.machine.sh("until pgrep -x cat; do sleep 0.05; done").unwrap();
    scene.run(&["apply", "--no-wait"]).done();
    drop(ssh.stdin.take());
    let lines: Vec<String> = BufReader::new(ssh.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_snapshot!(lines.join("\n"), @"
    old-connection: this does not show that the new way in works: your connection is older than the change
    next: from another machine of the tailnet log in anew by SSH, and run there: sudo sshd-fix confirm
    ");
    assert_eq!(ssh.wait().unwrap().code(), Some(1));
    still_pending(&scene);
}

#[test]
fn nobody_confirms_from_the_machine_itself() {
    let scene = pending();
    scene.give_key();
    let mut inside = scene.machine.command("ssh");
    inside.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "LogLevel=ERROR",
        "-i",
        "/root/id",
        &format!("root@{TAILNET}"),
    ]);
    assert_snapshot!(said(inside.arg("sshd-fix confirm")), @"
    from-here: this does not show that the new way in works: you came in from this machine itself
    next: from another machine of the tailnet log in anew by SSH, and run there: sudo sshd-fix confirm
    ");
    still_pending(&scene);
}

/// A bind is no firewall: who is on the same network as the machine may send what is for the tailnet by the public way.
#[test]
fn nobody_confirms_from_the_public_network() {
    let scene = pending();
    let routed =
        scene.machine.wan().command("ip").args(["route", "add", "100.64.0.1/32", "via", "203.0.113.1"]).status();
    assert!(routed.unwrap().success());
    assert_snapshot!(scene.ssh(scene.machine.wan(), TAILNET, "sshd-fix confirm").failed(1), @"
    not-the-tailnet: this does not show that the new way in works: you came in from 203.0.113.2, which is reached by eth0 and not by tailscale0
    next: from another machine of the tailnet log in anew by SSH, and run there: sudo sshd-fix confirm
    ");
    still_pending(&scene);
}

#[test]
fn nobody_confirms_what_is_not_in_place() {
    let scene = pending();
    scene
        .machine
        .write(
            "/root/listener",
            "import socket, time\ns = socket.create_server(('203.0.113.1', 22))\ntime.sleep(600)\n",
        )
        .unwrap();
    let mut listener = scene.machine.command("python3").arg("/root/listener").spawn().unwrap();
    scene.machine.sh("until ss -Htln 'src 203.0.113.1:22' | grep -q .; do sleep 0.05; done").unwrap();
    assert_snapshot!(scene.ssh(scene.machine.tailnet(), TAILNET, "sshd-fix confirm").failed(1), @"
    not-in-place: sshd does not listen at 100.64.0.1:22 and nowhere else
    next: see: port-audit, or put it back by: sshd-fix rollback
    ");
    still_pending(&scene);
    listener.kill().unwrap();
    listener.wait().unwrap();
    scene.ssh(scene.machine.tailnet(), TAILNET, "sshd-fix confirm").done();
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let mut said = output.stdout;
    said.write_all(&output.stderr).unwrap();
    String::from_utf8(said).unwrap()
}
