//! A remote over SSH: a server of its own on loopback, keys of its own.

use std::path::Path;
use std::process::Command;

use real_parts::Sshd;
use worktree::{Mirrors, Patience, Pinned, Remote, WorktreeError};

use crate::lab::{Lab, class};

fn provide(lab: &Lab, server: &Sshd, keys: &[String], identity: &Path) -> Result<Pinned, WorktreeError> {
    provide_in(&lab.state(), lab, server, keys, identity)
}

fn provide_in(
    state: &Path,
    lab: &Lab,
    server: &Sshd,
    keys: &[String],
    identity: &Path,
) -> Result<Pinned, WorktreeError> {
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let url = format!("ssh://{}@127.0.0.1:{}{}", user.trim(), server.port(), lab.f.remote().display());
    let remote = Remote { url: &url, fetch: &url, ssh_host_keys: keys, ssh_identity: identity.to_str() };
    let mirrors = Mirrors::open(&lab.host, state, Patience::default())?;
    mirrors.provide(&remote, &lab.f.id("HEAD"), &["main".to_owned()])
}

#[test]
fn j22_a_server_with_a_pinned_key_is_fetched() {
    let (lab, server) = (Lab::new(), Sshd::start().unwrap());
    let keys = [server.host_key().unwrap()];
    assert_eq!(provide(&lab, &server, &keys, &server.key()).unwrap().branch(), "main");
}

#[test]
fn j22_a_path_that_ssh_would_expand_is_only_itself() {
    let (lab, server) = (Lab::new(), Sshd::start().unwrap());
    let key = server.key().with_file_name("it's 50%h");
    std::fs::rename(server.key(), &key).unwrap();
    let keys = [server.host_key().unwrap()];
    drop(provide_in(&lab.f.dir().join("100%z %h"), &lab, &server, &keys, &key).unwrap());
}

#[test]
fn j22_a_server_with_another_key_is_refused_and_sees_nothing() {
    let (lab, server) = (Lab::new(), Sshd::start().unwrap());
    let keys = [server.stranger("other").unwrap().1];
    for _ in 0..2 {
        assert_eq!(class(provide(&lab, &server, &keys, &server.key()).err().unwrap()), "host-key-mismatch 1");
    }
    assert!(!server.log().contains("Accepted"), "{}", server.log());
    assert_eq!(class(provide(&lab, &server, &[], &server.key()).err().unwrap()), "host-key-missing 3");
    let bad = ["@cert-authority * ssh-ed25519 AAAA".to_owned()];
    assert_eq!(class(provide(&lab, &server, &bad, &server.key()).err().unwrap()), "host-key-malformed 3");
}

#[test]
fn a_server_that_does_not_let_us_in_is_told_as_such() {
    let (lab, server) = (Lab::new(), Sshd::start().unwrap());
    let keys = [server.host_key().unwrap()];
    let (stranger, _) = server.stranger("stranger").unwrap();
    assert_eq!(class(provide(&lab, &server, &keys, &stranger).err().unwrap()), "remote-denied 3");
}
