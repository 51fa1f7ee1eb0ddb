//! The port audit beside `ss`, in a network and a process tree of their own with as many listeners as asked for.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use outcome::Failure;

use super::Measuring;
use super::pair::Pair;
use super::run::Run;
use crate::programs::Installed;
use crate::setup;
use crate::workshop::{Workshop, unusable};

/// How many sockets listen.
const SIZES: [u16; 3] = [5, 500, 5_000];
/// What a user would run instead: what listens by TCP, and the same with UDP.
const INSTEAD: [&str; 2] = ["-tlnp", "-tulnp"];
/// Half of its time.
const GOAL: f64 = 0.5;
/// So that those of one size are not those of another.
const FIRST_PORT: u16 = 10_000;

/// What is measured, by a process that listens.
#[derive(Args)]
pub(super) struct Within {
    #[command(flatten)]
    measuring: Measuring,
    /// The program that is measured
    #[arg(long)]
    program: PathBuf,
}

/// Builds the program, and measures it in namespaces of their own.
///
/// # Errors
/// When it cannot be built, and when this may not make namespaces; else this does not return.
pub(super) fn run(workshop: &Workshop, measuring: &Measuring) -> Result<(), Failure> {
    setup::machines(workshop)?;
    let installed = Installed::some(workshop, &["port-audit-cli"])?;
    let this = std::env::current_exe().map_err(|error| unusable("xtask".as_ref(), &error))?;
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]).arg(this);
    unshare.args(["bench", "host-within", "--seconds", &measuring.seconds.to_string(), "--only", &measuring.only]);
    unshare.args(measuring.json.then_some("--json")).arg("--program").arg(installed.program("port-audit"));
    let error = unshare.exec();
    Err(Failure::not_ready("namespaces", format!("unshare: {error}"), "run it as root, with util-linux"))
}

/// Measures, while this process listens.
///
/// # Errors
/// When it cannot listen; refused when a pair could not be measured.
pub(super) fn within(arguments: &Within) -> Result<(), Failure> {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    raised.map_err(|error| Failure::not_ready("files", error.to_string(), "allow more open files"))?;
    let up = Command::new("ip").args(["link", "set", "dev", "lo", "up"]).status();
    up.map_err(|error| unusable("ip".as_ref(), &error))?;
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut rows = Vec::new();
    for size in SIZES {
        while listeners.len() < usize::from(size) {
            let port = FIRST_PORT + u16::try_from(listeners.len()).unwrap_or_default();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
            listeners.push(listener.map_err(|error| unusable("loopback".as_ref(), &error))?);
        }
        let pairs: Vec<Pair> = INSTEAD.map(|flags| pair(arguments, size, flags)).into();
        rows.extend(
            arguments.measuring.rows(pairs.iter().filter(|pair| pair.name.contains(&arguments.measuring.only))),
        );
    }
    arguments.measuring.show_rows(&rows)
}

fn pair(arguments: &Within, size: u16, flags: &str) -> Pair {
    Pair {
        name: format!("{size} listeners, ss {flags}"),
        ours: Run::new(&arguments.program, "/", &[]),
        theirs: Run::new("ss", "/", &[flags]),
        goal: Some(GOAL),
    }
}
