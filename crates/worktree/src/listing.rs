//! What a tree is as files: every path with its mode and object, and the directories they are in.
//!
//! **Invariant:** every name was checked, none is there twice, and depth, length and number are bounded.
//! **Invariant:** a directory is there only if something is in it, as in git's index; a submodule is an empty directory.

use repo::{ObjectId, Objects, Tree, check_name};

use crate::error::WorktreeError;
use crate::lock::Patience;

/// More files than any repository that is worked on.
const MAX_FILES: usize = 1_000_000;
/// More directories, with those that are met several times, than any of them has.
const MAX_DIRECTORIES: usize = 200_000;
/// Directories in one another; each costs a walk of that many steps.
const MAX_DEPTH: usize = 250;
/// The longest path, in bytes: below `PATH_MAX` of Linux, with room for where the checkout is.
const MAX_PATH: usize = 3_500;
/// All paths together, in bytes: each is held in memory, and a few small trees can stand for gigabytes of them.
const MAX_PATHS: usize = 256 << 20;

pub(crate) const LINK: u32 = 0o120_000;
pub(crate) const SUBMODULE: u32 = 0o160_000;
pub(crate) const EXECUTABLE: u32 = 0o100_755;

/// A file, a symbolic link or a submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Raw bytes, components joined by `/`.
    pub(crate) path: Vec<u8>,
    /// As an index has it: 100644, 100755, 120000 or 160000.
    pub(crate) mode: u32,
    pub(crate) id: ObjectId,
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) path: Vec<u8>,
    /// The number of the directory it is in; the root's own for the root.
    pub(crate) parent: usize,
    /// The numbers of what is in it.
    pub(crate) items: Vec<usize>,
    pub(crate) directories: Vec<usize>,
}

/// The items in the order of their paths, as in an index, and the directories, each behind the one it is in.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) items: Vec<Item>,
    pub(crate) directories: Vec<Directory>,
}

/// The last component.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(path, |slash| &path[slash + 1..])
}

impl Listing {
    /// What `tree` is.
    pub(crate) fn of_tree(objects: &Objects, tree: &ObjectId, patience: &Patience) -> Result<Self, WorktreeError> {
        let mut flatten = Flatten { objects, patience, items: Vec::new(), path: Vec::new(), paths: 0, trees: 0 };
        flatten.tree(tree, 0)?;
        Ok(Self::of(flatten.items))
    }

    /// What these items are, which are sorted by path.
    pub(crate) fn of(items: Vec<Item>) -> Self {
        let mut directories = vec![Directory::default()];
        let mut at = 0;
        for (number, item) in items.iter().enumerate() {
            while !is_in(&item.path, &directories[at].path) {
                at = directories[at].parent;
            }
            let mut from = if at == 0 { 0 } else { directories[at].path.len() + 1 };
            while let Some(slash) = item.path[from..].iter().position(|byte| *byte == b'/') {
                at = enter(&mut directories, at, &item.path[..from + slash]);
                from += slash + 1;
            }
            directories[at].items.push(number);
        }
        Self { items, directories }
    }
}

fn enter(directories: &mut Vec<Directory>, parent: usize, path: &[u8]) -> usize {
    let number = directories.len();
    directories.push(Directory { path: path.to_vec(), parent, ..Directory::default() });
    directories[parent].directories.push(number);
    number
}

fn is_in(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

struct Flatten<'a> {
    objects: &'a Objects,
    patience: &'a Patience,
    items: Vec<Item>,
    path: Vec<u8>,
    /// The bytes of all paths until now.
    paths: usize,
    trees: usize,
}

impl Flatten<'_> {
    fn tree(&mut self, id: &ObjectId, depth: usize) -> Result<(), WorktreeError> {
        self.patience.check()?;
        self.trees += 1;
        if depth > MAX_DEPTH {
            return Err(self.refused("directories are in one another too deep"));
        }
        if self.trees > MAX_DIRECTORIES {
            return Err(self.refused("there are too many directories"));
        }
        for entry in Tree::read(self.objects, id)?.entries() {
            let parent = self.path.len();
            self.path.extend_from_slice(&entry.name);
            check_name(&entry.name, entry.mode).map_err(|error| self.refused(&error.to_string()))?;
            if self.path.len() > MAX_PATH {
                return Err(self.refused("the path is too long"));
            }
            self.paths += self.path.len();
            if self.paths > MAX_PATHS {
                return Err(self.refused("the paths are too long together"));
            }
            if entry.is_tree() {
                self.path.push(b'/');
                self.tree(&entry.object_id(), depth + 1)?;
            } else {
                let item = Item { path: self.path.clone(), mode: entry.canonical_mode(), id: entry.object_id() };
                self.items.push(item);
            }
            if self.items.len() > MAX_FILES {
                return Err(self.refused("there are too many files"));
            }
            self.path.truncate(parent);
        }
        Ok(())
    }

    fn refused(&self, why: &str) -> WorktreeError {
        WorktreeError::unsafe_tree(&self.path[..self.path.len().min(200)], why)
    }
}

/// Whether a file system may see this path of a tree, component by component.
pub(crate) fn check_path(path: &[u8], mode: u32) -> Result<(), WorktreeError> {
    let refused = |why: &str| WorktreeError::unsafe_tree(&path[..path.len().min(200)], why);
    let last = path.split(|byte| *byte == b'/').count() - 1;
    if last > MAX_DEPTH || path.len() > MAX_PATH {
        return Err(refused("the path is too long or too deep"));
    }
    for (at, name) in path.split(|byte| *byte == b'/').enumerate() {
        check_name(name, if at == last { mode } else { 0o040_000 }).map_err(|error| refused(&error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_those_of_the_paths() {
        let id = ObjectId::from_bytes_or_panic(&[7; 20]);
        let item = |path: &str| Item { path: path.into(), mode: 0o100_644, id };
        let paths = ["a-b", "a/b/c/d", "a/b/e", "a/f", "a0", "b/c/d"];
        let listing = Listing::of(paths.map(item).into());
        let shown = |directory: &Directory| {
            let path = String::from_utf8_lossy(&directory.path);
            format!("{path}: in {}, has {:?} {:?}\n", directory.parent, directory.items, directory.directories)
        };
        insta::assert_snapshot!(listing.directories.iter().map(shown).collect::<String>(), @r"
        : in 0, has [0, 4] [1, 4]
        a: in 0, has [3] [2]
        a/b: in 1, has [2] [3]
        a/b/c: in 2, has [1] []
        b: in 0, has [] [5]
        b/c: in 4, has [5] []
        ");
    }
}
