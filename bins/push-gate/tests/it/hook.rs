//! What decides stands outside the tree it judges, and has no off-switch (G08, G14).

use std::os::unix::fs::PermissionsExt;

use host::{Cmd, Host as _, Local};
use insta::assert_snapshot;

use crate::scene::Scene;

#[test]
fn g08_a_branch_cannot_edit_the_gate_it_is_judged_by() {
    let s = Scene::new();
    for hook in [".githooks/pre-push", "hooks/pre-push", "push-gate"] {
        s.f.write(hook, "#!/bin/sh\nexit 0\n");
        std::fs::set_permissions(s.f.work().join(hook), PermissionsExt::from_mode(0o755)).unwrap();
    }
    s.f.write("configs/ship.toml", "schema = 1\n[refs]\nprotected = [\"refs/heads/none\"]\n");
    s.f.write("policy.toml", "schema = 1\n[refs]\nprotected = [\"refs/heads/none\"]\n");
    s.f.commit("lower the guard");
    assert_snapshot!(s.decision(), @"refs/heads/main: no verdict for this range [no-verdict]");
}

#[test]
fn g08_what_was_installed_is_no_link_and_in_no_work_tree() {
    let s = Scene::new();
    let work = s.f.work().canonicalize().unwrap();
    for file in [s.site.default_dir().join("pre-push"), s.site.gate()] {
        assert!(file.symlink_metadata().unwrap().is_file(), "{}", file.display());
        let real = file.canonicalize().unwrap();
        assert!(!real.starts_with(&work) || real.starts_with(work.join(".git")), "{}", real.display());
    }
    assert!(!s.site.gate().canonicalize().unwrap().starts_with(&work));
}

#[test]
fn g08_a_gate_that_is_gone_refuses() {
    let s = Scene::new();
    s.work();
    std::fs::remove_file(s.site.gate()).unwrap();
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @r"
    PUSH BLOCKED: there is no gate at ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    next: run install-hooks
    error: failed to push some refs to '~/remote.git'
    ");
}

