//! Which verdict lets a push through (G01, G02, G10).

use insta::assert_snapshot;
use repo::VerdictStore;
use serde_json::{Value, json};

use crate::scene::Scene;

/// What the gate says to an approving verdict with one change, written by hand.
fn check(change: impl FnOnce(&mut Value)) -> String {
    let s = Scene::new();
    let new = s.work();
    let mut verdict = s.verdict(&s.old, &new);
    change(&mut verdict);
    s.plant(&s.old, &new, "a.json", verdict.to_string());
    s.decision()
}

#[test]
fn an_approved_range_is_pushed() {
    assert_snapshot!(check(|_| {}), @"pushed");
}

#[test]
fn a_range_that_nobody_reviewed_is_refused() {
    let s = Scene::new();
    s.work();
    assert_snapshot!(s.decision(), @"refs/heads/main: no verdict for this range [no-verdict]");
}

#[test]
fn g01_a_verdict_about_other_content_is_refused() {
    assert_snapshot!(check(|v| v["meta"]["bundle_sha256"] = json!("2".repeat(64))), @"refs/heads/main: the verdict is about other content [other-content]");
}

#[test]
fn g01_a_verdict_about_another_tree_is_refused() {
    assert_snapshot!(check(|v| v["meta"]["to_tree"] = json!("2".repeat(40))), @"refs/heads/main: the verdict is about another tree [other-tree]");
}

#[test]
fn g01_a_verdict_about_another_range_in_the_place_of_this_one_is_refused() {
    let other = json!("2".repeat(40));
    assert_snapshot!(check(|v| v["meta"]["since_sha"] = other.clone()), @"refs/heads/main: the verdict is about another range [other-range]");
    assert_snapshot!(check(|v| v["meta"]["to_sha"] = other), @"refs/heads/main: the verdict is about another range [other-range]");
}

#[test]
fn g01_a_verdict_under_another_policy_is_refused() {
    assert_snapshot!(check(|v| v["meta"]["policy_sha256"] = json!("2".repeat(64))), @"refs/heads/main: the verdict was given under another policy [other-policy]");
}

#[test]
fn g01_a_verdict_from_another_server_than_the_policys_is_refused() {
    assert_snapshot!(check(|v| v["meta"]["reviewer"]["endpoint"] = json!("http://127.0.0.1:1")), @"refs/heads/main: the reviewer was asked at another endpoint than the policy's [other-endpoint]");
}

