//! Checkouts: cold, warm, near; bounded; shared by runs.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use verdict::Oid;
use worktree::{Made, Means};

use crate::lab::Lab;

fn many(lab: &Lab) -> Oid {
    for n in 0..40 {
        lab.f.write(format!("dir{}/sub/file{n}", n % 7), format!("content {n}\n"));
    }
    lab.f.write("run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(lab.f.work().join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../nowhere", lab.f.work().join("link")).unwrap();
    lab.f.write(".gitattributes", "* text eol=lf filter=evil\n");
    lab.f.write(b"\xff\n", "odd name\n");
    lab.f.commit("files");
    // As a program stores it that knows no attributes.
    let crlf = lab.f.git_stdin(&["hash-object", "-w", "--stdin", "--no-filters"], b"a\r\nb\n");
    lab.f.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{crlf},crlf.txt")]);
    lab.f.git(&["commit", "-q", "-m", "crlf"]);
    lab.f.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
    lab.f.id("HEAD")
}

#[test]
fn a_cold_checkout_is_what_git_has_and_git_finds_it_clean() {
    for format in ["sha1", "sha256"] {
        let lab = Lab::of_format(format);
        let sha = many(&lab);
        let checkout = lab.checkout(&sha).unwrap();
        assert_eq!(checkout.made(), Made::Cold);
        assert_eq!(checkout.evidence().means, Means::Built);
        assert_eq!(std::fs::read(checkout.root().join(".git")).unwrap(), b"gitdir: /git\n");
        assert_eq!(std::fs::read(checkout.root().join("crlf.txt")).unwrap(), b"a\r\nb\n");
        assert_eq!(std::fs::read_link(checkout.root().join("link")).unwrap().to_str(), Some("../nowhere"));
        let mode = |name: &str| checkout.root().join(name).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode("run.sh"), mode("crlf.txt"), mode("dir1")], [0o755, 0o644, 0o755]);
        // Filters of attributes are off in raw mode: what git would convert is the job's to know.
        let git = lab.git_dir(&checkout, &sha);
        let attributes = git.join("info");
        std::fs::create_dir_all(&attributes).unwrap();
        std::fs::write(attributes.join("attributes"), "* -text -eol -filter\n").unwrap();
        assert_eq!(lab.status_cmd(&git, &checkout.root(), &["status", "--porcelain", "--ignored"]), "");
        assert_eq!(lab.status_cmd(&git, &checkout.root(), &["diff-files", "--name-only"]), "");
        assert_eq!(lab.status_cmd(&git, &checkout.root(), &["write-tree"]), checkout.tree().as_str());
    }
}

#[test]
fn git_has_nothing_to_refresh() {
    let lab = Lab::new();
    let sha = many(&lab);
    let checkout = lab.checkout(&sha).unwrap();
    let git = lab.git_dir(&checkout, &sha);
    // A file that is written now and has the size and time of before is only met by who reads it.
    let victim = checkout.root().join("dir1/sub/file1");
    let time = victim.metadata().unwrap().modified().unwrap();
    std::fs::write(&victim, "CONTENT 1\n").unwrap();
    std::fs::File::options().write(true).open(&victim).unwrap().set_modified(time).unwrap();
    std::fs::create_dir_all(git.join("info")).unwrap();
    std::fs::write(git.join("info/attributes"), "* -text -eol -filter\n").unwrap();
    assert_eq!(lab.status_cmd(&git, &checkout.root(), &["status", "--porcelain"]), "");
}

#[test]
fn the_second_run_finds_it_warm() {
    let lab = Lab::new();
    let sha = many(&lab);
    let made: Vec<Made> = (0..2).map(|_| lab.checkout(&sha).unwrap().made()).collect();
    assert_eq!(made, [Made::Cold, Made::Warm]);
}

#[test]
fn a_tree_that_differs_in_little_is_patched_from_an_idle_one() {
    let lab = Lab::new();
    let first = many(&lab);
    drop(lab.checkout(&first).unwrap());
    lab.f.write("dir1/sub/file1", "other\n");
    lab.f.git(&["rm", "-q", "dir2/sub/file2", "link"]);
    lab.f.write("link/now/a/file", "x");
    let second = lab.commit();
    let mut checkout = lab.checkout(&second).unwrap();
    assert_eq!(checkout.made(), Made::Near);
    assert_eq!(lab.slots(), [checkout.tree().as_str()]);
    checkout.verify().unwrap();
    // While it is in use another is written.
    assert_eq!(lab.checkout(&first).unwrap().made(), Made::Cold);
}

