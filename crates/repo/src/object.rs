//! Objects, hashed when they are read.

use gix::ObjectId;
use gix::objs::{Find as _, FindHeader as _};
use verdict::Oid;

use crate::error::RepoError;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// The content of a file, or a symbolic link's target.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Kind {
    /// The word Git has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    const fn of(kind: gix::objs::Kind) -> Self {
        match kind {
            gix::objs::Kind::Commit => Self::Commit,
            gix::objs::Kind::Tree => Self::Tree,
            gix::objs::Kind::Blob => Self::Blob,
            gix::objs::Kind::Tag => Self::Tag,
        }
    }
}

/// An object whose bytes have the hash they were asked for by.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its bytes, without the type and size that are hashed before them.
    pub data: Vec<u8>,
}

/// The objects of a repository. A clone reads the same objects, with buffers of its own: one for each thread.
#[derive(Clone)]
pub struct Objects {
    handle: gix::OdbHandle,
    hash: gix::hash::Kind,
}

impl Objects {
    pub(crate) fn new(repo: &gix::Repository) -> Self {
        let mut handle = repo.objects.clone();
        handle.ignore_replacements = true;
        Self { handle, hash: repo.object_hash() }
    }

    /// Reads an object and hashes it.
    ///
    /// # Errors
    /// [`RepoError::Missing`]; [`RepoError::Forged`] when the bytes have another hash; [`RepoError::Unreadable`].
    pub fn read(&self, id: &Oid) -> Result<Object, RepoError> {
        self.get(&self.parse(id)?)
    }

    /// Whether there is something under `id`. It is not read.
    ///
    /// # Errors
    /// [`RepoError::OtherHash`].
    pub fn contains(&self, id: &Oid) -> Result<bool, RepoError> {
        Ok(gix::objs::Exists::exists(&self.handle, &self.parse(id)?))
    }

    /// The id of the empty tree, which is there without being stored.
    pub fn empty_tree(&self) -> Oid {
        oid(&ObjectId::empty_tree(self.hash))
    }

    /// The id that stands for "no object".
    pub fn zero(&self) -> Oid {
        oid(&ObjectId::null(self.hash))
    }

    /// The id a blob with these bytes has.
    ///
    /// # Errors
    /// [`RepoError::Forged`] when the bytes are a known attack on SHA-1.
    pub fn blob_id(&self, bytes: &[u8]) -> Result<Oid, RepoError> {
        let hash = gix::objs::compute_hash(self.hash, gix::objs::Kind::Blob, bytes);
        hash.map(|id| oid(&id)).map_err(|_| RepoError::Forged { id: self.zero() })
    }

    pub(crate) fn hash(&self) -> gix::hash::Kind {
        self.hash
    }

    /// The id as gix has it.
    pub(crate) fn parse(&self, id: &Oid) -> Result<ObjectId, RepoError> {
        match ObjectId::from_hex(id.as_str().as_bytes()) {
            Ok(parsed) if parsed.kind() == self.hash => Ok(parsed),
            _ => Err(RepoError::OtherHash(id.clone())),
        }
    }

    /// Whether the object says it has at least `bytes` bytes. It is not read, so nothing may be decided by it but how the
    /// work is shared out.
    pub(crate) fn is_large(&self, id: &ObjectId, bytes: u64) -> bool {
        matches!(self.handle.try_header(id), Ok(Some(header)) if header.size >= bytes)
    }

    pub(crate) fn get(&self, id: &ObjectId) -> Result<Object, RepoError> {
        let mut data = Vec::new();
        let found = self.handle.try_find(id, &mut data);
        let kind = match found {
            Ok(Some(found)) => {
                found.verify_checksum(id).map_err(|_| RepoError::Forged { id: oid(id) })?;
                Kind::of(found.kind)
            }
            Ok(None) if *id == ObjectId::empty_tree(self.hash) => Kind::Tree,
            Ok(None) => return Err(RepoError::Missing(oid(id))),
            Err(error) => {
                let why = review_bundle::escape(error.to_string().as_bytes());
                return Err(RepoError::Unreadable { id: oid(id), why });
            }
        };
        Ok(Object { kind, data })
    }

    pub(crate) fn get_kind(&self, id: &ObjectId, want: Kind) -> Result<Vec<u8>, RepoError> {
        let object = self.get(id)?;
        if object.kind == want {
            Ok(object.data)
        } else {
            Err(RepoError::WrongKind { id: oid(id), is: object.kind.as_str(), want: want.as_str() })
        }
    }
}

/// The id as the rest of the workspace has it.
pub(crate) fn oid(id: &ObjectId) -> Oid {
    id.to_hex().to_string().try_into().expect("gix writes full, lower-case hex")
}
