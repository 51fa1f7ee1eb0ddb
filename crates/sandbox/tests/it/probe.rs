//! Levels, found out and refused.

use std::fs;
use std::process::Command;

use sandbox::{Level, Sandbox, SandboxError, Site};

use crate::fixture::{Fixture, init, is_root};

fn probe(fixture: &Fixture, at_most: Level) -> Result<Sandbox, SandboxError> {
    // At the lower levels the job's user must reach it where it is.
    let reachable = fixture.dir.path().join("init");
    fs::copy(init(), &reachable).unwrap();
    let scratch = fixture.dir.path();
    Sandbox::probe(reachable, Site { tree: fixture.tree(), scratch }, at_most)
}

#[test]
fn the_highest_level_that_holds_is_found() {
    let fixture = Fixture::new();
    let sandbox = probe(&fixture, Level::L3).unwrap();
    assert_eq!((sandbox.level(), sandbox.why_not().len()), (Level::L3, 0));
    assert_eq!(probe(&fixture, Level::L2).unwrap().level(), Level::L2);
}

#[test]
fn a_writable_mount_is_no_l1_and_says_why() {
    let fixture = Fixture::new();
    let sandbox = probe(&fixture, Level::L1).unwrap();
    assert_eq!(sandbox.level(), Level::L0);
    let why: Vec<_> = sandbox.why_not().iter().map(ToString::to_string).collect();
    assert_eq!(why, ["L1: evidence: the tree's mount is not read-only"]);
    assert_eq!(fs::read_dir(fixture.dir.path()).unwrap().count(), 2, "no scratch directory stays");
}

#[test]
fn a_read_only_mount_is_l1() {
    let fixture = Fixture::new();
    let program = fixture.dir.path().join("init");
    fs::copy(init(), &program).unwrap();
    // As an ordinary user this makes a root that knows no other user.
    let namespaces = if is_root() { "--mount" } else { "-Urm" };
    let script = r#"mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" && "$1" probe L1 "$2" "$3" && "$1" probe L3 "$2" "$3""#;
    let ran = Command::new("unshare")
        .args([namespaces, "sh", "-c", script, "sh"])
        .args([&program, fixture.tree(), fixture.dir.path()])
        .output()
        .expect("unshare: apt-get install util-linux");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(told, "L1 []\nL3 []\n", "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_policy_that_wants_more_refuses() {
    let sandbox = probe(&Fixture::new(), Level::L1).unwrap();
    let failure = outcome::Failure::from(sandbox.at_least(Level::L2).unwrap_err());
    assert_eq!((failure.class.as_ref(), failure.exit.code()), ("isolation-too-weak", 1));
    assert!(failure.reason.starts_with("the policy wants L2 and this machine gives L0: L1: "), "{}", failure.reason);
    sandbox.at_least(Level::L0).unwrap();
}

#[test]
fn no_init_means_no_level() {
    let fixture = Fixture::new();
    let error = Sandbox::probe("/bin/true", Site { tree: fixture.tree(), scratch: fixture.dir.path() }, Level::L3);
    assert!(matches!(error, Err(SandboxError::NoLevel { why }) if why.len() == 4));
}
