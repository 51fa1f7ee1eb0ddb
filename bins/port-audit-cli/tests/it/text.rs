//! Texts of `ss` and `netstat`, and what is refused.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

const PORT_AUDIT: &str = env!("CARGO_BIN_EXE_port-audit");
const SSHD: &str = "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=7,fd=3))\n";

/// What the program says of a text, with its exit code.
fn told(args: &[&str], text: &str) -> String {
    let home = TempDir::new().unwrap();
    let mut command = Command::new(PORT_AUDIT);
    // A PATH without `tailscale`.
    command.args(args).env_clear().env("HOME", home.path()).env("PATH", home.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that does not read it is no failure here.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let told = format!("exit {}\n{}\n{}", output.status.code().unwrap(), said(&output.stdout), said(&output.stderr));
    told.trim_end().to_owned()
}

#[test]
fn help() {
    assert_snapshot!(told(&["--help"], ""));
}

#[test]
fn a_text_of_ss_is_judged_by_the_policy_and_by_names() {
    let clean = "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\nLISTEN 0 1 127.0.0.1:1 0.0.0.0:*\n";
    assert_snapshot!(told(&["--stdin-ss"], clean), @"
    exit 0
    OK: 1 socket: 1 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose
    ");
    assert_snapshot!(told(&["--stdin-ss"], SSHD), @"
    exit 1
    VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose
    sshd-public: tcp 0.0.0.0:22 by sshd (7): the SSH server is reached from anywhere; next: sshd-fix plan, then sshd-fix apply

    SSHD_PUBLIC
    +------------------------------------------------------------------+
    | The SSH server can be reached from the internet.                 |
    |   sshd-fix plan      shows what would be changed, and why        |
    |   sshd-fix apply     makes it listen on the tailnet alone        |
    +------------------------------------------------------------------+
    ");
    assert_snapshot!(told(&["--stdin-ss", "--json"], SSHD), @r#"
    exit 1
    {"schema":1,"status":"refused","sight":"names","strict":false,"sockets":{"all":1,"loopback":0,"inside":0,"tailnet":0,"allowed":0},"findings":[{"class":"sshd-public","subject":"tcp 0.0.0.0:22","owners":["sshd (7)"],"reason":"the SSH server is reached from anywhere","next":"sshd-fix plan, then sshd-fix apply"}],"gaps":[]}
    "#);
    assert_snapshot!(told(&["--stdin-ss"], "nonsense\u{1b}[2J"), @r"
    exit 1
    VIOLATIONS: 1; 0 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose
    row-unread: line 1: nonsense\u{1b}[2J: the row was not understood; next: look at it by hand, or run port-audit on that machine
    ");
}

#[test]
fn a_text_of_netstat_is_judged_coarsely_and_says_so() {
    let text = "Active Internet connections (including servers)\nProto Recv-Q Send-Q  Local Address\n\
        tcp4 0 0 *.22 *.* LISTEN 131072 131072 1 0 00180\nudp4 0 0 127.0.0.1.53 *.* 786896 9216 250 0 00100\n";
    assert_snapshot!(told(&["--stdin-netstat"], text), @"
    exit 1
    VIOLATIONS: 1; 2 sockets: 1 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    the text says neither which process has a socket, nor its interface, nor whether IPv4 comes in at ::, so entries of the policy count by protocol, address and port
    public-listener: tcp 0.0.0.0:22: it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
    ");
}

#[test]
fn v04_an_empty_text_is_no_clean_machine() {
    assert_snapshot!(told(&["--stdin-ss"], "\n"), @"
    exit 4

    sockets-unseen: the text on standard input is empty
    next: see why it is: even where nothing listens there is a heading
    ");
    assert_snapshot!(told(&["--stdin-netstat", "--json"], ""), @r#"
    exit 4
    {"schema":1,"status":"infrastructure","class":"sockets-unseen","reason":"the text on standard input is empty","next":"see why it is: even where nothing listens there is a heading"}
    sockets-unseen: the text on standard input is empty
    next: see why it is: even where nothing listens there is a heading
    "#);
}

#[test]
fn v05_every_form_of_a_wildcard_is_found() {
    for place in ["0.0.0.0:22", "*:22", "[::]:22", "[::ffff:0.0.0.0]:22", "*%eth0:22"] {
        let said = told(&["--stdin-ss"], &format!("LISTEN 0 128 {place} *:* users:((\"sshd\",pid=7,fd=3))"));
        assert!(said.starts_with("exit 1\nVIOLATIONS: 1") && said.contains("\nSSHD_PUBLIC\n"), "{said}");
    }
}

#[test]
fn v04_an_address_of_a_tailnet_counts_where_somebody_says_whose_it_is() {
    let text = SSHD.replace("0.0.0.0:22", "100.64.0.1:22");
    assert!(told(&["--stdin-ss"], &text).starts_with("exit 1\n"));
    assert!(told(&["--stdin-ss", "--tailnet", "100.64.0.2"], &text).starts_with("exit 1\n"));
    assert!(
        told(&["--stdin-ss", "--tailnet", "fd7a:115c:a1e0::1", "--tailnet", "100.64.0.1"], &text)
            .starts_with("exit 0\n")
    );
    assert!(told(&["--tailnet", "100.64.0.1"], "").starts_with("exit 2\n"), "of this machine it is asked");
}

#[test]
fn what_the_policy_allows_is_fine() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("policy.toml");
    let entry =
        "schema = 1\n[[allow]]\nprotocol = \"tcp\"\nport = 80\nprogram = \"/usr/sbin/nginx\"\nreason = \"the web\"\n";
    let text = "LISTEN 0 128 *:80 *:* users:((\"nginx\",pid=7,fd=3))";
    let with = |entry: &str| {
        fs::write(&path, entry).unwrap();
        told(&["--stdin-ss", "--policy", path.to_str().unwrap()], text)
    };
    assert_snapshot!(with(entry), @"
    exit 0
    OK: 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 1 allowed
    processes are known by their names alone, which anybody may choose
    WARN: who nginx is: a text has but names
    ");
    assert_snapshot!(with(&format!("{entry}expires = \"2020-01-31\"")), @"
    exit 1
    VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose
    allowance-expired: tcp [::]:80 by nginx (7): it was allowed: the web (until 2020-01-31); next: stop it, or renew the entry
    ");
}

#[test]
fn what_was_accepted_once_is_compared() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("baseline.json");
    let baseline = path.to_str().unwrap();
    let row = |place: &str| format!("LISTEN 0 1 {place} *:* users:((\"a\",pid=1,fd=3))\n");
    let (one, two) = (row("100.64.0.1:1"), row("100.64.0.1:2"));
    let tailnet = ["--stdin-ss", "--tailnet", "100.64.0.1"];
    assert!(told(&[&tailnet[..], &["--write-baseline", baseline]].concat(), &one).starts_with("exit 0\nOK"));
    let compared = |text: &str| told(&[&tailnet[..], &["--baseline", baseline]].concat(), text);
    assert!(compared(&one).starts_with("exit 0\nOK"));
    assert_snapshot!(compared(&two), @"
    exit 1
    VIOLATIONS: 2; 1 socket: 0 on loopback, 0 inside, 1 of the tailnet, 0 allowed
    processes are known by their names alone, which anybody may choose
    drift-gone: tcp 100.64.0.1:1: it is not there any more; in the baseline it is of a; next: find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE
    drift-new: tcp 100.64.0.1:2 by a: it is not in the baseline; next: find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE
    ");
    fs::write(&path, "{}").unwrap();
    assert!(compared(&one).contains("bad-audit-baseline: "));
    fs::remove_file(&path).unwrap();
    assert!(compared(&one).starts_with("exit 2\n\nno-audit-baseline: there is no "));
}

#[test]
fn no_baseline_is_written_of_what_was_not_all_seen() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("baseline.json");
    let args = ["--stdin-ss", "--tailnet", "100.64.0.1", "--write-baseline", path.to_str().unwrap()];
    assert_snapshot!(told(&args, "LISTEN 0 1 127.0.0.1:1 *:*\nLISTEN x\u{1b}"), @r"
    exit 4

    baseline-incomplete: not all was seen, and no baseline is written: line 2 was not understood: LISTEN x\u{1b}
    next: run it as root, and mend what is named
    ");
    assert!(!path.exists());
}

#[test]
fn a_policy_that_cannot_be_trusted_or_read_is_none() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("policy.toml");
    let policy = path.to_str().unwrap();
    fs::write(&path, "schema = 7").unwrap();
    let refused = || told(&["--stdin-ss", "--policy", policy], SSHD).replace(policy, "FILE");
    assert_snapshot!(refused(), @"
    exit 3

    bad-audit-policy: FILE: port_audit.toml: schema 7 is not 1
    next: mend what is named
    ");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_snapshot!(refused(), @"
    exit 3

    config-unsafe: FILE can be written by others
    next: read it, then keep them out: chmod go-w FILE
    ");
    fs::remove_file(&path).unwrap();
    assert_snapshot!(refused(), @"
    exit 2

    no-audit-policy: there is no FILE
    next: name another file
    ");
}

#[test]
fn sarif_is_for_those_who_collect_it() {
    let said = told(&["--stdin-ss", "--sarif"], SSHD);
    let sarif: Value = serde_json::from_str(said.strip_prefix("exit 1\n").unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "sshd-public");
    assert!(told(&["--stdin-ss", "--sarif", "--json"], SSHD).starts_with("exit 2\n"));
    assert!(told(&["--stdin-ss", "--stdin-netstat"], SSHD).starts_with("exit 2\n"));
}
