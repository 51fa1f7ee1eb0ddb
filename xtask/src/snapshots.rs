//! Snapshot files that no test reads any more.
//!
//! insta appends every snapshot file that a test asserts against to the file named by [`REFERENCES`]
//! (`memoize_snapshot_file` in its src/env.rs); what the tree has beyond those is left over.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use outcome::Failure;

use crate::tidy::is_a;
use crate::workshop::unusable;

/// The variable that tells insta where to write them down.
pub(crate) const REFERENCES: &str = "INSTA_SNAPSHOT_REFERENCES_FILE";

/// Checks that every snapshot file of `tree` is named in the file `references`, which insta wrote while the tests ran.
///
/// # Errors
/// Refused with every such file; not ready when insta's file cannot be read.
pub(crate) fn check(root: &Path, tree: &BTreeSet<String>, references: &Path) -> Result<(), Failure> {
    let references = match fs::read_to_string(references) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) => return Err(unusable(references, &e)),
    };
    let left_over = unreferenced(root, tree, &references);
    if left_over.is_empty() {
        return Ok(());
    }
    let reason = format!("no test reads {}", left_over.join(", "));
    Err(Failure::refused("unreferenced-snapshots", reason, "delete them, or bring back the test that reads them"))
}

fn unreferenced(root: &Path, tree: &BTreeSet<String>, references: &str) -> Vec<String> {
    let in_use: BTreeSet<PathBuf> = references.lines().map(|line| without_dots(Path::new(line))).collect();
    let snapshots = tree.iter().filter(|path| is_a(path, "snap"));
    snapshots.filter(|path| !in_use.contains(&root.join(path))).cloned().collect()
}

/// `a/b/../c` as `a/c`: insta builds the path from the source file's.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_left_over_snapshot_is_named() {
        let tree = ["a/snapshots/kept.snap", "a/snapshots/left.snap", "a/src/lib.rs"].map(String::from).into();
        let references = "/w/a/tests/../snapshots/kept.snap\n";
        assert_eq!(unreferenced(Path::new("/w"), &tree, references), ["a/snapshots/left.snap"]);
    }
}
