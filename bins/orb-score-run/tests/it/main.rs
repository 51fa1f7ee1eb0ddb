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
    orb.program(env!("CARGO_BIN_EXE_orb-score-run"), out)
}

/// What came of it in a repository of that kind, and the output file.
fn check(kind: Kind) -> (Orb, PathBuf, String) {
    let orb = Orb::new(kind);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out));
    assert_eq!(fs::read_to_string(orb.home().join("precious")).unwrap(), "precious\n");
    let file = out.join("SCORE_OUTPUT.txt");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    (orb, file, text)
}

#[test]
fn help() {
    let orb = Orb::new(Kind::Healthy);
    assert_snapshot!(orb.run(&program(&orb, Path::new("/")).arg("--help")));
    assert!(orb.run(&program(&orb, Path::new("/")).arg("--version")).starts_with("exit 0\norb-score-run "));
}

#[test]
fn a_missing_script_is_said_in_the_output() {
    let (_orb, file, text) = check(Kind::WithoutHarness);
    assert!(text.starts_with("exit 1\n\nharness-not-found: the tree has no ops/score_run.sh\nnext: "), "{text}");
    assert_eq!(fs::read_to_string(file).unwrap(), "HARNESS_NOT_FOUND: the tree has no ops/score_run.sh\n");
}

#[test]
fn the_exit_code_of_a_script_that_fails_is_the_program_s() {
    let (orb, file, text) = check(Kind::Fails);
    assert!(
        text.starts_with(
            "exit 9\n\nthe script is broken\nscript-failed: ops/score_run.sh failed (exit 9): the script is broken\n"
        ),
        "{text}"
    );
    assert_eq!(fs::read_to_string(file).unwrap(), "the script is broken\n");
    let text = orb.run(&program(&orb, &orb.artifacts("json")).arg("--json"));
    assert!(text.starts_with("exit 9\n{\"schema\":1,\"status\":\"refused\",\"class\":\"script-failed\","), "{text}");
    orb.fixture().write("ops/score_run.sh", "kill -SEGV $$\n");
    assert!(orb.run(&program(&orb, &orb.artifacts("signal"))).starts_with("exit 139\n"));
}

#[test]
fn both_streams_are_in_the_output_in_order() {
    let orb = Orb::new(Kind::Healthy);
    orb.fixture()
        .write("ops/score_run.sh", "for n in 1 2 3; do echo out $n; echo err $n >&2; done; printf '\\xff\\0end'\n");
    let out = orb.artifacts("out");
    assert!(orb.run(&program(&orb, &out)).starts_with("exit 0\n"));
    let said = fs::read(out.join("SCORE_OUTPUT.txt")).unwrap();
    assert_eq!(said, b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n\xff\0end");
}

#[test]
fn j15_a_script_that_says_100_mb_is_bounded() {
    let orb = Orb::new(Kind::Floods);
    let out = orb.artifacts("out");
    let output = Local::new().run(&program(&orb, &out).arg("--json")).unwrap();
    assert_eq!(output.status.to_string(), "exit 0");
    let said = fs::read_to_string(out.join("SCORE_OUTPUT.txt")).unwrap();
    assert!(said.len() < (4 << 20) + 100, "{}", said.len());
    assert!(said.starts_with("[ai-ops-runner: what it said before is left out; the job's log has more]\n"));
}

#[test]
fn j14_what_a_script_leaves_among_the_outputs_is_not_followed() {
    let (orb, file, text) = check(Kind::Litters);
    assert!(text.starts_with("exit 0\n"), "{text}");
    assert!(fs::read_to_string(file).unwrap().contains("score: 4"));
    assert_eq!(fs::read_dir(orb.home()).unwrap().count(), 1);
}

#[test]
fn the_parameters_reach_the_harness_as_variables() {
    let orb = Orb::new(Kind::Healthy);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out).env("LOGS_DAY", "2026-01-31").env("RUN_ID", "r-1.2_3"));
    assert_snapshot!(text, @r"
    exit 0
    ops/score_run.sh: exit 0, its output is in SCORE_OUTPUT.txt
    scoring day 2026-01-31, run r-1.2_3
    score: 4
    ");
    assert_snapshot!(fs::read_to_string(out.join("score.json")).unwrap(), @r#"{"day":"2026-01-31","run":"r-1.2_3","score":4}"#);
    let text = orb.run(&program(&orb, &orb.artifacts("none")));
    assert!(text.contains("scoring day latest, run all"), "{text}");
}

#[test]
fn j16_parameters_that_are_none_are_refused_before_anything_is_run() {
    let orb = Orb::new(Kind::Healthy);
    let out = orb.artifacts("out");
    let days = [
        "",
        "2026-1-31",
        "2026-02-30",
        "20260131",
        "2026-01-31T00",
        "2026-01-31\n",
        "--output=F",
        "$(id)",
        "٢٠٢٦-٠١-٣١",
    ];
    let long = "a".repeat(65);
    let runs = ["", "-r", ".", "_r", "r/1", "r;x", "r x", "$(id)", "ü", &long];
    let tried = days.map(|day| ("LOGS_DAY", day)).into_iter().chain(runs.map(|run| ("RUN_ID", run)));
    for (name, value) in tried {
        let text = orb.run(&program(&orb, &out).env(name, value));
        assert!(text.starts_with(&format!("exit 2\n\nparameter: {name} is ")), "{value:?}: {text}");
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    assert_snapshot!(orb.run(&program(&orb, &out).env("LOGS_DAY", "2026-02-30")), @r#"
    exit 2

    parameter: LOGS_DAY is "2026-02-30", not a day such as 2026-01-31
    next: give a day such as 2026-01-31
    "#);
}

#[test]
fn as_json() {
    let orb = Orb::new(Kind::Healthy);
    assert_snapshot!(orb.run(&program(&orb, &orb.artifacts("out")).arg("--json")), @r#"
    exit 0
    {"schema":1,"status":"done","script":"ops/score_run.sh","output":"SCORE_OUTPUT.txt","exit_code":0,"cut":false}
    "#);
}
