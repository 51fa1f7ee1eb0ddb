//! The ORB jobs as they are allowed by default, on the repository that stands in for theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cli::testing::build_beside;
use insta::assert_snapshot;
use orb::testing::{Kind, Orb};
use serde_json::Value;

use crate::stage::told;

const PROGRAMS: [&str; 3] = ["orb-doctor", "orb-review-bundle", "orb-score-run"];

/// An ORB repository that is allowed, with the jobs that are allowed where nobody wrote a file of them.
struct Scene {
    orb: Orb,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let scene = Self { orb: Orb::new(kind), dir: tempfile::TempDir::new().unwrap() };
        let remote = scene.orb.remote();
        let allowed = scene.runner(&["allow", remote.to_str().unwrap(), "--name", "orb", "--branch", "main"]);
        assert!(allowed.0.is_empty() || allowed.0.contains("is allowed"), "{allowed:?}");
        scene
    }

    fn runner(&self, args: &[&str]) -> (String, String) {
        let mut runner = Command::new(beside());
        runner.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        runner.args(["--configs".as_ref(), self.dir.path().join("configs").as_os_str()]);
        runner.args(["--state".as_ref(), self.dir.path().join("state").as_os_str()]);
        let output = runner.env("HOME", self.dir.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(output.stdout), text(output.stderr))
    }

    /// Runs a job at the head; returns what artifact.json says.
    fn job(&self, name: &str, params: &[&str]) -> Value {
        let head = self.orb.head().to_string();
        let mut args = vec!["run", name, "--repo", "orb", "--sha", &head, "--json"];
        args.extend(params.iter().flat_map(|param| ["--param", param]));
        let (stdout, stderr) = self.runner(&args);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
    }

    fn review(&self) -> Value {
        self.job("orb_review_bundle", &[&format!("since_sha={}", self.orb.since())])
    }
}

fn output(artifact: &Value, name: &str) -> String {
    fs::read_to_string(Path::new(artifact["artifact_dir"].as_str().unwrap()).join(name)).unwrap()
}

/// The runner, with the programs that jobs call built beside it.
fn beside() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_beside(env!("CARGO_BIN_EXE_runner"), &PROGRAMS)).join("runner")
}

#[test]
fn the_doctor_passes_18_of_18_checks_in_a_read_only_tree() {
    let scene = Scene::new(Kind::Healthy);
    let artifact = scene.job("orb_doctor", &[]);
    assert_eq!(artifact["status"], "success", "{}", told(&artifact));
    assert_eq!(artifact["outputs"], serde_json::json!(["DOCTOR_OUTPUT.txt"]));
    let output = output(&artifact, "DOCTOR_OUTPUT.txt");
    assert!(output.contains("18/18"), "{output}");
}

#[test]
fn a_review_is_a_bundle_of_the_range() {
    let scene = Scene::new(Kind::Healthy);
    let artifact = scene.review();
    assert_eq!(artifact["status"], "success", "{}", told(&artifact));
    assert!(output(&artifact, "REVIEW_BUNDLE.txt").contains("OpeningRange"));
}

#[test]
fn over_the_size_cap_a_review_is_packets_and_a_warning() {
    let scene = Scene::new(Kind::OverTheCap);
    let artifact = scene.review();
    assert_eq!(artifact["status"], "success", "{}", told(&artifact));
    assert_eq!(artifact["size_cap_exceeded"], true);
    assert_eq!(artifact["warnings"], serde_json::json!(["SIZE_CAP_EXCEEDED"]));
    let outputs = artifact["outputs"].as_array().unwrap();
    for name in
        ["ORB_REVIEW_PACKETS.tar.gz", "ORB_REVIEW_PACKETS.tar.zst", "README_REVIEW_PACKETS.txt", "size_cap_meta.json"]
    {
        assert!(outputs.contains(&name.into()), "{name}: {outputs:?}");
    }
}

#[test]
fn a_score_is_of_the_day_and_run_that_were_asked_for() {
    let scene = Scene::new(Kind::Healthy);
    let artifact = scene.job("orb_score_run", &["logs_day=2026-01-31", "run_id=r1"]);
    assert_eq!(artifact["status"], "success", "{}", told(&artifact));
    assert!(output(&artifact, "score.json").contains(r#""day":"2026-01-31","run":"r1""#));
}

#[test]
fn what_is_missing_is_said_in_the_output() {
    let scene = Scene::new(Kind::WithoutDoctor);
    let artifact = scene.job("orb_doctor", &[]);
    assert_snapshot!(told(&artifact), @"failure 1 job-failed: the job exited with 1");
    assert!(output(&artifact, "DOCTOR_OUTPUT.txt").contains("SCRIPT_NOT_FOUND"));
    let scene = Scene::new(Kind::WithoutHarness);
    let artifact = scene.job("orb_score_run", &[]);
    assert!(output(&artifact, "SCORE_OUTPUT.txt").contains("HARNESS_NOT_FOUND"));
}

#[test]
fn j17_a_since_sha_that_does_not_exist_is_no_success() {
    let scene = Scene::new(Kind::Healthy);
    let artifact = scene.job("orb_review_bundle", &[&format!("since_sha={}", "0123456789".repeat(4))]);
    assert_eq!(artifact["status"], "failure", "{}", told(&artifact));
    let bundle = Path::new(artifact["artifact_dir"].as_str().unwrap()).join("REVIEW_BUNDLE.txt");
    assert!(!fs::read_to_string(bundle).unwrap_or_default().contains("(no changed files)"));
}

#[test]
fn hostile_repositories_change_nothing_and_are_told() {
    for kind in [Kind::WritesOutside, Kind::Litters, Kind::ForgedMeta, Kind::Floods, Kind::LinkAsBundle] {
        let scene = Scene::new(kind);
        let artifact = scene.review();
        assert_eq!(artifact["invariants"]["clean_tree_ok"], true, "{kind:?}: {}", told(&artifact));
        assert_eq!(artifact["level"], "L3", "{kind:?}");
        assert_eq!(fs::read_to_string(scene.orb.home().join("precious")).unwrap(), "precious\n", "{kind:?}");
        let outputs = artifact["collected"]["files"].as_array().unwrap();
        let dir = Path::new(artifact["artifact_dir"].as_str().unwrap());
        for file in outputs {
            assert!(dir.join(file["path"].as_str().unwrap()).symlink_metadata().unwrap().is_file(), "{kind:?}");
        }
    }
}
