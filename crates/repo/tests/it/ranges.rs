//! What a range is: its commits, its difference, its new content.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use repo::testing::Fixture;
use repo::{Commit, collect, difference, fresh_blobs, is_ancestor, merge_base, new_commits};
use review_bundle::{Limits, escape};
use verdict::{Oid, Policy};

fn changes(f: &Fixture, old: &str, new: &str) -> String {
    let repo = f.repo();
    let tree = |revision: &str| f.id(&format!("{revision}^{{tree}}"));
    let changes = difference(repo.objects(), &tree(old), &tree(new)).unwrap();
    let mode = |side: Option<repo::Side>| side.map_or_else(|| "-".into(), |side| format!("{:o}", side.mode));
    changes.iter().map(|c| format!("{} {} {}\n", mode(c.old), mode(c.new), escape(&c.path))).collect()
}

fn commits(f: &Fixture, base: Option<&str>, tip: &str) -> BTreeSet<Oid> {
    let repo = f.repo();
    let base = base.map(|base| f.id(base));
    new_commits(repo.objects(), base.as_ref(), &f.id(tip)).unwrap().iter().map(Commit::id).collect()
}

fn by_git(f: &Fixture, range: &[&str]) -> BTreeSet<Oid> {
    let list = f.git(&[&["rev-list"], range, &["--"]].concat());
    list.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn r14_every_kind_of_change_is_there() {
    let f = Fixture::new();
    for (path, content) in
        [("gone", "1"), ("mode", "2"), ("link", "3"), ("dir", "4"), ("old name", "5"), ("d/same", "6")]
    {
        f.write(path, content);
    }
    f.commit("old");
    let work = f.work();
    std::fs::remove_file(work.join("gone")).unwrap();
    std::fs::remove_file(work.join("link")).unwrap();
    std::fs::remove_file(work.join("dir")).unwrap();
    std::os::unix::fs::symlink("mode", work.join("link")).unwrap();
    f.write("dir/inside", "4");
    std::fs::rename(work.join("old name"), work.join("new name")).unwrap();
    f.git(&["add", "-A"]);
    f.git(&["update-index", "--chmod=+x", "mode"]);
    f.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "1".repeat(40))]);
    f.git(&["commit", "-q", "-m", "new"]);
    assert_snapshot!(changes(&f, "HEAD~1", "HEAD"), @r"
    100644 - dir
    - 100644 dir/inside
    100644 - gone
    100644 120000 link
    100644 100755 mode
    - 100644 new name
    100644 - old name
    - 160000 sub
    ");
}

