//! From the line a hook reads to a push that is read back.

use insta::assert_snapshot;
use outcome::Failure;
use repo::testing::Fixture;
use repo::{PolicySource, RepoError, VerdictStore, policy_at, push_facts};
use verdict::gate::{Pass, Update, judge};
use verdict::{Oid, Policy};

fn update(new: &Oid, old: &Oid, remote_ref: &str) -> Update {
    Update { local_ref: "main".into(), new: new.clone(), remote_ref: remote_ref.into(), old: old.clone() }
}

/// A commit that is approved and not pushed yet: the repository, what the remote has, the commit.
fn approved() -> (Fixture, Oid, Oid) {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    f.write("a", "1\n");
    let new = f.commit("work");
    f.approve(&old, &new, PolicySource::default());
    (f, old, new)
}

/// The right to push one update.
fn pass(f: &Fixture, new: &Oid, old: &Oid, remote_ref: &str) -> Pass {
    judge(&push_facts(&f.repo(), vec![update(new, old, remote_ref)], PolicySource::default())).unwrap()
}

fn decision(f: &Fixture, updates: Vec<Update>) -> String {
    match judge(&push_facts(&f.repo(), updates, PolicySource::default())) {
        Ok(pass) => format!("{} may be pushed", pass.updates().len()),
        Err(refusals) => refusals.iter().map(|refusal| format!("{refusal}\n")).collect(),
    }
}

#[test]
fn an_approved_push_passes_with_and_without_its_baseline_commit() {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    f.write("a", "1\n");
    let new = f.commit("work");
    let missing = decision(&f, vec![update(&new, &old, "refs/heads/main")]);
    assert!(missing.starts_with("refs/heads/main: "), "{missing}");
    f.approve(&old, &new, PolicySource::default());
    assert_snapshot!(decision(&f, vec![update(&new, &old, "refs/heads/main")]), @"1 may be pushed");
    let repo = f.repo();
    let baseline = f.acts(&repo).baseline_commit(&new).unwrap();
    assert_snapshot!(decision(&f, vec![update(&baseline, &old, "refs/heads/main")]), @"1 may be pushed");
}

#[test]
fn g12_a_push_has_an_explicit_refspec_and_is_read_back() {
    let (f, old, new) = approved();
    let repo = f.repo();
    let pass = || pass(&f, &new, &old, "refs/heads/main");
    let approving = pass();
    f.commit("unreviewed");
    let pushed = f.acts(&repo).push("origin", approving, None).unwrap();
    assert_eq!(pushed.refs, [("refs/heads/main".to_owned(), new.clone())]);
    assert_eq!(f.git_in(&f.remote(), &["rev-parse", "main"]), new.as_str());
    assert!(f.acts(&repo).push("origin", pass(), None).is_ok());
}

