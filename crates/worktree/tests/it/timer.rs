//! What a timer removes, and what it must not.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

use worktree::{Pruned, Scanned, prune};

use crate::lab::Lab;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn age(lab: &Lab) {
    let old = SystemTime::now() - 2 * WEEK;
    for entry in std::fs::read_dir(lab.state().join("mirrors")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "use") {
            File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    for pin in std::fs::read_dir(lab.mirror().join("refs/pins")).unwrap() {
        File::options().write(true).open(pin.unwrap().path()).unwrap().set_modified(old).unwrap();
    }
}

#[test]
fn j21_a_mirror_that_nobody_used_goes_unless_it_is_in_the_allowlist_or_in_use() {
    let lab = Lab::new();
    let pinned = lab.provide(&lab.f.id("HEAD")).unwrap();
    age(&lab);
    assert_eq!(prune(&lab.host, &lab.state(), &[], WEEK).unwrap(), Pruned::default());
    drop(pinned);
    let kept = prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap();
    assert_eq!((kept.mirrors, kept.pins), (0, 1));
    assert_eq!(prune(&lab.host, &lab.state(), &[], WEEK).unwrap().mirrors, 1);
    assert_eq!(std::fs::read_dir(lab.state().join("mirrors")).unwrap().count(), 0);
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    assert_eq!(prune(&lab.host, &lab.state(), &[], WEEK).unwrap(), Pruned::default());
}

#[test]
fn j21_a_pruning_that_ends_early_leaves_no_half_mirror() {
    let lab = Lab::new();
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    age(&lab);
    let (mirror, busy) = (lab.mirror(), lab.mirror().join("objects/busy"));
    std::fs::create_dir(&busy).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&busy).status().unwrap();
    assert!(mounted.success(), "run the tests as root, as CI does");
    let pruned = prune(&lab.host, &lab.state(), &[], WEEK);
    let left = std::fs::read_dir(lab.state().join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    for dir in left.filter(|path| path.is_dir()) {
        drop(Command::new("umount").arg("-l").arg(dir.join("objects/busy")).status());
    }
    assert!(pruned.is_err() && !mirror.exists());
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    assert_eq!(prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap().mirrors, 1);
    assert!(mirror.exists());
}

#[test]
fn j21_what_was_put_away_and_what_a_crash_left_goes() {
    let lab = Lab::new();
    let mut checkout = lab.checkout(&lab.f.id("HEAD")).unwrap();
    std::fs::write(checkout.root().join("new"), "").unwrap();
    checkout.verify().unwrap_err();
    drop(checkout);
    let trees = lab.state().join("trees");
    std::fs::create_dir_all(trees.join(".building-0123/tree")).unwrap();
    std::fs::write(trees.join(format!("{}.lock", "1".repeat(40))), "").unwrap();
    std::fs::write(lab.mirror().join("proofs/1.new-0123.lock"), "").unwrap();
    let pruned = prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap();
    assert_eq!((pruned.quarantined, pruned.unfinished), (0, 1));
    assert_eq!(std::fs::read_dir(&trees).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(lab.mirror().join("proofs")).unwrap().count(), 0);
    let quarantine = lab.state().join("quarantine");
    let name = std::fs::read_dir(&quarantine).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let tree = name.split('-').next().unwrap();
    std::fs::rename(quarantine.join(&name), quarantine.join(format!("{tree}-1000-x"))).unwrap();
    assert_eq!(prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap().quarantined, 1);
}

#[test]
fn many_packs_become_one_and_what_was_pinned_stays() {
    let lab = Lab::new();
    lab.f.write("lost", "lost");
    let lost = lab.commit();
    drop(lab.provide(&lost).unwrap());
    lab.f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    for n in 0..12 {
        for file in 0..120 {
            lab.f.write(format!("d/{file}"), format!("{n} {file}"));
        }
        let sha = lab.commit();
        drop(lab.provide(&sha).unwrap());
    }
    let packs = || {
        let entries = std::fs::read_dir(lab.mirror().join("objects/pack")).unwrap();
        entries.filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|it| it == "pack")).count()
    };
    assert!(packs() > 10, "{}", packs());
    std::fs::write(lab.mirror().join("objects/pack/tmp_pack_x"), "").unwrap();
    // As a power failure leaves a pin.
    std::fs::write(lab.mirror().join("refs/pins").join("1".repeat(40)), "").unwrap();
    let pinned = lab.provide(&lab.f.id("HEAD")).unwrap();
    assert_eq!(prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap().repacked, 0, "it is in use");
    drop(pinned);
    assert_eq!(prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap().repacked, 1);
    assert_eq!(packs(), 1);
    assert!(!lab.mirror().join("objects/pack/tmp_pack_x").exists());
    lab.f.git_in(&lab.mirror(), &["cat-file", "-e", lost.as_str()]);
    lab.checkout(&lab.f.id("HEAD")).unwrap().verify().unwrap();
}

#[test]
fn j11_idle_checkouts_are_compared_and_those_in_use_are_left_alone() {
    let lab = Lab::new();
    let first = lab.checkout(&lab.f.id("HEAD")).unwrap();
    let root = first.root();
    std::fs::write(root.join("new"), "").unwrap();
    let scan = || prune(&lab.host, &lab.state(), &[&lab.url()], WEEK).unwrap().scanned;
    assert_eq!(scan(), Scanned::default(), "it is in use");
    drop(first);
    assert_eq!(scan(), Scanned { same: 0, mutated: 1 });
    assert!(!root.exists());
    drop(lab.checkout(&lab.f.id("HEAD")).unwrap());
    assert_eq!(scan(), Scanned { same: 1, mutated: 0 });
    // Of what is known nothing of, nothing can be said.
    std::fs::remove_file(root.with_file_name("meta.json")).unwrap();
    assert_eq!(scan(), Scanned::default());
    assert!(root.exists());
    drop(lab.checkout(&lab.f.id("HEAD")).unwrap());
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(scan(), Scanned { same: 0, mutated: 1 });
}
