//! Directories as they are stored: read strictly, modes and names kept as they are.

use std::cmp::Ordering;

use gix::ObjectId;
use gix::bstr::ByteSlice as _;

use crate::error::RepoError;
use crate::object::{Kind, Objects, oid};

/// The bits of a mode that say what an entry is: `S_IFMT` of stat(2), which trees follow.
pub(crate) const TYPE: u32 = 0o170_000;
pub(crate) const DIRECTORY: u32 = 0o040_000;
pub(crate) const FILE: u32 = 0o100_000;
pub(crate) const LINK: u32 = 0o120_000;
pub(crate) const SUBMODULE: u32 = 0o160_000;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The mode exactly as stored, also when Git would not write it (such as 100664).
    pub mode: u32,
    /// Raw bytes: neither empty nor `.`, `..` or `.git`, and without `/` and NUL.
    pub name: Vec<u8>,
    pub(crate) id: ObjectId,
}

/// A directory: its entries in Git's order, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(pub(crate) Vec<Entry>);

impl Entry {
    /// The id of what the name stands for.
    pub fn id(&self) -> verdict::Oid {
        oid(&self.id)
    }

    /// The same as gix has it, for who handles many.
    pub const fn object_id(&self) -> ObjectId {
        self.id
    }

    /// A directory: its id names a tree.
    pub const fn is_tree(&self) -> bool {
        self.mode & TYPE == DIRECTORY
    }

    /// A file or a symbolic link: its id names a blob.
    pub(crate) fn is_blob(&self) -> bool {
        matches!(self.mode & TYPE, FILE | LINK)
    }

    /// The mode as Git writes it to an index: one for directories, files, executable files, links and submodules each.
    pub const fn canonical_mode(&self) -> u32 {
        canonical(self.mode)
    }

    /// Git's order: as if a directory's name ended in a slash.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        order((&self.name, self.is_tree()), (&other.name, other.is_tree()))
    }
}

/// One mode for each kind of entry, and one more for executable files.
pub(crate) const fn canonical(mode: u32) -> u32 {
    match mode & TYPE {
        FILE if mode & 0o100 != 0 => FILE | 0o755,
        FILE => FILE | 0o644,
        kind => kind,
    }
}

fn order((a, a_is_tree): (&[u8], bool), (b, b_is_tree): (&[u8], bool)) -> Ordering {
    let shared = a.len().min(b.len());
    let after = |name: &[u8], is_tree: bool| name.get(shared).copied().or(is_tree.then_some(b'/'));
    a[..shared].cmp(&b[..shared]).then_with(|| after(a, a_is_tree).cmp(&after(b, b_is_tree)))
}

impl Tree {
    /// The entries in Git's order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The tree with this id.
    ///
    /// # Errors
    /// Those of [`Objects::read`]; [`RepoError::Malformed`].
    pub fn at(objects: &Objects, id: &verdict::Oid) -> Result<Self, RepoError> {
        Self::read(objects, &objects.parse(id)?)
    }

    /// The same by the id as gix has it.
    ///
    /// # Errors
    /// Those of [`Tree::at`].
    pub fn read(objects: &Objects, id: &ObjectId) -> Result<Self, RepoError> {
        let data = objects.get_kind(id, Kind::Tree)?;
        Self::parse(&data, objects.hash()).map_err(|why| RepoError::Malformed { id: oid(id), kind: "tree", why })
    }

    /// Reads a tree object. The error says what is wrong with it.
    pub(crate) fn parse(mut data: &[u8], hash: gix::hash::Kind) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::with_capacity(data.len() / (hash.len_in_bytes() + 20));
        while !data.is_empty() {
            let (entry, rest) = parse_entry(data, hash)?;
            if let Some(last) = entries.last()
                && last.order(&entry) != Ordering::Less
            {
                return Err(format!("`{}` is not in order, or there twice", shown(&entry.name)));
            }
            entries.push(entry);
            data = rest;
        }
        let tree = Self(entries);
        match tree.0.iter().find(|entry| entry.is_tree() && tree.find_as(&entry.name, false).is_some()) {
            Some(twice) => Err(format!("`{}` is there twice", shown(&twice.name))),
            None => Ok(tree),
        }
    }

    /// The entry of this name.
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        self.find_as(name, false).or_else(|| self.find_as(name, true))
    }

    fn find_as(&self, name: &[u8], is_tree: bool) -> Option<&Entry> {
        let found = self.0.binary_search_by(|entry| order((&entry.name, entry.is_tree()), (name, is_tree)));
        found.ok().map(|at| &self.0[at])
    }
}

