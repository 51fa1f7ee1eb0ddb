//! The SSH server: who is let in, and that nothing of it is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use real_parts::Sshd;

use crate::left::{after_a_kill, below, left};

/// A login with a key, by which `command` is run.
fn ssh(sshd: &Sshd, key: &Path, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-p", &sshd.port().to_string(), "-i"]).arg(key);
    ssh.args(["127.0.0.1", command]).stdin(Stdio::null()).stderr(Stdio::null());
    ssh
}

fn is_sleep(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with("sleep"))
}

#[test]
fn one_key_is_let_in_and_no_other() {
    let sshd = Sshd::start().unwrap();
    let (stranger, _) = sshd.stranger("stranger").unwrap();
    assert_eq!(ssh(&sshd, &sshd.key(), "echo in; exit 3").output().unwrap().status.code(), Some(3));
    assert_eq!(ssh(&sshd, &stranger, "exit 3").status().unwrap().code(), Some(255));
}

#[test]
fn who_is_cut_off_is_gone_and_can_come_again_and_what_was_started_runs_on() {
    let mut sshd = Sshd::start().unwrap();
    let mut cut =
        ssh(&sshd, &sshd.key(), "echo in; exec sleep 1000 >/dev/null").stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(cut.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    sshd.cut_off();
    assert_eq!(cut.wait().unwrap().code(), Some(255));
    assert!(below(std::process::id()).into_iter().any(is_sleep));
    sshd.restart().unwrap();
    assert!(ssh(&sshd, &sshd.key(), "true").status().unwrap().success());
}

#[test]
fn nothing_of_a_server_is_left_when_it_was_killed_or_its_process_was() {
    let (started, running) =
        after_a_kill("sshd::nothing_of_a_server_is_left_when_it_was_killed_or_its_process_was", Sshd::start);
    assert!(started > 0 && running.is_empty(), "{running:?}");
    let sshd = Sshd::start().unwrap();
    let mut login = ssh(&sshd, &sshd.key(), "echo in; exec sleep 1000").stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(login.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    let processes = below(std::process::id());
    drop(sshd);
    login.wait().unwrap();
    assert!(left(processes).is_empty());
}
