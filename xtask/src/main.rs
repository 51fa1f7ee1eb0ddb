//! Project tasks: `cargo xtask <task>`.

#![allow(clippy::disallowed_methods, reason = "tasks run tools, read the tree and write below the target directory")]

mod bench;
mod ci;
mod demo;
mod programs;
mod secrets;
mod setup;
mod smoke;
mod snapshots;
#[cfg(target_os = "linux")]
mod testhost;
mod tidy;
mod workshop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use outcome::Failure;
use workshop::Workshop;

/// Project tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the real parts that the tests run: the codex CLI, cargo-nextest
    Setup(setup::Arguments),
    /// Run everything that CI runs, stopping at the first failure
    Ci(ci::Arguments),
    /// Check the rules of the house that no compiler checks
    Tidy,
    /// Measure whole programs beside what a user would run instead
    Bench(bench::Arguments),
    /// Show what this does in a temporary directory: no key, no network
    Demo(demo::Arguments),
    /// Start the runner as a service, with a worker
    Runner(programs::Passed),
    /// Start one in a temporary directory, have runner-smoke look at it, stop it
    Smoke,
    /// Boot a machine of tests, Debian with systemd, and run a command or a shell on it; needs root
    #[cfg(target_os = "linux")]
    Testhost(testhost::Arguments),
    /// Take this repository's branch from commit to push
    Ship(programs::Passed),
    /// Have this repository's branch reviewed
    Review(programs::Passed),
    /// Advance the baseline of an approved range and push
    Finish(programs::Passed),
    /// Have the blockers of the verdict for HEAD mended
    Heal(programs::Passed),
    /// Say whether the gate of this repository is in force
    Doctor(programs::Passed),
    /// Install the gate and its hooks for this repository
    InstallHooks(programs::Passed),
    /// Install every program
    Install(programs::Install),
}

impl Task {
    fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Setup(arguments) => setup::run(&Workshop::open()?, arguments),
            Self::Ci(arguments) => ci::run(&Workshop::open()?, arguments),
            Self::Tidy => tidy::run(&Workshop::open()?),
            Self::Bench(arguments) => bench::run(arguments),
            Self::Demo(arguments) => demo::run(&Workshop::open()?, arguments),
            Self::Runner(passed) => programs::runner(&Workshop::open()?, passed),
            Self::Smoke => smoke::run(&Workshop::open()?),
            #[cfg(target_os = "linux")]
            Self::Testhost(arguments) => testhost::run(arguments),
            Self::Ship(passed) => programs::run(&Workshop::open()?, "ship-cli", "ship", passed),
            Self::Review(passed) => programs::run(&Workshop::open()?, "review-auto", "review-auto", passed),
            Self::Finish(passed) => programs::run(&Workshop::open()?, "review-finish", "review-finish", passed),
            Self::Heal(passed) => programs::run(&Workshop::open()?, "autoheal", "autoheal", passed),
            Self::Doctor(passed) => programs::run(&Workshop::open()?, "doctor-repo", "doctor-repo", passed),
            Self::InstallHooks(passed) => programs::install_hooks(&Workshop::open()?, passed),
            Self::Install(arguments) => programs::install(&Workshop::open()?, arguments),
        }
    }
}

fn main() -> ExitCode {
    match Arguments::parse().task.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text());
            ExitCode::from(failure.exit.code())
        }
    }
}
