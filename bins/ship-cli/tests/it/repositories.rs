//! Repositories and remotes that cannot be shipped from as they are: each is told apart, and nothing is pushed.

use std::fs;

use insta::assert_snapshot;

use crate::stage::{Said, Setup, Stage, nobody, run};

/// A stage with a commit to ship, and no reviewer.
fn stage() -> Stage {
    let stage = Stage::new(&Setup::default(), nobody());
    stage.change();
    stage
}

/// How a ship ends that must leave the remote as it is.
fn check(stage: &Stage, ship: impl FnOnce(&Stage) -> Said) -> String {
    let refs = || stage.git(&["ls-remote", &stage.path("remote.git").to_string_lossy()]);
    let before = refs();
    let said = ship(stage);
    assert_eq!(before, refs());
    assert_eq!(stage.model.requests().len(), 0);
    assert_eq!(stage.journal(), None);
    said.text(stage)
}

fn ship(stage: &Stage) -> Said {
    stage.ship(&[])
}

#[test]
fn outside_a_repository() {
    let stage = stage();
    assert_snapshot!(check(&stage, |stage| stage.ship(&["-C", "/"])), @r#"
    exit 3 not-a-repository: /: not a Git repository that can be read: Could not find a git repository in "/" or in any of its parents
    next: run it inside a Git repository you can read
    "#);
}

#[test]
fn a_repository_without_a_commit() {
    assert_snapshot!(check(&Stage::empty(&Setup::default(), nobody()), ship), @r"
    exit 1 no-commit: refs/heads/main has no commit yet
    next: commit something, then ship again
    ");
}

#[test]
fn s06_no_remote() {
    let stage = stage();
    stage.git(&["remote", "remove", "origin"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 3 no-remote: this repository has no remote
    next: git remote add origin URL, then ship again
    ");
}

#[test]
fn s06_several_remotes() {
    let stage = stage();
    stage.git(&["remote", "rename", "origin", "one"]);
    stage.git(&["remote", "add", "two", "../remote.git"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 2 which-remote: there are several remotes and none is origin
    next: name one: --remote NAME
    ");
    assert_snapshot!(check(&stage, |stage| stage.ship(&["--remote", "three"])), @r"
    exit 3 no-remote: there is no remote `three`
    next: git remote add NAME URL, then try again
    ");
    assert_snapshot!(check(&stage, |stage| stage.ship(&["--remote=--upload-pack=touch"])), @r"
    exit 3 no-remote: there is no remote `--upload-pack=touch`
    next: git remote add NAME URL, then try again
    ");
}

#[test]
fn s06_a_remote_that_cannot_be_reached() {
    let stage = stage();
    stage.git(&["remote", "set-url", "origin", "/nowhere.git"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 4 git-remote-failed: `git ls-remote --quiet --refs --upload-pack=git-upload-pack -- origin refs/heads/main` failed (exit 128): fatal: '/nowhere.git' does not appear to be a git repository
    fatal: Could not read from remote repository.

    Please make sure you have the correct access rights
    and the repository exists.
    next: check the network and your access to the remote, then try again
    ");
}

#[test]
fn s06_detached_head() {
    let stage = stage();
    stage.git(&["checkout", "--quiet", "--detach"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 detached-head: HEAD is at ID and on no branch
    next: git switch BRANCH, or git switch --create BRANCH, then ship again
    ");
}

#[test]
fn s06_a_dirty_tree() {
    let stage = stage();
    stage.write("src/greet.py", "changed\n");
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 dirty-tree: not committed: src/greet.py
    next: commit or ignore it, or git stash --include-untracked, then ship again
    ");
    stage.git(&["add", "src/greet.py"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 dirty-tree: not committed: src/greet.py
    next: commit or ignore it, or git stash --include-untracked, then ship again
    ");
    stage.git(&["reset", "--quiet", "--hard"]);
    for number in 0..7 {
        stage.write(&format!("new-{number}\n\u{1b}[2J"), "untracked\n");
    }
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 dirty-tree: not committed: new-0\u{a}\u{1b}[2J, new-1\u{a}\u{1b}[2J, new-2\u{a}\u{1b}[2J, new-3\u{a}\u{1b}[2J, new-4\u{a}\u{1b}[2J and 2 more
    next: commit or ignore it, or git stash --include-untracked, then ship again
    ");
}

#[test]
fn s06_a_remote_that_moved() {
    let stage = stage();
    stage.git(&["checkout", "--quiet", "-b", "other", "origin/main"]);
    stage.write("theirs", "theirs\n");
    stage.commit("theirs");
    stage.git(&["push", "--quiet", "origin", "other:main"]);
    stage.git(&["checkout", "--quiet", "main"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 remote-moved: refs/heads/main of origin has commits that are not here
    next: git pull --rebase origin main, then ship again
    ");
}

#[test]
fn s06_unrelated_histories() {
    let stage = stage();
    stage.git(&["checkout", "--quiet", "--orphan", "other"]);
    stage.commit("another beginning");
    stage.git(&["push", "--quiet", "--force", "origin", "other:main"]);
    stage.git(&["checkout", "--quiet", "main"]);
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 unrelated-history: refs/heads/main of origin and the local branch have no commit in common
    next: check that this is the right remote; ship never forces
    ");
}

#[test]
fn g15_a_shallow_clone() {
    let stage = stage();
    let url = format!("file://{}", stage.path("remote.git").display());
    stage.git(&["push", "--quiet", "origin", "main"]);
    stage.git(&["clone", "--quiet", "--depth=1", &url, "../shallow"]);
    assert_snapshot!(check(&stage, |stage| stage.ship(&["-C", "../shallow"])), @r"
    exit 3 shallow: this clone is shallow: ancestry cannot be proved
    next: git fetch --unshallow, then try again
    ");
}

#[test]
fn a_bare_repository() {
    let stage = stage();
    assert_snapshot!(check(&stage, |stage| stage.ship(&["-C", "../remote.git"])), @r"
    exit 3 bare-repository: this repository is bare: there is no work tree
    next: run it in a clone with a work tree
    ");
}

#[test]
fn commits_that_change_nothing() {
    let stage = Stage::new(&Setup::default(), nobody());
    stage.commit("nothing");
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r"
    exit 1 empty-range: the commits change nothing
    next: drop the empty commits, then ship again
    ");
}

#[test]
fn commits_that_undo_each_other() {
    let stage = stage();
    fs::remove_file(stage.path("work/src/more.py")).unwrap();
    stage.commit("take it back");
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r"
    exit 1 empty-range: the commits undo each other: together they change nothing
    next: commit what is to stay, or drop them all (git reset --keep ID), then ship again
    ");
}

#[test]
fn the_remote_has_it_all() {
    assert_snapshot!(check(&Stage::new(&Setup::default(), nobody()), ship), @"exit 0 nothing_to_do");
}

#[test]
fn g17_a_policy_on_the_remote_that_is_none_is_not_passed_over() {
    for (policy, name) in [
        ("schema = \n", "malformed"),
        ("schema = 1\n[gate]\nenabled = false\n", "unknown-key"),
        ("schema = 2\n", "schema"),
    ] {
        let stage = Stage::empty(&Setup::default(), nobody());
        stage.start(&Setup::default());
        stage.write("configs/ship.toml", policy);
        stage.commit("policy");
        stage.git(&["push", "--quiet", "origin", "main"]);
        stage.write("configs/ship.toml", "schema = 1\n");
        stage.commit("mended only here");
        assert_snapshot!(format!("policy-{name}"), check(&stage, Stage::ship_simulated));
    }
}

#[test]
fn a_project_without_known_tests() {
    let stage = Stage::empty(&Setup::default(), nobody());
    stage.write("README.md", "read me\n");
    stage.commit("start");
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r"
    exit 3 no-tests: this project has no test steps that are known
    next: add [[tests.steps]] to configs/ship.toml, push it, then ship again
    ");
}

#[test]
fn more_than_can_be_reviewed() {
    let stage = Stage::new(&Setup::default(), nobody());
    stage.write("src/large.txt", &"a line of a large file\n".repeat(400_000));
    stage.commit("large");
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r"
    exit 6 too-large: the change needs more than 64 packets
    next: split the change, or raise the cap or number of packets
    ");
}

#[test]
fn a_cap_that_no_policy_may_have() {
    let stage = stage();
    for cap in ["200k", "0", "999", "900001", "-1", ""] {
        let capped = |stage: &Stage| run(stage.program("ship").arg("--json").env("REVIEW_BUNDLE_SIZE_CAP", cap));
        assert_eq!(
            check(&stage, capped),
            format!(
                "exit 2 size-cap: REVIEW_BUNDLE_SIZE_CAP is {cap}, which is no number of bytes from 1000 to 900000\n\
                 next: unset it, or set such a number"
            )
        );
    }
}

#[test]
fn g14_a_simulated_verdict_is_named_and_refused() {
    let stage = stage();
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r"
    exit 1 push-blocked: PUSH BLOCKED
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    next: mend every reason above, then push again
    ");
    let said = run(stage.program("ship").env("CODEX_SKIP", "1"));
    assert!(
        said.stderr.contains("SIMULATED VERDICT APPROVED") && said.stderr.contains("PUSH BLOCKED"),
        "{}",
        said.stderr
    );
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    assert_eq!(stage.log("main"), "more\nstart");
}

#[test]
fn g14_a_key_in_the_change_is_blocked_by_rule_and_never_healed_nor_shown_to_codex() {
    let stage = stage();
    stage.provide_codex();
    let leaked = ["AKIA", "Z7VRSQ5TJN2XMPLA"].concat();
    stage.write("src/config.py", &format!("KEY = '{leaked}'\n"));
    stage.commit("configure");
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 blocked: the review has 1 blocker
    - src/config.py:1: secret: AWS access key: `AKIA…` (20 bytes)
    next: what is in the history stays there: rewrite the commits (git rebase -i), replace leaked keys, then ship again
    ");
    fs::remove_file(stage.path("work/src/config.py")).unwrap();
    stage.commit("take it back");
    // G13: it is in the history.
    assert_snapshot!(check(&stage, ship), @r"
    exit 1 blocked: the review has 1 blocker
    - src/config.py:1: secret: AWS access key: `AKIA…` (20 bytes)
    next: what is in the history stays there: rewrite the commits (git rebase -i), replace leaked keys, then ship again
    ");
}

#[test]
fn a_sha256_repository_comes_as_far_as_any_other() {
    let stage = Stage::new(&Setup { format: "sha256", ..Setup::default() }, nobody());
    assert_eq!(stage.change().len(), 64);
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r"
    exit 1 push-blocked: PUSH BLOCKED
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    next: mend every reason above, then push again
    ");
}

#[test]
fn a_first_push_is_reviewed_whole_by_the_pinned_policy() {
    let stage = Stage::empty(&Setup::default(), nobody());
    stage.start(&Setup::default());
    stage.install();
    let head = stage.change();
    let mut range = String::new();
    let end = check(&stage, |stage| {
        let said = stage.ship_simulated();
        let event = &said.events()[0];
        range = format!("{} {} {}", event["event"], event["since"], event["policy"]);
        assert_eq!(event["to"], head);
        said
    });
    assert_snapshot!(range, @r#""range" "0000000000000000000000000000000000000000" "as pinned""#);
    assert_snapshot!(end, @r"
    exit 1 push-blocked: PUSH BLOCKED
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    next: mend every reason above, then push again
    ");
    let mut packets = fs::read_dir(stage.path("work/review_packets")).unwrap().map(|entry| entry.unwrap().path());
    let record = packets.find(|path| path.is_dir()).unwrap();
    let bundle = fs::read_to_string(record.join("REVIEW_BUNDLE.txt")).unwrap();
    for path in ["configs/ship.toml", "src/greet.py", "src/more.py"] {
        assert!(bundle.contains(path), "{bundle}");
    }
}

#[test]
fn a_linked_work_tree_is_a_place_to_ship_from() {
    let stage = stage();
    stage.git(&["checkout", "--quiet", "--detach"]);
    stage.git(&["worktree", "add", "--quiet", "../linked", "main"]);
    let linked = |stage: &Stage| run(stage.program("ship").args(["--json", "-C", "../linked"]).env("CODEX_SKIP", "1"));
    assert_snapshot!(check(&stage, linked), @r"
    exit 1 push-blocked: PUSH BLOCKED
    refs/heads/main: the verdict is simulated [simulated-verdict]
      next: review it for real, without CODEX_SKIP: ship
    next: mend every reason above, then push again
    ");
    assert!(stage.path("linked/review_packets").is_dir());
    assert!(!stage.path("work/review_packets").exists());
}

#[test]
fn names_that_lie_are_blocked_by_rule() {
    let stage = stage();
    stage.write("src/a\nb \"q\" \u{202e}.py", "1\n");
    stage.commit("odd names");
    assert_snapshot!(check(&stage, Stage::ship_simulated), @r#"
    exit 1 blocked: the review has 1 blocker
    - src/a\u{a}b "q" \u{202e}.py: invisible: bidirectional control: the text is shown in another order than it is read in the path (U+202E)
    next: mend what the verdict names, commit, then ship again
    "#);
}
