//! Mirrors: what is in one, whose it is, what it hands out.

use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::Path;
use std::process::Command;

use verdict::Oid;
use worktree::WorktreeError;

use crate::lab::{Lab, class};

fn refused(lab: &Lab, sha: &Oid, branches: &[&str]) -> String {
    class(lab.provide_on(sha, branches).err().expect("it is refused"))
}

#[test]
fn j06_a_commit_is_on_an_allowed_branch_or_refused() {
    let lab = Lab::new();
    let main = lab.f.id("HEAD");
    lab.f.write("a", "1");
    let newer = lab.commit();
    lab.f.git(&["checkout", "-q", "-b", "dev"]);
    lab.f.write("b", "1");
    let dev = lab.f.commit("dev");
    lab.f.git(&["push", "-q", "origin", "dev", "dev:release/1.0", "dev:refs/heads/release/a/b"]);
    assert_eq!(lab.provide(&main).unwrap().branch(), "main");
    assert_eq!(lab.provide(&newer).unwrap().commit(), &newer);
    assert_eq!(refused(&lab, &dev, &["main"]), "not-on-allowed-branch 1");
}

#[test]
fn j06_patterns_name_branches() {
    let lab = Lab::new();
    lab.f.git(&["checkout", "-q", "-b", "dev"]);
    lab.f.write("b", "1");
    let dev = lab.f.commit("dev");
    lab.f.git(&["push", "-q", "origin", "dev:release/1.0"]);
    assert_eq!(lab.provide_on(&dev, &["main", "release/*"]).unwrap().branch(), "release/1.0");
    for branches in [&["main"][..], &["rel*"], &["*"], &["release"], &[]] {
        assert_eq!(refused(&lab, &dev, branches), "not-on-allowed-branch 1", "{branches:?}");
    }
}

#[test]
fn j06_what_is_no_commit_or_unknown_is_refused() {
    let lab = Lab::new();
    let tree: Oid = lab.f.id("HEAD^{tree}");
    assert_eq!(refused(&lab, &tree, &["main"]), "commit-unknown 1");
    assert_eq!(refused(&lab, &"1".repeat(40).parse().unwrap(), &["main"]), "commit-unknown 1");
    assert_eq!(refused(&lab, &"0".repeat(40).parse().unwrap(), &["main"]), "commit-unknown 1");
    lab.f.git(&["tag", "-a", "-m", "tag", "v1"]);
    lab.f.git(&["push", "-q", "origin", "v1"]);
    assert_eq!(refused(&lab, &lab.f.id("v1"), &["main"]), "commit-unknown 1");
}

#[test]
fn j07_pull_requests_are_not_mirrored() {
    let lab = Lab::new();
    lab.f.write("evil", "1");
    let evil = lab.f.commit("evil");
    lab.f.git(&["push", "-q", "origin", "HEAD:refs/pull/1/head"]);
    assert_eq!(refused(&lab, &evil, &["main", "refs/pull/1/head", "*"]), "commit-unknown 1");
    let refs = lab.f.git_in(&lab.mirror(), &["for-each-ref"]);
    assert!(!refs.contains("pull"), "{refs}");
}

#[test]
fn a_commit_that_is_there_is_not_fetched() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    drop(lab.provide(&sha).unwrap());
    std::fs::rename(lab.f.remote(), lab.f.dir().join("gone")).unwrap();
    drop(lab.provide(&sha).unwrap());
    assert_eq!(refused(&lab, &"1".repeat(40).parse().unwrap(), &["main"]), "remote-unreachable 4");
}

#[test]
fn a_commit_that_was_merged_since_is_fetched_again() {
    let lab = Lab::new();
    lab.f.git(&["checkout", "-q", "-b", "dev"]);
    lab.f.write("b", "1");
    let dev = lab.f.commit("dev");
    lab.f.git(&["push", "-q", "origin", "dev"]);
    assert_eq!(refused(&lab, &dev, &["main"]), "not-on-allowed-branch 1");
    lab.f.git(&["push", "-q", "origin", "dev:main"]);
    assert_eq!(lab.provide(&dev).unwrap().branch(), "main");
}

