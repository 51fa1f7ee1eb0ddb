//! Trees that git would not write, and what must not come of them.

use std::process::Command;

use verdict::Oid;

use crate::lab::{Lab, class};

/// Brings a commit into the mirror without a fetch, which would not take it.
fn smuggle(lab: &Lab, sha: &Oid) {
    let from = lab.f.work().join(".git/objects/.");
    let to = lab.mirror().join("objects");
    assert!(Command::new("cp").arg("-r").arg(from).arg(&to).status().unwrap().success());
    drop(std::fs::remove_dir_all(to.join("info")));
    std::fs::write(lab.mirror().join("refs/heads/main"), format!("{sha}\n")).unwrap();
}

fn refused(lab: &Lab, tree: &str) -> String {
    let sha: Oid = lab.f.git(&["commit-tree", "-m", "raw", "-p", "HEAD", tree]).parse().unwrap();
    smuggle(lab, &sha);
    let said = class(lab.checkout(&sha).err().unwrap_or_else(|| panic!("{}", lab.f.git(&["ls-tree", tree]))));
    assert!(lab.slots().is_empty(), "{:?}", lab.slots());
    assert_eq!(std::fs::read_dir(lab.state().join("trees")).unwrap().count(), 0);
    said
}

fn ready() -> (Lab, String, String) {
    let lab = Lab::new();
    drop(lab.provide(&lab.f.id("HEAD")).unwrap());
    let blob = lab.blob(b"evil\n");
    let tree = lab.tree(&[("100644", b"f", &blob)]);
    (lab, blob, tree)
}

#[test]
fn names_that_leave_the_directory_or_mean_git_are_refused() {
    let (lab, blob, tree) = ready();
    for name in ["..", ".", ".git", ".GIT", "a/b", "/etc"] {
        for (mode, id) in [("100644", &blob), ("40000", &tree), ("120000", &blob)] {
            let tree = lab.tree(&[(mode, name.as_bytes(), id)]);
            assert_eq!(refused(&lab, &tree), "object-malformed 1", "{name}");
        }
    }
    for name in ["git~1", "GIT~1", ".g\u{200c}it", ".git ", ".git..."] {
        let tree = lab.tree(&[("40000", name.as_bytes(), &tree)]);
        assert_eq!(refused(&lab, &tree), "unsafe-tree 1", "{name}");
    }
    for name in [".gitmodules", ".GITMODULES"] {
        let tree = lab.tree(&[("120000", name.as_bytes(), &blob)]);
        assert_eq!(refused(&lab, &tree), "unsafe-tree 1", "{name}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let (lab, blob, tree) = ready();
    let twice: [&[(&str, &[u8], &str)]; 3] = [
        &[("100644", b"a", &blob), ("100644", b"a", &blob)],
        &[("120000", b"a", &blob), ("40000", b"a", &tree)],
        &[("100644", b"a", &blob), ("100644", b"a.b", &blob), ("40000", b"a", &tree)],
    ];
    for entries in twice {
        let tree = lab.tree(entries);
        assert_eq!(refused(&lab, &tree), "object-malformed 1");
    }
}

#[test]
fn too_deep_too_long_and_too_many_are_refused() {
    let (lab, blob, leaf) = ready();
    let mut deep = leaf.clone();
    for _ in 0..300 {
        deep = lab.tree(&[("40000", b"d", &deep)]);
    }
    assert_eq!(refused(&lab, &deep), "unsafe-tree 1");
    let mut long = leaf.clone();
    for _ in 0..20 {
        long = lab.tree(&[("40000", &[b'd'; 250], &long)]);
    }
    assert_eq!(refused(&lab, &long), "unsafe-tree 1");
    // Twenty trees that stand for ten to the twentieth files.
    let mut many = leaf;
    for _ in 0..20 {
        let names: Vec<[u8; 1]> = (b'0'..=b'9').map(|digit| [digit]).collect();
        let entries: Vec<(&str, &[u8], &str)> = names.iter().map(|name| ("40000", &name[..], &*many)).collect();
        many = lab.tree(&entries);
    }
    assert_eq!(refused(&lab, &many), "unsafe-tree 1");
    // Twenty trees that stand for 400 MB of paths.
    let mut paths = lab.tree(&[("100644", b"f", &blob)]);
    for level in 0..20 {
        let names: Vec<Vec<u8>> =
            if level < 5 { (b'0'..=b'9').map(|digit| vec![digit]).collect() } else { vec![vec![b'd'; 230]] };
        let entries: Vec<(&str, &[u8], &str)> = names.iter().map(|name| ("40000", &name[..], &*paths)).collect();
        paths = lab.tree(&entries);
    }
    assert_eq!(refused(&lab, &paths), "unsafe-tree 1");
    let nul = lab.blob(b"a\0b");
    let link = lab.tree(&[("120000", b"link", &nul)]);
    assert_eq!(refused(&lab, &link), "unsafe-tree 1");
    drop(blob);
}

#[test]
fn a_hostile_tree_is_not_reached_by_a_patch_either() {
    let (lab, blob, tree) = ready();
    drop(lab.checkout(&lab.f.id("HEAD")).unwrap());
    let entries =
        [("100644", &b"README.md"[..], lab.f.git(&["rev-parse", "HEAD:README.md"])), ("40000", b"git~1", tree)];
    let entries: Vec<(&str, &[u8], &str)> = entries.iter().map(|(mode, name, id)| (*mode, *name, &**id)).collect();
    let bad = lab.tree(&entries);
    let sha: Oid = lab.f.git(&["commit-tree", "-m", "raw", "-p", "HEAD", &bad]).parse().unwrap();
    smuggle(&lab, &sha);
    assert_eq!(class(lab.checkout(&sha).err().unwrap()), "unsafe-tree 1");
    assert_eq!(lab.slots().len(), 1);
    drop(blob);
}

#[test]
fn what_git_does_not_accept_is_not_fetched() {
    let (lab, blob, _) = ready();
    let tree = lab.tree(&[("100644", b".git", &blob)]);
    let sha = lab.commit_tree(&tree);
    assert_eq!(class(lab.provide(&sha).err().unwrap()), "remote-objects-refused 1");
}

#[test]
fn a_link_to_anywhere_is_made_and_never_followed() {
    let (lab, _, _) = ready();
    std::os::unix::fs::symlink("/etc", lab.f.work().join("out")).unwrap();
    let first = lab.commit();
    drop(lab.checkout(&first).unwrap());
    std::fs::remove_file(lab.f.work().join("out")).unwrap();
    lab.f.write("out/passwd", "ours\n");
    let second = lab.commit();
    let checkout = lab.checkout(&second).unwrap();
    assert_eq!(std::fs::read(checkout.root().join("out/passwd")).unwrap(), b"ours\n");
    assert!(!checkout.root().join("out").is_symlink());
    assert_ne!(std::fs::read("/etc/passwd").unwrap(), b"ours\n");
}
