//! Commits and tags: only what decides is read, in the one form that Git reads it.

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use verdict::Oid;

use crate::error::RepoError;
use crate::object::{Kind, Objects, oid};

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub(crate) id: ObjectId,
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<ObjectId>,
    /// Seconds since 1970 by the committer's clock: a hint for the order of a walk, and the date of a retried commit.
    pub(crate) time: i64,
    /// The object's bytes.
    pub raw: Vec<u8>,
}

/// An annotated tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its id.
    pub id: Oid,
    /// The object's bytes.
    pub raw: Vec<u8>,
}

/// Tags of tags of tags: nobody makes more.
const MAX_TAGS: usize = 32;

impl Commit {
    /// Its id.
    pub fn id(&self) -> Oid {
        oid(&self.id)
    }

    /// The tree of the whole project.
    pub fn tree(&self) -> Oid {
        oid(&self.tree)
    }

    /// The parents, in order.
    pub fn parents(&self) -> Vec<Oid> {
        self.parents.iter().map(oid).collect()
    }

    /// What stands behind the header, as it is in the object.
    pub fn message(&self) -> &[u8] {
        self.raw.split_once_str(b"\n\n").map_or(b"", |(_, message)| message)
    }

    /// The committer's clock, in seconds since 1970; 0 when it cannot be read.
    pub const fn time(&self) -> i64 {
        self.time
    }

    /// Reads a commit.
    ///
    /// # Errors
    /// Those of [`Objects::read`]; [`RepoError::WrongKind`]; [`RepoError::Malformed`].
    pub fn read(objects: &Objects, id: &Oid) -> Result<Self, RepoError> {
        Self::get(objects, &objects.parse(id)?)
    }

    /// Reads what `id` leads to: itself, or what a tag names. The tags on the way come first to last.
    ///
    /// # Errors
    /// Those of [`Commit::read`].
    pub fn peel(objects: &Objects, id: &Oid) -> Result<(Vec<Tag>, Self), RepoError> {
        let mut at = objects.parse(id)?;
        let mut tags = Vec::new();
        loop {
            let object = objects.get(&at)?;
            match object.kind {
                Kind::Commit => return Ok((tags, Self::parse(at, object.data, objects.hash())?)),
                Kind::Tag if tags.len() < MAX_TAGS => {
                    let target = tag_target(&at, &object.data, objects.hash())?;
                    tags.push(Tag { id: oid(&at), raw: object.data });
                    at = target;
                }
                Kind::Tag => return Err(RepoError::TooMany { what: "tags of tags", limit: MAX_TAGS }),
                is => return Err(RepoError::WrongKind { id: oid(&at), is: is.as_str(), want: "commit" }),
            }
        }
    }

    pub(crate) fn get(objects: &Objects, id: &ObjectId) -> Result<Self, RepoError> {
        Self::parse(*id, objects.get_kind(id, Kind::Commit)?, objects.hash())
    }

    /// Git's own reading (`parse_commit_buffer`): the tree, then every parent line that follows, then the dates.
    fn parse(id: ObjectId, raw: Vec<u8>, hash: gix::hash::Kind) -> Result<Self, RepoError> {
        let malformed = |why: &str| RepoError::Malformed { id: oid(&id), kind: "commit", why: why.to_owned() };
        let mut lines = raw.lines_with_terminator().peekable();
        let tree = lines.next().and_then(|line| field(line, b"tree ", hash)).ok_or_else(|| malformed("no tree"))?;
        let mut parents = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with(b"parent ")) {
            parents.push(field(line, b"parent ", hash).ok_or_else(|| malformed("a parent that is no id"))?);
        }
        let header = lines.take_while(|line| *line != b"\n");
        let time = header.filter_map(|line| line.strip_prefix(b"committer ")).find_map(date).unwrap_or(0);
        Ok(Self { id, tree, parents, time, raw })
    }
}

fn field(line: &[u8], name: &[u8], hash: gix::hash::Kind) -> Option<ObjectId> {
    let id = ObjectId::from_hex(line.strip_prefix(name)?.strip_suffix(b"\n")?).ok()?;
    (id.kind() == hash).then_some(id)
}

/// `Name <mail> SECONDS ZONE`.
fn date(committer: &[u8]) -> Option<i64> {
    let (_, after) = committer.rsplit_once_str(b"> ")?;
    after.to_str().ok()?.split(' ').next()?.parse().ok()
}

fn tag_target(id: &ObjectId, raw: &[u8], hash: gix::hash::Kind) -> Result<ObjectId, RepoError> {
    let line = raw.lines_with_terminator().next().unwrap_or_default();
    let malformed = || RepoError::Malformed { id: oid(id), kind: "tag", why: "it names no object".to_owned() };
    field(line, b"object ", hash).ok_or_else(malformed)
}
