//! The program as a person or a timer runs it, in repositories where something is wrong.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use hooks::{PinnedPolicy, Programs, Site, install};
use host::{Cmd, Host, Local};
use insta::assert_snapshot;
use repo::testing::Fixture;

/// What no test can have on every machine is left out: the Codex CLI.
const CHECKS: [&str; 7] = ["hooks-path", "pre-push", "post-commit", "gate", "pinned-policy", "ship-policy", "baseline"];

struct Scene {
    f: Fixture,
    site: Site,
}

impl Scene {
    /// Everything is installed; a program that is there on every machine stands for the gate and for ship.
    fn new() -> Self {
        Self::pinning(&PinnedPolicy::default())
    }

    /// The same, with a policy pinned.
    fn pinning(policy: &PinnedPolicy) -> Self {
        let f = Fixture::pushed();
        f.git(&["branch", "--quiet", "--set-upstream-to", "origin/main"]);
        let site = Site::observe(f.host(), &f.work()).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_doctor-repo"));
        let programs = Programs { push_gate: program.clone(), ship: Some(program) };
        install(f.host(), &site, &programs, policy).unwrap();
        Self { f, site }
    }

    fn program(&self, checks: &[&str]) -> Cmd {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_doctor-repo")).dir(self.f.work()).env("GIT_CONFIG_NOSYSTEM", "1");
        let cmd = checks.iter().fold(cmd, |cmd, check| cmd.args(["--only", check]));
        cmd.env("HOME", self.f.dir().join("home")).env("GIT_CONFIG_GLOBAL", self.f.dir().join("global"))
    }

    fn run(&self, cmd: &Cmd) -> String {
        let output = Local::new().run(cmd).unwrap();
        let text = format!("{}\n{}\n{}", output.status, output.stdout_text(), output.stderr_text());
        let id = self.site.gate_dir.file_name().unwrap().to_str().unwrap();
        let text = text.replace(&self.f.dir().canonicalize().unwrap().display().to_string(), "~");
        text.replace(id, "<id>").trim_end().to_owned()
    }

    /// Exit status and what is told of `hooks-path` and `pre-push`.
    fn hooks(&self) -> String {
        self.run(&self.program(&CHECKS[..2]))
    }
}

#[test]
fn help() {
    let s = Scene::new();
    assert_snapshot!(s.run(&s.program(&[]).arg("--help")));
}