#[test]
fn g01_the_verdict_of_a_benign_commit_does_not_carry_over() {
    let s = Scene::new();
    let benign = s.work();
    let mut verdict = s.verdict(&s.old, &benign);
    s.f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    s.f.write("work", "evil\n");
    let evil = s.f.commit("work");
    verdict["meta"]["to_sha"] = json!(evil);
    s.plant(&s.old, &evil, "a.json", verdict.to_string());
    assert_snapshot!(s.decision(), @r"
    refs/heads/main: the verdict is about another tree [other-tree]
    refs/heads/main: the verdict is about other content [other-content]
    ");
}

#[test]
fn g01_a_reviewed_tree_does_not_approve_another_way_to_it() {
    let s = Scene::new();
    let reviewed = s.work();
    let mut verdict = s.verdict(&s.old, &reviewed);
    // The same tree, by way of a commit that nobody saw.
    s.f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    s.f.write("hidden", "never reviewed\n");
    s.f.commit("hidden");
    s.f.git(&["rm", "-q", "hidden"]);
    let detour = s.work();
    assert_eq!(s.f.id("HEAD^{tree}"), s.f.id(&format!("{reviewed}^{{tree}}")));
    verdict["meta"]["to_sha"] = json!(detour);
    s.plant(&s.old, &detour, "a.json", verdict.to_string());
    assert_snapshot!(s.decision(), @"refs/heads/main: the verdict is about other content [other-content]");
}

#[test]
fn g02_approved_with_a_blocker_is_no_verdict() {
    let blocker = json!([{ "source": "reviewer", "path": null, "line": null, "title": "t", "detail": "d" }]);
    assert_snapshot!(check(|v| v["blockers"] = blocker), @"refs/heads/main: a verdict for this range is invalid: APPROVED with blockers [invalid-verdict]");
}

#[test]
fn g02_unknown_missing_and_doubled_fields_are_no_verdict() {
    assert_snapshot!(check(|v| v["signed_by"] = json!("me")), @"refs/heads/main: a verdict for this range is invalid: not a verdict: unknown field `signed_by`, expected one of `schema`, `verdict`, `blockers`, `non_blocking`, `tests_run`, `meta` at line 1 column 769 [invalid-verdict]");
    assert_snapshot!(check(|v| v["meta"]["force"] = json!(true)), @"refs/heads/main: a verdict for this range is invalid: not a verdict: unknown field `force`, expected one of `since_sha`, `to_sha`, `to_tree`, `generated_at`, `review_mode`, `simulated`, `codex_cli`, `bundle_sha256`, `policy_sha256`, `reviewer` at line 1 column 170 [invalid-verdict]");
    assert_snapshot!(check(|v| drop(v["meta"].as_object_mut().unwrap().remove("simulated"))), @"refs/heads/main: a verdict for this range is invalid: not a verdict: missing field `simulated` at line 1 column 710 [invalid-verdict]");
    assert_snapshot!(check(|v| v["schema"] = json!(3)), @"refs/heads/main: a verdict for this range is invalid: verdict schema 3 is not 2 [invalid-verdict]");
    let s = Scene::new();
    let new = s.work();
    let text = s.verdict(&s.old, &new).to_string().replacen('{', r#"{"verdict":"BLOCKED","#, 1);
    s.plant(&s.old, &new, "a.json", text);
    assert_snapshot!(s.decision(), @"refs/heads/main: a verdict for this range is invalid: not a verdict: duplicate field `verdict` at line 1 column 802 [invalid-verdict]");
}

#[test]
fn g02_two_documents_or_none_are_no_verdict() {
    let s = Scene::new();
    let new = s.work();
    let verdict = s.verdict(&s.old, &new).to_string();
    s.plant(&s.old, &new, "a.json", format!("{verdict}{verdict}"));
    s.plant(&s.old, &new, "b.json", "");
    assert_snapshot!(s.decision(), @r"
    refs/heads/main: a verdict for this range is invalid: not a verdict: trailing characters at line 1 column 795 [invalid-verdict]
    refs/heads/main: a verdict for this range is invalid: not a verdict: EOF while parsing a value at line 1 column 0 [invalid-verdict]
    ");
}

#[test]
fn g10_the_newest_verdict_is_about_another_range_and_decides_nothing() {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    s.f.write("later", "1\n");
    let later = s.f.commit("later");
    let mut newest = s.verdict(&s.old, &later);
    newest["verdict"] = json!("BLOCKED");
    newest["blockers"] = json!([{ "source": "reviewer", "path": null, "line": null, "title": "t", "detail": "d" }]);
    s.plant(&s.old, &later, "29990101_000000.json", newest.to_string());
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: the review BLOCKED it: t [review-blocked]");
    assert_snapshot!(s.push(&["HEAD~1:refs/heads/main"]), @"pushed");
}

#[test]
fn g10_a_blocked_verdict_about_the_same_content_stands_beside_an_approval() {
    let s = Scene::new();
    let new = s.work();
    let mut blocked = s.verdict(&s.old, &new);
    blocked["verdict"] = json!("BLOCKED");
    blocked["blockers"] =
        json!([{ "source": "reviewer", "path": "work", "line": 1, "title": "not done", "detail": "" }]);
    s.plant(&s.old, &new, "20250101_000000.json", blocked.to_string());
    s.approve(&s.old, &new);
    assert_snapshot!(s.decision(), @"refs/heads/main: the review BLOCKED it: work:1: not done [review-blocked]");
}

#[test]
fn g14_a_simulated_verdict_never_passes() {
    let simulated = |v: &mut Value| {
        v["meta"]["simulated"] = json!(true);
        v["meta"]["codex_cli"] = Value::Null;
        v["meta"]["reviewer"] = Value::Null;
    };
    assert_snapshot!(check(simulated), @"refs/heads/main: the verdict is simulated [simulated-verdict]");
}

#[test]
fn g02_tests_that_the_policy_requires_are_those_that_ran() {
    let policy =
        "schema = 1\n[tests]\nrequired = true\n[[tests.steps]]\nname = \"unit\"\nargv = [\"make\", \"test\"]\n";
    let with = |run: Value| {
        let s = Scene::under(policy);
        let new = s.work();
        let mut verdict = s.verdict(&s.old, &new);
        verdict["tests_run"] = run;
        s.plant(&s.old, &new, "a.json", verdict.to_string());
        s.decision()
    };
    let run = |argv: Value, code| json!([{ "name": "unit", "argv": argv, "exit_code": code, "duration_ms": 1 }]);
    assert_snapshot!(with(json!([])), @"refs/heads/main: required test step `unit` did not pass [test-not-passed]");
    assert_snapshot!(with(run(json!(["make", "test"]), 1)), @"refs/heads/main: required test step `unit` did not pass [test-not-passed]");
    assert_snapshot!(with(run(json!(["true"]), 0)), @"refs/heads/main: required test step `unit` did not pass [test-not-passed]");
    assert_snapshot!(with(run(json!(["make", "test"]), 0)), @"pushed");
}

#[test]
fn g01_the_store_is_not_followed_elsewhere() {
    let s = Scene::new();
    let new = s.work();
    let file = s.approve(&s.old, &new);
    let elsewhere = s.f.dir().join("elsewhere.json");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert_snapshot!(s.decision(), @"refs/heads/main: could not see ~/work/.git/ai-ops-runner/verdicts/<id>..<id>/20260101_000000.json: Too many levels of symbolic links (os error 40) [unseen]");
    let dir = VerdictStore::of(&s.f.repo()).dir(&s.old, &new);
    let target = s.f.dir().join("store");
    std::fs::rename(&dir, &target).unwrap();
    std::os::unix::fs::symlink(&target, &dir).unwrap();
    assert_snapshot!(s.decision(), @"refs/heads/main: could not see ~/work/.git/ai-ops-runner/verdicts/<id>..<id>: is no directory [unseen]");
}
