//! Installing into real repositories and pushing with real git.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use doctor::Report;
use hooks::{Facts, PinnedPolicy, Programs, Site, health, install, installed_dir};
use host::{Cmd, Host, HostError, Local, Output, Stat};
use insta::assert_snapshot;
use outcome::Failure;

/// A clone with a bare remote, a gate that says what it is given, and a machine with no configuration of its own.
struct Scene {
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, OsString)>,
    /// How many more writes and configuration changes succeed.
    left: AtomicUsize,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let environment = vec![
            ("HOME", root.join("home").into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_CONFIG_GLOBAL", root.join("global").into()),
            ("PATH", std::env::var_os("PATH").unwrap()),
        ];
        let scene = Self { dir, environment, left: AtomicUsize::new(usize::MAX) };
        scene.git_in(&root, &["init", "-q", "--bare", "remote"]);
        scene.git_in(&root, &["clone", "-q", "remote", "clone"]);
        for (name, value) in [("user.name", "t"), ("user.email", "t@example.invalid")] {
            scene.git(&["config", name, value]);
        }
        scene.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
        scene.executable("gate", "#!/bin/sh\necho gate: \"$1\" \"$4\" \"$5\" >&2\ncat >/dev/null\n[ ! -x \"$3\" ] || exec \"$3\" \"$5\" \"$6\"\n");
        scene
    }

    fn root(&self) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap()
    }

    fn repo(&self) -> PathBuf {
        self.root().join("clone")
    }

    fn executable(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.run(&Cmd::new("git").args(args).dir(dir)).unwrap();
        assert!(output.success(), "git {args:?}: {}", output.stderr_text());
        output.stderr_text() + &output.stdout_text()
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.repo(), args)
    }

    fn site(&self) -> Site {
        Site::observe(self, &self.repo()).unwrap()
    }

    fn install_with(&self, policy: &PinnedPolicy) -> String {
        let programs = Programs { push_gate: self.root().join("gate"), ship: None };
        let installed = Site::observe(self, &self.repo()).and_then(|site| install(self, &site, &programs, policy));
        self.shown(&installed.map_or_else(|error| Failure::from(error).text(), |done| done.to_string()))
    }

    fn install(&self) -> String {
        self.install_with(&PinnedPolicy::default())
    }

    /// The doctor's report on the hooks and the gate.
    fn health(&self) -> String {
        let report = Report::new(health(
            self,
            &self.site(),
            &Facts { codex: Ok("0.169.0".into()), remote_policy: Ok(hooks::Upstream::Has(None)) },
        ));
        let report = report.only(&["hooks-path", "pre-push", "post-commit", "gate"]).unwrap();
        self.shown(&report.to_string())
    }

    /// What a push that sends nothing says on stderr.
    fn push(&self) -> String {
        self.shown(&self.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]))
    }

    fn shown(&self, text: &str) -> String {
        let id = self.site().gate_dir.file_name().unwrap().to_string_lossy().into_owned();
        text.replace(&self.root().display().to_string(), "~").replace(&id, "<id>")
    }

    fn act(&self) -> Result<(), HostError> {
        let killed = || HostError::Io { path: "killed".into(), source: std::io::ErrorKind::Interrupted.into() };
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .map(drop)
            .map_err(|_| killed())
    }
}

/// This machine with the scene's environment, where the program may die before any of its acts.
impl Host for Scene {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        if cmd.arguments().iter().any(|arg| arg == "--replace-all") {
            self.act()?;
        }
        let mut all = cmd.clone().inherit_all_but(&[]);
        let own: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        all = all.inherit_all_but(&own.iter().map(String::as_str).collect::<Vec<_>>());
        all = self.environment.iter().fold(all, |cmd, (name, value)| cmd.env(*name, value));
        Local::new().run(&all)
    }
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        Local::new().read(path)
    }
    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        self.act()?;
        Local::new().write_atomic(path, bytes, mode)
    }
    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        Local::new().stat(path)
    }
    fn remove(&self, path: &Path) -> Result<(), HostError> {
        Local::new().remove(path)
    }
    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        Local::new().list(dir)
    }
    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        Local::new().follow(path)
    }
    fn env(&self, name: &str) -> Option<OsString> {
        self.environment.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
    }
    fn uid(&self) -> u32 {
        Local::new().uid()
    }
    fn now(&self) -> SystemTime {
        Local::new().now()
    }
    fn random(&self, len: usize) -> Vec<u8> {
        Local::new().random(len)
    }
}