#[test]
fn a_repository_before_its_first_ship_is_warned_and_told_how() {
    let s = Scene::new();
    assert_snapshot!(s.run(&s.program(&CHECKS)), @r"
    exit 0
    PASS: hooks-path: ~/work/.git/hooks (git's default)
    PASS: pre-push: ~/work/.git/hooks/pre-push
    PASS: post-commit: ~/work/.git/hooks/post-commit
    PASS: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    WARN: pinned-policy: no policy is pinned: a first push is judged by the built-in one
          next: commit configs/ship.toml, then run install-hooks
    WARN: ship-policy: there is no configs/ship.toml: the built-in policy is used
          next: write one if the defaults do not fit
    WARN: baseline: there is no docs/LAST_REVIEWED_SHA.txt: nothing was reviewed yet
          next: run ship: the first one writes it
    === Doctor Summary: 4/7 passed ===
    ");
}

#[test]
fn a_repository_that_was_shipped_passes() {
    let s = Scene::new();
    s.f.write("configs/ship.toml", "schema = 1\n");
    fs::write(s.site.policy(), "schema = 1\n").unwrap();
    s.f.write("docs/LAST_REVIEWED_SHA.txt", format!("{}\n", "1".repeat(40)));
    let checks = ["pinned-policy", "ship-policy", "baseline"];
    assert_snapshot!(s.run(&s.program(&checks)), @r"
    exit 0
    PASS: pinned-policy: ~/home/.local/share/ai-ops-runner/gates/<id>/policy.toml
    PASS: ship-policy: configs/ship.toml is valid
    PASS: baseline: 1111111111111111111111111111111111111111
    === Doctor Summary: 3/3 passed ===
    ");
}

#[test]
fn a_pinned_policy_that_the_remote_left_behind_is_told() {
    let s = Scene::new();
    fs::write(s.site.policy(), "schema = 1\n").unwrap();
    let push = |policy: &str| {
        s.f.write("configs/ship.toml", policy);
        s.f.commit("policy");
        s.f.git(&["push", "-q", "--no-verify", "origin", "main"]);
        s.run(&s.program(&["pinned-policy"]))
    };
    assert_snapshot!(push("schema = 1\n# lately\n"), @r"
    exit 0
    WARN: pinned-policy: the pinned policy is another than the branch's upstream had when it was last fetched
          next: git fetch, read what differs; to pin the remote's: install-hooks --repin in an up-to-date branch
    === Doctor Summary: 0/1 passed ===
    ");
    assert!(push("schema = 1\n").contains("PASS: pinned-policy"));
    s.f.write(".git/refs/remotes/origin/main", format!("{}\n", "1".repeat(40)));
    assert_snapshot!(s.run(&s.program(&["pinned-policy"])), @r"
    exit 0
    WARN: pinned-policy: the policy of the branch's upstream: object 1111111111111111111111111111111111111111 is not in this repository
          next: git fetch
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn the_upstream_of_the_branch_is_what_counts() {
    let s = Scene::new();
    fs::write(s.site.policy(), "schema = 1\n").unwrap();
    s.f.write("configs/ship.toml", "schema = 1\n# lately\n");
    s.f.commit("policy");
    s.f.git(&["push", "-q", "--no-verify", "origin", "main:release"]);
    assert!(s.run(&s.program(&["pinned-policy"])).contains("PASS: pinned-policy"), "main has no policy");
    s.f.git(&["branch", "--quiet", "--set-upstream-to", "origin/release"]);
    assert!(s.run(&s.program(&["pinned-policy"])).contains("WARN: pinned-policy: the pinned policy is another"));
    s.f.git(&["branch", "--quiet", "--unset-upstream"]);
    assert_snapshot!(s.run(&s.program(&["pinned-policy"])), @r"
    exit 0
    WARN: pinned-policy: the branch has no upstream that was fetched: whether the pinned policy is out of date is not known
          next: git fetch, git branch --set-upstream-to REMOTE/BRANCH
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn programs_read_json() {
    let s = Scene::new();
    assert_snapshot!(s.run(&s.program(&["baseline"]).arg("--json")), @r#"
    exit 0
    {"schema":1,"status":"done","passed":0,"total":1,"checks":[{"name":"baseline","level":"warn","class":"no-baseline","message":"there is no docs/LAST_REVIEWED_SHA.txt: nothing was reviewed yet","next":"run ship: the first one writes it"}]}
    "#);
}

#[test]
fn what_is_malformed_fails() {
    let s = Scene::new();
    s.f.write("configs/ship.toml", "schema = 1\nunknown = true\n");
    s.f.write("docs/LAST_REVIEWED_SHA.txt", "HEAD\n");
    assert_snapshot!(s.run(&s.program(&["ship-policy", "baseline"])), @r"
    exit 1
    FAIL: ship-policy: ~/work/configs/ship.toml: line 2: unknown field `unknown`, expected one of `schema`, `refs`, `tests`, `review`, `heal`, `rules`
          next: mend configs/ship.toml
    FAIL: baseline: docs/LAST_REVIEWED_SHA.txt is not one commit id
          next: restore it from git
    === Doctor Summary: 0/2 passed ===
    ");
}

#[test]
fn g09_a_hooks_path_of_the_repository_is_seen() {
    let s = Scene::new();
    s.f.git(&["config", "core.hooksPath", "/nowhere/hooks"]);
    assert_snapshot!(s.hooks(), @r"
    exit 1
    FAIL: hooks-path: git runs hooks from /nowhere/hooks (core.hooksPath, local, file:.git/config), not ours
          next: run install-hooks
    FAIL: pre-push: /nowhere/hooks/pre-push does not exist
          next: run install-hooks
    === Doctor Summary: 0/2 passed ===
    ");
}

#[test]
fn g09_a_hooks_path_in_the_work_tree_is_seen() {
    let s = Scene::new();
    s.f.git(&["config", "core.hooksPath", ".githooks"]);
    assert_snapshot!(s.hooks(), @r"
    exit 1
    FAIL: hooks-path: git runs hooks from ~/work/.githooks (core.hooksPath, local, file:.git/config), in the work tree ~/work: a branch can edit them
          next: run install-hooks
    FAIL: pre-push: ~/work/.githooks/pre-push does not exist
          next: run install-hooks
    === Doctor Summary: 0/2 passed ===
    ");
}

#[test]
fn g09_a_hooks_path_of_the_user_is_seen() {
    let s = Scene::new();
    fs::write(s.f.dir().join("global"), "[core]\n\thooksPath = /nowhere/hooks\n").unwrap();
    assert_snapshot!(s.hooks(), @r"
    exit 1
    FAIL: hooks-path: git runs hooks from /nowhere/hooks (core.hooksPath, global, file:~/global), not ours
          next: run install-hooks
    FAIL: pre-push: /nowhere/hooks/pre-push does not exist
          next: run install-hooks
    === Doctor Summary: 0/2 passed ===
    ");
}

#[test]
fn g09_a_hooks_path_in_an_included_file_is_seen() {
    let s = Scene::new();
    fs::write(s.f.dir().join("more"), "[core]\n\thooksPath = /dev/null\n").unwrap();
    s.f.git(&["config", "include.path", s.f.dir().join("more").to_str().unwrap()]);
    let said = s.hooks();
    assert!(said.starts_with("exit 1\nFAIL: hooks-path: git runs hooks from /dev/null"), "{said}");
}

#[test]
fn g09_a_hooks_path_that_only_another_branch_brings_is_seen() {
    let s = Scene::new();
    fs::write(s.f.work().join(".git/more"), "[core]\n\thooksPath = /dev/null\n").unwrap();
    s.f.git(&["config", "includeIf.onbranch:topic.path", "more"]);
    assert_snapshot!(s.hooks(), @r"
    exit 1
    FAIL: hooks-path: git runs hooks from ~/work/.git/hooks (git's default) now, maybe from elsewhere on another branch: includeif.onbranch:topic.path, file:.git/config
          next: take that include out, or core.hooksPath out of its file
    PASS: pre-push: ~/work/.git/hooks/pre-push
    === Doctor Summary: 1/2 passed ===
    ");
    // What leads further, or cannot be looked into, may do the same.
    fs::write(s.f.work().join(".git/more"), "[include]\n\tpath = most\n").unwrap();
    assert!(s.hooks().starts_with("exit 1"));
    fs::write(s.f.work().join(".git/more"), "[core\n").unwrap();
    assert!(s.hooks().starts_with("exit 1"));
    fs::write(s.f.work().join(".git/more"), "[user]\n\tname = topic\n").unwrap();
    assert!(s.hooks().starts_with("exit 0"), "{}", s.hooks());
}

#[test]
fn g09_a_hooks_path_in_the_environment_is_seen() {
    let s = Scene::new();
    let count = s.program(&CHECKS[..1]).env("GIT_CONFIG_COUNT", "1");
    let count = count.env("GIT_CONFIG_KEY_0", "core.hooksPath").env("GIT_CONFIG_VALUE_0", "/nowhere/hooks");
    assert_snapshot!(s.run(&count), @r"
    exit 1
    FAIL: hooks-path: git runs hooks from /nowhere/hooks (core.hooksPath, environment, command line:)
          next: unset GIT_CONFIG_* in this shell and what sets it
    === Doctor Summary: 0/1 passed ===
    ");
    let parameters = s.program(&CHECKS[..1]).env("GIT_CONFIG_PARAMETERS", "'core.hooksPath'='/nowhere/hooks'");
    assert_snapshot!(s.run(&parameters), @r"
    exit 1
    FAIL: hooks-path: git runs hooks from /nowhere/hooks (core.hooksPath, environment, command line:)
          next: unset GIT_CONFIG_* in this shell and what sets it
    === Doctor Summary: 0/1 passed ===
    ");
}

#[test]
fn g08_a_hook_that_is_not_the_installed_one_fails() {
    let hook = |change: fn(&Scene, PathBuf)| {
        let s = Scene::new();
        change(&s, s.site.default_dir().join("pre-push"));
        s.run(&s.program(&["pre-push"])).lines().nth(1).unwrap().to_owned()
    };
    let said = [
        hook(|_, hook| fs::remove_file(hook).unwrap()),
        hook(|_, hook| fs::write(hook, "#!/bin/sh\nexit 0\n").unwrap()),
        hook(|_, hook| fs::set_permissions(hook, PermissionsExt::from_mode(0o644)).unwrap()),
        hook(|_, hook| fs::set_permissions(hook, PermissionsExt::from_mode(0o777)).unwrap()),
        hook(|s, hook| {
            let elsewhere = s.f.work().join("pre-push");
            fs::rename(&hook, &elsewhere).unwrap();
            symlink(elsewhere, hook).unwrap();
        }),
    ];
    assert_snapshot!(said.join("\n"), @r"
    FAIL: pre-push: ~/work/.git/hooks/pre-push does not exist
    FAIL: pre-push: ~/work/.git/hooks/pre-push is not the hook that install-hooks writes
    FAIL: pre-push: ~/work/.git/hooks/pre-push is not executable: git skips it
    FAIL: pre-push: ~/work/.git/hooks/pre-push can be changed by others
    FAIL: pre-push: ~/work/.git/hooks/pre-push is not a regular file
    ");
}

#[test]
fn g08_a_gate_that_is_not_the_installed_one_fails() {
    let gate = |change: fn(&Scene)| {
        let s = Scene::new();
        change(&s);
        s.run(&s.program(&["gate"])).lines().nth(1).unwrap().to_owned()
    };
    let said = [
        gate(|s| fs::remove_file(s.site.gate()).unwrap()),
        gate(|s| fs::write(s.site.gate(), "#!/bin/sh\nexit 0\n").unwrap()),
        gate(|s| fs::write(s.site.policy(), "schema = 1\n[refs]\nprotected = [\"refs/heads/none\"]\n").unwrap()),
        gate(|s| fs::remove_file(s.site.checksums()).unwrap()),
    ];
    assert_snapshot!(said.join("\n"), @r"
    FAIL: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate does not exist
    FAIL: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate or a file beside it is not what was installed (SHA256SUMS)
    FAIL: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate or a file beside it is not what was installed (SHA256SUMS)
    FAIL: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate or a file beside it is not what was installed (SHA256SUMS)
    ");
}

#[test]
fn g08_a_pinned_policy_that_is_gone_is_seen() {
    let s = Scene::pinning(&PinnedPolicy { bytes: Some("schema = 1\n".into()), repin: false });
    fs::remove_file(s.site.policy()).unwrap();
    assert_snapshot!(s.run(&s.program(&["gate", "pinned-policy"])), @r"
    exit 1
    FAIL: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate or a file beside it is not what was installed (SHA256SUMS)
          next: run install-hooks
    WARN: pinned-policy: no policy is pinned: a first push is judged by the built-in one
          next: commit configs/ship.toml, then run install-hooks
    === Doctor Summary: 0/2 passed ===
    ");
}

#[test]
fn a_check_nobody_knows_and_a_place_without_a_repository_are_told() {
    let s = Scene::new();
    assert_snapshot!(s.run(&s.program(&["gaet"])), @r"
    exit 2

    unknown-check: there is no check `gaet`
    next: choose among hooks-path, pre-push, post-commit, gate, pinned-policy, ship-policy, baseline, codex
    ");
    assert_snapshot!(s.run(&s.program(&["gate"]).args(["-C", "/"])), @r"
    exit 3

    git: git could not say where its directory is: fatal: not a git repository (or any of the parent directories): .git
    next: run this inside a git repository
    ");
}
