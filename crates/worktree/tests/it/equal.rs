//! A patched checkout is what a written one is, whatever differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use verdict::Oid;
use worktree::Made;

use crate::lab::Lab;

type Files = BTreeMap<String, (u8, u8)>;

/// Paths that meet: files where others have directories, names that sort between a directory and what is in it.
fn files() -> impl Strategy<Value = Files> {
    let name = prop::sample::select(vec!["a", "b", "a.b", "a-b", "a0", "dir"]);
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    prop::collection::btree_map(path, (0u8..5, 0u8..3), 0..16).prop_map(|files| {
        let is_directory = |path: &String| files.keys().any(|other| other.starts_with(&format!("{path}/")));
        files.iter().filter(|(path, _)| !is_directory(path)).map(|(path, file)| (path.clone(), *file)).collect()
    })
}

fn commit(lab: &Lab, parent: &Oid, files: &Files, blobs: &[String]) -> Oid {
    let mut info = String::new();
    for (path, (kind, content)) in files {
        let mode = ["100644", "100644", "100755", "120000", "160000"][usize::from(*kind)];
        let blob = &blobs[usize::from(*content)];
        writeln!(info, "{mode} {blob}\t{path}").unwrap();
    }
    lab.f.git(&["read-tree", "--empty"]);
    lab.f.git_stdin(&["update-index", "--index-info"], info.as_bytes());
    let tree = lab.f.git(&["write-tree"]);
    lab.f.git(&["commit-tree", "-m", "any", "-p", parent.as_str(), &tree]).parse().unwrap()
}

#[test]
fn a_patched_checkout_is_exactly_a_written_one() {
    let lab = Lab::new();
    let blobs: Vec<String> = ["x", "target/of/a/link", "longer content\n"].map(|text| lab.blob(text.as_bytes())).into();
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(old in files(), new in files())| {
        drop(std::fs::remove_dir_all(lab.state().join("trees")));
        let old = commit(&lab, &lab.f.id("HEAD"), &old, &blobs);
        let new = commit(&lab, &old, &new, &blobs);
        lab.f.git(&["push", "-q", "--force", "origin", &format!("{new}:refs/heads/main")]);
        let first = lab.checkout(&old).unwrap();
        let same = *first.tree() == *lab.provide(&new).unwrap().tree();
        drop(first);
        let mut checkout = lab.checkout(&new).unwrap();
        prop_assert_eq!(checkout.made(), if same { Made::Warm } else { Made::Near });
        let index = std::fs::read(checkout.index()).unwrap();
        // Hashes all there is, and makes the index anew from what is there and the tree.
        checkout.verify().unwrap();
        prop_assert!(index == std::fs::read(checkout.index()).unwrap());
        checkout.ctime_scan().unwrap();
    });
}
