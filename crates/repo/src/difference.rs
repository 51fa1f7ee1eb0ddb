//! What differs between two trees: both walked, only where they differ.
//!
//! **Invariant:** every path that is in one tree and not, or not the same, in the other is returned once, in the order
//! of raw paths. Nothing but the two trees decides.

use std::cmp::Ordering;

use gix::ObjectId;
use verdict::Oid;

use crate::error::RepoError;
use crate::object::{Objects, oid};
use crate::tree::{Entry, Tree, canonical};

/// More changed paths, with the directories they are in, than any review could be about. Directories count because a few
/// trees that hold one another many times stand for any number of them, without one file.
pub(crate) const MAX_CHANGES: usize = 1_000_000;
/// Longer paths than any file system takes.
pub(crate) const MAX_DEPTH: usize = 1_000;

/// One path in one tree: a file, a symbolic link or a submodule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// The mode exactly as stored.
    pub mode: u32,
    pub(crate) id: ObjectId,
}

impl Side {
    /// The same as gix has it, for who handles many.
    pub const fn object_id(&self) -> ObjectId {
        self.id
    }

    /// The mode as Git writes it to an index.
    pub const fn canonical_mode(&self) -> u32 {
        canonical(self.mode)
    }

    /// The id of the blob, or of the submodule's commit.
    pub fn id(&self) -> Oid {
        oid(&self.id)
    }
}

/// One path that differs. What turned from a file into a directory is a deletion and additions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Raw bytes, components joined by `/`.
    pub path: Vec<u8>,
    /// In the old tree.
    pub old: Option<Side>,
    /// In the new tree.
    pub new: Option<Side>,
}

/// What differs between two trees, sorted by path.
///
/// # Errors
/// Those of [`Objects::read`]; [`RepoError::Malformed`] for a tree that is not strictly well-formed;
/// [`RepoError::TooMany`].
pub fn difference(objects: &Objects, old: &Oid, new: &Oid) -> Result<Vec<Change>, RepoError> {
    Ok(walk(objects, objects.parse(old)?, objects.parse(new)?, false)?.changes)
}

