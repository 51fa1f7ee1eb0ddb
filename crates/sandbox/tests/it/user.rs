//! The same claims as an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::fixture::{INIT_VARIABLE, init, is_root};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

#[test]
fn every_claim_holds_for_an_ordinary_user_too() {
    if !is_root() {
        return;
    }
    let dir = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o711)).tempdir().unwrap();
    let place = |from: &std::path::Path, name: &str| {
        let to = dir.path().join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let tests = place(&std::env::current_exe().unwrap(), "tests");
    let init = place(&init(), "init");
    let ran = Command::new(tests)
        .args(["--skip", "user::", "--test-threads", "2"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env(INIT_VARIABLE, init)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(told.contains(" 1 filtered out"), "{told}");
}
