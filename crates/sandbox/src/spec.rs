//! What a job is: its argument vector and everything it may see and use.
//!
//! **Invariant:** a mount point lies in the job's own root and beneath nothing that is mounted there.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ruleset::SYSTEM;
use crate::{Level, SandboxError};

/// One job.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program and its arguments. A program without a slash is looked up on the job's `PATH`, inside.
    pub argv: Vec<OsString>,
    /// The job's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The tree, at `/repo`; the job starts in it.
    pub tree: Tree,
    /// What else of the machine the job may read.
    pub binds: Vec<Bind>,
    /// Files made for this job alone, read-only for it.
    pub files: Vec<File>,
    /// The machine's network instead of an empty one.
    pub network: bool,
    /// Bounds.
    pub limits: Limits,
    /// An empty directory of the caller that L1 and L0 use in place of an own root; others ignore it.
    pub scratch: Option<PathBuf>,
}

/// The tree a job works on.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where it is on the machine: absolute, not a symlink.
    pub path: PathBuf,
    /// What the job may do to it.
    pub mode: TreeMode,
}

/// What a job may do to its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeMode {
    /// Nothing.
    ReadOnly,
    /// Anything, in a layer above it that is thrown away; [`Report::changed`](crate::Report::changed) lists it.
    Capture,
}

/// A file or directory of the machine, read-only inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where it is on the machine: absolute. A symlink is followed: the source is the caller's, never a repository's.
    pub source: PathBuf,
    /// Where the job finds it: absolute.
    pub target: PathBuf,
}

/// A file made for one job.
#[derive(Debug, Clone)]
pub struct File {
    /// Where the job finds it: absolute.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// Bounds of a job. Evidence says which part of the kernel enforces each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From start to end by the clock.
    pub wall: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// Processor time: of all processes where there is a control group, of each otherwise.
    pub cpu: Duration,
    /// Memory: of all processes where there is a control group, the data of each otherwise.
    pub memory_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// The size of one file.
    pub file_bytes: u64,
    /// All of `/tmp` (and `/dev/shm`, and the captured layer for itself).
    pub tmp_bytes: u64,
    /// Files and directories in `/tmp`.
    pub tmp_files: u64,
    /// All of `/artifacts`.
    pub artifact_bytes: u64,
    /// Files and directories in `/artifacts`.
    pub artifact_files: u64,
}

/// What an own root has already, besides what it has of the machine's: no bind or file may be at, above or beneath one.
const TAKEN: [&str; 6] = ["/repo", "/artifacts", "/tmp", "/dev", "/sys", "/var"];

impl Spec {
    /// Every reason why this cannot be run at `level`.
    pub(crate) fn check(&self, level: Level) -> Result<(), SandboxError> {
        let mut wrong = Vec::new();
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            wrong.push("there is no program to run".to_owned());
        }
        let sources = self.binds.iter().map(|bind| &bind.source).chain([&self.tree.path]).chain(&self.scratch);
        wrong.extend(sources.filter(|path| !is_plain(path)).map(|path| not_plain(path)));
        wrong.extend(wrong_targets(self));
        if !level.has_namespaces() {
            if self.tree.mode == TreeMode::Capture {
                wrong.push(format!("a tree can be changed and the changes listed at L2 and above, not at {level}"));
            }
            if self.scratch.is_none() {
                wrong.push(format!("{level} needs a scratch directory"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(SandboxError::Spec { reasons: wrong }) }
    }
}

fn wrong_targets(spec: &Spec) -> Vec<String> {
    let targets = spec.binds.iter().map(|bind| bind.target.as_path());
    let all: Vec<&Path> = targets.chain(spec.files.iter().map(|file| file.path.as_path())).collect();
    let mut wrong = Vec::new();
    for (at, target) in all.iter().enumerate() {
        if !is_plain(target) || *target == Path::new("/") {
            wrong.push(not_plain(target));
            continue;
        }
        let mut before = TAKEN.iter().chain(&SYSTEM).map(Path::new).chain(all[..at].iter().copied());
        let in_the_way = before.find(|taken| target.starts_with(taken) || taken.starts_with(target));
        wrong.extend(in_the_way.map(|it| format!("{} and {} are in each other's way", target.display(), it.display())));
    }
    wrong
}

fn not_plain(path: &Path) -> String {
    format!("{} is not a plain absolute path", path.display())
}

/// Absolute, and nothing in it is `..`.
fn is_plain(path: &Path) -> bool {
    let mut components = path.components();
    components.next() == Some(Component::RootDir) && components.all(|part| matches!(part, Component::Normal(_)))
}

/// Where a job finds its things: fixed places in an own root, else beneath the scratch directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    tree: PathBuf,
    below: PathBuf,
}

impl Paths {
    pub(crate) fn at(level: Level, tree: &Path, scratch: Option<&Path>) -> Self {
        match scratch {
            Some(scratch) if !level.has_namespaces() => Self { tree: tree.to_owned(), below: scratch.to_owned() },
            _ => Self { tree: "/repo".into(), below: "/".into() },
        }
    }

    /// The tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Where what an own root has at the absolute path `target` is: `/artifacts`, `/tmp`, a bind's or file's target.
    pub fn of(&self, target: &str) -> PathBuf {
        self.below.join(target.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(level: Level, targets: &[&str], files: &[&str]) -> String {
        let spec = Spec {
            argv: vec!["true".into()],
            env: vec![],
            tree: Tree { path: "/state/tree".into(), mode: TreeMode::ReadOnly },
            binds: targets.iter().map(|t| Bind { source: "/x".into(), target: t.into() }).collect(),
            files: files.iter().map(|f| File { path: f.into(), bytes: vec![], mode: 0o444 }).collect(),
            network: false,
            limits: crate::testing::limits(),
            scratch: None,
        };
        spec.check(level).err().map_or_else(|| "fine".into(), |error| error.to_string())
    }

    #[test]
    fn mount_points_lie_in_the_own_root_alone() {
        assert_snapshot!(check(Level::L3, &["/git-objects", "/opt/jdk"], &["/git/HEAD", "/git/config"]), @"fine");
        assert_snapshot!(check(Level::L3, &["/repo/sub"], &[]), @"the job cannot be run as asked: /repo/sub and /repo are in each other's way");
        assert_snapshot!(check(Level::L3, &["/opt", "/opt/jdk"], &["/opt/x"]), @"the job cannot be run as asked: /opt/jdk and /opt are in each other's way; /opt/x and /opt are in each other's way");
        assert_snapshot!(check(Level::L3, &["/a/../usr", "b", "/"], &[]), @r"the job cannot be run as asked: /a/../usr is not a plain absolute path; b is not a plain absolute path; / is not a plain absolute path");
        assert_snapshot!(check(Level::L3, &["/usr/local", "/etc"], &["/etc/passwd"]), @"the job cannot be run as asked: /usr/local and /usr are in each other's way; /etc and /etc/alternatives are in each other's way; /etc/passwd and /etc/passwd are in each other's way");
        assert_snapshot!(check(Level::L1, &[], &[]), @"the job cannot be run as asked: L1 needs a scratch directory");
    }
}