/// A hook that was there before the gate.
fn former(s: &Scene, script: &str) {
    let former = s.site.default_dir().join("pre-push.former");
    std::fs::write(&former, script).unwrap();
    std::fs::set_permissions(&former, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn g08_the_hook_that_was_there_runs_after_the_gate_and_only_then() {
    let s = Scene::new();
    former(&s, "#!/bin/sh\necho \"$1\" > former-ran\ncat >> former-ran\nexit $(cat code)\n");
    let new = s.work();
    s.f.write("code", "3");
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"refs/heads/main: no verdict for this range [no-verdict]");
    let ran = s.f.work().join("former-ran");
    assert!(!ran.exists());
    s.approve(&s.old, &new);
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @r"
    former-hook: .git/hooks/pre-push.former: it ended with exit code 3
    next: see what that hook said; it was there before the gate
    error: failed to push some refs to '~/remote.git'
    ");
    assert_snapshot!(s.shown(&std::fs::read_to_string(&ran).unwrap()), @r"
    origin
    HEAD <id> refs/heads/main <id>
    ");
    s.f.write("code", "0");
    assert_snapshot!(s.push(&["HEAD:refs/heads/main"]), @"pushed");
}

#[test]
fn k01_the_hook_that_was_there_sees_no_key() {
    let s = Scene::new();
    former(&s, "#!/bin/sh\nenv >former-saw\n");
    let new = s.work();
    s.approve(&s.old, &new);
    let push = host::SECRETS.iter().fold(s.pushing(&["HEAD:refs/heads/main"]), |push, name| push.env(*name, "secret"));
    assert_snapshot!(s.run(&push.env("OTHER", "kept")), @"pushed");
    let saw = std::fs::read_to_string(s.f.work().join("former-saw")).unwrap();
    assert!(saw.contains("OTHER=kept") && !saw.contains("=secret"), "{saw}");
}

/// Starts a push that would pass, and kills a process of it while the gate judges: it waits for its pinned policy, which
/// is a pipe here. `victim` is a column of `ps` in the gate's row.
fn killed_while_judging(victim: &str) {
    let s = Scene::new();
    let new = s.work();
    s.approve(&s.old, &new);
    let tool = |program: &str, args: &[&str]| Local::new().run(&s.program(program).args(args)).unwrap().stdout_text();
    let pinned = s.site.policy();
    tool("mkfifo", &[pinned.to_str().unwrap()]);
    let push = s.pushing(&["HEAD:refs/heads/main"]);
    let push = std::thread::spawn(move || Local::new().run(&push).unwrap());
    // Opens when the gate reads.
    let pipe = std::fs::OpenOptions::new().write(true).open(&pinned).unwrap();
    let processes = tool("ps", &["-A", "-o", &format!("{victim}=,args=")]);
    let row = processes.lines().find(|row| row.contains(s.site.gate().to_str().unwrap())).expect("the gate judges");
    tool("kill", &["-KILL", row.split_whitespace().next().unwrap()]);
    assert!(!push.join().unwrap().success());
    drop(pipe);
    let main = || s.f.git_in(&s.f.remote(), &["rev-parse", "main"]);
    assert_eq!(main(), s.old.to_string());
    std::fs::remove_file(&pinned).unwrap();
    let unreviewed = s.f.commit("more");
    assert_eq!(s.push(&["HEAD:refs/heads/main"]), "refs/heads/main: no verdict for this range [no-verdict]");
    s.approve(&s.old, &unreviewed);
    assert_eq!(s.push(&["HEAD:refs/heads/main"]), "pushed");
}

#[test]
fn s05_a_gate_that_is_killed_while_it_judges_lets_nothing_through_then_or_later() {
    killed_while_judging("pid");
}

#[test]
fn s05_a_push_that_is_killed_while_the_gate_judges_is_none() {
    killed_while_judging("ppid");
}

/// Variables that turn something off in git, in this project or in other hook managers, or point it elsewhere.
#[test]
fn g14_no_variable_lets_an_unreviewed_push_through() {
    let s = Scene::new();
    s.work();
    let elsewhere = s.f.dir().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("ai-ops-runner/gates")).unwrap();
    std::fs::write(elsewhere.join("shallow"), "").unwrap();
    std::fs::write(elsewhere.join("config"), "[refs]\nprotected=none\n[core]\nuseReplaceRefs=true\n").unwrap();
    let path = |name: &str| elsewhere.join(name).display().to_string();
    let [home, shallow, config] = ["", "shallow", "config"].map(path);
    let tricks: [(&str, &str); 34] = [
        ("CODEX_SKIP", "1"),
        ("SHIP_AUTO_SKIP", "1"),
        ("SHIP_AUTO_ON_COMMIT", "0"),
        ("SHIP_MAX_ATTEMPTS", "0"),
        ("REVIEW_FINISH_COMMIT", "1"),
        ("REVIEW_BUNDLE_SIZE_CAP", "0"),
        ("FORCE_SIZE_CAP", "1"),
        ("AI_OPS_SKIP", "1"),
        ("AI_OPS_RUNNER_SKIP", "1"),
        ("AI_OPS_RUNNER_POLICY", &config),
        ("PUSH_GATE", "/bin/true"),
        ("PUSH_GATE_SKIP", "1"),
        ("gate", "/bin/true"),
        ("SKIP", "push-gate"),
        ("HUSKY", "0"),
        ("LEFTHOOK", "0"),
        ("PRE_COMMIT_ALLOW_NO_CONFIG", "1"),
        ("NO_VERIFY", "1"),
        ("CI", "true"),
        ("GIT_REPLACE_REF_BASE", "refs/heads/"),
        ("GIT_GRAFT_FILE", &config),
        ("GIT_SHALLOW_FILE", &shallow),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", &home),
        ("GIT_CEILING_DIRECTORIES", "/"),
        ("GIT_TRACE", "0"),
        ("GIT_PUSH_OPTION_COUNT", "0"),
        ("GIT_CONFIG_GLOBAL", &config),
        ("GIT_CONFIG_SYSTEM", &config),
        ("HOME", &home),
        ("XDG_DATA_HOME", &home),
        ("XDG_CONFIG_HOME", &home),
        ("ENV", "/dev/null"),
        ("BASH_ENV", "/dev/null"),
        ("RUST_BACKTRACE", "full"),
    ];
    for (name, value) in tricks {
        let said = s.run(&s.pushing(&["HEAD:refs/heads/main"]).env(name, value));
        assert_eq!(said, "refs/heads/main: no verdict for this range [no-verdict]", "{name}={value}");
    }
}

#[test]
fn g14_git_dir_from_elsewhere_reaches_the_same_gate() {
    let s = Scene::new();
    let new = s.work();
    let elsewhere = s.f.dir().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let git_dir = s.f.work().join(".git");
    let push = s.git_in(&elsewhere, &["push", "-q", "origin", "HEAD:refs/heads/main"]).env("GIT_DIR", &git_dir);
    assert_snapshot!(s.run(&push.clone().env("GIT_WORK_TREE", s.f.work())), @"refs/heads/main: no verdict for this range [no-verdict]");
    assert_snapshot!(s.run(&push), @"refs/heads/main: no verdict for this range [no-verdict]");
    // Another repository around the directory: without the objects, or with them and a verdict.
    s.f.git_in(&elsewhere, &["init", "-q"]);
    assert_snapshot!(s.run(&push), @"refs/heads/main: no verdict for this range [no-verdict]");
    std::fs::write(elsewhere.join(".git/objects/info/alternates"), format!("{}/objects\n", git_dir.display())).unwrap();
    s.approve(&s.old, &new);
    std::fs::rename(git_dir.join("ai-ops-runner"), elsewhere.join(".git/ai-ops-runner")).unwrap();
    assert_snapshot!(s.run(&push), @"refs/heads/main: no verdict for this range [no-verdict]");
}

/// A hook on the attacker's machine cannot stop these; who runs the decision again does.
#[test]
fn g14_a_push_around_the_hook_is_refused_by_verify_where_it_is_repeated() {
    let by_variables = |s: &Scene| {
        let push = s.pushing(&["HEAD:refs/heads/main"]).env("GIT_CONFIG_COUNT", "1");
        push.env("GIT_CONFIG_KEY_0", "core.hooksPath").env("GIT_CONFIG_VALUE_0", "/dev/null")
    };
    let around: [fn(&Scene) -> Cmd; 4] = [
        |s| s.pushing(&["--no-verify", "HEAD:refs/heads/main"]),
        |s| s.git_in(&s.f.work(), &["-c", "core.hooksPath=/dev/null", "push", "-q", "origin", "HEAD:refs/heads/main"]),
        |s| s.git_in(&s.f.work(), &["send-pack", "--quiet", "../remote.git", "HEAD:refs/heads/main"]),
        by_variables,
    ];
    for push in around {
        let s = Scene::new();
        let new = s.work();
        assert_eq!(s.run(&push(&s)), "pushed");
        let gate = s.program(s.site.gate()).args(["verify", "--range", &format!("{}..{new}", s.old)]);
        let output = Local::new().run(&gate.dir(s.f.remote())).unwrap();
        assert_eq!(output.status, host::Status::Exited(1));
        assert!(output.stderr_text().contains("[no-verdict]"), "{}", output.stderr_text());
    }
}
