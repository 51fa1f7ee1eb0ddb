//! Where a repository is and where its `HEAD` is.

use insta::assert_snapshot;
use outcome::Failure;
use repo::testing::Fixture;
use repo::{Head, Objects, Repo, RepoError};

fn head(repo: &Repo) -> String {
    match repo.head() {
        Ok(Head::Branch { name, .. }) => name,
        Ok(Head::Detached { .. }) => "detached".into(),
        Ok(Head::Unborn { name }) => format!("{name} (no commit)"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_repository_is_found_in_every_layout() {
    let f = Fixture::pushed();
    f.write("a/b/c", "");
    f.git(&["worktree", "add", "-q", "../linked", "-b", "side"]);
    f.git_in(f.dir(), &["clone", "-q", "-c", "protocol.file.allow=always", "remote.git", "super"]);
    let superproject = f.dir().join("super");
    f.git_in(&superproject, &["-c", "protocol.file.allow=always", "submodule", "add", "-q", "../remote.git", "sub"]);
    let at = |path: &str| {
        let repo = Repo::open(&f.dir().join(path)).unwrap();
        let root = repo.work_dir().map(|dir| dir.file_name().unwrap().to_string_lossy().into_owned());
        format!("{path}: {} in {}", head(&repo), root.unwrap_or_else(|| "a bare repository".into()))
    };
    let lines = ["work", "work/a/b", "work/.git", "linked", "super/sub", "remote.git"].map(at);
    assert_snapshot!(lines.join("\n"), @r"
    work: refs/heads/main in work
    work/a/b: refs/heads/main in work
    work/.git: refs/heads/main in work
    linked: refs/heads/side in linked
    super/sub: refs/heads/main in sub
    remote.git: refs/heads/main in a bare repository
    ");
    let common = |path: &str| Repo::open(&f.dir().join(path)).unwrap().common_dir();
    assert_eq!(common("work"), common("linked"));
}

#[test]
fn s06_empty_and_detached_are_told_apart() {
    let f = Fixture::new();
    assert_snapshot!(head(&f.repo()), @"refs/heads/main (no commit)");
    f.commit("first");
    f.git(&["checkout", "-q", "--detach"]);
    assert_snapshot!(head(&f.repo()), @"detached");
}

#[test]
fn a_sha256_repository_is_read() {
    let f = Fixture::of_format("sha256");
    f.write("a", "b");
    let id = f.commit("first");
    assert_eq!(id.as_str().len(), 64);
    assert_eq!(f.repo().resolve(f.host(), "main").unwrap(), id);
    assert_eq!(f.repo().objects().zero().as_str().len(), 64);
}

#[test]
fn no_repository_is_a_failure_with_what_to_do() {
    let dir = tempfile_dir();
    let failure: Failure = Repo::open(dir.path()).err().unwrap().into();
    assert_eq!((failure.class.as_ref(), failure.exit.code()), ("not-a-repository", 3));
}

fn tempfile_dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn r11_a_revision_is_resolved_to_a_commit_once() {
    let f = Fixture::pushed();
    let first = f.id("HEAD");
    f.git(&["tag", "-a", "-m", "tag", "v1"]);
    let second = f.commit("second");
    let repo = f.repo();
    let resolve = |revision: &str| repo.resolve(f.host(), revision);
    for (revision, id) in
        [("HEAD", &second), ("main", &second), ("HEAD~1", &first), ("v1", &first), (first.as_str(), &first)]
    {
        assert_eq!(resolve(revision).unwrap(), *id, "{revision}");
    }
    let tag = f.id("v1");
    assert_eq!(resolve(tag.as_str()).unwrap(), first);
    for bad in ["nope", "", "--all", "main..HEAD", "HEAD:README.md", "^main", "a\nb"] {
        assert!(matches!(resolve(bad), Err(RepoError::UnknownRevision(_))), "{bad}");
    }
    assert!(matches!(resolve(&"1".repeat(40)), Err(RepoError::Missing(_))));
    assert!(matches!(resolve(&"1".repeat(64)), Err(RepoError::OtherHash(_))));
}

#[test]
fn objects_can_be_read_by_several_threads() {
    fn send<T: Send>() {}
    send::<Objects>();
}
