//! Content that a range of commits brings in, also what a later commit of the range takes away again.

use std::collections::HashSet;

use gix::ObjectId;
use verdict::Oid;

use crate::commit::Commit;
use crate::difference::MAX_DEPTH;
use crate::error::RepoError;
use crate::object::{Objects, oid};
use crate::tree::{Entry, Tree};

/// Every blob that one of `commits` has and none of its parents has at that path, each once, with the path it was met
/// at first.
///
/// A blob that only one parent has came in with that parent: it is the parent's, which is in the range itself or was
/// there before. So for a range these are all blobs that were not there before.
///
/// # Errors
/// Those of [`crate::difference()`].
pub fn fresh_blobs(objects: &Objects, commits: &[Commit]) -> Result<Vec<(Vec<u8>, Oid)>, RepoError> {
    Ok(fresh(objects, commits, HashSet::new())?.into_iter().map(|(path, id)| (path, oid(&id))).collect())
}

/// As [`fresh_blobs`], without those that are in `known`.
pub(crate) fn fresh(
    objects: &Objects,
    commits: &[Commit],
    known: HashSet<ObjectId>,
) -> Result<Vec<(Vec<u8>, ObjectId)>, RepoError> {
    let mut search = Search { objects, known, walked: HashSet::new(), path: Vec::new(), found: Vec::new() };
    for commit in commits {
        let mut parents = Vec::with_capacity(commit.parents.len());
        for parent in &commit.parents {
            parents.push(Commit::get(objects, parent)?.tree);
        }
        search.directory(commit.tree, &parents, 0)?;
    }
    Ok(search.found)
}

struct Search<'a> {
    objects: &'a Objects,
    known: HashSet<ObjectId>,
    /// Directories that were compared with the same ones before.
    walked: HashSet<(ObjectId, Vec<ObjectId>)>,
    path: Vec<u8>,
    found: Vec<(Vec<u8>, ObjectId)>,
}

impl Search<'_> {
    fn directory(&mut self, tree: ObjectId, parents: &[ObjectId], depth: usize) -> Result<(), RepoError> {
        if depth == MAX_DEPTH {
            return Err(RepoError::TooMany { what: "directories in one another", limit: MAX_DEPTH });
        }
        if parents.contains(&tree) || !self.walked.insert((tree, parents.to_vec())) {
            return Ok(());
        }
        let tree = Tree::read(self.objects, &tree)?;
        let parents = parents.iter().map(|id| Tree::read(self.objects, id)).collect::<Result<Vec<_>, _>>()?;
        for entry in &tree.0 {
            let before: Vec<&Entry> = parents.iter().filter_map(|parent| parent.find(&entry.name)).collect();
            if !before.iter().any(|old| old.id == entry.id) {
                self.entry(entry, &before, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, before: &[&Entry], depth: usize) -> Result<(), RepoError> {
        let parent = self.path.len();
        self.path.extend_from_slice(&entry.name);
        if entry.is_tree() {
            let directories: Vec<_> = before.iter().filter(|old| old.is_tree()).map(|old| old.id).collect();
            self.path.push(b'/');
            self.directory(entry.id, &directories, depth + 1)?;
        } else if entry.is_blob() && self.known.insert(entry.id) {
            self.found.push((self.path.clone(), entry.id));
        }
        self.path.truncate(parent);
        Ok(())
    }
}
