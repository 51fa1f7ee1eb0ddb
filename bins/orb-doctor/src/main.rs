//! `orb-doctor`: the repository's doctor.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use orb::{Harness, Place};
use outcome::Exit;

/// Run the doctor of a tree: a job
///
/// Runs `ops/doctor_repo.sh` of the working directory. `DOCTOR_OUTPUT.txt` in `ARTIFACT_DIR` is what it says; its exit code is
/// that of this program.
#[derive(Parser)]
#[command(name = "orb-doctor", version)]
struct Args {}

fn main() -> ExitCode {
    let mut of_script = None;
    let exit = cli::main(|_: Args, cx| {
        let place = Place::of(&cx.host, Path::new("."))?;
        let console = cx.console.clone();
        let ran = Harness::DOCTOR.run(&place, Box::new(move |line| console.note(line)))?;
        of_script = ran.failed_with();
        cx.console.result(&ran.into_result()?)?;
        Ok(Exit::Done)
    });
    of_script.map_or(exit, ExitCode::from)
}
