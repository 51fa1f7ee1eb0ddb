//! The program at a real terminal, which shows whatever is written to it or echoed by it.

use std::io::{Read as _, Write as _};

use insta::assert_snapshot;
use pty_process::blocking::{Command, open};

use crate::key;

const PROGRAM: &str = env!("CARGO_BIN_EXE_openai-key");

/// Exit status and all that the terminal showed; the key is typed as soon as somebody asks for it.
fn at_a_terminal(command: Command) -> String {
    let (mut terminal, device) = open().unwrap();
    let mut child = command.spawn(device).unwrap();
    let (mut shown, mut buffer) = (Vec::new(), [0; 256]);
    // Linux reports the end of a terminal as an error.
    while let Ok(len @ 1..) = terminal.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..len]);
        if shown.ends_with(b"(not shown): ") {
            terminal.write_all(format!("{}\r", key()).as_bytes()).unwrap();
        }
    }
    format!("{}\n{}", child.wait().unwrap(), String::from_utf8(shown).unwrap().replace('\r', ""))
}

#[test]
fn k02_the_key_is_never_printed_to_a_terminal() {
    let check = |arg| at_a_terminal(Command::new(PROGRAM).arg(arg).env_clear().env("OPENAI_API_KEY", key()));
    assert_snapshot!(check("get"), @r#"
    exit status: 1
    terminal: the key is never printed to a terminal
    next: openai-key exec -- CMD, or eval "$(openai-key --emit-env)"
    "#);
    assert_eq!(check("--emit-env"), check("get"));
}

/// Root's keys are stored below /etc, which here is one of the test's own.
#[test]
#[cfg(target_os = "linux")]
fn k02_a_typed_key_is_not_shown_and_reaches_its_file_and_one_child() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
        mount -t tmpfs -o mode=755 private /etc
        umask 0
        "$0" exec -- sh -c 'printf %s "$OPENAI_API_KEY" >child'
        printf %s "${OPENAI_API_KEY-none}" >beside
        cat /etc/ai-ops-runner/secrets/openai_api_key >file
        stat -c '%a %u' /etc/ai-ops-runner/secrets /etc/ai-ops-runner/secrets/openai_api_key
        "$0" status"#;
    let own_mounts = Command::new("unshare").args(["--map-root-user", "--mount", "sh", "-euc", script, PROGRAM]);
    let shown = at_a_terminal(own_mounts.current_dir(&dir).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
    assert_snapshot!(shown, @r"
    exit status: 0
    OpenAI API key, to be stored in: /etc/ai-ops-runner/secrets/openai_api_key (not shown): 
    stored: /etc/ai-ops-runner/secrets/openai_api_key
    700 0
    600 0
    OPENAI_API_KEY: not set
    systemd credential: not given
    keyring: there is no keyring in this session
    /etc/ai-ops-runner/secrets/openai_api_key: sk-…wxyz (used)
    the key comes from: /etc/ai-ops-runner/secrets/openai_api_key
    ");
    let left = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!([left("child"), left("beside"), left("file")], [key(), "none".into(), key() + "\n"]);
}

#[test]
#[cfg(target_os = "linux")]
fn where_a_key_will_be_stored_is_said_before_it_is_asked_for() {
    let script = r#"mount -t tmpfs -o mode=755 private /etc; "$0" set"#;
    let mut own_mounts = Command::new("unshare").args(["--map-root-user", "--mount", "sh", "-euc", script, PROGRAM]);
    own_mounts = own_mounts.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    assert_snapshot!(at_a_terminal(own_mounts), @r"
    exit status: 0
    OpenAI API key, to be stored in: /etc/ai-ops-runner/secrets/openai_api_key (not shown): 
    stored: /etc/ai-ops-runner/secrets/openai_api_key
    ");
}
