//! `orb-doctor`: the repository's doctor.

use std::process::ExitCode;

use clap::Parser;
use orb::Harness;

/// Run the doctor of a tree: a job
///
/// Runs `ops/doctor_repo.sh` of the working directory. `DOCTOR_OUTPUT.txt` in `ARTIFACT_DIR` is what it says; its exit code is
/// that of this program.
#[derive(Parser)]
#[command(name = "orb-doctor", version)]
struct Args {}

fn main() -> ExitCode {
    Harness::DOCTOR.program::<Args>()
}
