//! What changed: one path, before and after.

use sha2::{Digest, Sha256};

/// The bits of a mode that say what an entry is: `S_IFMT` of stat(2), which trees follow.
const TYPE: u32 = 0o170_000;

/// One path of a tree difference. Never a rename: that is a deletion and an addition.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The raw bytes of the path, components separated by `/`.
    pub path: &'a [u8],
    /// The version in the old tree; `None` if the path is new.
    pub old: Option<Version<'a>>,
    /// The version in the new tree; `None` if the path is deleted.
    pub new: Option<Version<'a>>,
}

/// One path as it is in one tree.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// The mode exactly as the tree has it, also when Git would not write it (such as 100664).
    pub mode: u32,
    /// The object id in hex, 40 or 64 characters.
    pub id: &'a str,
    /// The blob's bytes: the content of a file, the target of a symlink. `None` for a submodule.
    pub content: Option<&'a [u8]>,
}

/// Returns the SHA-256 of `bytes` in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|&byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// What is known of a version after its content is gone.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) mode: u32,
    pub(crate) id: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Has no content here: the id is of a commit elsewhere.
    Submodule,
    /// Shown byte for byte.
    Text(Content),
    /// Named by size and hash only.
    Opaque(Content),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

impl Blob {
    pub(crate) fn of(version: Version<'_>) -> Self {
        let kind = version.content.map_or(Kind::Submodule, |bytes| {
            let content = Content { bytes: bytes.len() as u64, sha256: Sha256::digest(bytes).into() };
            if is_text(bytes) { Kind::Text(content) } else { Kind::Opaque(content) }
        });
        Self { mode: version.mode, id: version.id.to_owned(), kind }
    }

    pub(crate) fn content(&self) -> Option<Content> {
        match self.kind {
            Kind::Submodule => None,
            Kind::Text(content) | Kind::Opaque(content) => Some(content),
        }
    }

    /// Whether the content, or the commit of a submodule, is the same.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.id == other.id && self.content() == other.content()
    }
}

/// The mode of a file as an index has it: `git apply` takes any other for one of the two that there are.
pub(crate) fn as_in_index(mode: u32) -> u32 {
    match (mode & TYPE, mode & 0o100) {
        (0o100_000, 0) => 0o100_644,
        (0o100_000, _) => 0o100_755,
        _ => mode,
    }
}

/// Whether Git needs a deletion and an addition to get from one mode to the other: file, symlink and submodule differ.
pub(crate) fn is_type_change(old: u32, new: u32) -> bool {
    old & TYPE != new & TYPE
}

/// A NUL byte alone does not make a file opaque: programs run such files, and `\0` in a comment would hide the rest.
/// Neither does a byte that is not UTF-8. Both together are what archives, images and programs have.
fn is_text(bytes: &[u8]) -> bool {
    !has_nul(bytes) || str::from_utf8(bytes).is_ok()
}

/// Whether Git takes the content for binary wherever in it the NUL is.
pub(crate) fn has_nul(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_some()
}