#[test]
fn g12_a_remote_that_takes_a_push_and_does_not_keep_it_is_told() {
    let (f, old, new) = approved();
    let hook = f.remote().join("hooks/post-receive");
    std::fs::write(&hook, format!("#!/bin/sh\ngit update-ref refs/heads/main {old}\n")).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let repo = f.repo();
    match f.acts(&repo).push("origin", pass(&f, &new, &old, "refs/heads/main"), None) {
        Err(RepoError::Moved { name, expected, is }) => {
            assert_eq!((&*name, expected, is), ("refs/heads/main", new.to_string(), old.to_string()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn s06_a_remote_that_moved_meanwhile_is_not_forced() {
    let (f, old, new) = approved();
    let repo = f.repo();
    let pass = pass(&f, &new, &old, "refs/heads/main");
    let theirs = f.git(&["commit-tree", "-p", old.as_str(), "-m", "theirs", "HEAD~1^{tree}"]);
    f.git(&["push", "-q", "origin", &format!("{theirs}:refs/heads/main")]);
    let error = f.acts(&repo).push("origin", pass, None).unwrap_err();
    assert!(matches!(error, RepoError::Git { network: true, .. }));
    assert!(error.to_string().contains("[rejected] (stale info)"), "{error}");
    assert_eq!(f.git_in(&f.remote(), &["rev-parse", "main"]), theirs);
}

/// The remote that is asked already has what nobody reviewed; the one that is pushed to does not.
#[test]
fn g07_a_push_that_is_led_to_another_repository_than_was_asked_is_refused() {
    let f = Fixture::pushed();
    let reviewed = f.id("HEAD");
    let mirror = f.dir().join("mirror.git");
    f.git(&["clone", "-q", "--bare", f.remote().to_str().unwrap(), mirror.to_str().unwrap()]);
    f.write("evil", "1\n");
    let old = f.commit("nobody reviewed this");
    f.git(&["push", "-q", mirror.to_str().unwrap(), "main"]);
    f.write("a", "1\n");
    let new = f.commit("work");
    f.approve(&old, &new, PolicySource::default());
    f.git(&["config", "remote.origin.url", mirror.to_str().unwrap()]);
    f.git(&["config", "remote.origin.pushurl", f.remote().to_str().unwrap()]);
    let repo = f.repo();
    assert_eq!(f.acts(&repo).ls_remote("origin", "refs/heads/main").unwrap(), Some(old.clone()));
    let pass = pass(&f, &new, &old, "refs/heads/main");
    assert!(matches!(f.acts(&repo).push("origin", pass, None), Err(RepoError::Git { network: true, .. })));
    assert_eq!(f.git_in(&f.remote(), &["rev-parse", "main"]), reviewed.as_str());
}

#[test]
fn g05_a_rewind_of_an_open_ref_is_not_forced_by_the_lease() {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    let new = f.commit("work");
    f.git(&["push", "-q", "origin", "HEAD:refs/heads/topic"]);
    let repo = f.repo();
    let pass = pass(&f, &old, &new, "refs/heads/topic");
    assert!(matches!(f.acts(&repo).push("origin", pass, None), Err(RepoError::Moved { .. })));
    assert_eq!(f.git_in(&f.remote(), &["rev-parse", "topic"]), new.as_str());
}

/// How a push ends whose pre-push hook is `script`.
fn hooked(script: &str) -> String {
    let (f, old, new) = approved();
    let hooks = f.dir().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    std::fs::write(hooks.join("pre-push"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hooks.join("pre-push"), mode).unwrap();
    let repo = f.repo();
    let pass = pass(&f, &new, &old, "refs/heads/main");
    let failure = Failure::from(f.acts(&repo).push("origin", pass, Some(&hooks)).unwrap_err());
    assert_eq!(f.git_in(&f.remote(), &["rev-parse", "main"]), old.as_str());
    format!("exit {} {}", failure.exit.code(), failure.text()).replace(&f.dir().display().to_string(), "~")
}

#[test]
fn g08_the_named_hook_runs_and_can_refuse() {
    assert_snapshot!(hooked("echo PUSH BLOCKED >&2; exit 1"), @r"
    exit 1 push-blocked: the pre-push hook refused: PUSH BLOCKED
    error: failed to push some refs to '~/remote.git'
    next: do what the gate says, then try again
    ");
    assert_snapshot!(hooked("echo not today; echo 'former-hook: HOOK: it ended with exit code 3' >&2; exit 1"), @r"
    exit 1 former-hook: the pre-push hook refused: not today
    former-hook: HOOK: it ended with exit code 3
    error: failed to push some refs to '~/remote.git'
    next: do what the hook says that was there before the gate, then try again
    ");
    assert_snapshot!(hooked("kill -KILL $$"), @r"
    exit 1 push-blocked: the pre-push hook refused: error: ~/hooks/pre-push died of signal 9
    error: failed to push some refs to '~/remote.git'
    next: do what the gate says, then try again
    ");
}

#[test]
fn what_the_remote_declines_is_a_refusal_in_its_own_words() {
    let (f, old, new) = approved();
    let hook = f.remote().join("hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\nprintf 'not \\033[31mtoday\\n' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let repo = f.repo();
    let pass = pass(&f, &new, &old, "refs/heads/main");
    let failure = Failure::from(f.acts(&repo).push("origin", pass, None).unwrap_err());
    let text = failure.text().replace(&f.dir().display().to_string(), "~");
    let text: Vec<_> = text.lines().map(str::trim_end).collect();
    assert_snapshot!(format!("exit {} {}", failure.exit.code(), text.join("\n")), @r"
    exit 1 remote-declined: the remote declined refs/heads/main (pre-receive hook declined): remote: not \u{1b}[31mtoday
    error: failed to push some refs to '~/remote.git'
    next: do what the remote says, then try again
    ");
}

#[test]
fn g04_g05_g07_deletes_rewinds_and_unknown_bases_are_refused() {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    let new = f.commit("work");
    let zero = old.zero_like();
    let absent: Oid = "1".repeat(40).parse().unwrap();
    let said = |new, old| decision(&f, vec![update(new, old, "refs/heads/main")]);
    assert_snapshot!(said(&zero, &new), @"refs/heads/main: a protected ref would be deleted");
    assert_snapshot!(said(&old, &new), @r"
    refs/heads/main: not a fast-forward of what the remote has
    refs/heads/main: no verdict for this range
    ");
    assert_snapshot!(said(&new, &absent), @"refs/heads/main: the remote's commit is not in this repository");
}

#[test]
fn g06_every_line_is_looked_at_and_tags_are_peeled() {
    let (f, old, new) = approved();
    f.git(&["tag", "-a", "-m", "tag", "v1"]);
    let tag = f.id("v1");
    let lines = |second: &str| vec![update(&tag, &old.zero_like(), "refs/tags/v1"), update(&new, &old, second)];
    assert_snapshot!(decision(&f, lines("refs/heads/main")), @"2 may be pushed");
    assert!(decision(&f, lines("refs/replace/x")).starts_with("refs/replace/x: "));
    assert_snapshot!(decision(&f, Vec::new()), @"0 may be pushed");
}

#[test]
fn g15_a_shallow_range_is_refused() {
    let (f, old, new) = approved();
    f.write(".git/shallow", format!("{old}\n"));
    let said = decision(&f, vec![update(&new, &old, "refs/heads/main")]);
    assert!(said.contains("shallow"), "{said}");
}

#[test]
fn the_policy_is_that_of_the_remote_and_never_of_the_change() {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    f.write("configs/ship.toml", "schema = 1\n[refs]\nprotected = [\"refs/heads/none\"]\n");
    let new = f.commit("lower the guard");
    let repo = f.repo();
    let policy = |base, pinned| policy_at(repo.objects(), base, PolicySource { pinned });
    assert_eq!(policy(Some(&old), None).unwrap(), Policy::built_in());
    assert_eq!(policy(Some(&new), None).unwrap().refs.protected.len(), 1);
    let pinned = b"schema = 1\n[heal]\npaths = [\"lib\"]\n";
    assert_eq!(policy(None, Some(pinned)).unwrap().heal.paths, ["lib"]);
    assert!(matches!(policy(None, Some(b"schema = 9\n")), Err(RepoError::Malformed { .. })));
    assert!(decision(&f, vec![update(&new, &old, "refs/heads/main")]).starts_with("refs/heads/main: "));
}

#[test]
fn g10_verdicts_are_found_by_range_and_kept_apart() {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    f.write("a", "1\n");
    let new = f.commit("work");
    let verdict = f.approval(&old, &new, PolicySource::default());
    let store = VerdictStore::of(&f.repo());
    let names = [(); 2].map(|()| store.keep(f.host(), &verdict, "stamp").unwrap().file_name().unwrap().to_owned());
    assert_eq!(names, ["stamp.json", "stamp-2.json"]);
    assert_eq!(store.list(&old, &new).unwrap().len(), 2);
    assert!(store.list(&new, &old).unwrap().is_empty());
    assert!(matches!(store.keep(f.host(), &verdict, "../x"), Err(RepoError::Hostile { .. })));
}

#[test]
fn g01_links_in_the_store_are_not_followed() {
    let f = Fixture::pushed();
    let old = f.id("HEAD");
    let store = VerdictStore::of(&f.repo());
    let dir = store.dir(&old, &old);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(f.dir().join("verdict.json"), "{}").unwrap();
    std::fs::write(dir.join("a.json"), "{}").unwrap();
    assert!(store.list(&old, &old).unwrap()[0].is_err());
    std::os::unix::fs::symlink(f.dir().join("verdict.json"), dir.join("b.json")).unwrap();
    assert!(store.list(&old, &old).is_err());
    std::fs::remove_dir_all(&dir).unwrap();
    std::os::unix::fs::symlink(f.dir(), &dir).unwrap();
    assert!(matches!(store.list(&old, &old), Err(RepoError::Hostile { .. })));
}

#[test]
fn g03_a_ref_that_only_the_pinned_policy_protects_is_protected() {
    let f = Fixture::pushed();
    let (old, new) = (f.id("HEAD"), f.commit("work"));
    let pinned = b"schema = 1\n[refs]\nprotected = [\"refs/heads/prod\"]\n";
    let decide = |old: &Oid, source| judge(&push_facts(&f.repo(), vec![update(&new, old, "refs/heads/prod")], source));
    for old in [&old, &old.zero_like()] {
        assert!(decide(old, PolicySource::default()).is_ok());
        assert!(decide(old, PolicySource { pinned: Some(pinned) }).is_err());
    }
}
