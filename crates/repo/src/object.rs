//! Objects, hashed when they are read.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};
use gix::ObjectId;
use gix::objs::{Find as _, FindHeader as _};
use gix::odb::pack::cache::DecodeEntry;
use gix::odb::pack::cache::lru::MemoryCappedHashmap;
use verdict::Oid;

use crate::error::RepoError;
use crate::layout::Layout;

/// How much is kept of what objects in packs are stored as differences to, in bytes. Neighbours are read one after the
/// other, so that a base is needed soon or not again.
const DELTA_BASES: usize = 16 << 20;

/// Larger objects are not read, in bytes: 2 GiB.
pub(crate) const ALLOC_LIMIT: u64 = 2 << 30;
/// After so many objects the packs are looked at; before, the tries to open loose files are cheaper.
const FEW: u32 = 32;
/// The most that is reserved for an object before any of it is there, in bytes.
const GROWN: usize = 64 << 20;

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

/// What objects in packs are stored as differences to. Threads that read neighbours need the same ones.
#[derive(Clone)]
struct Bases(Arc<Mutex<MemoryCappedHashmap>>);

impl Bases {
    /// A thread that panicked left a cache that may lack something, no more.
    fn cache(&self) -> MutexGuard<'_, MemoryCappedHashmap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DecodeEntry for Bases {
    fn put(&mut self, pack_id: u32, offset: u64, data: &[u8], kind: gix::objs::Kind, compressed_size: usize) {
        self.cache().put(pack_id, offset, data, kind, compressed_size);
    }

    fn get(&mut self, pack_id: u32, offset: u64, out: &mut Vec<u8>) -> Option<(gix::objs::Kind, usize)> {
        self.cache().get(pack_id, offset, out)
    }
}

/// The objects of a repository. A clone reads the same objects, with buffers of its own: one for each thread.
pub struct Objects {
    handle: gix::OdbHandle,
    /// Where each object that is not in a pack has a file.
    loose: PathBuf,
    layout: Arc<OnceLock<Layout>>,
    inflate: RefCell<Decompress>,
    /// How many objects were asked for.
    asked: Cell<u32>,
    hash: gix::hash::Kind,
}

impl Clone for Objects {
    fn clone(&self) -> Self {
        let (handle, loose, layout) = (self.handle.clone(), self.loose.clone(), Arc::clone(&self.layout));
        Self { handle, loose, layout, inflate: fresh_inflate(), asked: self.asked.clone(), hash: self.hash }
    }
}

impl Objects {
    pub(crate) fn new(repo: &gix::Repository) -> Self {
        let mut handle = repo.objects.clone();
        handle.ignore_replacements = true;
        let bases = Bases(Arc::new(Mutex::new(MemoryCappedHashmap::new(DELTA_BASES))));
        handle.set_pack_cache(move || Box::new(bases.clone()));
        let loose = repo.common_dir().join("objects");
        let (layout, inflate) = (Arc::default(), fresh_inflate());
        Self { handle, loose, layout, inflate, asked: Cell::new(0), hash: repo.object_hash() }
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
        self.hash_blob(bytes).map(|id| oid(&id))
    }

    /// The bytes of the blob `id`, hashed when they are read.
    ///
    /// # Errors
    /// Those of [`Objects::read`]; [`RepoError::WrongKind`].
    pub fn blob(&self, id: &ObjectId) -> Result<Vec<u8>, RepoError> {
        self.get_kind(id, Kind::Blob)
    }

    /// The id a blob with these bytes has, as gix has it.
    ///
    /// # Errors
    /// Those of [`Objects::blob_id`].
    pub fn hash_blob(&self, bytes: &[u8]) -> Result<ObjectId, RepoError> {
        let hash = gix::objs::compute_hash(self.hash, gix::objs::Kind::Blob, bytes);
        hash.map_err(|_| RepoError::Forged { id: self.zero() })
    }

    /// The indexes of `items` in the order in which their objects are read fastest: that of their places in the packs,
    /// those that are in no pack last.
    pub fn order<T>(&self, items: &[T], id: impl Fn(&T) -> ObjectId) -> Vec<usize> {
        self.layout().order(items, |item| Some(id(item)))
    }

    /// The hash function of this repository's ids.
    pub const fn hash(&self) -> gix::hash::Kind {
        self.hash
    }

    /// The id as gix has it.
    ///
    /// # Errors
    /// [`RepoError::OtherHash`].
    pub fn parse(&self, id: &Oid) -> Result<ObjectId, RepoError> {
        match ObjectId::from_hex(id.as_str().as_bytes()) {
            Ok(parsed) if parsed.kind() == self.hash => Ok(parsed),
            _ => Err(RepoError::OtherHash(id.clone())),
        }
    }

