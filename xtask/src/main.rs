//! Project tasks: `cargo xtask <task>`.

#![allow(clippy::disallowed_methods, reason = "tasks run tools, read the tree and write below the target directory")]

mod ci;
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
}

impl Task {
    fn run(&self) -> Result<(), Failure> {
        let workshop = Workshop::open()?;
        match self {
            Self::Setup(arguments) => setup::run(&workshop, arguments),
            Self::Ci(arguments) => ci::run(&workshop, arguments),
            Self::Tidy => tidy::run(&workshop),
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