#[test]
fn r03_names_are_raw_bytes() {
    let f = Fixture::pushed();
    for name in [&b"a\nb"[..], b"quote\"", b"\xff\xfe", b":(top)x", b"-x", "\u{202e}".as_bytes()] {
        f.write(name, "x");
    }
    f.commit("names");
    assert_snapshot!(changes(&f, "HEAD~1", "HEAD"), @r#"
    - 100644 -x
    - 100644 :(top)x
    - 100644 a\u{a}b
    - 100644 quote"
    - 100644 \u{202e}
    - 100644 \x{ff}\x{fe}
    "#);
}

#[test]
fn the_difference_of_equal_trees_is_empty_and_that_from_nothing_is_all() {
    let f = Fixture::pushed();
    assert_snapshot!(changes(&f, "HEAD", "HEAD"), @"");
    let objects = f.repo();
    let all = difference(objects.objects(), &objects.objects().empty_tree(), &f.id("HEAD^{tree}")).unwrap();
    assert_eq!(all.len(), 1);
}

#[test]
fn commits_of_a_range_with_merges_and_wrong_clocks_are_those_of_git() {
    let f = Fixture::pushed();
    f.git(&["checkout", "-q", "-b", "side"]);
    f.write("side", "1");
    f.commit("side 1");
    f.git(&["checkout", "-q", "main"]);
    f.write("main", "1");
    f.commit("main 1");
    f.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    f.git(&["commit", "-q", "--allow-empty", "--date=@100 +0000", "-m", "old clock"]);
    f.git(&["branch", "unrelated-tip"]);
    for (base, tip) in
        [("origin/main", "main"), ("side", "main"), ("main~1", "main"), ("main", "side"), ("main", "main")]
    {
        assert_eq!(commits(&f, Some(base), tip), by_git(&f, &[tip, &format!("^{base}")]), "{base}..{tip}");
    }
    assert_eq!(commits(&f, None, "main"), by_git(&f, &["main"]));
}

#[test]
fn g05_ancestry_is_that_of_git() {
    let f = Fixture::pushed();
    let first = f.id("HEAD");
    let second = f.commit("second");
    f.git(&["checkout", "-q", "--orphan", "other"]);
    let other = f.commit("unrelated");
    let repo = f.repo();
    let ancestor = |a: &Oid, b: &Oid| is_ancestor(repo.objects(), a, b).unwrap();
    assert!(ancestor(&first, &second) && ancestor(&first, &first));
    assert!(!ancestor(&second, &first) && !ancestor(&other, &second));
    assert_eq!(merge_base(repo.objects(), &first, &second).unwrap(), Some(first));
    assert_eq!(merge_base(repo.objects(), &other, &second).unwrap(), None);
}

fn fresh(f: &Fixture, base: &str, tip: &str) -> String {
    let repo = f.repo();
    let commits = new_commits(repo.objects(), Some(&f.id(base)), &f.id(tip)).unwrap();
    let mut paths: Vec<_> =
        fresh_blobs(repo.objects(), &commits).unwrap().iter().map(|(path, _)| escape(path)).collect();
    paths.sort();
    paths.join(" ")
}

#[test]
fn g13_content_that_a_later_commit_takes_away_is_found() {
    let f = Fixture::pushed();
    f.write("passing", "now and gone");
    f.commit("add");
    std::fs::remove_file(f.work().join("passing")).unwrap();
    f.commit("remove");
    assert_snapshot!(fresh(&f, "origin/main", "HEAD"), @"passing");
}

#[test]
fn g13_an_evil_merge_is_found_and_an_old_branch_is_not() {
    let f = Fixture::pushed();
    f.git(&["checkout", "-q", "-b", "side"]);
    f.write("from-side", "side");
    f.commit("side");
    f.git(&["checkout", "-q", "main"]);
    f.write("from-main", "main");
    f.commit("main");
    f.git(&["merge", "-q", "--no-commit", "--no-ff", "side"]);
    f.write("evil", "in neither parent");
    f.commit("merge");
    assert_snapshot!(fresh(&f, "main~1", "main"), @"evil from-side");
    assert_snapshot!(fresh(&f, "side", "main"), @"evil from-main");
}

fn findings(f: &Fixture, since: &str) -> String {
    let repo = f.repo();
    let collected = collect(repo.objects(), Some(&f.id(since)), &f.id("HEAD"), &Policy::built_in()).unwrap();
    collected.findings.iter().map(|f| format!("{} {} {}\n", f.severity.as_str(), f.rule, escape(&f.path))).collect()
}

#[test]
fn g13_a_secret_in_passing_content_or_a_message_blocks() {
    let f = Fixture::pushed();
    let secret = ["AKIA", "Z7QW3RT5YU2IOPAS"].concat();
    f.write("config", format!("key = {secret}\n"));
    f.commit("add");
    std::fs::remove_file(f.work().join("config")).unwrap();
    f.commit(&format!("remove {secret}"));
    let found = findings(&f, "origin/main");
    assert!(found.contains("blocker secret config\n"), "{found}");
    assert!(found.contains("blocker secret commit "), "{found}");
}

#[test]
fn r15_a_new_name_that_collides_is_found_in_the_directories_it_touches() {
    let f = Fixture::new();
    f.write("d/Makefile", "x");
    f.commit("first");
    f.write("d/makefile", "y");
    f.commit("second");
    assert_snapshot!(findings(&f, "HEAD~1"), @"blocker case-collision d/makefile");
}

#[test]
fn r01_twenty_thousand_changed_files_are_one_range_in_a_complete_set_of_packets() {
    let f = Fixture::pushed();
    let blob = f.git_stdin(&["hash-object", "-w", "--stdin"], b"content\n");
    let lines: String = (0..20_000).map(|n| format!("100644 {blob}\td{}/f{n}\n", n % 50)).collect();
    f.git_stdin(&["update-index", "--add", "--index-info"], lines.as_bytes());
    f.git(&["commit", "-q", "-m", "many"]);
    let repo = f.repo();
    let collected = collect(repo.objects(), Some(&f.id("HEAD~1")), &f.id("HEAD"), &Policy::built_in()).unwrap();
    assert_eq!(collected.bundle.changed_paths().len(), 20_000);
    let limits = Limits { packet_cap: 100_000, max_packets: 1_000 };
    let packets = repo::packets(&collected.bundle, limits).unwrap();
    assert_eq!(review_bundle::check(&packets.ledger, &collected.bundle), Ok(()));
    let all = || packets.packets.iter().chain(&packets.overviews);
    assert!(all().count() <= limits.max_packets && all().all(|packet| packet.text.len() <= limits.packet_cap));
}

#[test]
fn a_large_file_is_read_whole() {
    let f = Fixture::pushed();
    // The time is that of reading, not of git's compression.
    f.git(&["config", "core.compression", "0"]);
    let content: Vec<u8> = (0..13_107_200_u32).flat_map(u32::to_le_bytes).collect();
    f.write("large", &content);
    f.commit("large");
    let repo = f.repo();
    let collected = collect(repo.objects(), Some(&f.id("HEAD~1")), &f.id("HEAD"), &Policy::built_in()).unwrap();
    let said = format!("new content is not text: 52428800 bytes, sha256 {}\n", review_bundle::sha256(&content));
    assert!(collected.bundle.shown().contains(&said), "{}", collected.bundle.shown());
}

#[test]
fn a_first_push_is_everything_and_the_same_twice() {
    let f = Fixture::pushed();
    let repo = f.repo();
    let once = || collect(repo.objects(), None, &f.id("HEAD"), &Policy::built_in()).unwrap();
    assert_eq!(once().bundle.sha256(), once().bundle.sha256());
    assert_eq!(once().bundle.header().since, "0".repeat(40));
    assert_eq!(once().bundle.changed_paths().collect::<Vec<_>>(), [b"README.md"]);
}

/// What blocks a change of the policy to `text`.
fn blockers_of_policy(text: &str) -> String {
    let f = Fixture::pushed();
    f.write("configs/ship.toml", text);
    f.commit("policy");
    let repo = f.repo();
    let range = collect(repo.objects(), Some(&f.id("HEAD~1")), &f.id("HEAD"), &Policy::built_in()).unwrap();
    range.blockers().iter().map(|blocker| format!("{}\n{}", blocker.summary(), blocker.detail)).collect()
}

#[test]
fn g17_a_policy_that_nobody_can_read_is_a_blocker() {
    assert_snapshot!(blockers_of_policy("schema = 1\nunknown = true\n"), @r"
    configs/ship.toml: invalid-policy
    line 2: unknown field `unknown`, expected one of `schema`, `refs`, `tests`, `review`, `heal`, `rules`
    ");
}

#[test]
fn g17_a_policy_with_an_exception_that_is_none_is_a_blocker() {
    let allow = |rule: &str, path: &str| {
        blockers_of_policy(&format!(
            "schema = 1\n[[rules.allow]]\nrule = \"{rule}\"\npath = \"{path}\"\nreason = \"why\"\n"
        ))
    };
    assert_snapshot!(allow("secret", "tests/**"), @"");
    assert_snapshot!(allow("secrets", "tests/**"), @r#"
    configs/ship.toml: invalid-policy
    there is no rule "secrets"
    "#);
    assert_snapshot!(allow("invalid-policy", "**"), @r"
    configs/ship.toml: invalid-policy
    rule invalid-policy cannot be lifted
    ");
    assert_snapshot!(allow("secret", "a["), @r#"
    configs/ship.toml: invalid-policy
    path "a[" is not a glob: unclosed character class; missing ']'
    "#);
}