    /// Where the packs of this repository held what when it was first asked. Those of alternates are not looked at.
    pub(crate) fn layout(&self) -> &Layout {
        self.layout.get_or_init(|| Layout::of(&self.loose, self.hash))
    }

    /// Whether the object says it has at least `bytes` bytes. It is not read, so nothing may be decided by it but how the
    /// work is shared out.
    pub(crate) fn is_large(&self, id: &ObjectId, bytes: u64) -> bool {
        matches!(self.handle.try_header(id), Ok(Some(header)) if header.size >= bytes)
    }

    /// Whether the object is in a pack for sure, so that it need not be looked for elsewhere.
    fn is_packed(&self, id: &ObjectId) -> bool {
        let asked = self.asked.get();
        self.asked.set(asked.saturating_add(1));
        let layout = if asked < FEW { self.layout.get() } else { Some(self.layout()) };
        layout.is_some_and(|layout| layout.place(id).is_some())
    }

    pub(crate) fn get(&self, id: &ObjectId) -> Result<Object, RepoError> {
        let loose = if self.is_packed(id) { None } else { self.loose(id) };
        if let Some(object) = loose {
            return Ok(object);
        }
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

    /// The object, if it has a file of its own and nothing is wrong with it; if something is, gix says what.
    ///
    /// gix maps each of these files into memory, and two threads that do so wait for each other.
    fn loose(&self, id: &ObjectId) -> Option<Object> {
        let hex = id.to_hex().to_string();
        let file = File::open(self.loose.join(&hex[..2]).join(&hex[2..])).ok()?;
        let mut packed = Vec::with_capacity(usize::try_from(file.metadata().ok()?.len().min(ALLOC_LIMIT)).ok()?);
        file.take(ALLOC_LIMIT).read_to_end(&mut packed).ok()?;
        let mut data = inflated(&mut self.inflate.borrow_mut(), &packed)?;
        let (kind, _, header) = gix::objs::decode::loose_header(&data).ok()?;
        data.drain(..header);
        let hash = gix::objs::compute_hash(self.hash, kind, &data).ok()?;
        (hash == *id).then(|| Object { kind: Kind::of(kind), data })
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

fn fresh_inflate() -> RefCell<Decompress> {
    RefCell::new(Decompress::new(true))
}

/// How many bytes of a loose object are still to come, by the size it says it has.
fn missing(begun: &[u8]) -> Option<usize> {
    let (_, size, header) = gix::objs::decode::loose_header(begun).ok()?;
    let whole = usize::try_from(size.min(ALLOC_LIMIT)).ok()? + header;
    whole.checked_sub(begun.len()).filter(|bytes| *bytes > 0)
}

/// What the zlib stream of a loose object holds; `None` if it is not one, ends early or holds more than is read.
fn inflated(inflate: &mut Decompress, stream: &[u8]) -> Option<Vec<u8>> {
    inflate.reset(true);
    let mut data = Vec::with_capacity(stream.len().saturating_mul(4).clamp(64, GROWN));
    loop {
        let rest = stream.get(usize::try_from(inflate.total_in()).ok()?..)?;
        match inflate.decompress_vec(rest, &mut data, FlushDecompress::Finish).ok()? {
            _ if data.len() as u64 > ALLOC_LIMIT => return None,
            Status::StreamEnd => return Some(data),
            _ if data.len() < data.capacity() => return None,
            _ => data.reserve_exact(missing(&data)?),
        }
    }
}

/// The id as the rest of the workspace has it.
pub fn oid(id: &ObjectId) -> Oid {
    id.to_hex().to_string().try_into().expect("gix writes full, lower-case hex")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn deflated(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_stream_is_read_whole_however_well_it_is_packed() {
        let mut inflate = Decompress::new(true);
        for len in [0, 1, 100, 5_000, 20_000_000] {
            let data = [format!("blob {len}\0").as_bytes(), &vec![7; len]].concat();
            assert!(inflated(&mut inflate, &deflated(&data)).unwrap() == data, "{len}");
        }
    }

    #[test]
    fn a_stream_that_ends_early_is_nothing() {
        let mut inflate = Decompress::new(true);
        let stream = deflated(b"blob 12\0Hello world\n");
        for end in 0..stream.len() {
            assert_eq!(inflated(&mut inflate, &stream[..end]), None, "{end}");
        }
        assert_eq!(inflated(&mut inflate, b"not a stream"), None);
    }
}