/// The same where no more than `limit` paths and directories differ; `None` where more do.
///
/// # Errors
/// Those of [`difference()`], but for [`RepoError::TooMany`].
pub fn small_difference(
    objects: &Objects,
    old: &Oid,
    new: &Oid,
    limit: usize,
) -> Result<Option<Vec<Change>>, RepoError> {
    let mut walk = Walk::new(objects, limit);
    match walk.between(objects.parse(old)?, objects.parse(new)?) {
        Ok(()) => Ok(Some(walk.seen.changes)),
        Err(RepoError::TooMany { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a walk saw.
#[derive(Default)]
pub(crate) struct Walked {
    pub(crate) changes: Vec<Change>,
    /// Every name in every directory of the new tree that the walk was in, as a full path.
    pub(crate) names: Vec<Vec<u8>>,
}

/// Compares two trees; `with_names` also collects the names beside the changes.
pub(crate) fn walk(objects: &Objects, old: ObjectId, new: ObjectId, with_names: bool) -> Result<Walked, RepoError> {
    let mut walk = Walk { with_names, ..Walk::new(objects, MAX_CHANGES) };
    walk.between(old, new)?;
    Ok(walk.seen)
}

struct Walk<'a> {
    objects: &'a Objects,
    with_names: bool,
    /// Of the directory that is looked at, with a slash behind.
    path: Vec<u8>,
    depth: usize,
    /// How many directories and changes may still come.
    left: usize,
    seen: Walked,
}

impl<'a> Walk<'a> {
    fn new(objects: &'a Objects, left: usize) -> Self {
        Self { objects, with_names: false, path: Vec::new(), depth: 0, left, seen: Walked::default() }
    }

    fn between(&mut self, old: ObjectId, new: ObjectId) -> Result<(), RepoError> {
        if old == new { Ok(()) } else { self.directory(Some(old), Some(new)) }
    }

    fn directory(&mut self, old: Option<ObjectId>, new: Option<ObjectId>) -> Result<(), RepoError> {
        if self.depth == MAX_DEPTH {
            return Err(RepoError::TooMany { what: "directories in one another", limit: MAX_DEPTH });
        }
        self.count()?;
        self.depth += 1;
        let [old, new] = [self.read(old)?, self.read(new)?];
        if self.with_names {
            self.seen.names.extend(new.0.iter().map(|entry| [&self.path[..], &entry.name].concat()));
        }
        let (mut old, mut new) = (&old.0[..], &new.0[..]);
        while let Some((a, b)) = next_pair(&mut old, &mut new) {
            self.pair(a, b)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn read(&self, id: Option<ObjectId>) -> Result<Tree, RepoError> {
        id.map_or_else(|| Ok(Tree::default()), |id| Tree::read(self.objects, &id))
    }

    /// Two entries of one name and both, or neither, a directory; or one alone.
    fn pair(&mut self, old: Option<&Entry>, new: Option<&Entry>) -> Result<(), RepoError> {
        if old.map(|e| (e.mode, e.id)) == new.map(|e| (e.mode, e.id)) {
            return Ok(());
        }
        let Some(any) = new.or(old) else { return Ok(()) };
        let parent = self.path.len();
        self.path.extend_from_slice(&any.name);
        if any.is_tree() {
            self.path.push(b'/');
            self.directory(old.map(|entry| entry.id), new.map(|entry| entry.id))?;
        } else {
            self.change(old, new)?;
        }
        self.path.truncate(parent);
        Ok(())
    }

    fn change(&mut self, old: Option<&Entry>, new: Option<&Entry>) -> Result<(), RepoError> {
        self.count()?;
        let [old, new] = [old, new].map(|side| side.map(|entry| Side { mode: entry.mode, id: entry.id }));
        self.seen.changes.push(Change { path: self.path.clone(), old, new });
        Ok(())
    }

    fn count(&mut self) -> Result<(), RepoError> {
        let too_many = RepoError::TooMany { what: "changed files and directories", limit: MAX_CHANGES };
        self.left = self.left.checked_sub(1).ok_or(too_many)?;
        Ok(())
    }
}

/// Takes the next entry of either list, or of both when they have the same name.
fn next_pair<'a>(old: &mut &'a [Entry], new: &mut &'a [Entry]) -> Option<(Option<&'a Entry>, Option<&'a Entry>)> {
    let order = match (old.first(), new.first()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(a), Some(b)) => a.order(b),
    };
    let take = |list: &mut &'a [Entry], wanted: bool| if wanted { list.split_off_first() } else { None };
    Some((take(old, order != Ordering::Greater), take(new, order != Ordering::Less)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn g15_directories_without_a_file_that_hold_one_another_many_times_come_to_an_end() {
        let f = Fixture::pushed();
        let names = (0..10).map(|name| format!("{name}").into_bytes());
        let mut tree = f.repo().objects().empty_tree();
        for _ in 0..20 {
            let entries: Vec<u8> =
                names.clone().flat_map(|name| [b"40000 ", &name[..], b"\0", &raw(&tree)].concat()).collect();
            f.write("../tree", entries);
            tree = f.git(&["hash-object", "-w", "--literally", "-t", "tree", "../tree"]).parse().unwrap();
        }
        let repo = f.repo();
        let objects = repo.objects();
        let mut walk =
            Walk { objects, with_names: true, path: Vec::new(), depth: 0, left: 100, seen: Walked::default() };
        let walked = walk.directory(None, Some(objects.parse(&tree).unwrap()));
        assert!(matches!(walked, Err(RepoError::TooMany { .. })));
    }

    fn raw(id: &Oid) -> Vec<u8> {
        ObjectId::from_hex(id.as_str().as_bytes()).unwrap().as_slice().to_vec()
    }
}
