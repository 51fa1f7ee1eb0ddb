//! The same gate in every form a repository has.

use insta::assert_snapshot;
use repo::testing::Fixture;

use crate::scene::{Scene, install_in};

#[test]
fn a_linked_worktree_pushes_through_the_same_gate() {
    let s = Scene::new();
    s.f.git(&["worktree", "add", "-q", "-b", "topic", "../linked"]);
    let linked = s.f.dir().join("linked");
    std::fs::create_dir(linked.join("below")).unwrap();
    std::fs::write(linked.join("work"), "done\n").unwrap();
    s.f.git_in(&linked, &["add", "-A"]);
    s.f.git_in(&linked, &["commit", "-q", "-m", "work"]);
    let new = s.f.id("topic");
    let push = s.git_in(&linked.join("below"), &["push", "-q", "origin", "HEAD:refs/heads/main"]);
    assert_snapshot!(s.run(&push), @"refs/heads/main: no verdict for this range [no-verdict]");
    s.approve(&s.old, &new);
    assert_snapshot!(s.run(&push), @"pushed");
}

#[test]
fn a_bare_repository_with_worktrees_pushes_through_its_gate() {
    let f = Fixture::pushed();
    f.git_in(f.dir(), &["clone", "-q", "--bare", "remote.git", "bare.git"]);
    let bare = f.dir().join("bare.git");
    let site = install_in(&f, &bare);
    f.git_in(&bare, &["worktree", "add", "-q", "-b", "topic", "../tree"]);
    let tree = f.dir().join("tree");
    std::fs::write(tree.join("work"), "done\n").unwrap();
    f.git_in(&tree, &["add", "-A"]);
    f.git_in(&tree, &["commit", "-q", "-m", "work"]);
    let new = f.git_in(&tree, &["rev-parse", "HEAD"]).parse().unwrap();
    let old = f.id("HEAD");
    f.git(&["fetch", "-q", "../bare.git", "topic"]);
    let s = Scene { f, site, old };
    for dir in [&tree, &bare] {
        let push = s.git_in(dir, &["push", "-q", "origin", "topic:refs/heads/main"]);
        assert_eq!(s.run(&push), "refs/heads/main: no verdict for this range [no-verdict]");
    }
    let verdict = s.verdict(&s.old, &new).to_string();
    let dir = bare.join("ai-ops-runner/verdicts").join(format!("{}..{new}", s.old));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a.json"), verdict).unwrap();
    let dry = s.git_in(&bare, &["push", "-q", "--dry-run", "origin", "topic:refs/heads/main"]);
    assert_snapshot!(s.run(&dry), @"passed");
    assert_snapshot!(s.run(&s.git_in(&tree, &["push", "-q", "origin", "topic:refs/heads/main"])), @"pushed");
}

#[test]
fn a_sha256_repository_has_the_same_gate() {
    let f = Fixture::of_format("sha256");
    f.write("README.md", "read me\n");
    f.commit("first");
    f.git(&["push", "-q", "origin", "main"]);
    let s = Scene::around(f);
    assert_eq!(s.old.as_str().len(), 64);
    let new = s.work();
    assert_snapshot!(s.decision(), @"refs/heads/main: no verdict for this range [no-verdict]");
    assert_snapshot!(s.push(&["--delete", "main"]), @"refs/heads/main: a protected ref would be deleted [protected-deletion]");
    s.approve(&s.old, &new);
    s.f.write("docs/LAST_REVIEWED_SHA.txt", format!("{new}\n"));
    s.f.commit("chore: advance review baseline");
    assert_snapshot!(s.decision(), @"pushed");
}

#[test]
fn a_dry_run_is_judged_like_a_push() {
    let s = Scene::new();
    let new = s.work();
    assert_snapshot!(s.push(&["--dry-run", "HEAD:refs/heads/main"]), @"refs/heads/main: no verdict for this range [no-verdict]");
    s.approve(&s.old, &new);
    assert_snapshot!(s.push(&["--dry-run", "HEAD:refs/heads/main"]), @"passed");
}

#[test]
fn every_way_to_name_the_refs_is_judged() {
    let s = Scene::new();
    s.work();
    for args in
        [&["main"][..], &["--all"], &["--mirror"], &["--atomic", "main"], &["+main"], &[":"], &["--force", "main"]]
    {
        let said = s.push(args);
        assert!(said.contains("refs/heads/main: no verdict for this range"), "{args:?}: {said}");
    }
}
