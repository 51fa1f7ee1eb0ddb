//! The report at a terminal.

use std::fs;
use std::io::Read as _;

use insta::assert_snapshot;
use pty_process::Size;
use pty_process::blocking::{Command, open};
use tempfile::TempDir;

/// All that a terminal of this width shows.
fn shown(text: &str, width: u16) -> String {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("text");
    fs::write(&path, text).unwrap();
    let (mut terminal, device) = open().unwrap();
    terminal.resize(Size::new(24, width)).unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_port-audit")).arg("--stdin-ss").env_clear();
    let mut child = program.stdin(fs::File::open(path).unwrap()).spawn(device).unwrap();
    let mut shown = Vec::new();
    // Linux reports the end of a terminal as an error.
    let _ = terminal.read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8(shown).unwrap().replace('\r', "")
}

#[test]
fn findings_are_a_table_and_nothing_of_them_is_cut() {
    let text = "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=7,fd=3))\n\
        LISTEN 0 128 *:80 *:* users:((\"\u{1b}[2Jx\",pid=8,fd=3),(\"b\",pid=9,fd=3))\nLISTEN 0 1 127.0.0.1:1 *:*";
    assert_snapshot!(shown(text, 140), @r"
    VIOLATIONS: 2; 3 sockets: 1 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose

    FINDING          WHAT            BY                     WHY                                      NEXT
    public-listener  tcp [::]:80     \u{1b}[2Jx (8), b (9)  it is reached from anywhere              bind it to 127.0.0.1, or allow it in
                                                                                                     port_audit.toml
    sshd-public      tcp 0.0.0.0:22  sshd (7)               the SSH server is reached from anywhere  sshd-fix plan, then sshd-fix apply

    SSHD_PUBLIC
    +------------------------------------------------------------------+
    | The SSH server can be reached from the internet.                 |
    |   sshd-fix plan      shows what would be changed, and why        |
    |   sshd-fix apply     makes it listen on the tailnet alone        |
    +------------------------------------------------------------------+
    ");
    assert_snapshot!(shown(text, 60), @r"
    VIOLATIONS: 2; 3 sockets: 1 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose

    FINDING     WHAT        BY          WHY         NEXT
    public-lis  tcp         \u{1b}[2Jx  it is       bind it to
    tener       [::]:80     (8), b (9)  reached     127.0.0.1,
                                        from        or allow
                                        anywhere    it in port
                                                    _audit.tom
                                                    l
    sshd-publi  tcp         sshd (7)    the SSH     sshd-fix
    c           0.0.0.0:22              server is   plan, then
                                        reached     sshd-fix
                                        from        apply
                                        anywhere

    SSHD_PUBLIC
    +------------------------------------------------------------------+
    | The SSH server can be reached from the internet.                 |
    |   sshd-fix plan      shows what would be changed, and why        |
    |   sshd-fix apply     makes it listen on the tailnet alone        |
    +------------------------------------------------------------------+
    ");
    assert_snapshot!(shown("LISTEN 0 1 127.0.0.1:1 *:*", 80), @"
    OK: 1 socket: 1 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose
    ");
}
