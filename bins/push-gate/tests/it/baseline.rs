//! The one commit that nobody reviews (G11).

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::scene::Scene;

const FILE: &str = "docs/LAST_REVIEWED_SHA.txt";
const MESSAGE: &str = "chore: advance review baseline";

/// What the gate says to a baseline commit on an approved one: `make` writes the tree, given the approved id.
fn check(message: &str, make: impl FnOnce(&Scene, &str)) -> String {
    let s = Scene::new();
    let reviewed = s.work();
    s.approve(&s.old, &reviewed);
    make(&s, reviewed.as_str());
    s.f.commit(message);
    s.decision()
}

fn right(s: &Scene, id: &str) {
    s.f.write(FILE, format!("{id}\n"));
}

#[test]
fn a_baseline_commit_on_an_approved_one_is_pushed() {
    assert_snapshot!(check(MESSAGE, right), @"pushed");
}

#[test]
fn g11_other_content_is_refused() {
    let with = |text: fn(&str) -> String| check(MESSAGE, move |s, id| s.f.write(FILE, text(id)));
    let said = [
        with(str::to_owned),
        with(|id| format!("{id}\n\n")),
        with(|id| format!("{id}\r\n")),
        with(|id| format!("{}\n", id.to_uppercase())),
        with(|id| format!("{}\n", &id[..20])),
        with(|id| format!("{id}\nunreviewed\n")),
        with(|_| format!("{}\n", "1".repeat(40))),
        with(|_| String::new()),
    ];
    assert_snapshot!(said.join("\n"), @r"
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt does not hold the parent's id [bad-baseline]
    ");
}

#[test]
fn g11_another_file_beside_it_is_refused() {
    let said = check(MESSAGE, |s, id| {
        right(s, id);
        s.f.write("src/evil", "1\n");
    });
    assert_snapshot!(said, @"refs/heads/main: the last commit is no baseline commit: it changes more than docs/LAST_REVIEWED_SHA.txt [bad-baseline]");
}

#[test]
fn g11_a_file_beside_it_whose_mode_alone_changes_is_refused() {
    let said = check(MESSAGE, |s, id| {
        right(s, id);
        std::fs::set_permissions(s.f.work().join("README.md"), PermissionsExt::from_mode(0o755)).unwrap();
    });
    assert_snapshot!(said, @"refs/heads/main: the last commit is no baseline commit: it changes more than docs/LAST_REVIEWED_SHA.txt [bad-baseline]");
}

#[test]
fn g11_an_executable_file_is_refused() {
    let said = check(MESSAGE, |s, id| {
        right(s, id);
        std::fs::set_permissions(s.f.work().join(FILE), PermissionsExt::from_mode(0o755)).unwrap();
    });
    assert_snapshot!(said, @"refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt has not mode 100644 [bad-baseline]");
}

#[test]
fn g11_a_symbolic_link_is_refused() {
    let said = check(MESSAGE, |s, id| {
        s.f.write("docs/x", "");
        std::fs::remove_file(s.f.work().join("docs/x")).unwrap();
        std::os::unix::fs::symlink(format!("{id}\n"), s.f.work().join(FILE)).unwrap();
    });
    assert_snapshot!(said, @"refs/heads/main: the last commit is no baseline commit: docs/LAST_REVIEWED_SHA.txt has not mode 100644 [bad-baseline]");
}

#[test]
fn g11_another_message_is_refused() {
    assert_snapshot!(check("chore: advance review baseline\n\nand more", right), @"refs/heads/main: the last commit is no baseline commit: its message is not `chore: advance review baseline` [bad-baseline]");
    assert_snapshot!(check("Chore: advance review baseline", right), @"refs/heads/main: the last commit is no baseline commit: its message is not `chore: advance review baseline` [bad-baseline]");
}

#[test]
fn g11_an_unreviewed_commit_below_it_is_refused() {
    let s = Scene::new();
    let evil = s.work();
    right(&s, evil.as_str());
    s.f.commit(MESSAGE);
    assert_snapshot!(s.decision(), @"refs/heads/main: no verdict for this range [no-verdict]");
}

#[test]
fn g11_two_parents_are_refused() {
    let s = Scene::new();
    let reviewed = s.work();
    s.approve(&s.old, &reviewed);
    right(&s, reviewed.as_str());
    s.f.commit(MESSAGE);
    let tree = s.f.id("HEAD^{tree}");
    let with = |second: &str| {
        let args = ["commit-tree", "-p", reviewed.as_str(), "-p", second, "-m", MESSAGE, tree.as_str()];
        let merge = s.f.git(&args);
        s.f.git(&["reset", "-q", "--hard", &merge]);
        s.decision()
    };
    assert_snapshot!(with(s.old.as_str()), @r"
    refs/heads/main: the rules block: docs/LAST_REVIEWED_SHA.txt: baseline-edited [rule-blockers]
    refs/heads/main: no verdict for this range [no-verdict]
    ");
    let unrelated = s.f.git(&["commit-tree", "-m", "unrelated", tree.as_str()]);
    assert_snapshot!(with(&unrelated), @r"
    refs/heads/main: the rules block: docs/LAST_REVIEWED_SHA.txt: baseline-edited [rule-blockers]
    refs/heads/main: no verdict for this range [no-verdict]
    ");
}

#[test]
fn g11_a_second_baseline_commit_on_the_first_is_refused() {
    let s = Scene::new();
    let reviewed = s.work();
    s.approve(&s.old, &reviewed);
    right(&s, reviewed.as_str());
    let first = s.f.commit(MESSAGE);
    right(&s, first.as_str());
    s.f.commit(MESSAGE);
    assert_snapshot!(s.decision(), @r"
    refs/heads/main: the rules block: docs/LAST_REVIEWED_SHA.txt: baseline-edited [rule-blockers]
    refs/heads/main: no verdict for this range [no-verdict]
    ");
}

#[test]
fn g11_a_baseline_commit_on_what_the_remote_has_is_refused() {
    let s = Scene::new();
    right(&s, s.old.as_str());
    s.f.commit(MESSAGE);
    assert_snapshot!(s.decision(), @r"
    refs/heads/main: there is no reviewed commit to push [nothing-reviewed]
    refs/heads/main: no verdict for this range [no-verdict]
    ");
}

#[test]
fn g11_a_secret_in_its_header_is_refused() {
    let s = Scene::new();
    let reviewed = s.work();
    s.approve(&s.old, &reviewed);
    right(&s, reviewed.as_str());
    s.f.commit(MESSAGE);
    let token = ["ghp_", "aZ3kP9qLr7Tn2WvXy5Bc8DfGh1JmNs4RtUe6"].concat();
    let commit = s.f.git(&["cat-file", "commit", "HEAD"]);
    let (header, message) = commit.split_once("\n\n").unwrap();
    let forged = s.f.git_stdin(
        &["hash-object", "-w", "-t", "commit", "--literally", "--stdin"],
        format!("{header}\nx-note {token}\n\n{message}\n").as_bytes(),
    );
    s.f.git(&["reset", "-q", "--hard", &forged]);
    assert_snapshot!(s.decision(), @"refs/heads/main: the rules block: commit <id>:5: secret [rule-blockers]");
}

#[test]
fn g11_the_file_in_the_middle_of_a_range_is_refused() {
    let s = Scene::new();
    right(&s, s.old.as_str());
    s.f.commit(MESSAGE);
    let new = s.work();
    s.approve(&s.old, &new);
    assert_snapshot!(s.decision(), @"refs/heads/main: the rules block: docs/LAST_REVIEWED_SHA.txt: baseline-edited [rule-blockers]");
}
