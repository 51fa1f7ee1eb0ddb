//! Where `HEAD` is, and what a name stands for.

use gix::head::Kind;
use gix::refs::FullNameRef;
use host::Host;
use review_bundle::escape;
use verdict::Oid;

use crate::commit::Commit;
use crate::error::RepoError;
use crate::git::Git;
use crate::object::oid;
use crate::open::Repo;

/// Where `HEAD` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// On a branch.
    Branch {
        /// Its full name, such as `refs/heads/main`.
        name: String,
        /// Its commit.
        id: Oid,
    },
    /// On no branch.
    Detached {
        /// The commit.
        id: Oid,
    },
    /// On a branch that has no commit yet: the repository is empty, or the branch is new.
    Unborn {
        /// Its full name.
        name: String,
    },
}

impl Head {
    /// The commit; `None` when there is none yet.
    pub const fn id(&self) -> Option<&Oid> {
        match self {
            Self::Branch { id, .. } | Self::Detached { id } => Some(id),
            Self::Unborn { .. } => None,
        }
    }
}

impl Repo {
    /// Where `HEAD` is.
    ///
    /// # Errors
    /// [`RepoError::BadRef`] when it cannot be read or the branch's name is not UTF-8.
    pub fn head(&self) -> Result<Head, RepoError> {
        let head = self.inner.head().map_err(|error| bad_ref(b"HEAD", &error.to_string()))?;
        match head.kind {
            Kind::Unborn(name) => Ok(Head::Unborn { name: utf8(name.as_ref())? }),
            Kind::Detached { target, .. } => Ok(Head::Detached { id: oid(&target) }),
            Kind::Symbolic(branch) => {
                let name = utf8(branch.name.as_ref())?;
                let id = branch.target.try_id().ok_or_else(|| bad_ref(name.as_bytes(), "a symbolic ref"))?.to_owned();
                Ok(Head::Branch { id: oid(&id), name })
            }
        }
    }

    /// The id a ref holds, not peeled; `None` when there is no such ref. `name` is the full name.
    ///
    /// # Errors
    /// [`RepoError::BadRef`].
    pub fn reference(&self, name: &str) -> Result<Option<Oid>, RepoError> {
        let bad = |error: &dyn std::fmt::Display| bad_ref(name.as_bytes(), &error.to_string());
        let full: &FullNameRef = name.try_into().map_err(|error| bad(&error))?;
        let Some(found) = self.inner.try_find_reference(full.as_partial_name()).map_err(|error| bad(&error))? else {
            return Ok(None);
        };
        if found.name() != full {
            return Ok(None);
        }
        found.try_id().map(|id| Some(oid(&id.detach()))).ok_or_else(|| bad(&"a symbolic ref"))
    }

    /// The refs whose full names begin with `prefix`, which ends in a slash, with the ids they hold, by name. Symbolic
    /// refs and names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// [`RepoError::BadRef`].
    pub fn references(&self, prefix: &str) -> Result<Vec<(String, Oid)>, RepoError> {
        let bad = |error: &dyn std::fmt::Display| bad_ref(prefix.as_bytes(), &error.to_string());
        let platform = self.inner.references().map_err(|error| bad(&error))?;
        let mut found = Vec::new();
        for reference in platform.prefixed(prefix).map_err(|error| bad(&error))? {
            let reference = reference.map_err(|error| bad(&error))?;
            if let (Ok(name), Some(id)) = (utf8(reference.name()), reference.try_id()) {
                found.push((name, oid(&id.detach())));
            }
        }
        Ok(found)
    }

    /// What a revision stands for now: the full id of a commit, tags peeled. Ask once, and carry the id from there on.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`]; those of [`Commit::peel`].
    pub fn resolve(&self, host: &dyn Host, revision: &str) -> Result<Oid, RepoError> {
        let unknown = || RepoError::UnknownRevision(escape(revision.as_bytes()));
        let id = match revision.parse::<Oid>() {
            Ok(id) => id,
            Err(_) if revision == "HEAD" => self.head()?.id().cloned().ok_or_else(unknown)?,
            Err(_) => Git::new(self, host).rev_parse(revision)?.ok_or_else(unknown)?,
        };
        Ok(Commit::peel(self.objects(), &id)?.1.id())
    }
}

fn utf8(name: &FullNameRef) -> Result<String, RepoError> {
    let bytes = name.as_bstr().to_vec();
    String::from_utf8(bytes).map_err(|error| bad_ref(error.as_bytes(), "the name is not UTF-8"))
}

fn bad_ref(name: &[u8], why: &str) -> RepoError {
    RepoError::BadRef { name: escape(name), why: escape(why.as_bytes()) }
}
