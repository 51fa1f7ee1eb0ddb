//! The key in a real Secret Service: gnome-keyring on a bus of its own, with a home of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use host::{Cmd, Host as _, Local};
use insta::assert_snapshot;

use crate::key;

const PROGRAM: &str = env!("CARGO_BIN_EXE_openai-key");

/// Ends with an unlocked service that holds the first key, has a person who never answers when it asks for its
/// password, and can be told things. Below /etc, which is the test's own, stands another key.
const SERVICE: &str = r#"
    mount -t tmpfs -o mode=755 private /etc
    mkdir -m 755 /etc/ai-ops-runner /etc/ai-ops-runner/secrets
    install -m 600 file /etc/ai-ops-runner/secrets/openai_api_key
    printf password | gnome-keyring-daemon --foreground --unlock --components=secrets >log 2>&1 &
    service=$!
    mkfifo answer
    exec 3<>answer
    trap 'kill -KILL $service' EXIT
    tell() { dbus-send --session --print-reply --dest="$@"; }
    secrets() { tell org.freedesktop.secrets /org/freedesktop/secrets$1 org.freedesktop.Secret.$2 ${3-} >>log; }
    status() { $key status | grep -e ^keyring -e comes; }
    until tell org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q true
    do :; done
    $key set <first
"#;

/// What a script says, with `$key` as the program.
fn check(script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (name, content) in [("first", key()), ("second", key() + "2nd"), ("file", key() + "file")] {
        fs::write(path(name), content).unwrap();
    }
    fs::create_dir_all(path("run/dbus-1/services")).unwrap();
    fs::set_permissions(path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    let person = format!("/bin/sh -c 'read word <{}'", path("answer").display());
    let asked = format!("[D-BUS Service]\nName=org.gnome.keyring.SystemPrompter\nExec={person}\n");
    fs::write(path("run/dbus-1/services/org.gnome.keyring.SystemPrompter.service"), asked).unwrap();
    let session = Cmd::new("unshare")
        .args(["--map-root-user", "--mount", "dbus-run-session", "--", "sh", "-euc", &[SERVICE, script].concat()])
        .dir(dir.path())
        .env("HOME", dir.path())
        .env("XDG_RUNTIME_DIR", path("run"))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("key", PROGRAM)
        .timeout(Duration::from_mins(1));
    let output = Local::new().run(&session).expect("util-linux has `unshare`");
    let said = output.stderr_text();
    assert!(output.success(), "{said}\nif the keyring's programs are missing, run: cargo xtask setup");
    output.stdout_text().replace(&key(), "<key>")
}

#[test]
fn a_key_goes_into_the_secret_service_and_comes_back() {
    assert_snapshot!(check("$key exec -- printenv OPENAI_API_KEY; status"), @r"
    stored: keyring
    <key>
    keyring: sk-…wxyz (used)
    the key comes from: keyring
    ");
    assert_snapshot!(check("$key set <second; status"), @r"
    stored: keyring
    stored: keyring
    keyring: sk-…z2nd (used)
    the key comes from: keyring
    ");
    assert_snapshot!(check("secrets /collection/login/1 Item.Delete; status"), @r"
    stored: keyring
    keyring: has no entry
    the key comes from: /etc/ai-ops-runner/secrets/openai_api_key
    ");
}

#[test]
fn k06_a_locked_secret_service_is_given_up_for_the_file() {
    let lock = "secrets '' Service.Lock array:objpath:/org/freedesktop/secrets/collection/login";
    assert_snapshot!(check(&format!("{lock}; $key set <second 2>refused & status; wait $! || cat refused")), @r"
    stored: keyring
    keyring: the keyring did not answer within 5 seconds: it may be locked
    the key comes from: /etc/ai-ops-runner/secrets/openai_api_key
    key-not-stored: the key was not stored: the keyring did not answer within 5 seconds: it may be locked
    next: unlock the keyring and try again, or as root store it in /etc/ai-ops-runner/secrets/openai_api_key: sudo openai-key set
    ");
}

#[test]
fn k06_a_secret_service_that_hangs_is_given_up_for_the_file() {
    assert_snapshot!(check("kill -STOP $service; status"), @r"
    stored: keyring
    keyring: Platform failure: DBus error: Did not receive a reply. Possible causes include: the remote application did not send a reply, the message bus security policy blocked the reply, the reply timeout expired, or the network connection was broken.
    the key comes from: /etc/ai-ops-runner/secrets/openai_api_key
    ");
}
