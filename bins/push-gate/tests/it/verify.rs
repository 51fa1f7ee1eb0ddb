//! `push-gate` as a person, CI or a server runs it.

use host::{Host as _, Local};
use insta::assert_snapshot;

use crate::scene::Scene;

/// Exit status, stdout and stderr of the gate.
fn check(s: &Scene, args: &[&str]) -> String {
    let gate = s.program(env!("CARGO_BIN_EXE_push-gate")).args(args.iter().copied()).dir(s.f.work());
    let output = Local::new().run(&gate).unwrap();
    let text = format!("{}\n{}\n{}", output.status, output.stdout_text(), output.stderr_text());
    s.shown(&text)
}

#[test]
fn help() {
    let s = Scene::new();
    assert_snapshot!(check(&s, &["--help"]));
    assert_snapshot!(check(&s, &["verify", "--help"]));
    assert_snapshot!(check(&s, &["pre-push", "--help"]));
}

#[test]
fn a_refusal_tells_every_reason_and_what_to_do() {
    let s = Scene::new();
    s.f.write("a.rs", "let a = \"\u{202e}\";\n");
    s.f.write("docs/LAST_REVIEWED_SHA.txt", "x\n");
    s.f.commit("a");
    let push = s.pushing(&["HEAD:refs/heads/main", "HEAD:refs/heads/Main", "HEAD:refs/heads/ok"]);
    let output = Local::new().run(&push).unwrap();
    assert_snapshot!(s.shown(&output.stderr_text()), @r"
    push-blocked: PUSH BLOCKED
    refs/heads/main: the last commit is no baseline commit: it changes more than docs/LAST_REVIEWED_SHA.txt [bad-baseline]
      next: drop that commit; review-finish makes the right one
    refs/heads/Main: the policy knows no such ref [unknown-ref]
      next: push a ref that [refs] in configs/ship.toml names, spelled as there
    next: mend every reason above, then push again
    error: failed to push some refs to '~/remote.git'
    ");
}

#[test]
fn g19_verify_decides_as_a_push_does_and_takes_a_verdict_by_hand() {
    let s = Scene::new();
    let new = s.work();
    let file = s.f.dir().join("verdict.json");
    std::fs::write(&file, s.verdict(&s.old, &new).to_string()).unwrap();
    let (range, file) = (format!("{}..{new}", s.old), file.to_str().unwrap());
    assert_snapshot!(check(&s, &["verify", "--range", &range]), @r"
    exit 1

    push-blocked: PUSH BLOCKED
    <id>..<id>: no verdict for this range [no-verdict]
      next: review this range: ship
    next: mend every reason above, then push again
    ");
    assert_snapshot!(check(&s, &["verify", "--range", &range, "--verdict", file]), @r"
    exit 0
    <id>..<id> may be pushed
    ");
    assert_snapshot!(check(&s, &["verify", "--range", "origin/main..HEAD", "--verdict", file, "--json"]), @r#"
    exit 0
    {"schema":1,"status":"passed","since":"<id>","to":"<id>"}
    "#);
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: no verdict for this range [no-verdict]");
}

#[test]
fn a_verdict_by_hand_is_held_to_the_same_rules() {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    let file = s.f.dir().join("verdict.json");
    std::fs::write(&file, "{}").unwrap();
    let range = format!("{}..{new}", s.old);
    assert_snapshot!(s.verify(&range, &["--verdict", file.to_str().unwrap()]), @"<id>..<id>: a verdict for this range is invalid: not a verdict: missing field `schema` at line 1 column 2 [invalid-verdict]");
    assert_snapshot!(s.verify(&range, &[]), @"passed");
}

#[test]
fn what_cannot_be_decided_has_an_exit_code_of_its_own() {
    let s = Scene::new();
    s.work();
    let with = |args: &[&str]| check(&s, args);
    assert_snapshot!(with(&["verify", "--range", "HEAD"]), @r"
    exit 2

    error: invalid value 'HEAD' for '--range <A..B>': not of the form A..B

    For more information, try '--help'.
    ");
    assert_snapshot!(with(&["verify", "--range", "nothing..HEAD"]), @r"
    exit 2

    unknown-revision: `nothing` names no commit of this repository
    next: name a commit that is here
    ");
    assert_snapshot!(with(&["verify", "--range", "HEAD~1...HEAD"]), @r"
    exit 2

    error: invalid value 'HEAD~1...HEAD' for '--range <A..B>': not of the form A..B

    For more information, try '--help'.
    ");
    assert_snapshot!(with(&["verify", "--range", "--output=x..HEAD"]), @r"
    exit 2

    error: unexpected argument '--output' found

    Usage: push-gate verify [OPTIONS] --range <A..B>

    For more information, try '--help'.
    ");
    assert_snapshot!(with(&["verify", "--range", "HEAD~1..HEAD", "--verdict", "absent.json"]), @r"
    exit 3

    no-verdict-file: there is no absent.json
    next: name the verdict's file
    ");
    assert_snapshot!(with(&["-C", "/", "verify", "--range", "HEAD~1..HEAD"]), @r#"
    exit 3

    not-a-repository: /: not a Git repository that can be read: Could not find a git repository in "/" or in any of its parents
    next: run it inside a Git repository you can read
    "#);
    assert_snapshot!(with(&["verify", "--range", "HEAD..HEAD", "--json"]), @r#"
    exit 1
    {"schema":1,"status":"refused","class":"push-blocked","reason":"PUSH BLOCKED\n<id>..<id>: there is no reviewed commit to push [nothing-reviewed]\n  next: drop the baseline commit, or commit something and ship it\n<id>..<id>: no verdict for this range [no-verdict]\n  next: review this range: ship","next":"mend every reason above, then push again","refusals":[{"class":"nothing-reviewed","reason":"<id>..<id>: there is no reviewed commit to push","next":"drop the baseline commit, or commit something and ship it"},{"class":"no-verdict","reason":"<id>..<id>: no verdict for this range","next":"review this range: ship"}]}
    push-blocked: PUSH BLOCKED
    <id>..<id>: there is no reviewed commit to push [nothing-reviewed]
      next: drop the baseline commit, or commit something and ship it
    <id>..<id>: no verdict for this range [no-verdict]
      next: review this range: ship
    next: mend every reason above, then push again
    "#);
}
