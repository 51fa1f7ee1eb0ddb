//! One argument vector, isolated by the kernel, bounded in time, memory, processes and files.
//!
//! A program that runs jobs calls [`init_if_asked`] first of all: a [`Sandbox`] executes it again to be the init of a
//! job. What a job may see is its [`Spec`]; what became of it is a [`Report`], with the [`Evidence`] that was checked
//! before the job's first instruction.
//!
//! **Invariant:** a job runs at exactly the level it was to have, or not at all.
//! **Invariant:** no process of a job outlives it: not after success, a time-out, a cancel or the runner's death.
//! **Invariant:** a job sees nothing of the runner's environment, and nothing of the machine but programs and what its
//! entry names.

#![allow(clippy::disallowed_methods, reason = "this crate is the boundary to the kernel")]

use std::os::unix::ffi::OsStrExt as _;

mod bare;
mod capture;
mod cgroup;
mod check;
mod control;
mod error;
mod evidence;
mod filter;
mod first;
mod init;
mod job;
mod level;
mod mounts;
mod output;
mod owners;
mod probe;
mod report;
mod rlimits;
mod root;
mod ruleset;
mod run;
mod spec;
mod start;
mod supervise;
mod sys;
#[cfg(test)]
mod testing;

pub use error::{SandboxError, Shortfall, Stuck};
pub use evidence::{Enforcer, Enforcers, Evidence};
pub use level::Level;
pub use output::Output;
pub use probe::{Sandbox, Site};
pub use report::{Change, ChangeKind, End, Limit, Report, Usage};
pub use spec::{Bind, File, Limits, Paths, Spec, Tree, TreeMode};

/// Becomes the init of a sandbox, and never returns, if the program was executed to be one. It must come before
/// anything that starts a thread.
pub fn init_if_asked() {
    match std::env::args_os().next() {
        Some(name) if name.as_bytes() == run::INIT.to_bytes() => init::main(),
        Some(name) if std::path::Path::new(&name).file_name().is_some_and(|name| name == check::NAME) => check::main(),
        _ => {}
    }
}
