//! The acts of git: read a remote, fetch, commit, fast-forward.

use insta::assert_snapshot;
use outcome::Failure;
use repo::testing::Fixture;
use repo::{Commit, Edit, RepoError};

fn text(error: impl Into<Failure>) -> String {
    let failure = error.into();
    format!("{} {}: {}", failure.exit.code(), failure.class, failure.reason)
}

#[test]
fn a_remote_is_read_by_its_full_name_only() {
    let f = Fixture::pushed();
    f.git(&["push", "-q", "origin", "main:refs/heads/x/refs/heads/other"]);
    let (repo, id) = (f.repo(), f.id("HEAD"));
    let acts = f.acts(&repo);
    assert_eq!(acts.ls_remote("origin", "refs/heads/main").unwrap(), Some(id));
    assert_eq!(acts.ls_remote("origin", "refs/heads/other").unwrap(), None);
    assert_eq!(acts.remotes().unwrap(), ["origin"]);
}

#[test]
fn s06_no_remote_and_a_remote_that_is_gone_are_two_errors() {
    let f = Fixture::pushed();
    let repo = f.repo();
    let acts = f.acts(&repo);
    let ask = |remote: &str| text(acts.ls_remote(remote, "refs/heads/main").unwrap_err());
    assert_snapshot!(ask("upstream"), @"3 no-remote: there is no remote `upstream`");
    assert_snapshot!(ask("--upload-pack=evil"), @"3 no-remote: there is no remote `--upload-pack=evil`");
    std::fs::rename(f.remote(), f.dir().join("elsewhere")).unwrap();
    assert!(ask("origin").starts_with("4 git-remote-failed: `git ls-remote"), "{}", ask("origin"));
}