#[test]
fn branches_that_were_forced_deleted_or_became_directories_are_followed() {
    let lab = Lab::new();
    let first = lab.f.id("HEAD");
    lab.f.git(&["push", "-q", "origin", "HEAD:dir", "HEAD:old/name", "HEAD:gone"]);
    lab.f.write("a", "1");
    let lost = lab.commit();
    drop(lab.provide(&lost).unwrap());
    lab.f.git(&["push", "-q", "origin", ":dir", ":old/name", ":gone"]);
    lab.f.git(&["reset", "-q", "--hard", first.as_str()]);
    lab.f.write("a", "2");
    let forced = lab.commit();
    lab.f.git(&["push", "-q", "origin", "HEAD:dir/sub", "HEAD:old"]);
    assert_eq!(lab.provide_on(&forced, &["main"]).unwrap().branch(), "main");
    assert_eq!(lab.provide_on(&forced, &["dir/*"]).unwrap().branch(), "dir/sub");
    assert_eq!(lab.provide_on(&forced, &["old"]).unwrap().branch(), "old");
    assert_eq!(refused(&lab, &forced, &["gone"]), "not-on-allowed-branch 1");
    // It was handed out, so it is kept; it is on no branch, so it is not handed out again.
    assert_eq!(refused(&lab, &lost, &["main"]), "not-on-allowed-branch 1");
    lab.f.git_in(&lab.mirror(), &["gc", "-q", "--prune=now"]);
    lab.f.git_in(&lab.mirror(), &["cat-file", "-e", lost.as_str()]);
}

#[test]
fn a_deep_history_is_walked_once() {
    let lab = Lab::new();
    let first = lab.f.id("HEAD");
    for _ in 0..5 {
        lab.f.commit("more");
    }
    lab.commit();
    assert_eq!(lab.provide(&first).unwrap().branch(), "main");
    let proofs = lab.mirror().join("proofs");
    assert_eq!(std::fs::read_dir(&proofs).unwrap().count(), 1);
    // What says nothing that can be believed is no proof, and in the way of nothing.
    for content in ["", "x", "1111111111111111111111111111111111111111\n"] {
        std::fs::write(proofs.join(first.as_str()), content).unwrap();
        assert_eq!(lab.provide(&first).unwrap().branch(), "main");
    }
    // A proof of another branch proves nothing of this one.
    lab.f.git(&["checkout", "-q", "--orphan", "other"]);
    lab.f.commit("root");
    lab.f.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
    let other = lab.f.id("HEAD");
    drop(lab.provide(&other).unwrap());
    assert_eq!(refused(&lab, &first, &["main"]), "not-on-allowed-branch 1");
}

fn trap(lab: &Lab) -> std::path::PathBuf {
    let trap = lab.f.dir().join("trap.sh");
    std::fs::write(&trap, format!("#!/bin/sh\ntouch {}\ncat\n", lab.f.dir().join("sprung").display())).unwrap();
    std::fs::set_permissions(&trap, PermissionsExt::from_mode(0o755)).unwrap();
    trap
}

#[test]
fn j04_j10_a_poisoned_mirror_is_ours_again_before_it_is_used() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    drop(lab.provide(&sha).unwrap());
    let mirror = lab.mirror();
    let clean = std::fs::read_to_string(mirror.join("config")).unwrap();
    let trap = trap(&lab);
    let hooks = mirror.join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    for hook in ["reference-transaction", "post-checkout", "pre-auto-gc", "post-merge", "fsmonitor-watchman"] {
        std::fs::copy(&trap, hooks.join(hook)).unwrap();
    }
    let trap = trap.display();
    let poison = format!(
        "[include]\n\tpath = {trap}\n[core]\n\thooksPath = {}\n\tfsmonitor = {trap}\n\tsshCommand = {trap}\n\tgitProxy = {trap}\n\
         \tpager = {trap}\n[filter \"evil\"]\n\tsmudge = {trap}\n[remote \"origin\"]\n\turl = {}\n\tuploadpack = {trap}\n\
         [url \"/elsewhere\"]\n\tinsteadOf = file://\n[uploadpack]\n\tpackObjectsHook = {trap}\n[credential]\n\thelper = {trap}\n",
        hooks.display(),
        lab.f.remote().display(),
    );
    for info in ["info", "objects/info", "remotes", "modules/x"] {
        std::fs::create_dir_all(mirror.join(info)).unwrap();
    }
    std::fs::write(mirror.join("config"), format!("{clean}{poison}")).unwrap();
    std::fs::write(mirror.join("config.worktree"), &poison).unwrap();
    std::fs::write(mirror.join("info/attributes"), "* filter=evil\n").unwrap();
    std::fs::write(mirror.join("objects/info/alternates"), "/elsewhere/objects\n").unwrap();
    std::fs::write(mirror.join("remotes/origin"), "URL: /elsewhere\n").unwrap();
    std::fs::write(mirror.join("shallow"), format!("{sha}\n")).unwrap();
    std::fs::write(mirror.join("HEAD"), "ref: refs/heads/evil\n").unwrap();
    lab.f.write("a", "1");
    let newer = lab.commit();
    let checkout = lab.checkout(&newer).unwrap();
    assert_eq!(std::fs::read_to_string(mirror.join("config")).unwrap(), clean);
    let mut names: Vec<_> = std::fs::read_dir(&mirror).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["HEAD", "config", "objects", "proofs", "refs", "url"]);
    assert!(!mirror.join("objects/info").exists());
    assert!(!lab.f.dir().join("sprung").exists());
    drop(checkout);
    // Also when nothing is fetched.
    std::fs::write(mirror.join("config"), poison).unwrap();
    drop(lab.provide(&newer).unwrap());
    assert_eq!(std::fs::read_to_string(mirror.join("config")).unwrap(), clean);
}

