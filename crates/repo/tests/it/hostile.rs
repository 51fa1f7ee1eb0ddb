//! A `.git` directory that lies, and trees that Git would not write.

use std::io::Write as _;
use std::path::Path;

use repo::testing::Fixture;
use repo::{Commit, RepoError, collect, difference, is_ancestor};
use verdict::{Oid, Policy};

fn loose(f: &Fixture, id: &Oid) -> std::path::PathBuf {
    f.work().join(".git/objects").join(&id.as_str()[..2]).join(&id.as_str()[2..])
}

fn overwrite(path: &Path, with: &Path) {
    let bytes = std::fs::read(with).unwrap();
    std::fs::remove_file(path).unwrap();
    std::fs::File::create(path).unwrap().write_all(&bytes).unwrap();
}

#[test]
fn g15_other_bytes_under_an_id_are_forged() {
    let f = Fixture::pushed();
    f.write("evil", "rm -rf\n");
    f.commit("evil");
    let benign: Oid = f.git_stdin(&["hash-object", "-w", "--stdin"], b"hello!\n").parse().unwrap();
    let evil = f.id("HEAD:evil");
    overwrite(&loose(&f, &evil), &loose(&f, &benign));
    let repo = f.repo();
    assert!(matches!(repo.objects().read(&evil), Err(RepoError::Forged { id }) if id == evil));
    let collected = collect(repo.objects(), Some(&f.id("HEAD~1")), &f.id("HEAD"), &Policy::built_in());
    assert!(matches!(collected, Err(RepoError::Forged { id }) if id == evil));
}

#[test]
fn g15_a_forged_tree_or_commit_is_refused_too() {
    let f = Fixture::pushed();
    f.write("a", "1");
    f.commit("second");
    let [old, new] = ["HEAD~1", "HEAD"].map(|revision| f.id(revision));
    let [old_tree, new_tree] = ["HEAD~1^{tree}", "HEAD^{tree}"].map(|revision| f.id(revision));
    overwrite(&loose(&f, &new_tree), &loose(&f, &old_tree));
    overwrite(&loose(&f, &new), &loose(&f, &old));
    let repo = f.repo();
    assert!(matches!(difference(repo.objects(), &old_tree, &new_tree), Err(RepoError::Forged { .. })));
    assert!(matches!(Commit::read(repo.objects(), &new), Err(RepoError::Forged { .. })));
}

#[test]
fn g15_replace_refs_and_grafts_are_not_followed() {
    let f = Fixture::pushed();
    f.write("a", "evil");
    let evil = f.commit("evil");
    let parent = f.id("HEAD~1");
    f.git(&["checkout", "-q", "--orphan", "other"]);
    f.write("a", "benign");
    let benign = f.commit("benign");
    f.git(&["replace", evil.as_str(), benign.as_str()]);
    f.git(&["config", "core.useReplaceRefs", "true"]);
    f.write(".git/info/grafts", format!("{evil}\n"));
    let repo = f.repo();
    let commit = Commit::read(repo.objects(), &evil).unwrap();
    assert_eq!(commit.parents(), std::slice::from_ref(&parent));
    assert_ne!(commit.tree(), Commit::read(repo.objects(), &benign).unwrap().tree());
    assert!(is_ancestor(repo.objects(), &parent, &evil).unwrap());
}

#[test]
fn g15_a_shallow_history_is_seen() {
    let f = Fixture::pushed();
    f.commit("second");
    assert!(!f.repo().is_shallow().unwrap());
    f.write(".git/shallow", format!("{}\n", f.id("HEAD")));
    assert!(f.repo().is_shallow().unwrap());
}

#[test]
fn r02_what_git_would_hide_is_in_the_bundle() {
    let f = Fixture::pushed();
    f.write(".gitattributes", "* -diff binary filter=evil\n");
    f.write("hidden.txt", "shown\n");
    f.write(".gitmodules", "[submodule \"s\"]\n\tpath = s\n\turl = x\n\tignore = all\n");
    f.git(&["add", "-A"]);
    f.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},s", "1".repeat(40))]);
    f.git(&["commit", "-q", "-m", "attributes"]);
    let repo = f.repo();
    let collected = collect(repo.objects(), Some(&f.id("HEAD~1")), &f.id("HEAD"), &Policy::built_in()).unwrap();
    let shown = collected.bundle.shown();
    assert!(shown.contains("+shown\n") && shown.contains(&"1".repeat(40)));
    assert_eq!(collected.bundle.changed_paths().len(), 4);
}

#[test]
fn trees_that_git_would_not_write_are_refused_with_their_id() {
    let f = Fixture::pushed();
    let blob = f.id("HEAD:README.md");
    let raw: Vec<u8> = (0..20).map(|n| u8::from_str_radix(&blob.as_str()[2 * n..2 * n + 2], 16).unwrap()).collect();
    for name in ["..", ".git", "a/b"] {
        let bytes = [b"100644 ", name.as_bytes(), b"\0", &raw].concat();
        let tree = f.git_stdin(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes);
        let tree: Oid = tree.parse().unwrap();
        let repo = f.repo();
        let found = difference(repo.objects(), &repo.objects().empty_tree(), &tree);
        assert!(matches!(found, Err(RepoError::Malformed { id, .. }) if id == tree), "{name}");
    }
}

#[test]
fn s09_no_hook_filter_or_monitor_of_the_repository_runs() {
    let f = Fixture::pushed();
    let trap = f.dir().join("trap.sh");
    std::fs::write(&trap, format!("#!/bin/sh\ntouch {}\ncat\n", f.dir().join("sprung").display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&trap, mode).unwrap();
    let hooks = f.dir().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    let all =
        ["post-checkout", "post-merge", "pre-push", "reference-transaction", "post-index-change", "pre-merge-commit"];
    for hook in all {
        std::fs::copy(&trap, hooks.join(hook)).unwrap();
    }
    f.write("a", "1");
    f.write(".gitattributes", "* filter=evil\n");
    let next = f.commit("second");
    f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    f.write(".gitattributes", "* filter=evil\n");
    f.git(&["add", "-A"]);
    f.git(&["commit", "-q", "-m", "attributes"]);
    let base = f.id("HEAD");
    let trap = trap.to_str().unwrap();
    let hooks = hooks.to_str().unwrap();
    for (key, value) in [
        ("core.hooksPath", hooks),
        ("core.fsmonitor", trap),
        ("filter.evil.clean", trap),
        ("filter.evil.smudge", trap),
        ("filter.evil.required", "true"),
        ("filter.a.b=c.process", trap),
        ("core.pager", trap),
        ("diff.external", trap),
        ("gpg.program", trap),
        ("commit.gpgSign", "true"),
        ("remote.origin.receivepack", trap),
        ("remote.origin.uploadpack", trap),
    ] {
        f.git_in(f.dir(), &["--git-dir=work/.git", "config", key, value]);
    }
    let repo = f.repo();
    let acts = f.acts(&repo);
    std::fs::write(f.work().join("README.md"), "changed so that it must be read").unwrap();
    assert_eq!(acts.status(&repo).unwrap().changed, [b"README.md"]);
    std::fs::write(f.work().join("README.md"), "read me\n").unwrap();
    let commit = acts.baseline_commit(&base).unwrap();
    acts.fast_forward(&repo, &base, &commit).unwrap();
    acts.ls_remote("origin", "refs/heads/main").unwrap();
    acts.fetch("origin", "refs/heads/main").unwrap();
    collect(repo.objects(), None, &next, &Policy::built_in()).unwrap();
    assert!(!f.dir().join("sprung").exists());
}