#[test]
fn a_fetch_brings_objects_and_no_refs() {
    let f = Fixture::pushed();
    f.git_in(f.dir(), &["clone", "-q", "remote.git", "other"]);
    let other = f.dir().join("other");
    f.git_in(&other, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    f.git_in(&other, &["push", "-q"]);
    let theirs = f.git_in(&other, &["rev-parse", "HEAD"]).parse().unwrap();
    let refs = f.git(&["for-each-ref"]);
    let repo = f.repo();
    assert!(!repo.objects().contains(&theirs).unwrap());
    f.acts(&repo).fetch("origin", "refs/heads/main").unwrap();
    assert_eq!(f.git(&["for-each-ref"]), refs);
    assert!(!f.work().join(".git/FETCH_HEAD").exists());
    Commit::read(repo.objects(), &theirs).unwrap();
}

#[test]
fn g12_the_baseline_commit_is_the_same_when_it_is_made_again() {
    let f = Fixture::pushed();
    f.write("docs/other.md", "kept\n");
    let reviewed = f.commit("work");
    let repo = f.repo();
    let acts = f.acts(&repo);
    let commit = acts.baseline_commit(&reviewed).unwrap();
    assert_eq!(acts.baseline_commit(&reviewed).unwrap(), commit);
    let shown = f.git(&["show", "--format=%an <%ae> %s%n%P", "--raw", "--no-abbrev", commit.as_str()]);
    let shown = shown.replace(reviewed.as_str(), "REVIEWED");
    let blob = f.id(&format!("{commit}:docs/LAST_REVIEWED_SHA.txt"));
    assert_snapshot!(shown.replace(blob.as_str(), "BLOB"), @r"
    ai-ops-runner <ai-ops-runner@localhost> chore: advance review baseline
    REVIEWED

    :000000 100644 0000000000000000000000000000000000000000 BLOB A	docs/LAST_REVIEWED_SHA.txt
    ");
    assert_eq!(f.git(&["show", &format!("{commit}:docs/LAST_REVIEWED_SHA.txt")]), reviewed.as_str());
    assert_eq!(f.git(&["fsck", "--strict", "--no-dangling", commit.as_str()]), "");
}

#[test]
fn a_baseline_below_a_file_is_refused() {
    let f = Fixture::pushed();
    f.write("docs", "a file\n");
    let reviewed = f.commit("docs is a file");
    let repo = f.repo();
    let error = f.acts(&repo).baseline_commit(&reviewed).unwrap_err();
    assert_snapshot!(text(error), @"1 hostile-files: docs: is not a directory");
}

#[test]
fn edits_make_the_tree_that_git_would_make() {
    let f = Fixture::new();
    for path in ["a/b/c", "a/d", "e", "f.x", "f/y"] {
        f.write(path, path);
    }
    f.commit("first");
    let repo = f.repo();
    let edit = |path: &str, file: Option<(u32, &str)>| Edit {
        path: path.into(),
        file: file.map(|(mode, content)| (mode, content.into())),
    };
    let edits = [
        edit("a/b/c", None),
        edit("a/d", Some((0o100_755, "new"))),
        edit("e", None),
        edit("e/deep/er", Some((0o100_644, "x"))),
        edit("g", Some((0o120_000, "a/d"))),
    ];
    let tree = f.acts(&repo).edit_tree(&f.id("HEAD^{tree}"), &edits).unwrap();
    assert_snapshot!(f.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", tree.as_str()]), @r"
    100755 a/d
    100644 e/deep/er
    100644 f.x
    100644 f/y
    120000 g
    ");
    assert_eq!(f.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn a09_a_commit_that_is_made_touches_neither_branch_nor_index_nor_files() {
    let f = Fixture::pushed();
    f.write("staged", "mine\n");
    f.git(&["add", "staged"]);
    f.write("README.md", "mine\n");
    let state = || (f.git(&["for-each-ref"]), f.git(&["ls-files", "--stage"]), f.git(&["status", "--porcelain"]));
    let (before, repo) = (state(), f.repo());
    let edit = Edit { path: b"README.md".to_vec(), file: Some((0o100_644, b"healed\n".to_vec())) };
    let tree = f.acts(&repo).edit_tree(&f.id("HEAD^{tree}"), &[edit]).unwrap();
    let commit = f.acts(&repo).commit(&f.id("HEAD"), &tree, "heal\n").unwrap();
    assert_eq!(f.git(&["show", &format!("{commit}:README.md")]), "healed");
    assert_eq!(state(), before);
}

#[test]
fn a_fast_forward_moves_branch_and_work_tree_and_nothing_else() {
    let f = Fixture::pushed();
    f.write("a", "1\n");
    let next = f.commit("next");
    f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let base = f.id("HEAD");
    f.write("untracked", "mine\n");
    let repo = f.repo();
    let acts = f.acts(&repo);
    acts.fast_forward(&repo, &base, &next).unwrap();
    acts.fast_forward(&repo, &base, &next).unwrap();
    assert_eq!((f.id("main"), std::fs::read(f.work().join("a")).unwrap()), (next, b"1\n".to_vec()));
    assert_eq!(acts.status(&repo).unwrap().untracked, [b"untracked"]);
}

#[test]
fn a_fast_forward_over_a_change_or_from_elsewhere_changes_nothing() {
    let f = Fixture::pushed();
    f.write("a", "1\n");
    let next = f.commit("next");
    f.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let base = f.id("HEAD");
    f.write("a", "mine\n");
    let repo = f.repo();
    let acts = f.acts(&repo);
    assert!(matches!(acts.fast_forward(&repo, &base, &next), Err(RepoError::Git { network: false, .. })));
    assert_eq!((f.id("main"), std::fs::read(f.work().join("a")).unwrap()), (base, b"mine\n".to_vec()));
    assert!(matches!(acts.fast_forward(&repo, &next, &f.id("HEAD~0")), Ok(())));
    let other = f.git(&["commit-tree", "-m", "x", "HEAD^{tree}"]).parse().unwrap();
    assert!(matches!(acts.fast_forward(&repo, &other, &next), Err(RepoError::Moved { .. })));
    f.git(&["checkout", "-q", "--detach"]);
    assert!(matches!(acts.fast_forward(&f.repo(), &next, &next), Err(RepoError::BadRef { .. })));
}

#[test]
fn s06_a_dirty_tree_names_what_is_dirty() {
    let f = Fixture::pushed();
    let repo = f.repo();
    let acts = f.acts(&repo);
    assert!(acts.status(&repo).unwrap().is_clean());
    f.write("README.md", "changed\n");
    f.write(b"new \xff\n\"", "x");
    let dirty = acts.status(&repo).unwrap();
    assert_eq!((dirty.changed, dirty.untracked), (vec![b"README.md".to_vec()], vec![b"new \xff\n\"".to_vec()]));
    let bare = repo::Repo::open(&f.remote()).unwrap();
    assert!(matches!(f.acts(&bare).status(&bare), Err(RepoError::Bare)));
}

#[test]
fn s06_changes_that_git_was_told_not_to_look_for_are_seen() {
    let f = Fixture::pushed();
    let repo = f.repo();
    for flag in ["assume-unchanged", "skip-worktree"] {
        f.git(&["update-index", &format!("--{flag}"), "README.md"]);
        f.write("README.md", "changed\n");
        let dirty = f.acts(&repo).status(&repo).unwrap();
        assert_eq!((dirty.is_clean(), dirty.hidden), (false, vec![b"README.md".to_vec()]), "{flag}");
        f.git(&["update-index", &format!("--no-{flag}"), "README.md"]);
        f.git(&["checkout", "-q", "README.md"]);
    }
}

#[test]
fn s08_an_index_that_disguises_a_changed_file_is_seen_through() {
    let f = Fixture::pushed();
    let id = || f.git(&["ls-files", "-s", "README.md"]).split(' ').nth(1).unwrap().to_owned();
    let (true_id, index) = (id(), f.work().join(".git/index"));
    f.write("README.md", "READ ME\n");
    f.git(&["add", "README.md"]);
    // The size and times of the changed file, and the id of the committed one.
    let [old, new] = [true_id, id()]
        .map(|hex| (0..20).map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap()).collect::<Vec<u8>>());
    let mut bytes = std::fs::read(&index).unwrap();
    let at = bytes.windows(20).position(|window| window == new).unwrap();
    bytes[at..at + 20].copy_from_slice(&old);
    let end = bytes.len() - 20;
    // Git takes zeros for "not hashed".
    bytes[end..].fill(0);
    std::fs::write(&index, bytes).unwrap();
    // Git looks into a file that is as young as the index.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    std::fs::File::open(&index).unwrap().set_modified(later).unwrap();
    assert_eq!(f.git(&["--no-optional-locks", "status", "--porcelain"]), "");
    let repo = f.repo();
    let dirty = f.acts(&repo).status(&repo).unwrap();
    assert_eq!((dirty.is_clean(), dirty.hidden), (false, vec![b"README.md".to_vec()]));
}

#[test]
fn s08_a_file_that_a_filter_stores_in_another_form_is_no_change() {
    let f = Fixture::pushed();
    f.write(".gitattributes", "stored filter=upper\n");
    f.write("stored", "as stored\n");
    f.commit("filtered");
    // As a checkout with the filter leaves it.
    f.git(&["config", "filter.upper.smudge", "tr a-z A-Z"]);
    f.git(&["config", "filter.upper.clean", "tr A-Z a-z"]);
    std::fs::remove_file(f.work().join("stored")).unwrap();
    f.git(&["checkout", "-q", "stored"]);
    assert_eq!(std::fs::read(f.work().join("stored")).unwrap(), b"AS STORED\n");
    let repo = f.repo();
    let hidden = || f.acts(&repo).status(&repo).unwrap().hidden;
    let settled = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    std::fs::File::open(f.work().join(".git/index")).unwrap().set_modified(settled).unwrap();
    assert_eq!(hidden(), [b""; 0]);
    // Only what is in a commit says what is filtered.
    f.write(".git/info/attributes", "");
    assert_eq!(hidden(), [b"stored".to_vec()]);
}

/// Dates that git reads and no clock has shown, and what only looks like one.
#[test]
fn g12_an_absurd_date_of_the_reviewed_commit_is_no_obstacle() {
    let f = Fixture::pushed();
    let tree = f.id("HEAD^{tree}");
    let dated = |date: &str| {
        let raw = format!("tree {tree}\nauthor a <a> {date}\ncommitter a <a> {date}\n\nwork\n");
        let id = f.git_stdin(&["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], raw.as_bytes());
        let repo = f.repo();
        let acts = f.acts(&repo);
        let baselines = [(); 2].map(|()| acts.baseline_commit(&id.parse().unwrap()).unwrap());
        assert_eq!(baselines[0], baselines[1]);
        f.git(&["log", "-1", "--format=%ct", baselines[0].as_str()])
    };
    for (date, becomes) in [
        ("4102444800 +0000", "4102444800"),
        ("99999999999999 +1400", "99999999999999"),
        ("9223372036854775807 +0000", "9223372036854775807"),
        ("9223372036854775808 +0000", "0"),
        ("99999999999999999999 +0000", "0"),
        ("-5 +0000", "0"),
        ("yesterday", "0"),
    ] {
        assert_eq!(dated(date), becomes, "{date}");
    }
}