#[test]
fn j04_a_directory_of_another_url_or_nobody_is_refused_and_left_alone() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    drop(lab.provide(&sha).unwrap());
    let mirror = lab.mirror();
    std::fs::write(mirror.join("url"), "https://example.com/other").unwrap();
    assert_eq!(refused(&lab, &sha, &["main"]), "mirror-foreign 1");
    std::fs::remove_file(mirror.join("url")).unwrap();
    assert_eq!(refused(&lab, &sha, &["main"]), "mirror-foreign 1");
    let moved = lab.f.dir().join("moved");
    std::fs::rename(&mirror, &moved).unwrap();
    std::fs::write(moved.join("url"), lab.url()).unwrap();
    std::os::unix::fs::symlink(&moved, &mirror).unwrap();
    assert_eq!(refused(&lab, &sha, &["main"]), "mirror-foreign 1");
    std::fs::remove_file(&mirror).unwrap();
    std::fs::create_dir(&mirror).unwrap();
    drop(lab.provide(&sha).unwrap());
    std::fs::remove_dir_all(&mirror).unwrap();
    Command::new("cp").arg("-r").arg(&moved).arg(&mirror).status().unwrap();
    Command::new("chown").arg("65534").arg(&mirror).status().unwrap();
    assert_eq!(refused(&lab, &sha, &["main"]), "mirror-foreign 1");
}

