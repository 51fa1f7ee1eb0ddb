//! Content that a range of commits brings in, also what a later commit of the range takes away again.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use gix::ObjectId;
use verdict::Oid;

use crate::commit::Commit;
use crate::difference::{MAX_CHANGES, MAX_DEPTH};
use crate::error::RepoError;
use crate::object::{Objects, oid};
use crate::tree::{Entry, Tree};

/// More directories that differ from every parent's than a commit brings in on the average of a long history. A few
/// trees that hold one another, merged from many parents, stand for any number of them.
const EACH: usize = 1_000;
/// How many entries of directories are kept for the next commit, whose parent has most of them too.
const KEPT: usize = 100_000;

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
    let left = MAX_CHANGES + EACH * commits.len();
    let mut search = Search::new(objects, known, left);
    let trees: HashMap<ObjectId, ObjectId> = commits.iter().map(|commit| (commit.id, commit.tree)).collect();
    let tree = |id| trees.get(id).copied().map_or_else(|| Commit::get(objects, id).map(|commit| commit.tree), Ok);
    for commit in commits {
        let parents: Vec<ObjectId> = commit.parents.iter().map(tree).collect::<Result<_, _>>()?;
        search.directory(commit.tree, &parents, 0)?;
    }
    Ok(search.found)
}

struct Search<'a> {
    objects: &'a Objects,
    known: HashSet<ObjectId>,
    /// Directories that were compared with the same ones before.
    walked: HashSet<(ObjectId, Vec<ObjectId>)>,
    /// How many directories may still come.
    left: usize,
    trees: Trees,
    path: Vec<u8>,
    found: Vec<(Vec<u8>, ObjectId)>,
}

impl<'a> Search<'a> {
    fn new(objects: &'a Objects, known: HashSet<ObjectId>, left: usize) -> Self {
        let (walked, trees) = (HashSet::new(), Trees::default());
        Self { objects, known, walked, left, trees, path: Vec::new(), found: Vec::new() }
    }

    fn directory(&mut self, tree: ObjectId, parents: &[ObjectId], depth: usize) -> Result<(), RepoError> {
        if depth == MAX_DEPTH {
            return Err(RepoError::TooMany { what: "directories in one another", limit: MAX_DEPTH });
        }
        if parents.contains(&tree) || !self.walked.insert((tree, parents.to_vec())) {
            return Ok(());
        }
        let too_many = RepoError::TooMany { what: "directories of the commits", limit: MAX_CHANGES };
        self.left = self.left.checked_sub(1).ok_or(too_many)?;
        let mut read = |id| self.trees.read(self.objects, id);
        let tree = read(&tree)?;
        let parents = parents.iter().map(read).collect::<Result<Vec<_>, _>>()?;
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

/// Directories that were read before.
#[derive(Default)]
struct Trees {
    kept: HashMap<ObjectId, Rc<Tree>>,
    /// Of all that are kept: at most [`KEPT`], or those of one directory.
    entries: usize,
}

impl Trees {
    fn read(&mut self, objects: &Objects, id: &ObjectId) -> Result<Rc<Tree>, RepoError> {
        if let Some(tree) = self.kept.get(id) {
            return Ok(Rc::clone(tree));
        }
        let tree = Rc::new(Tree::read(objects, id)?);
        if self.entries + tree.0.len() > KEPT {
            *self = Self::default();
        }
        self.entries += tree.0.len();
        self.kept.insert(*id, Rc::clone(&tree));
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const PARENTS: usize = 8;

    /// A directory with an entry for each parent, every one the tree that `below` says.
    fn directory(f: &Fixture, below: impl Fn(usize) -> Oid) -> Oid {
        let entry = |at: usize| {
            let id = ObjectId::from_hex(below(at).as_str().as_bytes()).unwrap();
            [format!("40000 {at}\0").as_bytes(), id.as_slice()].concat()
        };
        f.write("../tree", (0..PARENTS).flat_map(entry).collect::<Vec<u8>>());
        f.git(&["hash-object", "-w", "--literally", "-t", "tree", "../tree"]).parse().unwrap()
    }

    #[test]
    fn r20_trees_that_hold_one_another_come_to_an_end_however_many_parents_they_are_merged_from() {
        let f = Fixture::pushed();
        let leaf = |name: &str| {
            let entry = [format!("100644 {name}\0").as_bytes(), &[7; 20]].concat();
            f.write("../tree", entry);
            f.git(&["hash-object", "-w", "--literally", "-t", "tree", "../tree"]).parse::<Oid>().unwrap()
        };
        let mut merged = leaf("merged");
        // In the entry of its own number each parent has the other of its two trees: every path is another set of them.
        let mut parents: Vec<[Oid; 2]> =
            (0..PARENTS).map(|at| [leaf(&format!("{at}a")), leaf(&format!("{at}b"))]).collect();
        for _ in 0..PARENTS {
            let above = |own: usize, trees: &[Oid; 2]| {
                [0, 1].map(|which| directory(&f, |at| trees[if at == own { 1 - which } else { which }].clone()))
            };
            parents = parents.iter().enumerate().map(|(own, trees)| above(own, trees)).collect();
            merged = directory(&f, |_| merged.clone());
        }
        let repo = f.repo();
        let parse = |id: &Oid| repo.objects().parse(id).unwrap();
        let parents: Vec<ObjectId> = parents.iter().map(|[one, _]| parse(one)).collect();
        let mut search = Search::new(repo.objects(), HashSet::new(), 200);
        let searched = search.directory(parse(&merged), &parents, 0);
        assert!(matches!(searched, Err(RepoError::TooMany { .. })), "{searched:?}");
    }
}
