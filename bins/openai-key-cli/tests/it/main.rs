//! The program as a person or a timer runs it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

#[cfg(target_os = "linux")]
mod keyring;
mod terminal;

use std::os::unix::net::UnixListener;
use std::time::Duration;

use host::{Cmd, Host, Local};
use insta::assert_snapshot;

/// Not a real key; put together here so that no scanner takes it for one.
fn key() -> String {
    ["sk-", "0123456789abcdefwxyz"].concat()
}

fn program(args: &[&str]) -> Cmd {
    Cmd::new(env!("CARGO_BIN_EXE_openai-key")).args(args).timeout(Duration::from_secs(60))
}

/// Exit status, stdout and stderr.
fn check(cmd: &Cmd) -> String {
    let output = Local::new().run(cmd).expect("the program starts");
    format!("{}\n{}\n{}", output.status, output.stdout_text(), output.stderr_text())
}

#[test]
fn help() {
    assert_snapshot!(check(&program(&["--help"])));
}

#[test]
fn k02_the_key_goes_to_a_pipe_as_a_line_for_eval() {
    assert_snapshot!(check(&program(&["--emit-env"]).env("OPENAI_API_KEY", key())).replace(&key(), "<key>"), @r"
    exit 0
    export OPENAI_API_KEY='<key>'
    ");
}

#[test]
fn k01_json_never_holds_the_key() {
    let output = check(&program(&["get", "--json"]).env("OPENAI_API_KEY", key()));
    assert!(!output.contains(&key()) && output.starts_with("exit 2"), "{output}");
}

#[test]
fn s02_exec_gives_the_key_to_the_child_in_one_variable() {
    let script = "echo ${OPENAI_API_KEY-none} $CODEX_API_KEY; ulimit -c";
    let exec = program(&["exec", "--as", "CODEX_API_KEY", "--", "sh", "-c", script]).env("OPENAI_API_KEY", key());
    assert_snapshot!(check(&exec).replace(&key(), "<key>"), @r"
    exit 0
    none <key>
    0
    ");
}

#[test]
fn exec_ends_as_its_command_does() {
    let exec = |args: &[&str]| check(&program(args).env("OPENAI_API_KEY", key())).lines().next().unwrap().to_owned();
    assert_snapshot!(exec(&["exec", "--", "sh", "-c", "exit 7"]), @"exit 7");
    assert_snapshot!(exec(&["exec", "--", "/nowhere/tool"]), @"exit 3");
}

#[test]
#[cfg(not(target_os = "macos"))]
fn k04_without_a_terminal_nobody_is_asked() {
    let output = check(&program(&["get"]));
    assert!(output.starts_with("exit 3") && output.contains("key-missing"), "{output}");
}

#[test]
#[cfg(not(target_os = "macos"))]
fn k06_a_session_bus_that_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    // Accepts and keeps the connections open without a word.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for connection in listener.incoming() {
            open.push(connection);
        }
    });
    let bus = format!("unix:path={}", socket.display());
    let output = check(&program(&["status"]).env("DBUS_SESSION_BUS_ADDRESS", bus));
    assert!(output.contains("keyring: the keyring did not answer within 5 seconds: it may be locked"), "{output}");
}
