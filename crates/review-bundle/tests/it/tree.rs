//! Trees for tests: written by hand or generated, and the changes between two of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use review_bundle::{Bundle, Change, FileDiff, Header, Version, diff, sha256};

pub(crate) const FILE: u32 = 0o100_644;
pub(crate) const EXECUTABLE: u32 = 0o100_755;
pub(crate) const SYMLINK: u32 = 0o120_000;
pub(crate) const SUBMODULE: u32 = 0o160_000;

/// A mode and a content. A submodule's content is its commit's id.
pub(crate) type Item = (u32, Vec<u8>);
pub(crate) type Tree = BTreeMap<Vec<u8>, Item>;

/// The id of a version where no Git is asked: of the right length, another for another content.
pub(crate) fn made_up_id((_, content): &Item) -> String {
    sha256(content)[..40].to_owned()
}

pub(crate) fn version<'a>(item: &'a Item, id: &'a str) -> Version<'a> {
    if item.0 == SUBMODULE {
        return Version { mode: item.0, id: str::from_utf8(&item.1).unwrap(), content: None };
    }
    Version { mode: item.0, id, content: Some(&item.1) }
}

/// The differences of two trees; `id` is asked for every version.
pub(crate) fn diffs(old: &Tree, new: &Tree, id: impl Fn(&[u8], &Item) -> String) -> Vec<FileDiff> {
    let mut paths: Vec<&Vec<u8>> = old.keys().chain(new.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let changed = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
    changed
        .map(|path| {
            let [old, new] = [old, new].map(|tree| tree.get(path).map(|item| (item, id(path, item))));
            let [old, new] = [&old, &new].map(|side| side.as_ref().map(|(item, id)| version(item, id)));
            diff(Change { path, old, new })
        })
        .collect()
}

pub(crate) fn header() -> Header {
    Header::new("1".repeat(40), "2".repeat(40), "3".repeat(40), ["tree ...\n\nthe message\n"])
}

pub(crate) fn bundle(old: &Tree, new: &Tree) -> Bundle {
    Bundle::new(header(), diffs(old, new, |_, item| made_up_id(item)), Vec::new())
}

pub(crate) fn tree<'a>(items: impl IntoIterator<Item = (&'a str, u32, &'a str)>) -> Tree {
    items.into_iter().map(|(path, mode, content)| (path.into(), (mode, content.into()))).collect()
}

/// Lines that make short and long diffs, with everything that a renderer could trip over.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line: Vec<&[u8]> = vec![
        b"a\n",
        b"b\n",
        b"    c\n",
        b"\n",
        b"\r\n",
        b"crlf\r\n",
        b"-- old\n",
        b"++ new\n",
        b"diff --git a/x b/x\n",
        b"@@ -1 +1 @@\n",
        b"\\ No newline at end of file\n",
        b"caf\xe9\n",
        b"\xe2\x80\xae bidi\n",
        b"\\u{202e}\n",
        b"nul\0\n",
        b"\x1b[31m\n",
    ];
    let end: Vec<&[u8]> = vec![b"", b"", b"no feed", b"\\", b"\r", b" ", b"\0", b"\xff"];
    (prop::collection::vec(prop::sample::select(line), 0..40), prop::sample::select(end))
        .prop_map(|(lines, end)| [lines.concat(), end.to_vec()].concat())
}

/// A line of characters and bytes that are escaped or could be torn apart.
fn long_line() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"text",
        b"\\",
        b"\\u{",
        b"\\x{ff}",
        b"\0",
        b"\r",
        b"\x1b[0m",
        b"\xff",
        b"\xe2\x80",
        b"\xe2\x80\xae",
        "é".as_bytes(),
        "漢".as_bytes(),
        "🦀".as_bytes(),
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..2000).prop_map(|pieces| pieces.concat())
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => lines(),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        1 => Just(Vec::new()),
        1 => (long_line(), lines()).prop_map(|(line, lines)| [line, lines].concat()),
        1 => (any::<char>(), 0_usize..3000).prop_map(|(c, n)| c.to_string().repeat(n).into_bytes()),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        8 => (prop::sample::select(vec![FILE, FILE, EXECUTABLE]), content()),
        1 => "[a-zé ./]{1,20}".prop_map(|target| (SYMLINK, target.into_bytes())),
        1 => "[0-9a-f]{39}1".prop_map(|id| (SUBMODULE, id.into_bytes())),
    ]
}

/// What becomes of an item: kept, gone, other, or edited in some places.
fn edited(item: Item) -> impl Strategy<Value = Option<Item>> {
    let (mode, content) = item;
    let is_file = mode == FILE || mode == EXECUTABLE;
    let edits = prop::collection::vec((any::<prop::sample::Index>(), lines()), 1..4);
    let edit = edits.prop_map({
        let content = content.clone();
        move |edits| {
            let mut content = content.clone();
            for (at, lines) in edits {
                let at = at.index(content.len() + 1);
                let end = content.len().min(at + lines.len() / 2);
                content.splice(at..end, lines);
            }
            Some((mode, content))
        }
    });
    prop_oneof![
        2 => Just(Some((mode, content.clone()))),
        1 => Just(None),
        1 => Just(Some((if is_file { FILE + EXECUTABLE - mode } else { mode }, content))),
        2 => self::item().prop_map(Some),
        6 => if is_file { edit.boxed() } else { self::item().prop_map(Some).boxed() },
    ]
}

/// Names that are hard to quote, and one that is a directory in another tree.
fn names() -> Vec<&'static [u8]> {
    vec![
        b"a",
        b"a.b",
        b"d",
        b"d/x",
        b"d/y",
        b"x b/x",
        b"q\"uote",
        b"back\\slash",
        b"new\nline",
        b"tab\t",
        b" lead",
        b"trail ",
        b"caf\xc3\xa9",
        b"latin\xe9",
        b":(glob)**",
        b"-rf",
        b"dev/null",
        b"\xe2\x80\xae",
        b"a => b",
        b"{a,b}",
        b"[x]",
        b"esc\x1b",
    ]
}

/// Two trees; no path is a file and a directory in one of them.
pub(crate) fn trees() -> impl Strategy<Value = (Tree, Tree)> {
    let kept = (prop::sample::select(names()), item().prop_flat_map(|old| (Just(Some(old.clone())), edited(old))));
    let added = (prop::sample::select(names()), (Just(None), item().prop_map(Some)));
    prop::collection::vec(prop_oneof![3 => kept.boxed(), 1 => added.boxed()], 0..8).prop_map(|pairs| {
        let (mut old, mut new) = (Tree::new(), Tree::new());
        for (path, (before, after)) in pairs {
            for (tree, item) in [(&mut old, before), (&mut new, after)] {
                let conflicts = |other: &[u8]| is_below(path, other) || is_below(other, path) || path == other;
                if let Some(item) = item
                    && !tree.keys().any(|other| conflicts(other))
                {
                    tree.insert(path.to_vec(), item);
                }
            }
        }
        (old, new)
    })
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}
