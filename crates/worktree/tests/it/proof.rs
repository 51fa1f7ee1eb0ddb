//! What changes a checkout is found, and the checkout is never used again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use verdict::Oid;
use worktree::{Checkout, Made, Means, WorktreeError};

use crate::lab::{Lab, class};

fn lab() -> (Lab, Oid) {
    let lab = Lab::new();
    for n in 0..10 {
        lab.f.write(format!("src/f{n}"), format!("content {n}\n"));
    }
    std::os::unix::fs::symlink("src/f1", lab.f.work().join("link")).unwrap();
    let sub = lab.f.id("HEAD");
    lab.f.git(&["add", "-A"]);
    lab.f.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{sub},sub")]);
    lab.f.git(&["commit", "-q", "-m", "all"]);
    lab.f.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
    let sha = lab.f.id("HEAD");
    (lab, sha)
}

type Mutation = (&'static str, fn(&Path));

/// Each with the path that is to be told.
const MUTATIONS: [Mutation; 18] = [
    ("src/f1", |root| {
        // As git status would not see it: the same size and time.
        let path = root.join("src/f1");
        let time = path.metadata().unwrap().modified().unwrap();
        std::fs::write(&path, "CONTENT 1\n").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }),
    ("src/f2", |root| std::fs::remove_file(root.join("src/f2")).unwrap()),
    ("src/new", |root| std::fs::write(root.join("src/new"), "").unwrap()),
    ("empty", |root| std::fs::create_dir(root.join("empty")).unwrap()),
    ("src/f3", |root| std::fs::set_permissions(root.join("src/f3"), PermissionsExt::from_mode(0o755)).unwrap()),
    ("src/f4", |root| std::fs::set_permissions(root.join("src/f4"), PermissionsExt::from_mode(0o0)).unwrap()),
    ("src", |root| std::fs::set_permissions(root.join("src"), PermissionsExt::from_mode(0o700)).unwrap()),
    ("link", |root| {
        std::fs::remove_file(root.join("link")).unwrap();
        std::os::unix::fs::symlink("src/f2", root.join("link")).unwrap();
    }),
    ("link", |root| std::fs::hard_link(root.join("link"), root.parent().unwrap().join("other-link")).unwrap()),
    ("link", |root| {
        std::fs::remove_file(root.join("link")).unwrap();
        std::fs::write(root.join("link"), "src/f1").unwrap();
    }),
    ("sub", |root| std::fs::set_permissions(root.join("sub"), PermissionsExt::from_mode(0o700)).unwrap()),
    ("sub", |root| {
        std::fs::remove_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("sub"), "").unwrap();
        std::fs::set_permissions(root.join("sub"), PermissionsExt::from_mode(0o755)).unwrap();
    }),
    ("src/f5", |root| std::fs::hard_link(root.join("src/f5"), root.parent().unwrap().join("other")).unwrap()),
    ("src/f6", |root| {
        std::fs::remove_file(root.join("src/f6")).unwrap();
        std::os::unix::fs::symlink("f7", root.join("src/f6")).unwrap();
    }),
    ("src", |root| {
        std::fs::rename(root.join("src"), root.parent().unwrap().join("src")).unwrap();
        std::os::unix::fs::symlink("../src", root.join("src")).unwrap();
    }),
    ("pipe", |root| {
        assert!(std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    }),
    (".git", |root| std::fs::write(root.join(".git"), "gitdir: /evil\n").unwrap()),
    ("sub", |root| std::fs::write(root.join("sub/file"), "").unwrap()),
];

fn told(error: WorktreeError, path: &str) {
    let WorktreeError::MutationDetected { paths, quarantine, .. } = &error else { panic!("{error}") };
    assert!(paths.iter().any(|it| it == path), "{path}: {paths:?}");
    assert!(quarantine.join("tree").is_dir());
    assert_eq!(class(error), "mutation-detected 1");
}

fn check(find: fn(&mut Checkout<'_>) -> Option<WorktreeError>) {
    let (lab, sha) = lab();
    for (path, mutate) in MUTATIONS {
        let mut checkout = lab.checkout(&sha).unwrap();
        assert!(find(&mut checkout).is_none());
        mutate(&checkout.root());
        told(find(&mut checkout).unwrap_or_else(|| panic!("{path} was not seen")), path);
        assert!(lab.slots().is_empty());
        drop(checkout);
        let mut again = lab.checkout(&sha).unwrap();
        assert_eq!(again.made(), Made::Cold);
        assert!(find(&mut again).is_none());
    }
}

#[test]
fn j11_hashing_finds_every_change() {
    check(|checkout| checkout.verify().err());
}

#[test]
fn j11_a_scan_of_times_finds_every_change() {
    check(|checkout| checkout.ctime_scan().err());
}

#[test]
fn j12_the_evidence_says_how_and_when_it_was_verified() {
    let (lab, sha) = lab();
    let mut checkout = lab.checkout(&sha).unwrap();
    let built = checkout.evidence().clone();
    assert_eq!((built.means, built.ctime_scan_at), (Means::Built, None));
    let scanned = checkout.ctime_scan().unwrap().clone();
    assert_eq!((scanned.means, scanned.verified_at), (Means::Built, built.verified_at));
    assert!(scanned.ctime_scan_at.is_some());
    assert_eq!(checkout.verify().unwrap().means, Means::ShaRecheck);
    drop(checkout);
    assert_eq!(lab.checkout(&sha).unwrap().evidence().means, Means::ShaRecheck);
}

fn meta(checkout: &Checkout<'_>, change: impl Fn(String) -> String) {
    let path = checkout.root().parent().unwrap().join("meta.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed);
    std::fs::write(path, changed).unwrap();
}

type Doubt = Box<dyn Fn(&Checkout<'_>)>;

fn doubts() -> Vec<Doubt> {
    let at = |text: &str| text.split("\"verified_at\": ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let shift = move |text: String, by: i64| {
        let old = at(&text);
        text.replace(&old, &(old.parse::<i64>().unwrap() + by).to_string())
    };
    vec![
        Box::new(|it| meta(it, |text| text.replace("\"boot_id\": \"", "\"boot_id\": \"x"))),
        Box::new(move |it| meta(it, |text| shift(text, -86_401))),
        Box::new(move |it| meta(it, |text| shift(text, 3_600))),
        Box::new(|it| meta(it, |_| String::new())),
        Box::new(|it| meta(it, |text| text.replace("\"schema\": 1", "\"schema\": 2"))),
        Box::new(|it| std::fs::remove_file(it.root().parent().unwrap().join("meta.json")).unwrap()),
        Box::new(|it| std::fs::remove_file(it.index()).unwrap()),
    ]
}

#[test]
fn j11_on_any_doubt_everything_is_hashed_before_it_is_used() {
    let (lab, sha) = lab();
    for doubt in doubts() {
        drop(std::fs::remove_dir_all(lab.state().join("trees")));
        let checkout = lab.checkout(&sha).unwrap();
        let index = std::fs::read(checkout.index()).unwrap();
        doubt(&checkout);
        drop(checkout);
        let checkout = lab.checkout(&sha).unwrap();
        assert_eq!((checkout.made(), checkout.evidence().means), (Made::Warm, Means::ShaRecheck));
        assert!(std::fs::read(checkout.index()).unwrap() == index);
        // Bit rot, and another doubt.
        std::fs::write(checkout.root().join("src/f1"), "rotten\n").unwrap();
        doubt(&checkout);
        drop(checkout);
        told(lab.checkout(&sha).err().unwrap(), "src/f1");
        assert_eq!(lab.checkout(&sha).unwrap().made(), Made::Cold);
    }
}

#[test]
fn an_index_that_was_changed_is_made_anew_by_a_verification() {
    let (lab, sha) = lab();
    let mut checkout = lab.checkout(&sha).unwrap();
    let index = std::fs::read(checkout.index()).unwrap();
    std::fs::write(checkout.index(), &index[..100]).unwrap();
    checkout.ctime_scan().unwrap();
    assert!(std::fs::read(checkout.index()).unwrap() == index);
    assert_eq!(checkout.evidence().means, Means::ShaRecheck);
}

#[test]
fn a_patch_that_meets_a_change_puts_the_checkout_away() {
    let (lab, sha) = lab();
    for (path, change) in [("src/f2", false), ("src/f9/new", true)] {
        drop(std::fs::remove_dir_all(lab.state().join("trees")));
        let checkout = lab.checkout(&sha).unwrap();
        if change {
            std::fs::remove_file(checkout.root().join("src/f9")).unwrap();
            std::os::unix::fs::symlink("/tmp", checkout.root().join("src/f9")).unwrap();
            std::fs::remove_file(checkout.root().join("src/f9")).unwrap();
            std::fs::create_dir(checkout.root().join("src/f9")).unwrap();
        } else {
            std::fs::remove_file(checkout.root().join("src/f2")).unwrap();
        }
        drop(checkout);
        if change {
            lab.f.git(&["rm", "-q", "--cached", "src/f9"]);
            std::fs::remove_file(lab.f.work().join("src/f9")).unwrap();
            lab.f.write("src/f9/new", "new");
        } else {
            lab.f.write("src/f2", "new");
        }
        lab.f.git(&["add", "src"]);
        lab.f.git(&["commit", "-q", "-m", "next"]);
        lab.f.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
        let next = lab.f.id("HEAD");
        let expected = if change { "src/f9" } else { path };
        told(lab.checkout(&next).err().unwrap(), expected);
        assert!(lab.slots().is_empty());
        let mut again = lab.checkout(&next).unwrap();
        assert_eq!(again.made(), Made::Cold);
        again.verify().unwrap();
        drop(again);
        lab.f.git(&["reset", "-q", "--hard", sha.as_str()]);
    }
}
