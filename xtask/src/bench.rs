//! `cargo xtask bench`: whole programs beside what a user would run instead, alternately in one run, as ratios.
//!
//! It asserts nothing: a table for people, or JSON lines for programs. A goal stands beside each ratio that has one.

#[cfg(target_os = "linux")]
mod host;
mod pair;
mod run;
mod scene;
#[cfg(target_os = "linux")]
mod service;
mod table;
mod worktree;

use std::time::Duration;

use clap::{Args, Subcommand};
use outcome::Failure;

use crate::programs::Installed;
use crate::workshop::Workshop;
use pair::Pair;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// Review bundles against `git diff`, the gate against `git rev-parse`, start-up against `true`
    Ship(Measuring),
    /// Whole jobs against worktrees that git makes, the sandbox against bubblewrap; needs root
    Worktree(worktree::Arguments),
    /// The runner as a service: submits, starts, throughput, memory, a long queue, a long log; on SQLite and PostgreSQL
    #[cfg(target_os = "linux")]
    Service(service::Arguments),
    /// The port audit against `ss`, with 5, 500 and 5,000 listeners; needs root
    #[cfg(target_os = "linux")]
    Host(Measuring),
    /// What `host` measures, in namespaces of its own
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    HostWithin(host::Within),
    /// Runs a program and prints what it and its children took: the peak in KiB, processors in microseconds
    #[command(hide = true)]
    Peak {
        #[arg(trailing_var_arg = true, required = true)]
        argv: Vec<std::ffi::OsString>,
    },
}

/// How pairs are measured.
#[derive(Args)]
struct Measuring {
    /// One JSON object a row instead of the table
    #[arg(long)]
    json: bool,
    /// How long each pair is repeated, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Only the pairs whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// Runs a benchmark.
///
/// # Errors
/// What the build, a scene or the time of a run failed with; refused when a pair could not be measured.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.subject {
        Subject::Peak { argv } => run::peak(argv),
        Subject::Ship(measuring) => ship(&Workshop::open()?, measuring),
        Subject::Worktree(arguments) => worktree::run(&Workshop::open()?, arguments),
        #[cfg(target_os = "linux")]
        Subject::Service(arguments) => service::run(&Workshop::open()?, arguments),
        #[cfg(target_os = "linux")]
        Subject::Host(measuring) => host::run(&Workshop::open()?, measuring),
        #[cfg(target_os = "linux")]
        Subject::HostWithin(arguments) => host::within(arguments),
    }
}

fn ship(workshop: &Workshop, measuring: &Measuring) -> Result<(), Failure> {
    let installed = Installed::build(workshop)?;
    measuring.show(&pairs(workshop, &installed, &measuring.only)?)
}

impl Measuring {
    /// Measures `pairs` and prints their rows.
    ///
    /// # Errors
    /// Refused when a pair could not be measured.
    fn show(&self, pairs: &[Pair]) -> Result<(), Failure> {
        self.show_rows(&self.rows(pairs))
    }

    /// Measures `pairs`.
    fn rows<'a>(&self, pairs: impl IntoIterator<Item = &'a Pair>) -> Vec<table::Row> {
        let pairs = pairs.into_iter();
        let measured = pairs.map(|pair| table::Row::of(pair, pair.measure(Duration::from_secs(self.seconds))));
        measured
            .inspect(|row| if self.json { println!("{}", row.json()) } else { eprintln!("measured {}", row.name) })
            .collect()
    }

    fn show_rows(&self, rows: &[table::Row]) -> Result<(), Failure> {
        if !self.json {
            print!("{}", table::show(rows));
        }
        judged(rows)
    }
}

fn judged(rows: &[table::Row]) -> Result<(), Failure> {
    match rows.iter().filter(|row| row.measured.is_err()).count() {
        0 => Ok(()),
        n => Err(Failure::refused("not-measured", format!("{n} pairs could not be measured"), "see their rows above")),
    }
}

/// Every pair whose name contains `only`. Scenes are built only for those.
fn pairs(workshop: &Workshop, installed: &Installed, only: &str) -> Result<Vec<Pair>, Failure> {
    let scenes = scene::Scenes::new(workshop, workshop.target("bench"), installed)?;
    let mut pairs = Vec::new();
    for (name, build) in scene::ALL {
        if name.contains(only) {
            pairs.push(build(&scenes, name)?);
        }
    }
    if "start-up".contains(only) || only.starts_with("start-up") {
        pairs.extend(scenes.start_ups());
    }
    Ok(pairs)
}
