//! What became of a job.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Evidence, Level};

/// A job that ran and is over: none of its processes is left.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// The level that held.
    pub level: Level,
    /// What it used.
    pub usage: Usage,
    /// What was checked before the job's first instruction.
    pub evidence: Evidence,
    /// The job's artifact directory. Nothing can change it any more but the holder.
    pub artifacts: OwnedFd,
    /// What the job did to a captured tree, sorted by path; empty otherwise.
    pub changed: Vec<Change>,
    /// There were more changes than are listed.
    pub changed_cut: bool,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// Ended at its time limit.
    TimedOut,
    /// Ended because the caller asked.
    Cancelled,
    /// It went over this limit.
    OverLimit(Limit),
}

/// A limit a job can be seen to go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Processor time.
    Cpu,
    /// Memory: the kernel killed a process for it.
    Memory,
    /// Processes: the kernel refused one.
    Processes,
    /// The size of a file: a signal of the kernel ended the job for it.
    FileSize,
}

/// What a job used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// From the start of the sandbox to its end.
    pub wall: Duration,
    /// Processor time of all its processes and of the sandbox's set-up.
    pub cpu: Duration,
    /// The most memory in use at once, in bytes: of all processes with a control group, else of the largest one.
    pub peak_memory_bytes: u64,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// Processes that the kernel refused to start.
    pub refused_processes: u64,
}

/// One difference between the tree as it was and as a job left it. The job chose the name: it may be no text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Relative to the tree.
    pub path: PathBuf,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content, kind or mode is another.
    Modified,
    /// It is gone, with all that was in it.
    Removed,
}

/// How the main process of a job ended, as the init saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Exited(i32),
    Signaled(i32),
}

/// Facts about the end, before they are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed {
    pub(crate) ended: Ended,
    /// Why the runner ended the job itself, if it did.
    pub(crate) cut: Option<End>,
    pub(crate) usage: Usage,
    pub(crate) cpu_limit: Duration,
}

impl Observed {
    /// A refusal of the kernel counts even when the job's main process says that all is well: what it tells of the rest
    /// cannot be relied on.
    pub(crate) fn end(&self) -> End {
        if let Some(cut) = self.cut {
            return cut;
        }
        if self.usage.oom_kills > 0 {
            return End::OverLimit(Limit::Memory);
        }
        if self.usage.refused_processes > 0 {
            return End::OverLimit(Limit::Processes);
        }
        match self.ended {
            Ended::Signaled(libc::SIGXCPU) => End::OverLimit(Limit::Cpu),
            Ended::Signaled(libc::SIGXFSZ) => End::OverLimit(Limit::FileSize),
            Ended::Signaled(libc::SIGKILL) if self.usage.cpu >= self.cpu_limit => End::OverLimit(Limit::Cpu),
            Ended::Signaled(signal) => End::Signaled(signal),
            Ended::Exited(code) => End::Exited(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ended: Ended, cut: Option<End>, oom_kills: u64, refused_processes: u64) -> End {
        let usage = Usage { oom_kills, refused_processes, ..Usage::default() };
        Observed { ended, cut, usage, cpu_limit: Duration::from_secs(1) }.end()
    }

    #[test]
    fn j23_a_limit_counts_even_when_the_job_says_that_all_is_well() {
        assert_eq!(check(Ended::Exited(0), None, 0, 0), End::Exited(0));
        assert_eq!(check(Ended::Exited(0), None, 1, 1), End::OverLimit(Limit::Memory));
        assert_eq!(check(Ended::Exited(0), None, 0, 1), End::OverLimit(Limit::Processes));
        assert_eq!(check(Ended::Exited(0), Some(End::TimedOut), 1, 1), End::TimedOut);
        assert_eq!(check(Ended::Signaled(libc::SIGXCPU), None, 0, 0), End::OverLimit(Limit::Cpu));
        assert_eq!(check(Ended::Signaled(libc::SIGXFSZ), None, 0, 0), End::OverLimit(Limit::FileSize));
        assert_eq!(check(Ended::Signaled(libc::SIGKILL), None, 0, 0), End::Signaled(libc::SIGKILL));
    }
}
