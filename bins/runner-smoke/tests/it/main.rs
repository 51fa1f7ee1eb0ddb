//! `runner-smoke` against a real service, and against none.

#![allow(clippy::unwrap_used, reason = "a stage that cannot be set fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests make repositories and run programs")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cli::testing::build_beside;
use insta::assert_snapshot;
use orb::testing::{Kind, Orb};
use tempfile::TempDir;

const SMOKE: &str = env!("CARGO_BIN_EXE_runner-smoke");

/// A service with the repository `project` and, where it is wanted, an ORB repository.
struct Scene {
    dir: TempDir,
    _orb: Option<Orb>,
    service: Child,
}

impl Scene {
    fn new(orb: Option<Orb>) -> Self {
        build_beside(SMOKE, &["orb-doctor", "orb-review-bundle", "orb-score-run", "runner-api-cli", "runner-cli"]);
        let dir = TempDir::new().unwrap();
        let repository = dir.path().join("project");
        for args in [&["init", "-q", "-b", "main", "project"][..], &["commit", "-q", "--allow-empty", "-m", "start"]] {
            let mut git = program(&dir, "git");
            git.args(["-c", "user.name=a", "-c", "user.email=a@example.invalid"]).args(args);
            assert!(
                git.current_dir(if args[0] == "init" { dir.path() } else { &repository }).status().unwrap().success()
            );
        }
        let allow = |place: &Path, name: &str| {
            let mut allow = program(&dir, &beside("runner"));
            let allowed = allow.arg("allow").arg(place).args(["--name", name, "--branch", "main"]).output().unwrap();
            assert!(allowed.status.success(), "{}", String::from_utf8_lossy(&allowed.stderr));
        };
        allow(&repository, "project");
        if let Some(orb) = &orb {
            allow(orb.remote().as_ref(), "the-orb");
        }
        let mut service = program(&dir, &beside("runner-api"));
        service.args(["--with-worker", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut service = service.spawn().unwrap();
        let mut lines = BufReader::new(service.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("listens on ")));
        std::thread::spawn(move || lines.for_each(drop));
        Self { dir, _orb: orb, service }
    }

    fn smoke(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = program(&self.dir, SMOKE).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn beside(name: &str) -> String {
    Path::new(SMOKE).with_file_name(name).to_str().unwrap().to_owned()
}

fn program(dir: &TempDir, name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", dir.path());
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").stdin(Stdio::null());
    command
}

/// Each check without what was seen; but that of a cancel, which a job may be too short for.
fn outline(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with([' ', '=']) && !line.contains(": cancel: "));
    lines.map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ") + "\n").collect()
}

#[test]
fn help() {
    let output = Command::new(SMOKE).arg("--help").env_clear().output().unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn a_service_that_works_passes_every_check() {
    let scene = Scene::new(Some(Orb::new(Kind::Healthy)));
    let (code, said) = scene.smoke(&["--repo", "project", "--orb-repo", "the-orb"]);
    assert_snapshot!(outline(&said), @"
    PASS: healthz
    PASS: readyz
    PASS: token
    PASS: commit
    PASS: job
    PASS: status
    PASS: logs
    PASS: timeline
    PASS: artifact
    PASS: idempotency
    PASS: refusal
    PASS: orb
    ");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("PASS: cancel: ") || said.contains("WARN: cancel: 5 jobs ended"), "{said}");
}

#[test]
fn without_an_orb_repository_that_part_is_left_out_with_a_warning() {
    let scene = Scene::new(None);
    let (code, said) = scene.smoke(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("WARN: orb: left out: unknown-repo: "), "{said}");
    let (code, said) = scene.smoke(&["--json"]);
    assert!(code == Some(0) && said.starts_with(r#"{"schema":1,"status":"done","passed":"#), "{said}");
}

#[test]
fn a_repository_without_its_doctor_is_a_warning() {
    let scene = Scene::new(Some(Orb::new(Kind::WithoutDoctor)));
    let (code, said) = scene.smoke(&["--repo", "project", "--orb-repo", "the-orb"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("WARN: orb: its doctor found something: "), "{said}");
}

#[test]
fn what_does_not_work_fails() {
    let mut scene = Scene::new(None);
    let (code, said) = scene.smoke(&["--repo", "other"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAIL: commit: unknown-repo: "), "{said}");
    scene.service.kill().unwrap();
    scene.service.wait().unwrap();
    let (code, said) = scene.smoke(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("FAIL: healthz: api-unreachable: "), "{said}");
    assert!(said.contains("next: start it: runner-api --with-worker\n"), "{said}");
}
