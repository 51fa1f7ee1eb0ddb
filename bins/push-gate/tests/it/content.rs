//! What the rules block, whatever a verdict says (G13).

use insta::assert_snapshot;

use crate::scene::Scene;

/// Put together here so that no scanner takes it for one.
fn token() -> String {
    ["ghp_", "aZ3kP9qLr7Tn2WvXy5Bc8DfGh1JmNs4RtUe6"].concat()
}

/// An approving verdict for all of it does not help.
fn decision(s: &Scene) -> String {
    s.approve(&s.old, &s.f.id("HEAD"));
    s.decision()
}

#[test]
fn g13_a_secret_is_refused_though_a_verdict_approves_it() {
    let s = Scene::new();
    s.f.write("config", format!("a\ntoken = {}\n", token()));
    s.f.commit("config");
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: config:2: secret [rule-blockers]");
}

#[test]
fn g13_a_secret_added_and_removed_in_the_range_is_refused() {
    let s = Scene::new();
    s.f.write("deep/in/config", format!("{}\n", token()));
    s.f.commit("add");
    std::fs::remove_file(s.f.work().join("deep/in/config")).unwrap();
    s.work();
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: deep/in/config:1: secret [rule-blockers]");
}

#[test]
fn g13_a_secret_that_was_replaced_in_the_range_is_refused() {
    let s = Scene::new();
    s.f.write("README.md", format!("{}\n", token()));
    s.f.commit("add");
    s.f.write("README.md", "read me again\n");
    s.f.commit("replace");
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: README.md:1: secret [rule-blockers]");
}

#[test]
fn g13_a_secret_in_a_commit_message_is_refused() {
    let s = Scene::new();
    s.f.write("a", "1\n");
    s.f.commit(&format!("deploy with {}", token()));
    s.work();
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: commit <id>:6: secret [rule-blockers]");
}

#[test]
fn g13_a_secret_that_only_a_merge_brings_in_is_refused() {
    let s = Scene::new();
    s.f.git(&["checkout", "-q", "-b", "side"]);
    s.f.write("side", "1\n");
    s.f.commit("side");
    s.f.git(&["checkout", "-q", "main"]);
    s.work();
    s.f.git(&["merge", "-q", "--no-commit", "side"]);
    s.f.write("side", format!("{}\n", token()));
    s.f.commit("merge");
    assert_eq!(s.f.git(&["rev-list", "--parents", "-1", "HEAD"]).split(' ').count(), 3);
    s.f.git(&["rm", "-q", "side"]);
    s.f.commit("clean");
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: side:1: secret [rule-blockers]");
}

#[test]
fn g13_a_secret_on_a_branch_that_was_merged_and_emptied_is_refused() {
    let s = Scene::new();
    s.f.git(&["checkout", "-q", "-b", "side"]);
    s.f.write("side", format!("{}\n", token()));
    s.f.commit("side");
    s.f.git(&["rm", "-q", "side"]);
    s.f.commit("clean");
    s.f.git(&["checkout", "-q", "main"]);
    s.work();
    s.f.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: side:1: secret [rule-blockers]");
}

#[test]
fn g13_the_branch_may_be_on_the_remote_already_and_is_refused_all_the_same() {
    let s = Scene::new();
    s.f.write("config", format!("{}\n", token()));
    s.f.commit("config");
    assert_snapshot!(s.push(&["HEAD:refs/heads/topic"]), @"pushed");
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: config:1: secret [rule-blockers]");
}

#[test]
fn g13_an_exception_in_the_change_itself_does_not_count() {
    let s = Scene::new();
    let allow = "schema = 1\n[[rules.allow]]\nrule = \"secret\"\npath = \"**\"\nreason = \"trust me\"\n";
    s.f.write("configs/ship.toml", allow);
    s.f.write("config", format!("{}\n", token()));
    s.f.commit("config");
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: config:1: secret [rule-blockers]");
}

#[test]
fn g13_an_exception_that_the_remote_has_counts() {
    let allow = "schema = 1\n[[rules.allow]]\nrule = \"secret\"\npath = \"fixtures/**\"\nreason = \"made up\"\n";
    let s = Scene::under(allow);
    s.f.write("fixtures/config", format!("{}\n", token()));
    s.f.commit("fixture");
    assert_snapshot!(decision(&s), @"pushed");
}

#[test]
fn r15_bidi_controls_are_refused_though_a_verdict_approves_them() {
    let s = Scene::new();
    s.f.write("a.rs", "let a = \"\u{202e}\";\n");
    s.f.commit("a");
    assert_snapshot!(decision(&s), @"refs/heads/main: the rules block: a.rs:1: invisible [rule-blockers]");
}
