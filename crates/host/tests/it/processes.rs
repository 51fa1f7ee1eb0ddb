//! Commands: environment, limits, and that nothing of them survives.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use host::{Cancel, Cmd, Host, HostError, Local, Status};
use insta::{assert_debug_snapshot, assert_snapshot};
use zeroize::Zeroizing;

/// A script of a test's own: what a hostile or careless child does is easiest said in shell.
fn sh(script: &str) -> Cmd {
    Cmd::new("/bin/sh").args(["-c", script])
}

/// Whether a process is alive: not gone and not a zombie.
fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// A killed process closes its pipes, by which its end is seen, a moment before it is gone.
fn assert_ends(pid: &str) {
    let start = Instant::now();
    while runs(pid) {
        assert!(start.elapsed() < Duration::from_secs(10), "{pid} lives");
        thread::yield_now();
    }
}

fn pid_in(dir: &Path) -> String {
    fs::read_to_string(dir.join("pid")).expect("the child wrote its id").trim().to_owned()
}

#[test]
fn a_command_sees_only_what_it_was_given() {
    let cmd = Cmd::new("/usr/bin/env").inherit(&["NOT_SET_ANYWHERE"]).env("A", "1").env("PATH", "/bin");
    let output = Local::new().run(&cmd).unwrap();
    assert_snapshot!(output.stdout_text(), @r"
    A=1
    PATH=/bin
    ");
}

#[test]
fn a_command_can_see_all_but_what_was_withheld() {
    let cmd = Cmd::new("/usr/bin/env").inherit_all_but(&["PATH"]);
    let output = Local::new().run(&cmd).unwrap().stdout_text();
    assert!(!output.lines().any(|l| l.starts_with("PATH=")), "{output}");
    assert!(output.contains("CARGO_MANIFEST_DIR="), "{output}");
}

#[test]
fn k01_a_secret_reaches_the_child_and_nothing_that_is_shown() {
    let cmd = sh("echo got $KEY").secret_env("KEY", Zeroizing::new("sk-hush".into()));
    assert_snapshot!(Local::new().run(&cmd).unwrap().stdout_text(), @"got sk-hush");
    assert!(!format!("{cmd} {cmd:?}").contains("hush"));
}

#[test]
fn a_missing_program_is_named() {
    let error = Local::new().run(&Cmd::new("no-such-program")).unwrap_err();
    assert!(matches!(error, HostError::NotFound { .. }));
    assert_snapshot!(outcome::Failure::from(error).text(), @r"
    tool-missing: no program `no-such-program` was found
    next: install `no-such-program` or put it on PATH, then try again
    ");
}

#[test]
fn a_missing_directory_is_not_a_missing_program() {
    let error = Local::new().run(&Cmd::new("true").dir("/nowhere")).unwrap_err();
    assert_snapshot!(error, @"/nowhere: No such file or directory (os error 2)");
}

#[test]
fn ends_are_told_apart() {
    let status = |script| Local::new().run(&sh(script)).unwrap().status;
    assert_debug_snapshot!([status("exit 3"), status("kill -9 $$")], @"
    [
        Exited(
            3,
        ),
        Signaled(
            9,
        ),
    ]
    ");
}

#[test]
fn more_input_than_a_pipe_holds_is_delivered_and_an_unread_one_is_no_error() {
    let bytes = vec![b'x'; 1 << 20];
    let count = Local::new().run(&Cmd::new("wc").arg("-c").stdin(bytes.clone())).unwrap();
    assert_snapshot!(count.stdout_text(), @"1048576");
    assert!(Local::new().run(&Cmd::new("true").stdin(bytes)).unwrap().success());
}

#[test]
fn the_end_of_long_output_is_kept_and_the_cut_is_said() {
    let output = Local::new().run(&sh("seq 1 200000").output_cap(14)).unwrap();
    assert_snapshot!(output.stdout_text(), @"199999
200000");
    assert!(output.cut);
}

#[test]
fn lines_arrive_as_they_are_written() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let cmd = sh("echo one; printf two").on_line(move |_, line| into.lock().unwrap().push(line.to_owned()));
    Local::new().run(&cmd).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["one", "two"]);
}

#[test]
fn a_timeout_kills_the_whole_group_even_if_it_ignores_term() {
    let dir = tempfile::tempdir().unwrap();
    let cmd = sh("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done' & wait")
        .dir(dir.path())
        .timeout(Duration::from_millis(300));
    let output = Local::new().run(&cmd).unwrap();
    assert_eq!(output.status, Status::TimedOut);
    assert_ends(&pid_in(dir.path()));
}

#[test]
fn what_a_command_left_running_dies_with_its_success() {
    let dir = tempfile::tempdir().unwrap();
    let cmd = sh("sleep 1000 & echo $! > pid").dir(dir.path());
    let output = Local::new().run(&cmd).unwrap();
    assert!(output.success());
    assert_ends(&pid_in(dir.path()));
}

#[test]
fn a_cancel_ends_the_running_command_and_every_later_one() {
    let cancel = Cancel::default();
    let (host, trigger) = (Local::cancelled_by(cancel.clone()), cancel);
    let cmd = sh("echo up; sleep 1000").on_line(move |_, _| trigger.cancel());
    assert_eq!(host.run(&cmd).unwrap().status, Status::Cancelled);
    assert_eq!(host.run(&Cmd::new("true")).unwrap().status, Status::Cancelled);
}
