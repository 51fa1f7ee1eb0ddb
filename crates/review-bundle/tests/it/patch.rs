//! The exact patch, applied by the real Git.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use proptest::prelude::*;
use review_bundle::Bundle;

use crate::git::Git;
use crate::tree::{EXECUTABLE, FILE, SUBMODULE, SYMLINK, Tree, diffs, header, tree, trees};

fn patch(git: &Git, old: &Tree, new: &Tree) -> Vec<u8> {
    let (old_ids, new_ids) = (git.ids("old"), git.ids("new"));
    let files = diffs(old, new, |path, item| {
        let known = [(old, &old_ids), (new, &new_ids)].into_iter().find(|(tree, _)| tree.get(path) == Some(item));
        known.unwrap().1[path].clone()
    });
    let mut patch = Vec::new();
    Bundle::new(header(), files, Vec::new()).write_patch(&mut patch).unwrap();
    patch
}

/// Applies the patch between two trees to the old one and compares index, files and modes with the new one.
fn check(old: &Tree, new: &Tree) {
    let git = Git::init();
    git.import(old, new);
    let patch = patch(&git, old, new);
    assert_eq!(git.apply(&patch), git.tree_of("new"), "{}", String::from_utf8_lossy(&patch));
    for (path, (mode, content)) in new {
        let file = git.work().join(Path::new(std::ffi::OsStr::from_bytes(path)));
        match *mode {
            SUBMODULE => {}
            SYMLINK => assert_eq!(std::fs::read_link(&file).unwrap().as_os_str().as_bytes(), content),
            _ => assert_eq!(&std::fs::read(&file).unwrap(), content, "{}", file.display()),
        }
    }
}

fn check_one(old: &str, new: &str) {
    check(&tree([("f", FILE, old)]), &tree([("f", FILE, new)]));
}

#[test]
fn r14_every_kind_of_change_is_applied() {
    let old = tree([
        ("mode", FILE, "run\n"),
        ("both", FILE, "a\nb\n"),
        ("link", SYMLINK, "target"),
        ("to-link", FILE, "content\n"),
        ("to-file", SYMLINK, "target"),
        ("sub", SUBMODULE, "1111111111111111111111111111111111111111"),
        ("sub-to-file", SUBMODULE, "1111111111111111111111111111111111111111"),
        ("gone", FILE, "a\n"),
        ("gone-empty", FILE, ""),
        ("dir/x", FILE, "x\n"),
        ("name", FILE, "file\n"),
        ("binary", FILE, "\0\x01"),
        ("binary-mode", FILE, "\0\x01"),
    ]);
    let new = tree([
        ("mode", EXECUTABLE, "run\n"),
        ("both", EXECUTABLE, "a\nc\n"),
        ("link", SYMLINK, "other"),
        ("to-link", SYMLINK, "target"),
        ("to-file", EXECUTABLE, "content\n"),
        ("sub", SUBMODULE, "2222222222222222222222222222222222222222"),
        ("sub-to-file", FILE, "not a submodule"),
        ("new-empty", FILE, ""),
        ("new", EXECUTABLE, "#!/bin/sh\n"),
        ("new-sub", SUBMODULE, "3333333333333333333333333333333333333333"),
        ("dir", FILE, "was a directory\n"),
        ("name/below", FILE, "was a file\n"),
        ("binary", FILE, "\0\x02"),
        ("binary-mode", EXECUTABLE, "\0\x01"),
    ]);
    check(&old, &new);
    check(&new, &old);
}

#[test]
fn r14_a_mode_that_git_does_not_write_is_applied_as_the_one_it_has() {
    let odd = |content: &str| tree([("f", 0o100_664, content)]);
    let normal = |content: &str| tree([("f", FILE, content)]);
    for (old, new) in [("a\n", "a\n"), ("a\n", "b\n")] {
        let git = Git::init();
        git.import(&normal(old), &normal(new));
        for (from, to) in [(odd(old), normal(new)), (normal(old), odd(new)), (odd(old), odd(new))] {
            let files = diffs(&from, &to, |_, (_, content)| git.hash(content));
            let mut patch = Vec::new();
            Bundle::new(header(), files, Vec::new()).write_patch(&mut patch).unwrap();
            assert_eq!(git.apply(&patch), git.tree_of("new"), "{}", String::from_utf8_lossy(&patch));
        }
    }
}

#[test]
fn line_ends_are_exact() {
    for (old, new) in [
        ("a", "a\n"),
        ("a\n", "a"),
        ("a\nb", "a\nc"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("", "\n"),
        ("\n", ""),
        ("\r", "\r\n"),
        ("a\n\n\n", "a\n"),
        ("a\nb\nc\nd\ne\nf\ng\nh", "a\nb\nc\nd\ne\nf\ng\nh\n"),
        ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\nten\n"),
    ] {
        check_one(old, new);
    }
}

#[test]
fn equal_lines_slide_to_a_place_that_applies() {
    let same = "same\n".repeat(1000);
    check_one(&same, &[&same, "same\n".repeat(70).as_str()].concat());
    check_one(&[&same, "end\n"].concat(), &["start\n", &same].concat());
    check_one(&[&same, "x\n", &same].concat(), &[same.as_str(), &same].concat());
}

#[test]
fn binary_content_of_every_length_of_a_line_is_applied() {
    let noise: Vec<u8> = (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = |len: usize| [&[0], &noise[..len]].concat();
    let tree = |shift: usize| -> Tree {
        (0..60).map(|len| (format!("f{len}").into_bytes(), (FILE, file(len * 60 + shift)))).collect()
    };
    check(&tree(0), &tree(7));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn git_apply_turns_the_old_tree_into_the_new_one((old, new) in trees()) {
        check(&old, &new);
    }
}