fn push(mirror: &Path, to: &str, allow: &str) -> (bool, String) {
    let output = Command::new("git")
        .current_dir(mirror)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", &format!("protocol.allow={allow}"), "push", to, "refs/heads/main:refs/heads/pushed"])
        .env("GIT_SSH_COMMAND", "false")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn nothing_is_pushed_from_a_mirror() {
    let lab = Lab::new();
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    let path = lab.f.remote().display().to_string();
    for to in [&lab.url(), &path, "https://example.com/a", "ssh://git@example.com/a", "git@example.com:a", "origin"] {
        // Either is enough: no protocol is allowed, and no URL is left.
        let (pushed, said) = push(&lab.mirror(), to, "never");
        assert!(!pushed && (said.contains("not allowed") || said.contains("DISABLED")), "{to}: {said}");
        let (pushed, said) = push(&lab.mirror(), to, "always");
        assert!(!pushed && !said.contains("example.com:"), "{to}: {said}");
    }
    assert_eq!(lab.f.git_in(&lab.f.remote(), &["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
    assert_eq!(lab.f.git_in(&lab.mirror(), &["remote"]), "");
}

#[test]
fn locks_of_a_killed_git_are_in_the_way_of_nobody() {
    let lab = Lab::new();
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    for lock in ["refs/heads/main.lock", "packed-refs.lock", "config.lock", "shallow.lock"] {
        std::fs::write(lab.mirror().join(lock), "").unwrap();
    }
    lab.f.write("a", "1");
    let newer = lab.commit();
    drop(lab.provide(&newer).unwrap());
}

#[test]
fn a_power_failure_that_left_refs_empty_is_in_the_way_of_nobody() {
    for format in ["sha1", "sha256"] {
        let lab = Lab::of_format(format);
        lab.f.write("a", "1");
        let sha = lab.commit();
        drop(lab.provide(&sha).unwrap());
        std::fs::write(lab.mirror().join("refs/heads/main"), "").unwrap();
        assert_eq!(lab.provide(&sha).unwrap().tip(), &sha);
        std::fs::write(lab.mirror().join("refs/pins").join(sha.as_str()), "").unwrap();
        lab.f.write("a", "2");
        let newer = lab.commit();
        assert_eq!(lab.provide(&newer).unwrap().tip(), &newer);
    }
}

#[test]
fn a_pin_that_another_run_is_just_making_is_left_to_it() {
    let lab = Lab::new();
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    let making = lab.mirror().join(format!("refs/pins/{}.new-0123.lock", "1".repeat(40)));
    std::fs::write(&making, "").unwrap();
    lab.f.write("a", "1");
    let newer = lab.commit();
    drop(lab.provide(&newer).unwrap());
    assert!(making.exists());
}

#[test]
fn killed_before_the_mirror_had_its_url_the_next_run_makes_it() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    drop(lab.provide(&sha).unwrap());
    let mirror = lab.mirror();
    std::fs::remove_dir_all(&mirror).unwrap();
    std::fs::create_dir(&mirror).unwrap();
    std::fs::write(mirror.join("url.new-4242-01234567"), "file").unwrap();
    drop(lab.provide(&sha).unwrap());
    assert!(!mirror.join("url.new-4242-01234567").exists());
}

#[test]
fn a_repository_of_either_hash_function_has_a_mirror() {
    for format in ["sha1", "sha256"] {
        let lab = Lab::of_format(format);
        lab.f.write("a", "1");
        let sha = lab.commit();
        lab.f.write("a", "2");
        lab.commit();
        assert_eq!(lab.provide(&sha).unwrap().branch(), "main");
        // An id of the other kind does not spoil it.
        let other = "1".repeat(104 - sha.as_str().len()).parse().unwrap();
        assert!(lab.provide(&other).is_err());
        assert_eq!(lab.provide(&sha).unwrap().branch(), "main");
    }
}

#[test]
fn a_forged_object_is_not_handed_out() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    drop(lab.provide(&sha).unwrap());
    let evil = lab.blob(b"evil\n");
    let readme = lab.f.git(&["rev-parse", "HEAD:README.md"]);
    let file = |id: &str| format!("objects/{}/{}", &id[..2], &id[2..]);
    let objects = lab.mirror();
    for pack in std::fs::read_dir(objects.join("objects/pack")).into_iter().flatten().flatten() {
        std::fs::remove_file(pack.path()).unwrap();
    }
    Command::new("cp")
        .arg("-r")
        .arg(lab.f.work().join(".git/objects/."))
        .arg(objects.join("objects"))
        .status()
        .unwrap();
    std::fs::remove_file(objects.join(file(&readme))).unwrap();
    std::fs::copy(lab.f.work().join(".git").join(file(&evil)), objects.join(file(&readme))).unwrap();
    assert_eq!(class(lab.checkout(&sha).err().unwrap()), "object-forged 1");
    assert!(lab.slots().is_empty());
}

#[test]
fn errors_say_what_to_do() {
    let lab = Lab::new();
    let error = lab.provide_on(&"1".repeat(40).parse().unwrap(), &["main"]).err().unwrap();
    assert!(matches!(error, WorktreeError::CommitUnknown { .. }));
    let failure = outcome::Failure::from(error);
    let text = failure.text().replace(&lab.url(), "URL");
    insta::assert_snapshot!(text, @r"
    commit-unknown: URL has no commit 1111111111111111111111111111111111111111: it is on no branch and in no tag
    next: push the commit to the remote, or name one that is there
    ");
}

#[test]
fn a_damaged_mirror_is_named_and_made_anew_once_it_is_removed() {
    let lab = Lab::new();
    let sha = lab.f.id("HEAD");
    let pinned = lab.provide(&sha).unwrap();
    let mirror = lab.mirror();
    let next = |error: WorktreeError| outcome::Failure::from(error).next;
    let advice = format!("remove the mirror {}, so", mirror.display());
    for pack in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let pack = pack.unwrap().path();
        if pack.extension().is_some_and(|it| it == "pack") {
            // As long as it was: it may be mapped.
            let len = std::fs::metadata(&pack).unwrap().len();
            std::fs::set_permissions(&pack, PermissionsExt::from_mode(0o644)).unwrap();
            let file = std::fs::File::options().write(true).open(&pack).unwrap();
            file.write_all_at(&vec![0; usize::try_from(len - 32).unwrap()], 12).unwrap();
        }
    }
    assert!(next(lab.cache(1).checkout(&pinned).map(drop).unwrap_err()).starts_with(&advice));
    drop(pinned);
    assert!(next(lab.provide(&sha).map(drop).unwrap_err()).starts_with(&advice));
    std::fs::remove_dir_all(&mirror).unwrap();
    drop(lab.checkout(&sha).unwrap());
}
