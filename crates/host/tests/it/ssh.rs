//! Another machine over a real SSH server on loopback.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use host::{Cancel, Cmd, Host, HostError, Local, Login, Ssh, Status};
use insta::assert_snapshot;
use outcome::Failure;
use real_parts::Sshd;
use zeroize::Zeroizing;

use crate::conformance::{conformance, forbidden_is_not_absent, runs};

/// As the user of the tests, who knows the server's key.
fn login(sshd: &Sshd) -> Login {
    let user = Local::new().run(&Cmd::new("id").arg("-un")).unwrap().stdout_text();
    let target = format!("{user}@127.0.0.1").parse().unwrap();
    Login::to(target).port(sshd.port()).identity(sshd.key()).known_hosts(sshd.known_hosts().unwrap())
}

fn connect(sshd: &Sshd) -> Ssh {
    Ssh::connect(login(sshd), Cancel::default()).unwrap()
}

fn sh(script: &str) -> Cmd {
    Cmd::new("/bin/sh").args(["-c", script])
}

/// Why a machine is not reached.
fn refused(login: Login, sshd: &Sshd) -> String {
    let error = Ssh::connect(login, Cancel::default()).err().unwrap();
    let failure = Failure::from(error);
    let text = format!("{} {}", failure.exit.code(), failure.text());
    let (user, _) = text.split_once('@').unwrap();
    let user = user.rsplit(' ').next().unwrap();
    text.replace(&format!("{user}@"), "ME@").replace(&sshd.port().to_string(), "PORT")
}

#[test]
fn j24_a_machine_over_ssh_conforms() {
    let sshd = Sshd::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    conformance(&connect(&sshd), dir.path());
}

#[test]
fn what_is_forbidden_there_is_not_absent() {
    let root = Local::new().uid() == 0;
    let become_nobody = "ForceCommand exec setpriv --reuid=65534 --clear-groups /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
    let sshd = Sshd::configured(if root { become_nobody } else { "" }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let closed = dir.path().join("closed");
    Local::new().write_atomic(&closed.join("file"), b"", 0o600).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o0)).unwrap();
    let ssh = connect(&sshd);
    assert_eq!(ssh.uid(), if root { 65534 } else { Local::new().uid() });
    forbidden_is_not_absent(&ssh, &closed);
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn j22_a_machine_whose_key_is_another_or_not_known_is_told_nothing() {
    let sshd = Sshd::start().unwrap();
    let (_, other) = sshd.stranger("other").unwrap();
    let changed = login(&sshd).known_hosts(format!("[127.0.0.1]:{} {other}\n", sshd.port()));
    assert_snapshot!(refused(login(&sshd).known_hosts(""), &sshd), @r"
    3 host-key: ME@127.0.0.1: its key is not known
    next: get its fingerprint by another way (at its console: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`) and compare it with that of `ssh-keyscan -p PORT 127.0.0.1 | ssh-keygen -lf -`; only if they are the same, put the scanned line into ~/.ssh/known_hosts, in the place of an old one
    ");
    assert_snapshot!(refused(changed.clone(), &sshd), @r"
    3 host-key: ME@127.0.0.1: it has another key than the known one
    next: get its fingerprint by another way (at its console: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`) and compare it with that of `ssh-keyscan -p PORT 127.0.0.1 | ssh-keygen -lf -`; only if they are the same, put the scanned line into ~/.ssh/known_hosts, in the place of an old one
    ");
    assert!(refused(changed, &sshd).starts_with("3 host-key"), "it was not learned");
    assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
}

#[test]
fn j24_who_is_not_let_in_and_who_is_not_there_is_unreachable() {
    let mut sshd = Sshd::start().unwrap();
    let (stranger, _) = sshd.stranger("stranger").unwrap();
    assert_snapshot!(refused(login(&sshd).identity(stranger), &sshd), @r"
    4 unreachable: ME@127.0.0.1: Permission denied (publickey).
    next: see that `ssh -o BatchMode=yes ME@127.0.0.1 true` ends well, then try again
    ");
    let ssh = connect(&sshd);
    sshd.kill();
    assert_snapshot!(refused(login(&sshd), &sshd), @r"
    4 unreachable: ME@127.0.0.1: ssh: connect to host 127.0.0.1 port PORT: Connection refused
    next: see that `ssh -o BatchMode=yes ME@127.0.0.1 true` ends well, then try again
    ");
    let error = ssh.run(&Cmd::new("true")).unwrap_err();
    assert!(matches!(error, HostError::Unreachable { .. }), "{error}");
    assert!(matches!(ssh.read("/absent".as_ref()).unwrap_err(), HostError::Unreachable { .. }));
    sshd.restart().unwrap();
    assert!(ssh.run(&Cmd::new("true")).unwrap().success());
}

#[test]
fn j24_a_login_that_runs_no_command_is_no_end_of_one() {
    for (forced, code) in [("echo This account is closed. >&2; exit 0", 0), ("exit 255", 255)] {
        let sshd = Sshd::configured(&format!("ForceCommand {forced}\n")).unwrap();
        let said = refused(login(&sshd), &sshd);
        let expected = if code == 0 { "This account is closed." } else { "ssh: exit 255" };
        assert!(said.starts_with(&format!("4 unreachable: ME@127.0.0.1: {expected}\n")), "{said}");
    }
}

#[test]
fn j24_a_lost_connection_is_no_exit_code_and_ends_what_ran() {
    let sshd = Sshd::start().unwrap();
    let ssh = connect(&sshd);
    let (say, said) = mpsc::channel();
    let cmd = sh("echo $$; sleep 1000; exit 0").on_line(move |_, line| say.send(line.to_owned()).unwrap());
    let pid = thread::scope(|scope| {
        let running = scope.spawn(|| ssh.run(&cmd));
        let pid = said.recv_timeout(Duration::from_secs(60)).unwrap();
        sshd.cut_off();
        let failure = Failure::from(running.join().unwrap().unwrap_err());
        assert_eq!((&*failure.class, failure.exit.code()), ("unreachable", 4));
        assert!(failure.reason.ends_with("the connection was lost while `/bin/sh` ran there"), "{}", failure.reason);
        pid
    });
    assert!(!runs(&ssh, &pid), "it is reached again, and nothing runs there");
}

#[test]
fn j13_a_cancel_ends_what_runs_there_before_it_is_told() {
    let sshd = Sshd::start().unwrap();
    let cancel = Cancel::default();
    let ssh = Ssh::connect(login(&sshd), cancel.clone()).unwrap();
    let cmd = sh("trap '' TERM; echo $$; while :; do sleep 1; done").on_line(move |_, _| cancel.cancel());
    let output = ssh.run(&cmd).unwrap();
    assert_eq!(output.status, Status::Cancelled);
    let other = connect(&sshd);
    let pid = output.stdout_text();
    assert!(!other.run(&Cmd::new("/bin/kill").args(["-s", "0", &pid])).unwrap().success());
    assert_eq!(ssh.run(&Cmd::new("true")).unwrap().status, Status::Cancelled);
    assert_eq!(ssh.read("/absent".as_ref()).unwrap(), None, "what was begun with files can be ended");
}

/// Every command line of this machine, which is the other one too.
fn command_lines() -> String {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let lines = processes.filter_map(|process| fs::read(process.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
}

#[test]
fn k01_a_secret_is_in_no_command_line_here_or_there() {
    let sshd = Sshd::start().unwrap();
    let (secret, over, looks) = ("sk-in-no-command-line", AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let lines = command_lines();
                assert!(!lines.contains(secret), "{lines}");
                looks.fetch_add(1, Ordering::SeqCst);
            }
        });
        let ssh = connect(&sshd);
        for _ in 0..5 {
            let cmd = sh("sleep 0.1; printf %s \"$KEY\"; cat").stdin(secret);
            let output = ssh.run(&cmd.secret_env("KEY", Zeroizing::new(secret.into()))).unwrap();
            assert_eq!(output.stdout_text(), secret.repeat(2));
        }
        over.store(true, Ordering::SeqCst);
        looking.join().unwrap();
    });
    assert!(looks.into_inner() > 5);
}

#[test]
fn what_a_login_prints_is_not_the_commands() {
    let noise = "ForceCommand echo welcome; echo welcome >&2; eval \"$SSH_ORIGINAL_COMMAND\"\n";
    let sshd = Sshd::configured(noise).unwrap();
    let ssh = connect(&sshd);
    let (say, said) = mpsc::channel();
    let cmd = sh("echo one; echo two >&2; exit 3").on_line(move |_, line| say.send(line.to_owned()).unwrap());
    let output = ssh.run(&cmd).unwrap();
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (Status::Exited(3), &b"one\n"[..], &b"two\n"[..]));
    drop(cmd);
    let mut said: Vec<_> = said.into_iter().collect();
    said.sort();
    assert_eq!(said, ["one", "two"]);
    let dir = tempfile::tempdir().unwrap();
    ssh.write_atomic(&dir.path().join("file"), b"own", 0o600).unwrap();
    assert_eq!(ssh.read(&dir.path().join("file")).unwrap().unwrap(), b"own");
}