fn parse_entry(data: &[u8], hash: gix::hash::Kind) -> Result<(Entry, &[u8]), String> {
    let (mode, rest) = data.split_once_str(b" ").ok_or("an entry without a mode")?;
    let (name, rest) = rest.split_once_str(b"\0").ok_or("an entry whose name has no end")?;
    let (id, rest) = rest.split_at_checked(hash.len_in_bytes()).ok_or("an entry without an id")?;
    let mode = parse_mode(mode).ok_or_else(|| format!("mode `{}`", shown(mode)))?;
    let is_bad = name.is_empty() || name.contains(&b'/') || name == b"." || name == b"..";
    if is_bad || name.eq_ignore_ascii_case(b".git") {
        return Err(format!("the name `{}`, which Git never allows", shown(name)));
    }
    let id = ObjectId::from_bytes_or_panic(id);
    Ok((Entry { mode, name: name.to_vec(), id }, rest))
}

/// Octal without leading zeros, so that a mode has one form, and of a kind that Git knows.
fn parse_mode(text: &[u8]) -> Option<u32> {
    let is_octal = matches!(text, [b'1'..=b'7', ..]) && text.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()?;
    let is_known = matches!(mode & TYPE, DIRECTORY | FILE | LINK | SUBMODULE) && text.len() <= 6;
    (is_octal && is_known).then_some(mode)
}

fn shown(bytes: &[u8]) -> String {
    review_bundle::escape(&bytes[..bytes.len().min(200)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use gix::hash::Kind::Sha1;

    fn raw(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let entry = |(mode, name): &(&str, &[u8])| [mode.as_bytes(), b" ", name, b"\0", &[7; 20]].concat();
        entries.iter().flat_map(entry).collect()
    }

    fn check(entries: &[(&str, &[u8])]) -> String {
        match Tree::parse(&raw(entries), Sha1) {
            Ok(tree) => tree.0.iter().map(|e| format!("{:o} {}\n", e.mode, shown(&e.name))).collect(),
            Err(why) => why,
        }
    }

    #[test]
    fn r14_odd_modes_and_names_are_kept_as_they_are() {
        insta::assert_snapshot!(check(&[("100664", b"a\n\xff"), ("160000", b"b.c"), ("40000", b"b"), ("120777", b"c")]), @r"
        100664 a\u{a}\x{ff}
        160000 b.c
        40000 b
        120777 c
        ");
    }

    #[test]
    fn what_git_never_writes_is_refused() {
        let bad: [&[(&str, &[u8])]; 12] = [
            &[("100644", b"a"), ("100644", b"a")],
            &[("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")],
            &[("100644", b"b"), ("100644", b"a")],
            &[("040000", b"a")],
            &[("100644", b"")],
            &[("100644", b"a/b")],
            &[("40000", b"..")],
            &[("40000", b".GIT")],
            &[("0", b"a")],
            &[("20644", b"a")],
            &[("100648", b"a")],
            &[("+10644", b"a")],
        ];
        insta::assert_snapshot!(bad.map(check).join("\n"), @r"
        `a` is not in order, or there twice
        `a` is there twice
        `a` is not in order, or there twice
        mode `040000`
        the name ``, which Git never allows
        the name `a/b`, which Git never allows
        the name `..`, which Git never allows
        the name `.GIT`, which Git never allows
        mode `0`
        mode `20644`
        mode `100648`
        mode `+10644`
        ");
    }

    #[test]
    fn a_tree_that_ends_early_is_refused() {
        let whole = raw(&[("100644", b"a")]);
        for end in 1..whole.len() {
            assert!(Tree::parse(&whole[..end], Sha1).is_err(), "{end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_tree_or_an_error(data: Vec<u8>) {
            let _ = Tree::parse(&data, Sha1);
        }
    }
}
