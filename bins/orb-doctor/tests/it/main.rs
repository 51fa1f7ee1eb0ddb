//! The program as a job runs it, over repositories as good and as hostile as they come.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

use std::fs;
use std::path::{Path, PathBuf};

use host::{Cmd, Host, Local};
use insta::assert_snapshot;
use orb::testing::{Kind, Orb};

/// The program in the tree of `orb`, with `out` for its outputs.
fn program(orb: &Orb, out: &Path) -> Cmd {
    orb.program(env!("CARGO_BIN_EXE_orb-doctor"), out)
}

/// What came of it in a repository of that kind, and the output file.
fn check(kind: Kind) -> (Orb, PathBuf, String) {
    let orb = Orb::new(kind);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out));
    assert_eq!(fs::read_to_string(orb.home().join("precious")).unwrap(), "precious\n");
    let file = out.join("DOCTOR_OUTPUT.txt");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    (orb, file, text)
}

#[test]
fn help() {
    let orb = Orb::new(Kind::Healthy);
    assert_snapshot!(orb.run(&program(&orb, Path::new("/")).arg("--help")));
    assert!(orb.run(&program(&orb, Path::new("/")).arg("--version")).starts_with("exit 0\norb-doctor "));
}

#[test]
fn a_missing_script_is_said_in_the_output() {
    let (_orb, file, text) = check(Kind::WithoutDoctor);
    assert!(text.starts_with("exit 1\n\nscript-not-found: the tree has no ops/doctor_repo.sh\nnext: "), "{text}");
    assert_eq!(fs::read_to_string(file).unwrap(), "SCRIPT_NOT_FOUND: the tree has no ops/doctor_repo.sh\n");
}

#[test]
fn the_exit_code_of_a_script_that_fails_is_the_program_s() {
    let (orb, file, text) = check(Kind::Fails);
    assert!(
        text.starts_with(
            "exit 9\n\nthe script is broken\nscript-failed: ops/doctor_repo.sh failed (exit 9): the script is broken\n"
        ),
        "{text}"
    );
    assert_eq!(fs::read_to_string(file).unwrap(), "the script is broken\n");
    let text = orb.run(&program(&orb, &orb.artifacts("json")).arg("--json"));
    assert!(text.starts_with("exit 9\n{\"schema\":1,\"status\":\"refused\",\"class\":\"script-failed\","), "{text}");
    orb.fixture().write("ops/doctor_repo.sh", "kill -SEGV $$\n");
    assert!(orb.run(&program(&orb, &orb.artifacts("signal"))).starts_with("exit 139\n"));
}

#[test]
fn both_streams_are_in_the_output_in_order() {
    let orb = Orb::new(Kind::Healthy);
    orb.fixture()
        .write("ops/doctor_repo.sh", "for n in 1 2 3; do echo out $n; echo err $n >&2; done; printf '\\xff\\0end'\n");
    let out = orb.artifacts("out");
    assert!(orb.run(&program(&orb, &out)).starts_with("exit 0\n"));
    let said = fs::read(out.join("DOCTOR_OUTPUT.txt")).unwrap();
    assert_eq!(said, b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n\xff\0end");
}

#[test]
fn j15_a_script_that_says_100_mb_is_bounded() {
    let orb = Orb::new(Kind::Floods);
    let out = orb.artifacts("out");
    let output = Local::new().run(&program(&orb, &out).arg("--json")).unwrap();
    assert_eq!(output.status.to_string(), "exit 0");
    let said = fs::read_to_string(out.join("DOCTOR_OUTPUT.txt")).unwrap();
    assert!(said.len() < (4 << 20) + 100, "{}", said.len());
    assert!(said.starts_with("[ai-ops-runner: what it said before is left out; the job's log has more]\n"));
}

#[test]
fn j14_what_a_script_leaves_among_the_outputs_is_not_followed() {
    let (orb, file, text) = check(Kind::Litters);
    assert!(text.starts_with("exit 0\n"), "{text}");
    assert!(fs::read_to_string(file).unwrap().contains("18/18 passed"));
    assert_eq!(fs::read_dir(orb.home()).unwrap().count(), 1);
}

#[test]
fn a_healthy_repository_passes_18_of_18_checks() {
    let (orb, file, text) = check(Kind::Healthy);
    let said = fs::read_to_string(file).unwrap();
    assert_snapshot!(said);
    assert_eq!(
        text,
        format!("exit 0\nops/doctor_repo.sh: exit 0, its output is in DOCTOR_OUTPUT.txt\n{}", said.trim_end())
    );
    assert_eq!(orb.fixture().git(&["status", "--porcelain"]), "");
}

#[test]
fn the_hooks_path_of_a_job_comes_with_its_environment() {
    let orb = Orb::new(Kind::Healthy);
    orb.fixture().git(&["config", "--unset", "core.hooksPath"]);
    let without = program(&orb, &orb.artifacts("out"));
    let text = orb.run(&without);
    assert!(text.starts_with("exit 1\n") && text.contains("FAIL: core.hooksPath") && text.contains("17/18"), "{text}");
    let with = without.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "core.hooksPath");
    let text = orb.run(&with.env("GIT_CONFIG_VALUE_0", ".githooks"));
    assert!(text.starts_with("exit 0\n") && text.contains("18/18"), "{text}");
}

#[test]
fn as_json() {
    let orb = Orb::new(Kind::Healthy);
    assert_snapshot!(orb.run(&program(&orb, &orb.artifacts("out")).arg("--json")), @r#"
    exit 0
    {"schema":1,"status":"done","script":"ops/doctor_repo.sh","output":"DOCTOR_OUTPUT.txt","exit_code":0,"cut":false}
    "#);
}
