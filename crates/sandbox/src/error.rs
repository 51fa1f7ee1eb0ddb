//! Why a job was not run, or what became of it is not known.

use std::io;
use std::path::PathBuf;

use outcome::Failure;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::Level;

/// The step that a masked `/proc` stops.
pub(crate) const FRESH_PROC: &str = "mount a fresh /proc";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The job contradicts itself.
    #[error("the job cannot be run as asked: {}", reasons.join("; "))]
    Spec {
        /// Every contradiction.
        reasons: Vec<String>,
    },
    /// The machine does not give the isolation that was asked for.
    #[error("{level} cannot be had here: {stuck}")]
    Level {
        /// The level asked for.
        level: Level,
        /// Where it stopped.
        stuck: Stuck,
    },
    /// No level holds.
    #[error("jobs cannot be kept apart here: {}", why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoLevel {
        /// Why, a level each.
        why: Vec<Shortfall>,
    },
    /// The policy wants more than there is.
    #[error("the policy wants {wanted} and this machine gives {level}: {}", why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    TooWeak {
        /// The policy's least level.
        wanted: Level,
        /// The level there is.
        level: Level,
        /// Why no higher one.
        why: Vec<Shortfall>,
    },
    /// The job's program does not exist inside, or cannot be executed.
    #[error("the job's program {program} cannot be started: {}", io::Error::from_raw_os_error(*errno))]
    NotStartable {
        /// `argv[0]`.
        program: String,
        /// The operating system's reason.
        errno: i32,
    },
    /// What the job is given of the machine is not there.
    #[error("{}: {source}", path.display())]
    Bind {
        /// The machine's path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The init cannot be started, or is no init.
    #[error("{}: {source}", path.display())]
    Io {
        /// What it was about.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The init ended, or was killed, before it told how the job ended.
    #[error("the sandbox's init ended without a word ({how})")]
    Lost {
        /// How it ended.
        how: String,
    },
}

/// A step that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct Stuck {
    /// What was being done.
    pub step: String,
    /// The kernel's reason, or what was found instead.
    pub reason: String,
}

impl Stuck {
    pub(crate) fn new(step: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { step: step.into(), reason: reason.into() }
    }
}

/// Why a level does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{level}: {stuck}")]
pub struct Shortfall {
    /// The level.
    pub level: Level,
    /// Where it stopped.
    #[serde(flatten)]
    pub stuck: Stuck,
}

/// Names the step an error of the kernel belongs to.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, Stuck>;
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, step: &str) -> Result<T, Stuck> {
        self.map_err(|errno| Stuck::new(step, io::Error::from(errno).to_string()))
    }
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &str) -> Result<T, Stuck> {
        self.map_err(|error| Stuck::new(step, error.to_string()))
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let reason = error.to_string();
        match error {
            SandboxError::Spec { .. } => {
                Self::refused("job-not-runnable", reason, "correct the job's entry in the allowlist")
            }
            SandboxError::Level { stuck, .. } if stuck.step == FRESH_PROC => Self::not_ready(
                "isolation-missing",
                reason,
                "let the runner see an unmasked /proc, or lower `min_level` to L2 in the policy knowingly",
            ),
            SandboxError::Level { .. } | SandboxError::NoLevel { .. } => Self::not_ready(
                "isolation-missing",
                reason,
                "allow user namespaces for this user, or run as root, then try again",
            ),
            SandboxError::TooWeak { .. } => Self::refused(
                "isolation-too-weak",
                reason,
                "run where that level holds, or lower `min_level` in the policy knowingly",
            ),
            SandboxError::NotStartable { .. } => Self::refused(
                "job-not-startable",
                reason,
                "install the program under /usr, or bind it in the job's entry, then try again",
            ),
            SandboxError::Bind { .. } => Self::not_ready(
                "bind-missing",
                reason,
                "install it, or take it out of `binds` in the job's entry, then try again",
            ),
            SandboxError::Io { .. } => {
                Self::not_ready("io", reason, "check that the path exists and its permissions, then try again")
            }
            SandboxError::Lost { .. } => {
                Self::infrastructure("sandbox-lost", reason, "try again; if memory is short, lower the job's limits")
            }
        }
    }
}
