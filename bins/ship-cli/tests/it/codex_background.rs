//! The ship that the installed post-commit hook starts.

use std::fs;

use crate::stage::{Setup, Stage, executable, key, mending, run, until};

/// A stage with the hooks installed, whose test step holds.
fn stage() -> Stage {
    let stage = Stage::with_codex(&Setup { test: vec!["hold".into()], ..Setup::default() }, mending());
    stage.holder();
    // The next try of a ship that found another one comes at once.
    executable(&stage.path("bin/sleep"), "#!/bin/sh\n");
    stage.install();
    stage.hold();
    stage
}

/// Commits as somebody does who wants every commit shipped, and waits for the commit alone.
fn commit(stage: &Stage, variables: &[(&str, &str)]) -> String {
    stage.write("src/more.py", &format!("MORE = {}\n", stage.log("HEAD").lines().count()));
    stage.git(&["add", "src"]);
    let mut commit = stage.command("git");
    commit.args(["commit", "--quiet", "--message", "more"]).env("OPENAI_API_KEY", key());
    let said = run(commit.env("SHIP_AUTO_ON_COMMIT", "1").envs(variables.iter().copied()));
    assert_eq!((said.code, said.stderr), (Some(0), String::new()));
    stage.git(&["rev-parse", "HEAD"])
}

fn log(stage: &Stage) -> String {
    fs::read_to_string(stage.path("work/.git/ai-ops-runner-ship.log")).unwrap_or_default()
}

/// Lets the tests pass and waits until every ship has ended: the remote has the branch.
fn ended(stage: &Stage) {
    stage.release("go");
    until("every ship has ended", || stage.processes().is_empty().then_some(()));
    assert_eq!(stage.remote_main(), stage.git(&["rev-parse", "HEAD"]), "{}", log(stage));
}

#[test]
fn a_commit_is_done_before_the_ship_that_it_starts() {
    let stage = stage();
    let committed = commit(&stage, &[]);
    stage.held();
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), committed);
    ended(&stage);
    assert_eq!(stage.log("main"), "chore: advance review baseline\nmore\nstart");
    assert!(log(&stage).trim_end().ends_with("shipped"), "{}", log(&stage));
}

#[test]
fn a_commit_that_comes_while_a_ship_runs_is_shipped_after_it() {
    let stage = stage();
    commit(&stage, &[]);
    stage.held();
    commit(&stage, &[]);
    until("the second ship finds the first", || log(&stage).contains("ship-running").then_some(()));
    ended(&stage);
    assert_eq!(stage.log("main"), "chore: advance review baseline\nmore\nmore\nstart");
    assert!(log(&stage).contains("branch-moved"), "{}", log(&stage));
}

#[test]
fn a_commit_that_asks_for_none_starts_no_ship() {
    let stage = stage();
    for variable in [("SHIP_AUTO_ON_COMMIT", "0"), ("SHIP_AUTO_SKIP", "1"), ("REVIEW_FINISH_COMMIT", "1")] {
        commit(&stage, &[variable]);
        assert_eq!((log(&stage), stage.processes()), (String::new(), Vec::new()), "{variable:?}");
    }
}
