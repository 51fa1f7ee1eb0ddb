//! The exact patch of a bundle makes the old tree into the new one.

use proptest::prelude::*;
use repo::testing::Fixture;
use repo::{Repo, collect, new_commits};
use verdict::{Oid, Policy};

/// Applies the patch of a range to its old tree in an index of its own. Returns the tree that comes of it.
fn applied(f: &Fixture, repo: &Repo, since: Option<&Oid>, to: &Oid) -> (Oid, Oid) {
    let collected = collect(repo.objects(), since, to, &Policy::built_in()).unwrap();
    let mut patch = Vec::new();
    collected.bundle.write_patch(&mut patch).unwrap();
    let objects = repo.common_dir().join("objects");
    let scratch = f.dir().join("scratch");
    _ = std::fs::remove_dir_all(&scratch);
    f.git_in(f.dir(), &["init", "-q", "scratch"]);
    std::fs::write(scratch.join(".git/objects/info/alternates"), format!("{}\n", objects.display())).unwrap();
    match since {
        Some(since) => f.git_in(&scratch, &["read-tree", since.as_str()]),
        None => f.git_in(&scratch, &["read-tree", "--empty"]),
    };
    if !patch.is_empty() {
        std::fs::write(scratch.join(".git/patch"), &patch).unwrap();
        f.git_in(&scratch, &["apply", "--cached", "--whitespace=nowarn", ".git/patch"]);
    }
    (f.git_in(&scratch, &["write-tree"]).parse().unwrap(), collected.to_tree)
}

#[test]
fn the_patches_of_this_repositorys_own_history_apply() {
    let f = Fixture::new();
    let repo = Repo::open(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(!repo.is_shallow().unwrap(), "this repository is shallow: git fetch --unshallow");
    let head = repo.head().unwrap().id().unwrap().clone();
    let history = new_commits(repo.objects(), None, &head).unwrap();
    for commit in history.iter().take(40) {
        let (made, wanted) = applied(&f, &repo, commit.parents().first(), &commit.id());
        assert_eq!(made, wanted, "{}", commit.id());
    }
}

/// What happens to one of a few paths in a step.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, Vec<u8>),
    Link(usize, String),
    Mode(usize),
    Remove(usize),
}

const PATHS: [&[u8]; 7] = [b"a", b"d/a", b"d/b c", b"q\"\t", b"n\nl", b"\xff", b"d/e/f"];

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![
        proptest::collection::vec(prop_oneof![Just("x\n"), Just("y\r\n"), Just("\n"), Just("z")], 0..30)
            .prop_map(|lines| lines.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..200),
    ];
    prop_oneof![
        6 => (0..PATHS.len(), text).prop_map(|(path, content)| Step::Write(path, content)),
        1 => (0..PATHS.len(), "[a-z/]{1,12}").prop_map(|(path, target)| Step::Link(path, target)),
        1 => (0..PATHS.len()).prop_map(Step::Mode),
        2 => (0..PATHS.len()).prop_map(Step::Remove),
    ]
}

fn take(f: &Fixture, step: &Step) {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let at = |path: &usize| f.work().join(std::ffi::OsStr::from_bytes(PATHS[*path]));
    match step {
        Step::Write(path, content) => {
            _ = std::fs::remove_file(at(path));
            f.write(PATHS[*path], content);
        }
        Step::Link(path, target) => {
            // Never write through the link of an earlier step: it may lead anywhere.
            _ = std::fs::remove_file(at(path));
            f.write(PATHS[*path], "");
            std::fs::remove_file(at(path)).unwrap();
            std::os::unix::fs::symlink(target, at(path)).unwrap();
        }
        Step::Mode(path) if at(path).is_file() && !at(path).is_symlink() => {
            std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Step::Remove(path) => _ = std::fs::remove_file(at(path)),
        Step::Mode(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_patches_of_generated_histories_apply(steps in proptest::collection::vec(proptest::collection::vec(step(), 1..6), 1..5)) {
        let f = Fixture::new();
        let mut commits = Vec::new();
        for group in &steps {
            for step in group {
                take(&f, step);
            }
            commits.push(f.commit("step"));
        }
        let repo = f.repo();
        for at in 0..commits.len() {
            let since = at.checked_sub(1).map(|before| &commits[before]);
            let (made, wanted) = applied(&f, &repo, since, &commits[at]);
            prop_assert_eq!(made, wanted);
        }
        let (made, wanted) = applied(&f, &repo, None, commits.last().unwrap());
        prop_assert_eq!(made, wanted);
    }
}
