//! Project tasks: `cargo xtask <task>`.

#![allow(clippy::disallowed_methods, reason = "tasks run tools, read the tree and write below the target directory")]

mod bench;
mod ci;
mod secrets;
mod setup;
mod snapshots;
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
}

impl Task {
    fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Setup(arguments) => setup::run(&Workshop::open()?, arguments),
            Self::Ci(arguments) => ci::run(&Workshop::open()?, arguments),
            Self::Tidy => tidy::run(&Workshop::open()?),
            Self::Bench(arguments) => bench::run(arguments),
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
