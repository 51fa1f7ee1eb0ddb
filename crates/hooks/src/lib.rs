//! Installs the gate and its hooks outside every work tree, and says whether the hooks that git really runs are ours.
//!
//! What is installed, and where:
//! - the gate's program, the pinned policy and their checksums in [`Site::gate_dir`], under the user's data directory;
//! - `pre-push` and `post-commit` in the repository's own hooks directory. If git looks elsewhere (`core.hooksPath`,
//!   in the work tree or shared with other repositories), in [`Site::own_dir`], which `core.hooksPath` then names; every
//!   other hook there hands on to the former directory.
//!
//! **Invariant:** a hook that was there is kept as `<name>.former` before ours takes its place, and runs after ours.
//! **Invariant:** each step is atomic and leaves a working hook, the former or ours; installing again finishes the rest.
//! **Invariant:** nothing installed is a link into a work tree, or is read from one when git runs it.

#![allow(
    clippy::disallowed_methods,
    reason = "handing on to a former hook needs the terminal, which a host::Cmd has not"
)]

mod former;
mod health;
mod install;
mod installed;
mod script;
mod site;

pub use former::hand_on;
pub use health::{Facts, Upstream, health};
pub use install::{Installed, PinnedPolicy, Programs, install};
pub use installed::installed_dir;
pub use site::{Effective, Origin, Site, effective_hooks, pinned_policy};

use std::path::PathBuf;

use host::HostError;
use outcome::Failure;

/// Why the hooks could not be looked at or installed.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// The machine refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not in a repository, or git could not say.
    #[error("git could not say {what}: {why}")]
    Git {
        /// What was asked.
        what: &'static str,
        /// What git said instead.
        why: String,
    },
    /// There is no place of the user's own to install to.
    #[error("neither XDG_DATA_HOME nor HOME is an absolute path")]
    NoDataDirectory,
    /// The place to install to is one that a branch can change.
    #[error("{} is inside the work tree {}", dir.display(), tree.display())]
    InsideWorkTree {
        /// The place.
        dir: PathBuf,
        /// The work tree.
        tree: PathBuf,
    },
    /// A variable or `-c` decides where git looks for hooks, whatever is installed.
    #[error("core.hooksPath is set by the environment ({origin}), to {}", dir.display())]
    Environment {
        /// What git calls the origin.
        origin: String,
        /// What it is set to.
        dir: PathBuf,
    },
    /// Our hook was installed where another gate was named, or by another version.
    #[error("{} calls another gate than {}, or is of another version", hook.display(), gate.display())]
    OtherGate {
        /// The hook.
        hook: PathBuf,
        /// The gate that belongs to this repository, by the environment as it is now.
        gate: PathBuf,
    },
    /// A program to install is not there.
    #[error("there is no program at {}", .0.display())]
    NoProgram(PathBuf),
    /// Two earlier hooks and only one place to keep one.
    #[error("{} and {} are both earlier hooks", hook.display(), kept.display())]
    TwoFormer {
        /// The hook that is in the way.
        hook: PathBuf,
        /// The one that was kept before.
        kept: PathBuf,
    },
    /// The policy to pin cannot be used.
    #[error("the policy to pin is not valid: {0}")]
    Policy(String),
}

impl From<HooksError> for Failure {
    fn from(error: HooksError) -> Self {
        let reason = error.to_string();
        let not_ready = |class: &'static str, next: &str| Self::not_ready(class, reason.clone(), next);
        match error {
            HooksError::Host(error) => error.into(),
            HooksError::Git { .. } => not_ready("git", "run this inside a git repository"),
            HooksError::NoDataDirectory => not_ready("no-data-directory", "set HOME, then run install-hooks"),
            HooksError::InsideWorkTree { .. } => {
                not_ready("inside-work-tree", "set XDG_DATA_HOME to a directory outside the repository")
            }
            HooksError::Environment { .. } => {
                not_ready("hooks-path-environment", "unset GIT_CONFIG_* in this shell, then run install-hooks")
            }
            HooksError::OtherGate { .. } => {
                not_ready("hook-not-ours", "set HOME and XDG_DATA_HOME as usual, or run install-hooks")
            }
            HooksError::NoProgram(_) => not_ready("program-missing", "install the programs: cargo xtask install"),
            HooksError::TwoFormer { .. } => {
                not_ready("two-former-hooks", "join the two in one of them, remove the other, then run install-hooks")
            }
            HooksError::Policy(_) => not_ready("policy-invalid", "mend configs/ship.toml, then run install-hooks"),
        }
    }
}
