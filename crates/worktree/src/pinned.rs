//! A commit that a job may use.

use std::path::{Path, PathBuf};

use repo::{Commit, Objects};
use verdict::Oid;

use crate::lock::Lock;

/// A commit that is on an allowed branch of its mirror, which keeps it while this is there.
pub struct Pinned {
    pub(crate) commit: Oid,
    pub(crate) tree: Oid,
    pub(crate) branch: String,
    pub(crate) tip: Oid,
    pub(crate) mirror: String,
    pub(crate) objects: Objects,
    pub(crate) objects_dir: PathBuf,
    pub(crate) mirror_dir: PathBuf,
    /// Keeps the mirror from being repacked or removed.
    pub(crate) _in_use: Lock,
}

impl Pinned {
    /// The commit.
    pub const fn commit(&self) -> &Oid {
        &self.commit
    }

    /// The tree of the whole project at that commit.
    pub const fn tree(&self) -> &Oid {
        &self.tree
    }

    /// The short name of an allowed branch that has the commit.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Where that branch was in the mirror.
    pub const fn tip(&self) -> &Oid {
        &self.tip
    }

    /// The mirror's name: the first half of the SHA-256 of the canonical URL.
    pub fn mirror(&self) -> &str {
        &self.mirror
    }

    /// The mirror's directory of objects.
    pub fn objects_dir(&self) -> &Path {
        &self.objects_dir
    }

    /// The mirror's objects.
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }
}

/// What a commit has to be known by before it may be used.
pub(crate) struct Admitted {
    pub(crate) commit: Commit,
    pub(crate) branch: String,
    pub(crate) tip: Oid,
}
