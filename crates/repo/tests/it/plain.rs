//! A tree as a plain directory, and what changed in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use insta::assert_snapshot;
use repo::testing::Fixture;
use repo::{RepoError, materialise, plain_difference};
use review_bundle::escape;

struct Plain {
    f: Fixture,
    dir: PathBuf,
}

fn plain() -> Plain {
    let f = Fixture::new();
    for (path, content) in [("a", "a\n"), ("src/b", "b\n"), ("src/c/d", "d\n"), (".gitattributes", "* text eol=crlf\n")]
    {
        f.write(path, content);
    }
    f.write(b"\xff\n", "raw\n");
    std::os::unix::fs::symlink("/etc/passwd", f.work().join("link")).unwrap();
    f.commit("first");
    let dir = f.dir().join("plain");
    materialise(f.repo().objects(), &f.id("HEAD^{tree}"), &dir).unwrap();
    Plain { f, dir }
}

impl Plain {
    fn difference(&self) -> Result<String, RepoError> {
        let changes = plain_difference(self.f.repo().objects(), &self.f.id("HEAD^{tree}"), &self.dir)?;
        let line = |c: &repo::PlainChange| {
            let old = c.old.map_or_else(|| "-".into(), |side| format!("{:o}", side.mode));
            let new = c.new.as_ref().map_or_else(|| "-".into(), |(mode, _)| format!("{mode:o}"));
            format!("{old} {new} {}\n", escape(&c.path))
        };
        Ok(changes.iter().map(line).collect())
    }
}

#[test]
fn a02_a_materialised_tree_has_its_raw_bytes_and_no_git_directory() {
    let p = plain();
    assert_eq!(std::fs::read(p.dir.join("a")).unwrap(), b"a\n");
    assert_snapshot!(p.difference().unwrap(), @"");
    assert!(!p.dir.join(".git").exists());
}

#[test]
fn a_directory_with_something_in_it_is_not_written_to() {
    let p = plain();
    let again = materialise(p.f.repo().objects(), &p.f.id("HEAD^{tree}"), &p.dir);
    assert!(matches!(again, Err(RepoError::Hostile { .. })));
}

#[test]
fn a01_every_change_is_seen_also_of_ignored_files() {
    let p = plain();
    std::fs::write(p.dir.join(".gitignore"), "*\n").unwrap();
    std::fs::write(p.dir.join("src/b"), "changed\n").unwrap();
    std::fs::write(p.dir.join("ignored"), "x").unwrap();
    std::fs::set_permissions(p.dir.join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_dir_all(p.dir.join("src/c")).unwrap();
    std::fs::write(p.dir.join("src/c"), "a file now").unwrap();
    std::fs::remove_file(p.dir.join("link")).unwrap();
    std::fs::create_dir(p.dir.join("link")).unwrap();
    std::fs::write(p.dir.join("link/inside"), "x").unwrap();
    std::fs::create_dir(p.dir.join("empty")).unwrap();
    assert_snapshot!(p.difference().unwrap(), @r"
    - 100644 .gitignore
    100644 100755 a
    - 100644 ignored
    120000 - link
    - 100644 link/inside
    100644 100644 src/b
    - 100644 src/c
    100644 - src/c/d
    ");
}

#[test]
fn a01_a_file_that_is_emptied_is_seen() {
    let p = plain();
    std::fs::write(p.dir.join("a"), "").unwrap();
    assert_snapshot!(p.difference().unwrap(), @"100644 100644 a");
}

#[test]
fn a03_pipes_hard_links_and_git_directories_are_refused() {
    let p = plain();
    let refused = |make: &dyn Fn(), undo: &str| {
        make();
        let error = p.difference().unwrap_err().to_string();
        let path = p.dir.join(undo);
        if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) }.unwrap();
        error
    };
    let fifo = || _ = p.f.git_in(&p.dir, &["-c", "alias.f=!mkfifo src/pipe", "f"]);
    let errors = [
        refused(&fifo, "src/pipe"),
        refused(&|| std::fs::hard_link(p.dir.join("a"), p.dir.join("src/again")).unwrap(), "src/again"),
        refused(&|| std::fs::create_dir(p.dir.join("src/.GIT")).unwrap(), "src/.GIT"),
        refused(&|| _ = std::os::unix::net::UnixListener::bind(p.dir.join("s")).unwrap(), "s"),
    ];
    assert_snapshot!(errors.join("\n"), @r"
    src/pipe: is neither a file nor a directory nor a symbolic link
    a: is a file with several names (hard links)
    src/.GIT: a name Git never allows
    s: is neither a file nor a directory nor a symbolic link
    ");
}
