//! The test steps of a ship: what they see, what they may not do, and what their failures are. No reviewer is asked.

use std::fs;

use insta::assert_snapshot;

use crate::stage::{Said, Setup, Stage, executable, key, nobody, run};

/// Ships a commit whose test step is `script`; the remote must stay as it is.
fn check(script: &str) -> String {
    let stage = Stage::new(&Setup::testing(script), nobody());
    stage.change();
    ship(&stage).text(&stage)
}

fn ship(stage: &Stage) -> Said {
    let before = stage.remote_main();
    let said = stage.ship_simulated();
    assert_eq!(before, stage.remote_main());
    assert_eq!(stage.model.requests().len(), 0);
    said
}

#[test]
fn failed_tests_end_a_run_that_may_not_heal() {
    assert_snapshot!(check("echo 1 of 2 tests failed; exit 1"), @r"
    exit 1 tests-failed: test step `unit` (sh -c echo 1 of 2 tests failed; exit 1) failed: exit 1
    1 of 2 tests failed
    next: mend the tests, commit, then ship again
    ");
}

#[test]
fn s01_a_missing_test_tool_is_no_pass() {
    let stage = Stage::new(&Setup { test: vec!["no-such-tool".into()], ..Setup::default() }, nobody());
    stage.change();
    assert_snapshot!(ship(&stage).text(&stage), @r"
    exit 3 test-tool-missing: test step `unit` (no-such-tool) could not run: there is no `no-such-tool`
    next: install what the step needs, then ship again
    ");
    assert_snapshot!(check("no-such-tool --run"), @r"
    exit 3 test-tool-missing: test step `unit` (sh -c no-such-tool --run) could not run: a program it calls was not found (exit 127)
    next: install what the step needs, then ship again
    ");
}

#[test]
fn s02_no_key_is_in_the_environment_of_a_test() {
    let stage = Stage::new(&Setup::testing("env >../seen; test -t 0 && exit 9; exit 0"), nobody());
    stage.change();
    let mut ship = stage.program("ship");
    ship.env("CODEX_SKIP", "1").env("CODEX_API_KEY", key()).env("GIT_DIR", stage.path("work/.git")).env("KEPT", "kept");
    run(&mut ship);
    let seen = fs::read_to_string(stage.path("seen")).unwrap();
    assert!(seen.contains("KEPT=kept") && !seen.contains(&key()) && !seen.contains("GIT_DIR"), "{seen}");
}

#[test]
fn s03_a_test_that_ships_finds_the_lock_and_pushes_nothing() {
    let ship = env!("CARGO_BIN_EXE_ship");
    let stage = Stage::new(&Setup::testing(&format!("'{ship}' --json >../inner; echo $? >../code; exit 0")), nobody());
    stage.change();
    let said = self::ship(&stage);
    assert_eq!(said.end()["class"], "push-blocked");
    assert_eq!(fs::read_to_string(stage.path("code")).unwrap(), "5\n");
    assert_eq!(stage.log("main"), "more\nstart");
}

#[test]
fn s04_two_ships_at_once() {
    let stage = Stage::new(&Setup { test: vec!["hold".into()], ..Setup::default() }, nobody());
    stage.holder();
    stage.change();
    stage.hold();
    let first = stage.start_ship(&[("CODEX_SKIP", "1")]);
    stage.held();
    assert_eq!(stage.journal().as_deref(), Some("testing"));
    let second = stage.ship_simulated().text(&stage).replace(&first.id().to_string(), "PID");
    assert_snapshot!(second, @r"
    exit 5 ship-running: another ship runs in this repository (process PID)
    next: wait until it has ended, then ship again
    ");
    assert_eq!(stage.journal().as_deref(), Some("testing"));
    stage.release("go");
    assert_eq!(Said::from(first.wait_with_output().unwrap()).end()["class"], "push-blocked");
}

#[test]
fn s08_tests_that_change_the_tree_are_refused() {
    assert_snapshot!(check("echo changed >src/greet.py"), @r"
    exit 1 dirty-tree: not committed: src/greet.py
    next: commit or ignore it, or git stash --include-untracked, then ship again
    ");
    assert_snapshot!(check("touch src/new.py"), @r"
    exit 1 dirty-tree: not committed: src/new.py
    next: commit or ignore it, or git stash --include-untracked, then ship again
    ");
}

#[test]
fn a_failed_test_that_changes_the_tree_is_told_as_a_failed_test_and_not_healed() {
    let stage = Stage::new(&Setup::testing("echo 1 of 2 failed; touch src/new.py; exit 1"), nobody());
    stage.provide_codex();
    stage.change();
    let said = stage.ship(&[]);
    assert_snapshot!(said.text(&stage), @r"
    exit 1 tests-failed: test step `unit` (sh -c echo 1 of 2 failed; touch src/new.py; exit 1) failed: exit 1; then dirty-tree: not committed: src/new.py
    next: mend the tests, commit, then ship again
    ");
    assert!(said.events().iter().any(|event| event["event"] == "test_failed"), "{}", said.stdout);
    assert_eq!(stage.model.requests().len(), 0);
}

#[test]
fn s08_tests_that_commit_are_refused() {
    assert_snapshot!(check("git commit --quiet --allow-empty --message sneaked"), @r"
    exit 1 branch-moved: refs/heads/main moved to ID meanwhile
    next: do not commit while a ship runs; ship again
    ");
}

#[test]
fn s08_tests_that_leave_the_branch_are_refused() {
    assert_snapshot!(check("git checkout --quiet --detach"), @r"
    exit 1 detached-head: HEAD is at ID and on no branch
    next: git switch BRANCH, or git switch --create BRANCH, then ship again
    ");
}

#[test]
fn j13_what_a_test_step_leaves_running_is_ended() {
    let stage = Stage::new(&Setup::testing("hold & while [ ! -e ../hold.pid ]; do :; done"), nobody());
    stage.holder();
    stage.change();
    stage.hold();
    ship(&stage);
    assert_eq!(stage.processes(), Vec::<String>::new());
}

#[test]
fn s09_hooks_filters_and_monitors_of_the_repository_do_not_run() {
    let stage = Stage::new(&Setup::default(), nobody());
    let spy = stage.path("bin/spy");
    executable(&spy, &format!("#!/bin/sh\ntouch '{}'\ncat\n", stage.path("spied").display()));
    let spy = spy.to_string_lossy();
    for name in
        ["post-merge", "pre-merge-commit", "reference-transaction", "post-checkout", "post-index-change", "pre-push"]
    {
        executable(&stage.path("work/.git/hooks").join(name), &format!("#!/bin/sh\nexec '{spy}' </dev/null\n"));
    }
    stage.write(".gitattributes", "*.py filter=spy diff=spy\n");
    stage.change();
    for (name, value) in [
        ("core.fsmonitor", &*spy),
        ("core.pager", &spy),
        ("core.editor", &spy),
        ("filter.spy.clean", &spy),
        ("filter.spy.smudge", &spy),
        ("diff.spy.textconv", &spy),
        ("gpg.program", &spy),
        ("commit.gpgSign", "true"),
        ("remote.origin.uploadpack", &spy),
        ("remote.origin.receivepack", &spy),
    ] {
        stage.git(&["config", name, value]);
    }
    fs::remove_file(stage.path("spied")).ok();
    assert_eq!(ship(&stage).end()["class"], "push-blocked");
    assert!(!stage.path("spied").exists());
}
