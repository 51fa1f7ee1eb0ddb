//! Which level holds on this machine, found out by running a job.
//!
//! **Invariant:** a level counts only when a job tried what it must not do and every try failed as it should.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Cancel;
use rustix::fs::{Mode, OFlags};

use crate::check::Tried;
use crate::error::{SandboxError, Shortfall, Stuck};
use crate::output::Output;
use crate::run;
use crate::spec::{Bind, Limits, Paths, Spec, Tree, TreeMode};
use crate::{End, Level, Report};

/// Where the checker is inside.
const CHECKER: &str = "/check/sandbox-check";

/// Where the probe tries its job: places like those that real jobs will have.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// A directory on the mount that trees lie on.
    pub tree: &'a Path,
    /// A directory in which scratch directories of jobs are made, for L1 and L0.
    pub scratch: &'a Path,
}

/// The means to run jobs at one level.
#[derive(Debug, Clone)]
pub struct Sandbox {
    init: PathBuf,
    level: Level,
    why_not: Vec<Shortfall>,
}

impl Sandbox {
    /// The highest level, not above `at_most`, that holds here: a job is run at each from the top until one does all that
    /// it should. `init` is a program that calls [`init_if_asked`](crate::init_if_asked); for the running one
    /// `/proc/self/exe`.
    ///
    /// # Errors
    /// [`SandboxError::NoLevel`] if none holds, with the reason for each.
    pub fn probe(init: impl Into<PathBuf>, site: Site<'_>, at_most: Level) -> Result<Self, SandboxError> {
        let init = init.into();
        let mut why_not = Vec::new();
        for level in Level::FALLING.into_iter().filter(|level| *level <= at_most) {
            match try_at(&init, level, site) {
                Ok(()) => return Ok(Self { init, level, why_not }),
                Err(stuck) => why_not.push(Shortfall { level, stuck }),
            }
        }
        Err(SandboxError::NoLevel { why: why_not })
    }

    /// Jobs at exactly `level`, without a probe: each job proves it for itself before it starts, or fails with the step
    /// that stopped it.
    pub fn assume(init: impl Into<PathBuf>, level: Level) -> Self {
        Self { init: init.into(), level, why_not: vec![] }
    }

    /// The level jobs run at.
    pub fn level(&self) -> Level {
        self.level
    }

    /// For each higher level that was tried, what stopped it.
    pub fn why_not(&self) -> &[Shortfall] {
        &self.why_not
    }

    /// Refuses a level below the policy's.
    ///
    /// # Errors
    /// [`SandboxError::TooWeak`].
    pub fn at_least(&self, wanted: Level) -> Result<(), SandboxError> {
        if self.level >= wanted {
            return Ok(());
        }
        Err(SandboxError::TooWeak { wanted, level: self.level, why: self.why_not.clone() })
    }

    /// Where a job at this level finds its things.
    pub fn paths(&self, tree: &Path, scratch: Option<&Path>) -> Paths {
        Paths::at(self.level, tree, scratch)
    }

    /// Runs a job to its end: `output` gets its bytes as they come, from two threads; `cancel` ends it.
    ///
    /// # Errors
    /// [`SandboxError`] if it was not run, or its end is not known. A job that failed is a [`Report`].
    pub fn run(&self, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Report, SandboxError> {
        run::run(&self.init, self.level, spec, output, cancel)
    }
}

fn try_at(init: &Path, level: Level, site: Site<'_>) -> Result<(), Stuck> {
    let told = |error: &dyn ToString| Stuck::new("run the checker", error.to_string());
    let init = fs::canonicalize(init).map_err(|error| told(&error))?;
    let scratch = Scratch::new(site.scratch).map_err(|error| told(&error))?;
    let paths = Paths::at(level, site.tree, Some(&scratch.0));
    let spec = Spec {
        argv: vec![paths.of(CHECKER).into(), paths.of("/artifacts").into()],
        env: vec![],
        tree: Tree { path: site.tree.to_owned(), mode: TreeMode::ReadOnly },
        binds: vec![Bind { source: init.clone(), target: CHECKER.into() }],
        files: vec![],
        network: false,
        limits: LIMITS,
        scratch: Some(scratch.0.clone()),
    };
    let report = match run::run(&init, level, &spec, &|_, _| {}, &Cancel::default()) {
        Ok(report) => report,
        Err(SandboxError::Level { stuck, .. }) => return Err(stuck),
        Err(error) => return Err(told(&error)),
    };
    if report.end != End::Exited(0) {
        return Err(told(&format!("it ended with {:?}", report.end)));
    }
    let tried = tried(&report).map_err(|error| told(&error))?;
    tried.judge(level).map_err(|wrong| told(&wrong))
}

fn tried(report: &Report) -> io::Result<Tried> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&report.artifacts, "tried", flags, Mode::empty())?;
    Ok(serde_json::from_str(&io::read_to_string(fs::File::from(file))?)?)
}

/// Enough for the checker.
const LIMITS: Limits = Limits {
    wall: Duration::from_secs(10),
    grace: Duration::from_millis(100),
    cpu: Duration::from_secs(5),
    memory_bytes: 64 << 20,
    processes: 8,
    open_files: 32,
    file_bytes: 1 << 16,
    tmp_bytes: 1 << 16,
    tmp_files: 16,
    artifact_bytes: 1 << 16,
    artifact_files: 16,
};

/// A directory that is gone with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(within: &Path) -> io::Result<Self> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let path = within.join(format!(".sandbox-probe-{random:016x}"));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is an empty directory with a telling name.
        let _ = fs::remove_dir_all(&self.0);
    }
}