#[test]
fn more_commands_at_once_than_a_connection_takes_all_run() {
    let sshd = Sshd::start().unwrap();
    let ssh = connect(&sshd);
    thread::scope(|scope| {
        for n in 0..12 {
            let ssh = &ssh;
            scope.spawn(move || {
                let output = ssh.run(&sh(&format!("sleep 1; echo {n}"))).unwrap();
                assert_eq!((output.status, output.stdout_text()), (Status::Exited(0), n.to_string()));
            });
        }
    });
}

#[test]
fn a_connection_that_is_dropped_leaves_nothing_behind() {
    let sshd = Sshd::start().unwrap();
    let ssh = connect(&sshd);
    let port = format!(":{} ", sshd.port());
    let is_ours = |dir: &PathBuf| fs::read_to_string(dir.join("known_hosts")).is_ok_and(|lines| lines.contains(&port));
    let dir = fs::read_dir("/tmp").unwrap().map(|entry| entry.unwrap().path()).find(is_ours).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let shared = dir.join("s").to_str().unwrap().to_owned();
    assert!(command_lines().contains(&shared), "{shared}");
    drop(ssh);
    assert!(!dir.exists());
    let start = Instant::now();
    while command_lines().contains(&shared) {
        assert!(start.elapsed() < Duration::from_secs(10), "{shared}");
    }
}

#[test]
fn a_key_file_that_ssh_would_expand_is_only_itself() {
    let sshd = Sshd::start().unwrap();
    let odd = sshd.key().with_file_name("50%h key");
    fs::rename(sshd.key(), &odd).unwrap();
    drop(Ssh::connect(login(&sshd).identity(&odd), Cancel::default()).unwrap());
    let quoted = Ssh::connect(login(&sshd).identity("/a\"b"), Cancel::default()).err().unwrap();
    assert_snapshot!(quoted, @r#"/a"b: ssh takes no such path in an option"#);
}
