//! The program as a person runs it, with the gate that cargo builds and real pushes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Cmd, Host, Local};
use insta::assert_snapshot;
use repo::testing::Fixture;

/// The gate as it is now: cargo builds it beside this program when it is not there yet or is older.
fn gate() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_install-hooks")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "push-gate", "--target-dir"]).arg(beside.parent().unwrap());
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "cargo build --package push-gate");
    beside.join("push-gate")
}

fn program(f: &Fixture, args: &[&str]) -> Cmd {
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_install-hooks")).args(args.iter().copied()).dir(f.work());
    cmd.env("HOME", f.dir().join("home")).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null")
}

/// Exit status, stdout and stderr.
fn run(f: &Fixture, cmd: &Cmd) -> String {
    let output = Local::new().run(cmd).unwrap();
    let text = format!("{}\n{}\n{}", output.status, output.stdout_text(), output.stderr_text());
    let text = text.replace(&f.dir().canonicalize().unwrap().display().to_string(), "~");
    // The gate's directory is named after the repository's place.
    let named = text.split_once("ai-ops-runner/gates/").and_then(|(_, rest)| rest.get(..32));
    named.map_or_else(|| text.clone(), |id| text.replace(id, "<id>")).trim_end().to_owned()
}

fn push(f: &Fixture) -> Cmd {
    let cmd = Cmd::new("git").args(["push", "-q", "origin", "HEAD:refs/heads/main"]).dir(f.work());
    cmd.env("HOME", f.dir().join("home")).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null")
}

#[test]
fn help() {
    assert_snapshot!(run(&Fixture::new(), &program(&Fixture::new(), &["--help"])));
}

