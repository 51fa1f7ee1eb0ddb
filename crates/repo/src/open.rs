//! Opening: only the repository's own format decides, nothing of the environment and no other configuration.

use std::path::{Path, PathBuf};

use gix::sec::Trust;
use gix::sec::trust::Mapping;
use review_bundle::escape;

use crate::error::RepoError;
use crate::object::{ALLOC_LIMIT, Objects};

/// A repository, opened for reading.
pub struct Repo {
    pub(crate) inner: gix::Repository,
    objects: Objects,
}

impl Repo {
    /// Opens the repository that `path` is in: a work tree or a directory below it, a linked worktree, a submodule, a
    /// bare repository or a `.git` directory.
    ///
    /// No variable of the environment is read: a caller that means `GIT_DIR` passes its value.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`].
    pub fn open(path: &Path) -> Result<Self, RepoError> {
        let not = |why: String| RepoError::NotARepository {
            path: escape(path.as_os_str().as_encoded_bytes()),
            why: escape(why.as_bytes()),
        };
        let options = Mapping { full: options(), reduced: options() };
        let discovery = gix::discover::upwards::Options {
            trust: gix::discover::upwards::TrustPolicy::Assume(Trust::Full),
            ..Default::default()
        };
        // gix shortens a relative path with `..` wrongly.
        let path = &path.canonicalize().map_err(|error| not(error.to_string()))?;
        let inner = gix::ThreadSafeRepository::discover_opts(path, discovery, options);
        let inner = inner.map_err(|error| not(error.to_string()))?.to_thread_local();
        let objects = Objects::new(&inner);
        Ok(Self { inner, objects })
    }

    /// The objects.
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The root of the work tree; `None` in a bare repository.
    pub fn work_dir(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// The git directory of this work tree.
    pub fn git_dir(&self) -> &Path {
        self.inner.git_dir()
    }

    /// The git directory that all linked worktrees share.
    pub fn common_dir(&self) -> PathBuf {
        let dir = self.inner.common_dir();
        dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
    }

    /// Whether history is cut off: commits seem to have no parents, and no ancestry can be proved.
    ///
    /// # Errors
    /// [`RepoError::Io`] when that cannot be known.
    pub fn is_shallow(&self) -> Result<bool, RepoError> {
        let file = self.inner.common_dir().join("shallow");
        match std::fs::symlink_metadata(&file) {
            Ok(found) => Ok(!found.is_file() || found.len() > 0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(RepoError::Io { path: file, source }),
        }
    }
}

/// Ownership is not asked for: nothing that the repository says is run, and no ref or object is believed for its owner.
fn options() -> gix::open::Options {
    gix::open::Options::isolated().with(Trust::Full).lossy_config(true).config_overrides([
        "core.useReplaceRefs=false".to_owned(),
        format!("gitoxide.objects.allocLimit={ALLOC_LIMIT}"),
    ])
}
