//! Which refs are gated, and how they may move (G03 to G07).

use host::Host;
use insta::assert_snapshot;
use repo::testing::Fixture;

use crate::scene::Scene;

#[test]
fn g03_every_protected_pattern_is_gated() {
    let s = Scene::new();
    s.work();
    let all = ["refs/heads/master", "refs/heads/release/1", "refs/heads/release/1/2"];
    let said: Vec<String> = all.iter().map(|name| s.push(&[&format!("HEAD:{name}")])).collect();
    assert_snapshot!(said.join("\n"), @r"
    refs/heads/master: no verdict for this range [no-verdict]
    refs/heads/release/1: no verdict for this range [no-verdict]
    refs/heads/release/1/2: no verdict for this range [no-verdict]
    ");
}

#[test]
fn g03_names_made_to_look_like_a_protected_one_are_refused() {
    let s = Scene::new();
    s.work();
    let all = [
        "refs/heads/Main",
        "refs/heads/MASTER",
        "refs/heads/Release/1",
        "refs/Heads/main",
        "refs/heads/ma\u{200b}in",
        "refs/heads/\u{ff4d}ain",
        "refs/replace/1111111111111111111111111111111111111111",
        "refs/Replace/x",
        "refs/notes/commits",
        "refs/remotes/origin/main",
        "refs/pull/1/head",
        "refs/main",
    ];
    let said: Vec<String> = all.iter().map(|name| s.push(&[&format!("HEAD:{name}")])).collect();
    assert_snapshot!(said.join("\n"), @r"
    refs/heads/Main: the policy knows no such ref [unknown-ref]
    refs/heads/MASTER: the policy knows no such ref [unknown-ref]
    refs/heads/Release/1: the policy knows no such ref [unknown-ref]
    refs/Heads/main: the policy knows no such ref [unknown-ref]
    refs/heads/ma\u{200b}in: the policy knows no such ref [unknown-ref]
    refs/heads/ｍain: the policy knows no such ref [unknown-ref]
    refs/replace/<id>: the policy knows no such ref [unknown-ref]
    refs/Replace/x: the policy knows no such ref [unknown-ref]
    refs/notes/commits: the policy knows no such ref [unknown-ref]
    refs/remotes/origin/main: the policy knows no such ref [unknown-ref]
    refs/pull/1/head: the policy knows no such ref [unknown-ref]
    refs/main: the policy knows no such ref [unknown-ref]
    ");
}

#[test]
fn g03_what_is_no_full_name_of_a_ref_is_refused() {
    let s = Scene::new();
    let (new, zero) = (s.work(), s.old.zero_like());
    let all = ["HEAD", "main", "refs/heads/", "refs/heads/../heads/main", "refs//heads/main", "refs/heads/main.lock"];
    let said: Vec<String> = all.iter().map(|name| s.hook(format!("x {new} {name} {zero}\n"))).collect();
    assert_snapshot!(said.join("\n"), @r"
    HEAD: the policy knows no such ref [unknown-ref]
    main: the policy knows no such ref [unknown-ref]
    refs/heads/: the policy knows no such ref [unknown-ref]
    refs/heads/../heads/main: the policy knows no such ref [unknown-ref]
    refs//heads/main: the policy knows no such ref [unknown-ref]
    refs/heads/main.lock: the policy knows no such ref [unknown-ref]
    ");
}

#[test]
fn g03_open_refs_pass_freely() {
    let s = Scene::new();
    s.work();
    s.f.git(&["tag", "-a", "-m", "one", "v1"]);
    assert_snapshot!(s.push(&["HEAD:refs/heads/topic", "v1", "HEAD:refs/heads/mainline"]), @"pushed");
}

#[test]
fn g03_a_protected_branch_of_the_remotes_policy_is_gated() {
    let s = Scene::under("schema = 1\n[refs]\nprotected = [\"refs/heads/prod\"]\nopen = [\"refs/heads/**\"]\n");
    s.work();
    assert_snapshot!(s.push(&["HEAD:refs/heads/prod"]), @"refs/heads/prod: no verdict for this range [no-verdict]");
    assert_snapshot!(s.push(&["HEAD:refs/tags/v1"]), @"refs/tags/v1: the policy knows no such ref [unknown-ref]");
}

#[test]
fn g03_a_ref_that_only_the_pinned_policy_protects_is_verified_by_that_policy() {
    let s = Scene::under("schema = 1\n[refs]\nprotected = [\"refs/heads/prod\"]\nopen = [\"refs/heads/**\"]\n");
    std::fs::write(s.site.policy(), "schema = 1\n[refs]\nprotected = [\"refs/heads/main\"]\n").unwrap();
    let new = s.work();
    s.approve(&s.old, &new);
    let other = s.verify(&format!("{}..{new}", s.old), &["--ref", "refs/heads/prod"]);
    assert_snapshot!(other, @"<id>..<id>: the verdict was given under another policy [other-policy]");
    assert_snapshot!(s.decision(), @"pushed");
}

#[test]
fn g04_deleting_main_is_refused() {
    let s = Scene::new();
    s.f.git_in(&s.f.remote(), &["config", "receive.denyDeleteCurrent", "false"]);
    assert_snapshot!(s.push(&["--delete", "main"]), @"refs/heads/main: a protected ref would be deleted [protected-deletion]");
    assert_snapshot!(s.push(&[":refs/heads/main"]), @"refs/heads/main: a protected ref would be deleted [protected-deletion]");
    s.f.git(&["push", "-q", "origin", "HEAD:refs/heads/topic"]);
    assert_snapshot!(s.push(&["--delete", "topic"]), @"pushed");
}

#[test]
fn g05_a_rewind_is_refused_though_it_was_reviewed_once() {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    assert_snapshot!(s.decision(), @"pushed");
    s.approve(&new, &s.old);
    assert_snapshot!(s.push(&["--force", &format!("{}:refs/heads/main", s.old)]), @"refs/heads/main: not a fast-forward of what the remote has [not-fast-forward]");
}

#[test]
fn g05_a_replacement_is_refused_though_a_verdict_approves_the_difference() {
    let s = Scene::new();
    s.f.git(&["checkout", "-q", "--orphan", "other"]);
    let new = s.work();
    s.approve(&s.old, &new);
    assert_snapshot!(s.push(&["--force", "HEAD:refs/heads/main"]), @"refs/heads/main: not a fast-forward of what the remote has [not-fast-forward]");
    assert_snapshot!(s.push(&["--force-with-lease", "HEAD:refs/heads/main"]), @"refs/heads/main: not a fast-forward of what the remote has [not-fast-forward]");
}

#[test]
fn g06_one_bad_ref_refuses_the_whole_push_wherever_it_stands() {
    let s = Scene::new();
    s.work();
    for name in ["a", "n", "z"] {
        let [open, other] = ["b", "y"].map(|open| format!("HEAD:refs/heads/{open}-{name}"));
        let refused = s.push(&["HEAD:refs/heads/main", &open, &other]);
        assert_eq!(refused, "refs/heads/main: no verdict for this range [no-verdict]");
        let refused = s.push(&[&open, "HEAD:refs/heads/main", &other]);
        assert_eq!(refused, "refs/heads/main: no verdict for this range [no-verdict]");
        let refused = s.push(&[&open, &other, "HEAD:refs/heads/main"]);
        assert_eq!(refused, "refs/heads/main: no verdict for this range [no-verdict]");
    }
    assert_snapshot!(s.push(&["HEAD:refs/heads/main", "HEAD:refs/heads/ok", "HEAD:refs/heads/release/1"]), @r"
    refs/heads/main: no verdict for this range [no-verdict]
    refs/heads/release/1: no verdict for this range [no-verdict]
    ");
}

#[test]
fn g06_every_line_of_the_input_is_judged_in_any_order() {
    let s = Scene::new();
    let (new, old, zero) = (s.work(), &s.old, s.old.zero_like());
    let open = |n: u8| format!("refs/heads/x {new} refs/heads/open-{n} {zero}\n");
    let bad = format!("refs/heads/x {new} refs/heads/main {old}\n");
    let hook = |stdin: String| s.hook(stdin);
    assert_eq!(hook(open(1) + &open(2)), "passed");
    for stdin in [bad.clone() + &open(1) + &open(2), open(1) + &bad + &open(2), open(1) + &open(2) + &bad] {
        assert_eq!(hook(stdin), "refs/heads/main: no verdict for this range [no-verdict]");
    }
    s.approve(old, &new);
    assert_eq!(hook(bad.clone()), "passed");
    assert_snapshot!(hook(bad.clone() + &bad), @"refs/heads/main: the ref stands there twice [ref-twice]");
    assert_snapshot!(hook(bad.trim_end().to_owned() + " more\n"), @"pre-push input, line 1: `more` is not a full object id (40 or 64 lower-case hex digits)");
    assert_snapshot!(hook("\n".to_owned()), @"pre-push input, line 1: not four fields");
    assert_snapshot!(hook(format!("{bad}\0")), @"pre-push input, line 2: not four fields");
    assert_eq!(hook(String::new()), "passed");
}

#[test]
fn g06_a_push_of_nothing_passes() {
    let s = Scene::new();
    assert_snapshot!(s.push(&["main"]), @"passed");
}

#[test]
fn g06_an_annotated_tag_is_judged_by_the_commit_it_leads_to() {
    let policy =
        "schema = 1\n[refs]\nprotected = [\"refs/heads/main\", \"refs/tags/v*\"]\nopen = [\"refs/heads/**\"]\n";
    let s = Scene::under(policy);
    let new = s.work();
    s.f.git(&["tag", "-a", "-m", "one", "v1"]);
    s.f.git(&["tag", "-a", "-m", "of a tag", "v2", "v1"]);
    assert_snapshot!(s.push(&["v1"]), @"refs/tags/v1: no verdict for this range [no-verdict]");
    s.approve(&s.old.zero_like(), &new);
    assert_snapshot!(s.push(&["v1", "v2"]), @"pushed");
    let token = ["ghp_", "aZ3kP9qLr7Tn2WvXy5Bc8DfGh1JmNs4RtUe6"].concat();
    s.f.git(&["tag", "-a", "-m", &token, "v3"]);
    assert_snapshot!(s.push(&["v3"]), @"refs/tags/v3: the rules block: tag <id>:6: secret [rule-blockers]");
    let tree = s.f.id("HEAD^{tree}");
    s.f.git(&["tag", "v4", tree.as_str()]);
    assert_snapshot!(s.push(&["v4"]), @"refs/tags/v4: could not see <id> is a tree, not a commit [unseen]");
}

#[test]
fn g07_a_forged_tracking_ref_changes_nothing() {
    let s = Scene::new();
    s.f.write("evil", "1\n");
    let evil = s.f.commit("evil");
    let new = s.work();
    s.f.git(&["update-ref", "refs/remotes/origin/main", evil.as_str()]);
    s.approve(&evil, &new);
    assert_snapshot!(s.decision(), @"refs/heads/main: no verdict for this range [no-verdict]");
}

#[test]
fn g07_a_remote_that_moved_is_seen_though_nobody_fetched() {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    let clone = s.f.dir().join("theirs");
    s.f.git_in(s.f.dir(), &["clone", "-q", "remote.git", "theirs"]);
    s.f.git_in(&clone, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    s.f.git_in(&clone, &["push", "-q", "origin", "main"]);
    assert_snapshot!(s.push(&["--force", "HEAD:refs/heads/main"]), @"refs/heads/main: the remote's commit is not in this repository [base-missing]");
}

#[test]
fn a_first_push_is_reviewed_from_nothing() {
    let s = Scene::around(Fixture::new());
    let first = s.work();
    assert_snapshot!(s.decision(), @"refs/heads/main: no verdict for this range [no-verdict]");
    s.approve(&s.old, &first);
    assert_snapshot!(s.decision(), @"pushed");
}

#[test]
fn g07_each_of_two_remotes_is_judged_by_what_it_has() {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    s.f.git_in(s.f.dir(), &["init", "-q", "--bare", "second.git"]);
    let second = s.f.dir().join("second.git");
    let push = s.git_in(&s.f.work(), &["push", "-q"]).arg(&second).arg("HEAD:refs/heads/main");
    let output = s.f.host().run(&push).unwrap();
    assert!(s.shown(&output.stderr_text()).contains("refs/heads/main: no verdict for this range"));
    assert_eq!(s.f.git_in(&second, &["for-each-ref"]), "");
    assert_snapshot!(s.decision(), @"pushed");
}