#[test]
fn g08_after_installing_a_push_meets_the_gate_and_a_former_hook_runs_behind_it() {
    let f = Fixture::pushed();
    let hook = f.work().join(".git/hooks/pre-push");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho the former hook >&2\n").unwrap();
    fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    let gate = gate();
    let install = program(&f, &["--gate", gate.to_str().unwrap()]);
    // Whether a ship is beside this program depends on what was built: it is no part of this test.
    let lines = run(&f, &install);
    let lines: Vec<&str> = lines.lines().filter(|line| !line.ends_with("/ship")).collect();
    assert_snapshot!(lines.join("\n"), @r"
    exit 0
    wrote ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    wrote ~/home/.local/share/ai-ops-runner/gates/<id>/SHA256SUMS
    wrote ~/work/.git/hooks/pre-push.former
    wrote ~/work/.git/hooks/pre-push
    wrote ~/work/.git/hooks/post-commit
    installed: hooks in ~/work/.git/hooks, gate at ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    ");
    assert_snapshot!(run(&f, &install), @r"
    exit 0
    already installed: hooks in ~/work/.git/hooks, gate at ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    ");
    assert_snapshot!(run(&f, &install.clone().arg("--json")), @r#"
    exit 0
    {"schema":1,"status":"done","hooks":"~/work/.git/hooks","gate":"~/home/.local/share/ai-ops-runner/gates/<id>/push-gate","changes":[],"other_policy_kept":false}
    "#);
    f.git(&["commit", "-q", "--allow-empty", "-m", "work"]);
    assert_snapshot!(run(&f, &push(&f)).replace(f.id("HEAD").as_str(), "<new>"), @r"
    exit 1

    push-blocked: PUSH BLOCKED
    refs/heads/main: no verdict for this range [no-verdict]
      next: review this range: ship
    next: mend every reason above, then push again
    error: failed to push some refs to '~/remote.git'
    ");
    let topic = Cmd::new("git").args(["push", "-q", "origin", "HEAD:refs/heads/topic"]).dir(f.work());
    assert_snapshot!(run(&f, &topic.env("HOME", f.dir())), @r"
    exit 0

    the former hook
    ");
}

#[test]
fn what_the_guide_says_about_uninstalling_brings_the_former_hook_back() {
    let f = Fixture::pushed();
    let hooks = f.work().join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    fs::write(hooks.join("pre-push"), "#!/bin/sh\necho the former hook >&2\n").unwrap();
    fs::set_permissions(hooks.join("pre-push"), PermissionsExt::from_mode(0o755)).unwrap();
    assert!(run(&f, &program(&f, &["--gate", gate().to_str().unwrap()])).starts_with("exit 0"));
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md")).unwrap();
    let steps = guide.split("\n## Uninstalling\n").nth(1).unwrap().split("```").nth(1).unwrap();
    let about_hooks = ["hooks=", "rm \"$hooks", "for hook in"];
    let steps: Vec<_> = steps.lines().filter(|line| about_hooks.iter().any(|start| line.starts_with(start))).collect();
    assert_eq!(steps.len(), 3);
    f.git(&["commit", "-q", "--allow-empty", "-m", "work"]);
    let uninstall = Cmd::new("sh").args(["-euc", &steps.join("\n")]).dir(f.work());
    assert_eq!(run(&f, &uninstall), "exit 0");
    assert_snapshot!(run(&f, &push(&f)), @r"
    exit 0

    the former hook
    ");
    assert!(!hooks.join("post-commit").exists());
}

#[test]
fn the_policy_at_head_is_pinned_and_stays_until_it_is_pinned_again() {
    let f = Fixture::pushed();
    f.write("configs/ship.toml", "schema = 1\n[heal]\npaths = [\"src\"]\n");
    f.commit("policy");
    let gate = gate();
    let args = ["--gate", gate.to_str().unwrap()];
    assert!(run(&f, &program(&f, &args)).contains("/policy.toml\n"));
    f.write("configs/ship.toml", "schema = 1\n[heal]\npaths = [\"lib\"]\n");
    assert!(run(&f, &program(&f, &args)).starts_with("exit 0\nalready installed"), "only what is committed counts");
    f.commit("another policy");
    assert_snapshot!(run(&f, &program(&f, &args)), @r"
    exit 0
    another policy stays pinned; to pin the present one: install-hooks --repin
    already installed: hooks in ~/work/.git/hooks, gate at ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    ");
    assert!(run(&f, &program(&f, &[&args[..], &["--repin"]].concat())).contains("wrote"));
    assert!(run(&f, &program(&f, &args)).starts_with("exit 0\nalready installed"));
}

#[test]
fn what_cannot_be_installed_is_told_and_nothing_changes() {
    let f = Fixture::pushed();
    assert_snapshot!(run(&f, &program(&f, &["--gate", "/nowhere/push-gate"])), @r"
    exit 3

    program-missing: there is no program at /nowhere/push-gate
    next: install the programs: cargo xtask install
    ");
    assert_snapshot!(run(&f, &program(&f, &["-C", "/"])), @r#"
    exit 3

    not-a-repository: /: not a Git repository that can be read: Could not find a git repository in "/" or in any of its parents
    next: run it inside a Git repository you can read
    "#);
    let gate = gate();
    let args = ["--gate", gate.to_str().unwrap()];
    assert_snapshot!(run(&f, &program(&f, &args).env("XDG_DATA_HOME", f.work().canonicalize().unwrap())), @r"
    exit 3

    inside-work-tree: ~/work/ai-ops-runner/gates/<id> is inside the work tree ~/work
    next: set XDG_DATA_HOME to a directory outside the repository
    ");
    f.write("configs/ship.toml", "schema = 9\n");
    f.commit("policy");
    assert_snapshot!(run(&f, &program(&f, &args)), @r"
    exit 3

    policy-invalid: the policy to pin is not valid: policy schema 9 is not 1
    next: mend configs/ship.toml, then run install-hooks
    ");
    assert!(!f.work().join(".git/hooks/pre-push").exists());
}

#[test]
fn g09_where_the_environment_decides_nothing_is_installed() {
    let f = Fixture::pushed();
    let cmd = program(&f, &["--gate", "/bin/sh"]).env("GIT_CONFIG_COUNT", "1");
    let cmd = cmd.env("GIT_CONFIG_KEY_0", "core.hooksPath").env("GIT_CONFIG_VALUE_0", "/dev/null");
    assert_snapshot!(run(&f, &cmd), @r"
    exit 3

    hooks-path-environment: core.hooksPath is set by the environment (command line:), to /dev/null
    next: unset GIT_CONFIG_* in this shell, then run install-hooks
    ");
}
