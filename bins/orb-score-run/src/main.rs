//! `orb-score-run`: the repository's score harness.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use orb::{Harness, Place};
use outcome::Exit;

/// Score a run of a day's logs by the harness of a tree: a job
///
/// Runs `ops/score_run.sh` of the working directory with the parameters `LOGS_DAY` (2026-01-31) and `RUN_ID`, where they are
/// set. `SCORE_OUTPUT.txt` in `ARTIFACT_DIR` is what it says; its exit code is that of this program.
#[derive(Parser)]
#[command(name = "orb-score-run", version)]
struct Args {}

fn main() -> ExitCode {
    let mut of_script = None;
    let exit = cli::main(|_: Args, cx| {
        let place = Place::of(&cx.host, Path::new("."))?;
        let console = cx.console.clone();
        let ran = Harness::SCORE.run(&place, Box::new(move |line| console.note(line)))?;
        of_script = ran.failed_with();
        cx.console.result(&ran.into_result()?)?;
        Ok(Exit::Done)
    });
    of_script.map_or(exit, ExitCode::from)
}
