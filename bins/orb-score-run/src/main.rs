//! `orb-score-run`: the repository's score harness.

use std::process::ExitCode;

use clap::Parser;
use orb::Harness;

/// Score a run of a day's logs by the harness of a tree: a job
///
/// Runs `ops/score_run.sh` of the working directory with the parameters `LOGS_DAY` (2026-01-31) and `RUN_ID`, where they are
/// set. `SCORE_OUTPUT.txt` in `ARTIFACT_DIR` is what it says; its exit code is that of this program.
#[derive(Parser)]
#[command(name = "orb-score-run", version)]
struct Args {}

fn main() -> ExitCode {
    Harness::SCORE.program::<Args>()
}
