//! A checkout in use: a tree's files, which nobody changes, evicts or patches meanwhile.

use std::path::{Path, PathBuf};

use repo::Objects;
use verdict::Oid;

use crate::build::build;
use crate::cache::{Cache, Slot};
use crate::error::WorktreeError;
use crate::listing::Listing;
use crate::lock::Lock;
use crate::meta::Evidence;
use crate::template::make_dir;
use crate::verify::{By, Expected};

/// How a checkout came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was there.
    Warm,
    /// One that differed in little was patched.
    Near,
    /// It was written.
    Cold,
}

impl Made {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Near => "near",
            Self::Cold => "cold",
        }
    }
}

/// How a directory differs from a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Raw paths, sorted; a bounded number.
    pub paths: Vec<Vec<u8>>,
    /// There are more.
    pub cut: bool,
}

/// The files of a tree, shared and to be read only. Once it is dropped the cache goes back to its bounds.
pub struct Checkout<'a> {
    pub(crate) cache: Cache<'a>,
    pub(crate) slot: Slot,
    pub(crate) objects: Objects,
    pub(crate) mirror: String,
    pub(crate) made: Made,
    pub(crate) evidence: Evidence,
    pub(crate) lock: Option<Lock>,
}

impl Checkout<'_> {
    /// The directory of the files.
    pub fn root(&self) -> PathBuf {
        self.slot.root()
    }

    /// Git's index of them.
    pub fn index(&self) -> PathBuf {
        self.slot.index()
    }

    /// The tree they are.
    pub const fn tree(&self) -> &Oid {
        &self.slot.tree
    }

    /// How they came to be there.
    pub const fn made(&self) -> Made {
        self.made
    }

    /// How they are known to be what the tree is.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Hashes every file, and looks for what should not be there.
    ///
    /// # Errors
    /// [`WorktreeError::MutationDetected`]: the checkout was put away.
    pub fn verify(&mut self) -> Result<&Evidence, WorktreeError> {
        self.evidence = self.cache.verify(&self.slot, self.lock.as_ref(), &self.objects, &self.mirror)?;
        Ok(&self.evidence)
    }

    /// Compares times, sizes, modes and names of all files with what was seen when they were written.
    ///
    /// # Errors
    /// [`WorktreeError::MutationDetected`]: the checkout was put away.
    pub fn ctime_scan(&mut self) -> Result<&Evidence, WorktreeError> {
        self.evidence = self.cache.ctime_scan(&self.slot, self.lock.as_ref(), &self.objects, &self.mirror)?;
        Ok(&self.evidence)
    }

    /// Writes the tree's files into `dir`, which is made, or is there and empty: a copy of one's own, for a job that no
    /// mount keeps from writing.
    ///
    /// # Errors
    /// Those of [`Cache::checkout`].
    pub fn copy_into(&self, dir: &Path) -> Result<(), WorktreeError> {
        make_dir(dir)?;
        if std::fs::read_dir(dir).map_err(WorktreeError::io(dir))?.next().is_some() {
            let source = std::io::ErrorKind::DirectoryNotEmpty.into();
            return Err(WorktreeError::Io { path: dir.to_owned(), source });
        }
        build(&self.objects, &self.listing()?, dir, &self.cache.patience).map(drop)
    }

    /// What is in `dir` and not so in the tree, or the other way round.
    ///
    /// # Errors
    /// [`WorktreeError::Io`]; those of reading objects.
    pub fn changed(&self, dir: &Path) -> Result<Changed, WorktreeError> {
        let expected = Expected { listing: &self.listing()?, git_file: false };
        let found = expected.compare(&By::content(&self.objects), dir, &self.cache.patience)?;
        Ok(Changed { paths: found.differs, cut: found.cut })
    }

    fn listing(&self) -> Result<Listing, WorktreeError> {
        Listing::of_tree(&self.objects, &self.objects.parse(&self.slot.tree)?, &self.cache.patience)
    }
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        drop(self.lock.take());
        // What cannot be evicted now is evicted after the next use.
        drop(self.cache.trim());
    }
}
