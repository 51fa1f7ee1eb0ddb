//! The runner as a service: the real programs in a temporary directory, asked over HTTP, with their queue in SQLite and
//! in PostgreSQL.
//!
//! Beside what is measured stands, from the same run and in turn with it, what does the least of the same on this machine.

mod client;
mod machine;
mod measures;
mod report;
mod stack;

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use clap::Args;
use outcome::Failure;
use real_parts::Postgres;

use crate::programs::Installed;
use crate::workshop::{Workshop, unusable};
use measures::Lab;
use report::Row;
use stack::{Engine, Place};

/// The packages of the programs.
const PACKAGES: [&str; 3] = ["runner-api-cli", "runner-worker", "runner-cli"];

#[derive(Args)]
pub(super) struct Arguments {
    /// One JSON object a row instead of the table
    #[arg(long)]
    json: bool,
    /// Only the measures whose name contains this, such as `sqlite: jobs`
    #[arg(long, default_value = "")]
    only: String,
    /// Programs that are built already, in the place of a release build
    #[arg(long, value_name = "DIR")]
    built: Option<PathBuf>,
    /// Where everything is kept: on the disk that is measured [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
}

/// How much is measured.
#[derive(Args)]
struct Sizes {
    /// Submits of each number of clients
    #[arg(long, value_name = "N", default_value_t = 800)]
    submits: u32,
    /// Jobs whose start is timed
    #[arg(long, value_name = "N", default_value_t = 100)]
    starts: u32,
    /// Jobs of each throughput
    #[arg(long, value_name = "N", default_value_t = 200)]
    jobs: u32,
    /// Jobs that a busy repository has waiting
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    queued: u32,
    /// The size of the log in MiB
    #[arg(long, value_name = "N", default_value_t = 2048)]
    log_mib: u64,
}

/// Runs the benchmark.
///
/// # Errors
/// What the build or the file system failed with; refused when something could not be measured.
pub(super) fn run(workshop: &Workshop, arguments: &Arguments) -> Result<(), Failure> {
    let programs = match &arguments.built {
        Some(dir) => dir.canonicalize().map_err(|error| unusable(dir, &error))?,
        None => Installed::some(workshop, &PACKAGES)?.dir(),
    };
    let base = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    // The user that PostgreSQL runs as gets in too.
    let dir =
        tempfile::Builder::new().prefix("bench-").permissions(fs::Permissions::from_mode(0o755)).tempdir_in(&base);
    let dir = dir.map_err(|error| unusable(&base, &error))?;
    let place = Place::new(workshop, dir.path(), programs)?;
    let mut rows = measured(&place, &Engine::Sqlite, arguments);
    rows.extend(postgres(&place, arguments)?);
    if !arguments.json {
        print!("{}", report::show(&rows));
    }
    match rows.iter().filter(|row| row.seen.is_err()).count() {
        0 => Ok(()),
        n => Err(Failure::refused("not-measured", format!("{n} could not be measured"), "see their rows above")),
    }
}

/// The server is there only while it is measured, on the same disk.
fn postgres(place: &Place, arguments: &Arguments) -> Result<Vec<Row>, Failure> {
    if !measures::ALL
        .iter()
        .any(|(name, by_engine, _)| *by_engine && format!("postgres: {name}").contains(&arguments.only))
    {
        return Ok(Vec::new());
    }
    let server = Postgres::builder().below(&place.dir).start().map_err(broken)?;
    Ok(measured(place, &Engine::Postgres(Box::new(server)), arguments))
}

fn measured(place: &Place, engine: &Engine, arguments: &Arguments) -> Vec<Row> {
    let lab = Lab { place, engine, sizes: &arguments.sizes };
    let mut rows = Vec::new();
    for (name, by_engine, measure) in measures::ALL {
        let name = format!("{}: {name}", engine.name());
        if !name.contains(&arguments.only) || (!by_engine && matches!(engine, Engine::Postgres(_))) {
            continue;
        }
        let seen = measure(&lab).unwrap_or_else(|error| vec![Row::failed(&name, error.to_string())]);
        if arguments.json {
            for row in &seen {
                println!("{}", row.json());
            }
        } else {
            eprintln!("measured {name}");
        }
        rows.extend(seen);
    }
    rows
}

fn broken(why: impl Display) -> Failure {
    Failure::refused("not-measured", why.to_string(), "run the programs without the benchmark")
}