#[test]
fn g08_the_hook_calls_a_gate_outside_the_work_tree_and_installing_again_changes_nothing() {
    let scene = Scene::new();
    assert_snapshot!(scene.install(), @r"
    wrote ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    wrote ~/home/.local/share/ai-ops-runner/gates/<id>/SHA256SUMS
    wrote ~/clone/.git/hooks/pre-push
    wrote ~/clone/.git/hooks/post-commit
    installed: hooks in ~/clone/.git/hooks, gate at ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    ");
    assert_snapshot!(scene.install(), @"already installed: hooks in ~/clone/.git/hooks, gate at ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate");
    assert_snapshot!(scene.push(), @"gate: pre-push -- origin");
    assert_snapshot!(scene.health(), @r"
    PASS: hooks-path: ~/clone/.git/hooks (git's default)
    PASS: pre-push: ~/clone/.git/hooks/pre-push
    PASS: post-commit: ~/clone/.git/hooks/post-commit
    PASS: gate: ~/home/.local/share/ai-ops-runner/gates/<id>/push-gate
    === Doctor Summary: 4/4 passed ===
    ");
}

#[test]
fn a_former_hook_is_kept_and_runs_after_the_gate() {
    let scene = Scene::new();
    scene.executable("clone/.git/hooks/pre-push", "#!/bin/sh\necho former: \"$1\" >&2\n");
    scene.install();
    assert_snapshot!(scene.push(), @r"
    gate: pre-push -- origin
    former: origin
    ");
}

#[test]
fn g08_hooks_in_the_work_tree_are_handed_on_to_from_outside() {
    let scene = Scene::new();
    scene.executable("clone/.husky/pre-push", "#!/bin/sh\necho husky: \"$1\" >&2\n");
    scene.executable("clone/.husky/commit-msg", "#!/bin/sh\necho husky message >&2\n");
    scene.git(&["config", "core.hooksPath", ".husky"]);
    assert!(scene.health().contains("FAIL: hooks-path: git runs hooks from ~/clone/.husky (core.hooksPath, local, file:.git/config), in the work tree"));
    scene.install();
    assert!(scene.install().starts_with("already installed"));
    assert_snapshot!(scene.push(), @r"
    gate: pre-push -- origin
    husky: origin
    ");
    assert_snapshot!(scene.git(&["commit", "-q", "--allow-empty", "-m", "two"]), @"husky message");
    assert!(scene.health().ends_with("=== Doctor Summary: 4/4 passed ==="), "{}", scene.health());
}

#[test]
fn g08_a_hooks_directory_that_links_into_the_work_tree_is_refused() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.repo().join(".git/hooks")).unwrap();
    fs::create_dir(scene.repo().join(".githooks")).unwrap();
    symlink("../.githooks", scene.repo().join(".git/hooks")).unwrap();
    assert_snapshot!(scene.install().lines().next().unwrap(), @"inside-work-tree: ~/clone/.git/hooks is inside the work tree ~/clone");
    assert!(
        scene.health().contains("hooks-path: git runs hooks from ~/clone/.githooks (git's default), in the work tree")
    );
}

#[test]
fn g09_the_doctor_reads_the_path_that_git_uses_whoever_set_it() {
    let mut scene = Scene::new();
    scene.install();
    let first = |scene: &Scene| scene.health().lines().next().unwrap().to_owned();
    let elsewhere = scene.root().join("elsewhere");
    fs::write(scene.root().join("included"), format!("[core]\nhooksPath = {}\n", elsewhere.display())).unwrap();
    fs::write(scene.root().join("global"), "[include]\npath = included\n").unwrap();
    assert_snapshot!(first(&scene), @"FAIL: hooks-path: git runs hooks from ~/elsewhere (core.hooksPath, global, file:~/included), not ours");
    fs::remove_file(scene.root().join("global")).unwrap();
    scene.environment.extend([
        ("GIT_CONFIG_COUNT", "1".into()),
        ("GIT_CONFIG_KEY_0", "core.hooksPath".into()),
        ("GIT_CONFIG_VALUE_0", elsewhere.into()),
    ]);
    assert_snapshot!(first(&scene), @"FAIL: hooks-path: git runs hooks from ~/elsewhere (core.hooksPath, environment, command line:)");
    assert_snapshot!(scene.install().lines().next().unwrap(), @"hooks-path-environment: core.hooksPath is set by the environment (command line:), to ~/elsewhere");
}

#[test]
fn g14_no_variable_leads_a_push_around_the_installed_gate() {
    let mut scene = Scene::new();
    let check = |scene: &Scene| match installed_dir(scene, &scene.site()) {
        Ok(dir) => dir.map_or_else(|| "none".to_owned(), |dir| scene.shown(&dir.display().to_string())),
        Err(error) => scene.shown(&Failure::from(error).text()),
    };
    assert_snapshot!(check(&scene), @"none");
    scene.install();
    assert_snapshot!(check(&scene), @"~/clone/.git/hooks");
    fs::remove_file(scene.site().gate()).unwrap();
    assert_snapshot!(check(&scene), @"~/clone/.git/hooks");
    scene.environment.push(("XDG_DATA_HOME", scene.root().join("data").into()));
    assert_snapshot!(check(&scene), @r"
    hook-not-ours: ~/clone/.git/hooks/pre-push calls another gate than ~/data/ai-ops-runner/gates/<id>/push-gate, or is of another version
    next: set HOME and XDG_DATA_HOME as usual, or run install-hooks
    ");
    scene.environment.extend([
        ("GIT_CONFIG_COUNT", "1".into()),
        ("GIT_CONFIG_KEY_0", "core.hooksPath".into()),
        ("GIT_CONFIG_VALUE_0", "/dev/null".into()),
    ]);
    assert!(check(&scene).starts_with("hook-not-ours: "));
}

#[test]
fn g09_a_changed_hook_or_gate_is_seen() {
    let scene = Scene::new();
    scene.install();
    scene.executable("clone/.git/hooks/pre-push", "#!/bin/sh\nexit 0\n");
    fs::write(scene.site().gate(), "#!/bin/sh\nexit 0\n").unwrap();
    let seen = scene.health();
    assert!(
        seen.contains("FAIL: pre-push: ~/clone/.git/hooks/pre-push is not the hook") && seen.contains("FAIL: gate: "),
        "{seen}"
    );
}

#[test]
fn g09_a_hook_of_another_version_is_seen_and_renewed_and_is_no_former_hook() {
    let scene = Scene::new();
    scene.install();
    for name in ["pre-push", "post-commit"] {
        let hook = scene.repo().join(".git/hooks").join(name);
        let of_now = fs::read_to_string(&hook).unwrap();
        fs::write(&hook, of_now.replacen("hook. ", "hook. An earlier one. ", 1)).unwrap();
        let seen = scene.health();
        assert!(seen.contains(&format!("FAIL: {name}: ~/clone/.git/hooks/{name} is not the hook")), "{seen}");
        let refused = installed_dir(&scene, &scene.site());
        assert_eq!(refused.is_err(), name == "pre-push");
        scene.install();
        assert_eq!(fs::read_to_string(&hook).unwrap(), of_now);
        assert!(!hook.with_extension("former").exists());
    }
    assert_eq!(scene.push(), "gate: pre-push -- origin");
}

#[test]
fn g09_the_doctor_reads_the_path_that_one_work_tree_has_of_its_own() {
    let scene = Scene::new();
    scene.install();
    scene.git(&["config", "extensions.worktreeConfig", "true"]);
    scene.git(&["config", "--worktree", "core.hooksPath", "/nowhere"]);
    assert_snapshot!(scene.health().lines().next().unwrap(), @"FAIL: hooks-path: git runs hooks from /nowhere (core.hooksPath, worktree, file:.git/config.worktree), not ours");
    scene.install();
    assert!(scene.health().ends_with("=== Doctor Summary: 4/4 passed ==="), "{}", scene.health());
    assert_eq!(scene.push(), "gate: pre-push -- origin");
}

#[test]
fn g14_another_policy_is_pinned_only_when_asked() {
    let scene = Scene::new();
    let policy = |text: &str, repin| PinnedPolicy { bytes: Some(text.into()), repin };
    scene.install_with(&policy("schema = 1\n", false));
    let other = "# other\nschema = 1\n";
    assert!(scene.install_with(&policy(other, false)).starts_with("another policy stays pinned"));
    assert_eq!(fs::read_to_string(scene.site().policy()).unwrap(), "schema = 1\n");
    scene.install_with(&policy(other, true));
    assert_eq!(fs::read_to_string(scene.site().policy()).unwrap(), other);
    assert!(scene.install_with(&policy("schema = 9\n", true)).starts_with("policy-invalid"));
    let misspelt = "schema = 1\n[[rules.allow]]\nrule = \"secrets\"\npath = \"a\"\nreason = \"r\"\n";
    assert!(scene.install_with(&policy(misspelt, true)).starts_with("policy-invalid"));
}

/// Dies before each act in turn: afterwards a push still meets the former hook, and installing again finishes.
fn killed_at_every_step(prepare: impl Fn(&Scene)) {
    for step in 0.. {
        let scene = Scene::new();
        prepare(&scene);
        scene.left.store(step, Ordering::SeqCst);
        let done = scene.install().contains("installed: hooks");
        scene.left.store(usize::MAX, Ordering::SeqCst);
        let pushed = scene.push();
        assert!(pushed.ends_with("former: origin"), "step {step}: {pushed}");
        scene.install();
        scene.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
        assert_eq!(scene.push(), "gate: pre-push -- origin\nformer: origin", "step {step}");
        if done {
            return;
        }
    }
}

const FORMER: &str = "#!/bin/sh\necho former: \"$1\" >&2\n";

#[test]
fn s05_killed_at_every_step_no_former_hook_is_lost() {
    killed_at_every_step(|scene| drop(scene.executable("clone/.git/hooks/pre-push", FORMER)));
}

#[test]
fn s05_killed_at_every_step_no_former_directory_is_lost() {
    killed_at_every_step(|scene| {
        scene.executable("clone/.husky/pre-push", FORMER);
        scene.git(&["config", "core.hooksPath", ".husky"]);
    });
}

#[test]
fn the_source_in_the_work_tree_refuses_every_push() {
    let scene = Scene::new();
    let source = include_str!("../../../../.githooks/pre-push");
    let hook = scene.executable("source", source);
    let output = Local::new().run(&Cmd::new(hook)).unwrap();
    assert_snapshot!(format!("{}\n{}", output.status, output.stderr_text()), @r"
    exit 1
    PUSH BLOCKED: there is no gate at @PUSH_GATE@
    next: run install-hooks
    ");
}

#[test]
fn a_former_hook_gets_stdin_and_can_refuse() {
    let scene = Scene::new();
    let hook = scene.executable("former", "#!/bin/sh\n[ \"$(cat)\" = \"refs $1\" ] || exit 3\n");
    hooks::hand_on(&hook, &["origin".into()], b"refs origin\n").unwrap();
    let refused = hooks::hand_on(&hook, &["origin".into()], b"").unwrap_err();
    assert_snapshot!(scene.shown(&refused.text()), @r"
    former-hook: ~/former: it ended with exit code 3
    next: see what that hook said; it was there before the gate
    ");
    hooks::hand_on(&scene.root().join("none"), &[], b"").unwrap();
}