#[test]
fn an_empty_tree_is_a_checkout() {
    let lab = Lab::new();
    let empty = lab.tree(&[]);
    let sha = lab.commit_tree(&empty);
    let checkout = lab.checkout(&sha).unwrap();
    assert_eq!(std::fs::read_dir(checkout.root()).unwrap().count(), 1);
    assert_eq!(lab.status(&checkout, &sha), "");
}

#[test]
fn j21_fifty_runs_leave_three_checkouts() {
    let lab = Lab::new();
    let commits: Vec<Oid> = (0..10)
        .map(|n| {
            lab.f.write("n", format!("{n}"));
            lab.commit()
        })
        .collect();
    // Some are in use at any time, so that they cannot be patched into the next.
    let mut held = VecDeque::new();
    for run in 0..50 {
        let at = run * 7 % 10;
        let checkout = lab.checkout(&commits[at]).unwrap();
        assert_eq!(std::fs::read_to_string(checkout.root().join("n")).unwrap(), at.to_string());
        held.push_back(checkout);
        if held.len() > 4 {
            held.pop_front();
        }
    }
    assert_eq!(lab.slots().len(), 4);
    drop(held);
    assert_eq!(lab.slots().len(), 3, "{:?}", lab.slots());
    let locks = std::fs::read_dir(lab.state().join("trees")).unwrap().count();
    assert_eq!(locks, 6);
}

#[test]
fn what_is_in_use_is_not_evicted_and_the_bound_comes_back_afterwards() {
    let lab = Lab::new();
    let commits: Vec<Oid> = (0..3)
        .map(|n| {
            lab.f.write("n", format!("{n}"));
            lab.commit()
        })
        .collect();
    let cache = lab.cache(1);
    let held: Vec<_> = commits.iter().map(|sha| cache.checkout(&lab.provide(sha).unwrap()).unwrap()).collect();
    assert_eq!(lab.slots().len(), 3);
    for (n, checkout) in held.iter().enumerate() {
        assert_eq!(std::fs::read_to_string(checkout.root().join("n")).unwrap(), n.to_string());
    }
    drop(held);
    assert_eq!(lab.slots().len(), 1);
}

#[test]
fn two_runs_at_once_build_one_checkout() {
    let lab = Lab::new();
    let sha = many(&lab);
    let barrier = Barrier::new(4);
    let made: Vec<Made> = std::thread::scope(|scope| {
        let (cache, barrier) = (lab.cache(3), &barrier);
        let start = |pinned| {
            let cache = cache.clone();
            scope.spawn(move || {
                barrier.wait();
                cache.checkout(&pinned).unwrap().made()
            })
        };
        let threads: Vec<_> = (0..4).map(|_| start(lab.provide(&sha).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| **made == Made::Cold).count(), 1, "{made:?}");
    assert_eq!(made.iter().filter(|made| **made == Made::Warm).count(), 3, "{made:?}");
    assert_eq!(lab.slots().len(), 1);
}

#[test]
fn a_copy_of_ones_own_shows_what_was_changed_in_it() {
    let lab = Lab::new();
    let sha = many(&lab);
    let checkout = lab.checkout(&sha).unwrap();
    let copy = lab.f.dir().join("copy");
    checkout.copy_into(&copy).unwrap();
    assert!(checkout.changed(&copy).unwrap().paths.is_empty());
    std::fs::write(copy.join("dir1/sub/new"), "x").unwrap();
    std::fs::remove_file(copy.join("run.sh")).unwrap();
    std::fs::set_permissions(copy.join("crlf.txt"), PermissionsExt::from_mode(0o600)).unwrap();
    let changed = checkout.changed(&copy).unwrap();
    assert_eq!(changed.paths, [&b"crlf.txt"[..], b"dir1/sub/new", b"run.sh"]);
    assert!(!changed.cut);
    assert!(checkout.copy_into(&copy).is_err());
}

#[test]
fn of_what_was_changed_2000_paths_are_told_and_whether_there_are_more() {
    let lab = Lab::new();
    let checkout = lab.checkout(&lab.f.id("HEAD")).unwrap();
    let copy = lab.f.dir().join("copy");
    checkout.copy_into(&copy).unwrap();
    for number in 0..2000 {
        std::fs::write(copy.join(format!("new{number}")), "").unwrap();
    }
    let changed = checkout.changed(&copy).unwrap();
    assert_eq!((changed.paths.len(), changed.cut), (2000, false));
    std::fs::write(copy.join("one-more"), "").unwrap();
    let changed = checkout.changed(&copy).unwrap();
    assert_eq!((changed.paths.len(), changed.cut), (2000, true));
}
