//! Where a job runs: its tree, the directory of its outputs and its parameters.

use std::path::{Path, PathBuf};

use host::Host;
use outcome::Failure;
use repo::Repo;

use crate::outputs::Outputs;

/// Where a job runs.
pub struct Place<'a> {
    pub(crate) host: &'a dyn Host,
    /// The root of the tree, without links.
    pub(crate) tree: PathBuf,
    /// The directory of the outputs, as the environment names it.
    pub(crate) artifacts: PathBuf,
    pub(crate) outputs: Outputs,
}

impl<'a> Place<'a> {
    /// The place that the working directory `tree` and the variable `ARTIFACT_DIR` name.
    ///
    /// # Errors
    /// Not ready, class `artifact-dir`, unless it is the absolute path of a directory.
    pub fn of(host: &'a dyn Host, tree: &Path) -> Result<Self, Failure> {
        let not = |why: String| {
            Failure::not_ready("artifact-dir", why, "set ARTIFACT_DIR to the absolute path of a directory to write to")
        };
        let Some(dir) = host.env("ARTIFACT_DIR").map(PathBuf::from) else {
            return Err(not("ARTIFACT_DIR is not set".into()));
        };
        if !dir.is_absolute() {
            return Err(not(format!("ARTIFACT_DIR is {}, which is no absolute path", dir.display())));
        }
        let outputs = Outputs::open(&dir).map_err(|error| not(format!("ARTIFACT_DIR {}: {error}", dir.display())))?;
        let tree = tree.canonicalize().map_err(|error| {
            Failure::not_ready("tree", format!("{}: {error}", tree.display()), "run it in the tree of a repository")
        })?;
        Ok(Self { host, tree, artifacts: dir, outputs })
    }

    /// The repository of the tree. Git's own variable for it is heard: a job's tree may have no `.git` in it.
    pub(crate) fn repo(&self) -> Result<Repo, Failure> {
        let dir = self.host.env("GIT_DIR").filter(|dir| !dir.is_empty());
        Ok(Repo::open(&self.tree.join(dir.unwrap_or_default()))?)
    }

    /// A parameter of the job, as text.
    ///
    /// # Errors
    /// Wrong arguments, class `parameter`, when it is not UTF-8 or `fits` refuses it.
    pub(crate) fn parameter(
        &self,
        name: &str,
        form: &str,
        fits: impl FnOnce(&str) -> bool,
    ) -> Result<Option<String>, Failure> {
        let Some(value) = self.host.env(name) else { return Ok(None) };
        match value.to_str() {
            Some(text) if fits(text) => Ok(Some(text.to_owned())),
            _ => {
                let reason = format!("{name} is {:?}, not {form}", value.to_string_lossy());
                Err(Failure::usage("parameter", reason, format!("give {form}")))
            }
        }
    }
}
