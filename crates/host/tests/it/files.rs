//! Files: whole or not at all, and never through a symlink.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use host::{Fake, Host, Kind, Local};
use insta::assert_snapshot;

#[test]
fn what_is_not_there_is_none_and_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent/file");
    let host = Local::new();
    assert_eq!(host.read(&path).unwrap(), None);
    assert_eq!(host.stat(&path).unwrap(), None);
    host.remove(&path).unwrap();
    assert!(host.read(dir.path()).is_err(), "a directory is not a file, nor absent");
}

#[test]
fn names_are_sorted_and_a_file_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let host = Local::new();
    fs::create_dir(dir.path().join("b")).unwrap();
    fs::write(dir.path().join("a"), "").unwrap();
    assert_eq!(host.list(dir.path()).unwrap().unwrap(), ["a", "b"]);
    assert_eq!(host.list(&dir.path().join("b")).unwrap().unwrap(), [""; 0]);
    assert_eq!(host.list(&dir.path().join("absent")).unwrap(), None);
    assert_eq!(host.list(&dir.path().join("a/below")).unwrap(), None);
    assert!(host.list(&dir.path().join("a")).is_err(), "a file is no directory, nor absent");
}

#[test]
fn a_link_is_told_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let host = Local::new();
    symlink("no/where", dir.path().join("link")).unwrap();
    assert_eq!(host.follow(&dir.path().join("link")).unwrap().unwrap(), PathBuf::from("no/where"));
    assert_eq!(host.follow(dir.path()).unwrap(), None);
    assert_eq!(host.follow(&dir.path().join("absent")).unwrap(), None);
}

#[test]
fn a_write_is_whole_private_and_leaves_nothing_beside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/key");
    let host = Local::new();
    host.write_atomic(&path, b"one", 0o600).unwrap();
    host.write_atomic(&path, b"two", 0o640).unwrap();
    assert_eq!(host.read(&path).unwrap().unwrap(), b"two");
    assert_eq!(host.stat(&path).unwrap().unwrap().mode, 0o640);
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_write_replaces_a_symlink_and_not_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, "kept").unwrap();
    symlink(&target, &link).unwrap();
    let host = Local::new();
    assert_eq!(host.stat(&link).unwrap().unwrap().kind, Kind::Symlink);
    host.write_atomic(&link, b"new", 0o600).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"kept");
    assert_eq!(host.stat(&link).unwrap().unwrap().kind, Kind::File);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("taken");
    fs::create_dir(&path).unwrap();
    assert!(Local::new().write_atomic(&path, b"x", 0o600).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_fake_refuses_what_it_does_not_know_and_remembers_what_was_done() {
    let fake = Fake::new().file("/etc/key", "k", 0o600, 0).answer("git rev-parse", 0, "abc\n");
    assert!(fake.run(&host::Cmd::new("git").args(["rev-parse", "HEAD"])).unwrap().success());
    assert_snapshot!(fake.run(&host::Cmd::new("rm").arg("-rf")).unwrap_err(), @"the fake host does not know `rm -rf`");
    fake.write_atomic("/new".as_ref(), b"12", 0o644).unwrap();
    fake.remove("/etc/key".as_ref()).unwrap();
    assert_eq!(fake.read("/etc/key".as_ref()).unwrap(), None);
    assert_snapshot!(fake.transcript(), @r"
    run git rev-parse HEAD
    run rm -rf
    write /new 644 (2 bytes)
    remove /etc/key
    ");
}

#[test]
fn the_fake_lists_what_is_below_and_knows_what_a_link_holds_but_not_where_it_leads() {
    let fake = Fake::new().file("/opt/a/one", "", 0o644, 0).file("/opt/b", "", 0o644, 0);
    let fake = fake.special("/opt/empty", Kind::Dir, 0).link("/opt/now", "a");
    let list = |path: &str| fake.list(path.as_ref()).map(|names| names.map(|names| names.join(" ".as_ref())));
    assert_eq!(list("/opt").unwrap().unwrap(), "a b empty now");
    assert_eq!(list("/opt/empty").unwrap().unwrap(), "");
    assert_eq!(list("/op").unwrap(), None);
    assert!(list("/opt/b").is_err(), "a file is no directory, nor absent");
    assert_eq!(fake.follow("/opt/now".as_ref()).unwrap().unwrap(), PathBuf::from("a"));
    assert_eq!(fake.follow("/opt/b".as_ref()).unwrap(), None);
    assert_snapshot!(fake.read("/opt/now/one".as_ref()).unwrap_err(), @"the fake host does not know `what is behind /opt/now`");
}
