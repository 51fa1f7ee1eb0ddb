//! Reviewers that do not review: missing, hanging, lying, and servers that fail. None of it is a verdict, starts a heal
//! or pushes.

use std::fs;

use fake_model::{Brain, Ending, Reply};
use insta::assert_snapshot;

use crate::stage::{Setup, Stage, nobody, run};

/// Ships a commit to a model that always gives this reply.
fn check(reply: Reply) -> String {
    limited(60, reply)
}

fn limited(timeout: u64, reply: Reply) -> String {
    let stage = Stage::with_codex(&Setup { timeout, ..Setup::default() }, move |_| reply.clone());
    not_reviewed(&stage)
}

fn not_reviewed(stage: &Stage) -> String {
    let head = stage.change();
    let before = stage.remote_main();
    let said = stage.ship(&[]);
    assert_eq!(stage.remote_main(), before);
    assert_eq!(stage.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(stage.git(&["status", "--porcelain"]), "");
    assert_eq!(stage.heals().len(), 0, "R13: an infrastructure failure started a heal");
    assert_eq!(stage.left_over(), Vec::<String>::new());
    assert!(!stage.path("work/.git/ai-ops-runner/verdicts").exists());
    said.text(stage)
}

#[test]
fn a_missing_codex() {
    assert_snapshot!(not_reviewed(&Stage::new(&Setup::default(), |_| Reply::empty())), @r"
    exit 3 codex-missing: no program `codex` was found on PATH
    next: install it: npm install --global @openai/codex@0.169.0
    ");
}

#[test]
fn a_codex_that_is_a_script() {
    let stage = Stage::new(&Setup::default(), |_| Reply::empty());
    crate::stage::executable(&stage.path("bin/codex"), "#!/bin/sh\necho unknown\n");
    assert_snapshot!(not_reviewed(&stage), @r"
    exit 3 codex-missing: STAGE/bin/codex is a script, and the native codex program it starts was not found
    next: install it: npm install --global @openai/codex@0.169.0
    ");
}

#[test]
fn what_a_review_needs_is_looked_for_before_the_tests_run() {
    let stage = Stage::new(&Setup::testing("touch ../tested"), nobody());
    stage.change();
    assert_snapshot!(stage.ship(&[]).text(&stage), @r"
    exit 3 codex-missing: no program `codex` was found on PATH
    next: install it: npm install --global @openai/codex@0.169.0
    ");
    stage.provide_codex();
    let without_key = run(stage.program("ship").arg("--json").env_remove("OPENAI_API_KEY"));
    assert_eq!((without_key.code, without_key.end()["class"].as_str()), (Some(3), Some("key-missing")));
    let policy = fs::read_to_string(stage.path("work/configs/ship.toml")).unwrap();
    let pinned = policy.replace("[review]\n", "[review]\ncodex_version = \"0.1.0\"\n");
    stage.write("configs/ship.toml", &pinned);
    stage.commit("pin codex");
    stage.git(&["push", "--quiet", "origin", "main"]);
    stage.write("src/most.py", "MOST = 1\n");
    stage.commit("most");
    assert_eq!(stage.ship(&[]).end()["class"], "codex-not-pinned");
    assert!(!stage.path("tested").exists() && stage.model.requests().is_empty());
}

#[test]
fn r08_a_codex_without_a_version() {
    let stage = Stage::new(&Setup::default(), |_| Reply::empty());
    fs::hard_link(env!("CARGO_BIN_EXE_ship"), stage.path("bin/codex")).unwrap();
    assert_snapshot!(not_reviewed(&stage), @r"
    exit 3 codex-unknown: `STAGE/bin/codex --version` did not say a version: ship 0.1.0
    next: install a known version: npm install --global @openai/codex@0.169.0
    ");
}

#[test]
fn k04_a_missing_key_is_asked_of_nobody() {
    let stage = Stage::with_codex(&Setup::default(), |_| Reply::empty());
    stage.change();
    let said = run(stage.program("ship").arg("--json").env_remove("OPENAI_API_KEY"));
    assert_eq!((said.code, said.end()["class"].as_str()), (Some(3), Some("key-missing")));
}

#[test]
fn r08_a_codex_that_hangs() {
    assert_snapshot!(limited(3, Reply::Hang), @r"
    exit 4 reviewer-timeout: bundle was not reviewed: no answer within 3 s
    next: try again, or raise review.timeout_sec in the policy
    ");
}

/// Ships a commit to a model that answers as it should, but for what `change` makes of the answer.
fn changed(change: fn(&str) -> String) -> String {
    let stage = Stage::with_codex(&Setup::default(), move |request| {
        let Reply::Stream { items, .. } = Brain::approving().reply(request) else { panic!("an answer is a stream") };
        Reply::message(change(items[0]["content"][0]["text"].as_str().unwrap()))
    });
    not_reviewed(&stage)
}

#[test]
fn r06_prose() {
    assert_snapshot!(changed(|answer| format!("Fine by me: {answer}")), @r"
    exit 4 reviewer-answer: bundle was not reviewed: the answer is not exactly one document of the schema: expected value at line 1 column 1
    next: try again, or name another review.model in the policy
    ");
}

#[test]
fn an_empty_message() {
    assert_snapshot!(check(Reply::message("")), @r"
    exit 4 reviewer-answer: bundle was not reviewed: the reviewer's answer cannot be trusted: it said nothing
    next: try again, or name another review.model in the policy
    ");
}

#[test]
fn r06_two_documents() {
    assert_snapshot!(changed(|answer| format!("{answer}\n{answer}")), @r"
    exit 4 reviewer-answer: bundle was not reviewed: the answer is not exactly one document of the schema: trailing characters at line 2 column 1
    next: try again, or name another review.model in the policy
    ");
}

#[test]
fn a_rejected_key() {
    assert_snapshot!(check(Reply::status(401)), @r"
    exit 3 key-rejected: bundle was not reviewed: the service rejected the key: unexpected status 401 Unauthorized: scripted 401, url: MODEL/responses
    next: store a valid key: openai-key set
    ");
}

#[test]
fn a_rate_limit() {
    assert_snapshot!(check(Reply::status(429).retry_after(0)), @r"
    exit 4 rate-limited: bundle was not reviewed: the service is limiting requests: exceeded retry limit, last status: 429 Too Many Requests
    next: wait a minute, then try again: answers so far are kept
    ");
}

#[test]
fn r13_a_server_error() {
    assert_snapshot!(check(Reply::status(500)), @r"
    exit 4 reviewer-failed: bundle was not reviewed: the reviewer failed (exit 1): We’re currently experiencing high demand, which may cause temporary errors.
    next: try again: answers so far are kept
    ");
}

#[test]
fn r13_a_dropped_stream() {
    assert_snapshot!(check(Reply::message("{}").ending(Ending::Cut)), @r"
    exit 4 reviewer-failed: bundle was not reviewed: the reviewer failed (exit 1): stream disconnected before completion: Transport error: network error: error decoding response body
    next: try again: answers so far are kept
    ");
}
