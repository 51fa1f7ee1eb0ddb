//! The program as a person or a job runs it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use host::{Cmd, Host, Local};
use insta::assert_snapshot;
use repo::testing::Fixture;

const ZEROS: &str = "0000000000000000000000000000000000000000";

fn program(f: &Fixture, args: &[&str]) -> Cmd {
    let program = Cmd::new(env!("CARGO_BIN_EXE_review-bundle")).args(args.iter().copied()).dir(f.work());
    program.env("HOME", f.dir().join("home")).output_cap(8 << 20)
}

/// Exit status, stdout and stderr.
fn run(f: &Fixture, cmd: &Cmd) -> String {
    let output = Local::new().run(cmd).unwrap();
    let text = format!("{}\n{}\n{}", output.status, output.stdout_text(), output.stderr_text());
    text.replace(&f.dir().display().to_string(), "~").trim_end().to_owned()
}

fn check(f: &Fixture, args: &[&str]) -> String {
    run(f, &program(f, args))
}

/// One commit on the remote, and one with every kind of change.
fn changed() -> Fixture {
    let f = Fixture::new();
    f.write("text", "1\n2\n3\n");
    f.write("gone", "1\n");
    f.write("tool", "#!/bin/sh\n");
    f.write("turns", "a file\n");
    f.write("binary", [0, 1, 2, 255]);
    f.commit("first");
    f.write("text", "1\ntwo\n3");
    f.write("binary", [0, 3, 2, 254, 10, 0]);
    f.write("sub dir/a\"b\\c\nd\t\u{1b}[2K", "hostile name\n");
    f.write(b"latin-\xe9", "not UTF-8\n");
    f.write(":(glob)*", "pathspec magic\n");
    f.write("-rf", "an option\n");
    f.write("empty", "");
    fs::remove_file(f.work().join("gone")).unwrap();
    fs::remove_file(f.work().join("turns")).unwrap();
    std::os::unix::fs::symlink("text", f.work().join("turns")).unwrap();
    fs::set_permissions(f.work().join("tool"), PermissionsExt::from_mode(0o755)).unwrap();
    f.commit("second");
    f
}

#[test]
fn help() {
    assert_snapshot!(check(&Fixture::new(), &["--help"]));
}

#[test]
fn a_change_is_shown_whole() {
    let f = Fixture::pushed();
    f.write("README.md", "read me\nand more\n");
    f.commit("more");
    assert_snapshot!(check(&f, &["--since", "HEAD~1"]));
}

#[test]
fn an_empty_range_says_so() {
    let f = Fixture::pushed();
    let said = check(&f, &["--since", "HEAD"]);
    assert!(said.starts_with("exit 0") && said.contains("(no changes)"), "{said}");
}

#[test]
fn r03_hostile_paths_are_escaped_and_all_are_there() {
    let said = check(&changed(), &["--since", "HEAD~1"]);
    assert!(!said.contains('\u{1b}'));
    let listed = said.split("=== CHANGED FILES ===").nth(1).unwrap().split("=== DIFF ===").next().unwrap();
    assert_snapshot!(listed.trim());
}

#[test]
fn the_patch_makes_the_new_tree_of_the_old_one() {
    for f in [changed(), Fixture::pushed()] {
        let patch = f.dir().join("patch");
        let since = if f.git(&["rev-list", "--count", "HEAD"]) == "1" { ZEROS } else { "HEAD~1" };
        let said = check(&f, &["--since", since, "--patch", patch.to_str().unwrap()]);
        assert!(said.starts_with("exit 0"), "{said}");
        let tree = f.id("HEAD^{tree}");
        let old = if since == ZEROS { f.repo().objects().empty_tree().to_string() } else { since.to_owned() };
        f.git(&["read-tree", &old]);
        f.git(&["apply", "--cached", "--whitespace=nowarn", patch.to_str().unwrap()]);
        assert_eq!(f.git(&["write-tree"]), tree.as_str());
    }
}

#[test]
fn a_bundle_over_the_cap_is_not_written_and_the_sizes_are_told() {
    let f = Fixture::pushed();
    f.write("large", "line\n".repeat(2000));
    f.write("small", "line\n");
    f.commit("large");
    let output = f.dir().join("bundle");
    let args = ["--since", "HEAD~1", "--size-cap", "5000", "--output", output.to_str().unwrap()];
    assert_snapshot!(check(&f, &args), @r"
    exit 6

    size-cap: the bundle has 13446 bytes, the cap is 5000
         12330  large
           327  small
    next: ask for packets: --packets DIR; or raise the cap: --size-cap BYTES
    ");
    assert!(!output.exists());
    let by_variable = program(&f, &["--since", "HEAD~1"]).env("REVIEW_BUNDLE_SIZE_CAP", "5000");
    assert!(run(&f, &by_variable).starts_with("exit 6"));
}

#[test]
fn r01_packets_hold_every_changed_line_once() {
    let f = Fixture::pushed();
    let lines: String = (0..2000).map(|n| format!("line {n} of the file\n")).collect();
    f.write("large", &lines);
    f.commit("large");
    let dir = f.dir().join("packets");
    let args = ["--size-cap", "5000", "--packet-cap", "20000", "--packets", dir.to_str().unwrap()];
    assert_snapshot!(check(&f, &[&["--since", "HEAD~1"], &args[..]].concat()), @r"
    exit 0

    3 packets and an overview of 1 in ~/packets
    ");
    let mut names: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let packets: Vec<String> = names
        .iter()
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("packet-"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(packets.len() > 1 && packets.iter().all(|packet| packet.len() <= 20_000));
    for n in 0..2000 {
        let line = format!("+line {n} of the file\n");
        assert_eq!(packets.iter().map(|packet| packet.matches(&line).count()).sum::<usize>(), 1, "{line}");
    }
    for name in ["LEDGER.json", "overview-001.txt"] {
        assert!(dir.join(name).metadata().unwrap().len() > 0, "{name}");
    }
}

/// A range of two large files, and the arguments that put it in packets in the directory `packets`.
fn large() -> (Fixture, [String; 8]) {
    let f = Fixture::pushed();
    for name in ["one", "two"] {
        f.write(name, (0..2000).map(|n| format!("line {n} of the file {name}\n")).collect::<String>());
    }
    f.commit("large");
    let dir = f.dir().join("packets").display().to_string();
    let args = ["--since", "HEAD~1", "--size-cap", "5000", "--packet-cap", "20000", "--packets", &dir];
    (f, args.map(str::to_owned))
}

fn names(f: &Fixture) -> String {
    let entries = fs::read_dir(f.dir().join("packets")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.join(" ")
}

#[test]
fn r01_a_directory_ends_with_the_packets_of_this_run() {
    let (f, args) = large();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert!(check(&f, &args).starts_with("exit 0"));
    assert_snapshot!(names(&f), @"LEDGER.json overview-001.txt packet-001.txt packet-002.txt packet-003.txt packet-004.txt packet-005.txt packet-006.txt");
    let fewer = [&args[..5], &["60000"], &args[6..]].concat();
    assert!(check(&f, &fewer).starts_with("exit 0"));
    assert_snapshot!(names(&f), @"LEDGER.json overview-001.txt packet-001.txt packet-002.txt");
    let fits = [&args[..3], &["500000"], &args[4..]].concat();
    assert!(check(&f, &fits).starts_with("exit 0"));
    assert_eq!(names(&f), "");
}

#[test]
fn a_directory_with_anything_else_is_left_as_it_is() {
    let (f, args) = large();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let dir = f.dir().join("packets");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("packet-009.txt"), "mine\n").unwrap();
    assert_snapshot!(check(&f, &args), @r"
    exit 1

    foreign-directory: ~/packets holds packet-009.txt, which no earlier run wrote
    next: name a new or an empty directory
    ");
    assert_eq!(names(&f), "packet-009.txt");
    fs::remove_file(dir.join("packet-009.txt")).unwrap();
    assert!(check(&f, &args).starts_with("exit 0"));
    let written = names(&f);
    std::os::unix::fs::symlink("LEDGER.json", dir.join("packet-010.txt")).unwrap();
    assert!(check(&f, &args).contains("foreign-directory: ~/packets holds packet-010.txt"));
    fs::remove_file(dir.join("packet-010.txt")).unwrap();
    fs::remove_file(dir.join("packet-001.txt")).unwrap();
    std::os::unix::fs::symlink("LEDGER.json", dir.join("packet-001.txt")).unwrap();
    assert!(check(&f, &args).contains("foreign-directory: ~/packets holds packet-001.txt"));
    assert_eq!(names(&f), written);
}

#[test]
fn an_output_beside_packets_gets_the_bundle_whatever_its_size() {
    let (f, args) = large();
    let output = f.dir().join("bundle");
    let args: Vec<&str> = args.iter().map(String::as_str).chain(["--output", output.to_str().unwrap()]).collect();
    assert!(check(&f, &args).starts_with("exit 0"));
    let whole = check(&f, &["--since", "HEAD~1", "--size-cap", "1000000"]);
    assert!(whole.contains(fs::read_to_string(output).unwrap().trim_end()));
}

/// `--json`, without ids.
fn json(f: &Fixture, args: &[&str]) -> String {
    let said = check(f, &[args, &["--json"]].concat());
    let [since, to] = ["HEAD~1", "HEAD"].map(|revision| f.id(revision).to_string());
    said.replace(&since, "<since>").replace(&to, "<to>")
}

#[test]
fn what_was_written_is_told_as_json() {
    let (f, args) = large();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_snapshot!(json(&f, &args), @r#"
    exit 0
    {"schema":1,"status":"done","since":"<since>","to":"<to>","mode":"packet","bytes":107213,"sha256":"6c7654c9e002819f1251e9753555d406c22a67ca77e96f50dc8e1ea9ddbf1397","output":null,"patch":null,"packets":{"dir":"~/packets","files":["LEDGER.json","overview-001.txt","packet-001.txt","packet-002.txt","packet-003.txt","packet-004.txt","packet-005.txt","packet-006.txt"]}}
    "#);
    let files = ["--since", ZEROS, "--to", "HEAD~1", "--output", "../bundle", "--patch", "../patch"];
    assert_snapshot!(json(&f, &files), @r#"
    exit 0
    {"schema":1,"status":"done","since":"0000000000000000000000000000000000000000","to":"<since>","mode":"bundle","bytes":1135,"sha256":"4a7bd2049a3265300b6611b28b2ce7dc12d3094038a9a2925a00e0bfb662659d","output":"../bundle","patch":"../patch","packets":null}
    "#);
    let bundle = check(&f, &["--since", ZEROS, "--to", "HEAD~1"]);
    let said = json(&f, &files[..4]);
    let said: serde_json::Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    let ids = said["bundle"].as_str().unwrap().trim_end().replace("<since>", f.id("HEAD~1").as_str());
    assert_eq!(bundle, format!("exit 0\n{ids}"));
}

#[test]
fn g03_the_policy_that_judges_the_range_decides_on_notes_and_caps() {
    let policy = "schema = 1\n[review]\nsize_cap_bytes = 2000\n[[rules.allow]]\nrule = \"conflict-marker\"\n\
        path = \"a\"\nreason = \"a fixture\"\n";
    let f = Fixture::new();
    f.write("configs/ship.toml", policy);
    f.commit("policy");
    f.write("a", "<<<<<<< one\n=======\n>>>>>>> two\n");
    f.write("configs/ship.toml", "schema = 1\n");
    f.commit("conflict");
    let notes =
        |said: &str| said.lines().filter(|line| line.contains(" conflict-marker ")).collect::<Vec<_>>().join("\n");
    assert_snapshot!(notes(&check(&f, &["--since", "HEAD~1"])), @"notice conflict-marker a:1: unresolved merge conflict (allowed: a fixture)");
    f.write("b", "<<<<<<< one\n=======\n>>>>>>> two\n");
    f.write("large", "line\n".repeat(2000));
    f.commit("more");
    assert_snapshot!(notes(&check(&f, &["--since", "HEAD~1"])), @"blocker conflict-marker b:1: unresolved merge conflict");
    assert!(check(&f, &["--since", "HEAD~2"]).contains("the cap is 2000"));
}

#[test]
fn r01_a_packet_cap_that_nothing_fits_is_refused() {
    let f = Fixture::pushed();
    f.write("large", "line\n".repeat(2000));
    f.commit("large");
    let dir = f.dir().join("packets");
    let args = ["--since", "HEAD~1", "--size-cap", "100", "--packet-cap", "10", "--packets", dir.to_str().unwrap()];
    assert_snapshot!(check(&f, &args), @r"
    exit 6

    too-large: large: what cannot be split of it does not fit in a packet of 10 bytes
    next: split the change, or raise the cap or number of packets
    ");
    assert!(!dir.exists());
}

#[test]
fn j17_a_revision_that_does_not_exist_is_no_empty_range() {
    let f = Fixture::pushed();
    let absent = "1".repeat(40);
    let abbreviated = f.id("HEAD").as_str()[..7].to_owned();
    f.commit("second");
    for since in [&absent[..], "nothing", "HEAD~5", "HEAD:README.md", "HEAD^{tree}", "", "a..b", "--all"] {
        let said = check(&f, &[&format!("--since={since}")]);
        assert!(said.starts_with("exit 2\n") || said.starts_with("exit 3\n"), "{since}: {said}");
        assert!(said.contains("next: ") || said.contains("--help"), "{since}: {said}");
    }
    assert!(check(&f, &["--since", &abbreviated]).starts_with("exit 0"));
    assert_snapshot!(check(&f, &["--since", "nothing"]), @r"
    exit 2

    unknown-revision: `nothing` names no commit of this repository
    next: name a commit that is here
    ");
    assert_snapshot!(check(&f, &["--since", &absent]), @r"
    exit 3

    object-missing: object 1111111111111111111111111111111111111111 is not in this repository
    next: fetch the whole history (git fetch --unshallow, or git fetch), then try again
    ");
    assert_snapshot!(check(&f, &["--since", "nothing", "--json"]), @r#"
    exit 2
    {"schema":1,"status":"usage","class":"unknown-revision","reason":"`nothing` names no commit of this repository","next":"name a commit that is here"}
    unknown-revision: `nothing` names no commit of this repository
    next: name a commit that is here
    "#);
}

#[test]
fn j16_a_value_that_looks_like_an_option_stays_a_value() {
    let f = Fixture::pushed();
    let trap = f.dir().join("trap");
    assert_snapshot!(check(&f, &[&format!("--since=--output={}", trap.display())]), @r"
    exit 2

    unknown-revision: `--output=~/trap` names no commit of this repository
    next: name a commit that is here
    ");
    assert!(!trap.exists());
}

#[test]
fn wrong_arguments_exit_with_2() {
    let f = Fixture::pushed();
    for args in [&[][..], &["--since"], &["--since", "HEAD", "more"], &["--since", "HEAD", "--size-cap", "-1"]] {
        let said = check(&f, args);
        assert!(said.starts_with("exit 2\n"), "{args:?}: {said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_not_a_short_bundle() {
    let f = Fixture::pushed();
    assert_snapshot!(check(&f, &["--since", ZEROS, "--output", "/dev/full"]), @r"
    exit 4

    disk-full: /dev/full: No space left on device (os error 28)
    next: free some space, then try again
    ");
    assert_snapshot!(check(&f, &["--since", ZEROS, "--patch", "/dev/full"]), @r"
    exit 4

    disk-full: /dev/full: No space left on device (os error 28)
    next: free some space, then try again
    ");
    let shell = format!("'{}' --since {ZEROS} > /dev/full", env!("CARGO_BIN_EXE_review-bundle"));
    assert_snapshot!(run(&f, &Cmd::new("sh").args(["-c", &shell]).dir(f.work()).inherit(&["HOME"])), @r"
    exit 4

    output: stdout: No space left on device (os error 28)
    next: make room or name another file, then try again
    ");
}

/// What is said of one new file of `megabytes` times a million bytes, when the program may take three times that and a
/// room for itself.
#[cfg(target_os = "linux")]
fn check_large(megabytes: usize, piece: &[u8]) -> String {
    let f = Fixture::pushed();
    // The time is the program's, not that of git's compression.
    f.git(&["config", "core.compression", "0"]);
    f.write("large", piece.repeat(megabytes * 1_000_000 / piece.len()));
    f.commit("large");
    // A thread of glibc's reserves 64 MiB of addresses that it does not use.
    let kibibytes = 3 * megabytes * 1_000_000 / 1024 + 131_072;
    let bounded = format!(
        "export MALLOC_ARENA_MAX=1; ulimit -v {kibibytes}; exec '{}' --since HEAD~1",
        env!("CARGO_BIN_EXE_review-bundle")
    );
    run(&f, &Cmd::new("sh").args(["-euc", &bounded]).dir(f.work()).inherit(&["HOME"]).timeout(Duration::from_mins(5)))
}

#[test]
#[cfg(target_os = "linux")]
fn a_text_of_200_megabytes_is_refused_in_bounded_memory() {
    assert_snapshot!(check_large(200, b"a line of a large file, again and again\n"), @r"
    exit 6

    size-cap: the bundle has 205001126 bytes, the cap is 204800
     205000337  large
    next: ask for packets: --packets DIR; or raise the cap: --size-cap BYTES
    ");
}

/// Half of the other: a literal of a binary patch is made of it too.
#[test]
#[cfg(target_os = "linux")]
fn content_of_100_megabytes_that_is_not_text_is_named_in_bounded_memory() {
    let said = check_large(100, &[0x80, 0xff, 0x00, 0x0a, 0xfe]);
    assert_snapshot!(said.lines().find(|line| line.contains("not text:")).unwrap(), @"new content is not text: 100000000 bytes, sha256 4cb37742bb04e8de9bfee4e98e42a520ca7ccadf1e0cefd47de8fc6ae90b3700");
}

#[test]
fn a_place_that_cannot_be_written_to_is_an_error() {
    let f = Fixture::pushed();
    assert_snapshot!(check(&f, &["--since", ZEROS, "--output", "absent/dir/bundle"]), @r"
    exit 3

    io: absent/dir/bundle: No such file or directory (os error 2)
    next: check that the path exists and its permissions, then try again
    ");
}

#[test]
fn outside_a_repository_it_says_so() {
    let f = Fixture::pushed();
    assert_snapshot!(check(&f, &["-C", "/", "--since", ZEROS]), @r#"
    exit 3

    not-a-repository: /: not a Git repository that can be read: Could not find a git repository in "/" or in any of its parents
    next: run it inside a Git repository you can read
    "#);
}

#[test]
fn an_empty_repository_has_nothing_to_show() {
    assert_snapshot!(check(&Fixture::new(), &["--since", ZEROS]), @r"
    exit 2

    unknown-revision: `HEAD` names no commit of this repository
    next: name a commit that is here
    ");
}

#[test]
fn g15_a_shallow_clone_has_no_range_that_ends_outside_it() {
    let f = Fixture::pushed();
    let first = f.id("HEAD");
    f.write("second", "second\n");
    f.commit("second");
    f.write("third", "third\n");
    f.commit("third");
    f.git(&["push", "-q", "origin", "main"]);
    let url = format!("file://{}", f.remote().display());
    let depth = |depth: &str, since: &str| {
        let clone = f.dir().join(format!("since {since} at {depth}"));
        f.git_in(f.dir(), &["clone", "-q", "--depth", depth, &url, clone.to_str().unwrap()]);
        check(&f, &["-C", clone.to_str().unwrap(), "--since", since])
    };
    let beyond = depth("1", first.as_str());
    assert_snapshot!(beyond.replace(first.as_str(), "<first>"), @r"
    exit 3

    object-missing: object <first> is not in this repository
    next: fetch the whole history (git fetch --unshallow, or git fetch), then try again
    ");
    assert_eq!(depth("2", first.as_str()), beyond);
    assert_eq!(depth("2", ZEROS), beyond);
    assert!(depth("2", "HEAD~1").starts_with("exit 0"));
}

#[test]
fn g15_a_forged_object_is_an_error_and_not_a_bundle() {
    let f = Fixture::pushed();
    f.write("evil", "evil\n");
    f.commit("evil");
    let [evil, benign] = ["HEAD:evil", "HEAD:README.md"].map(|revision| f.id(revision));
    let loose = |id: &str| f.work().join(".git/objects").join(&id[..2]).join(&id[2..]);
    fs::remove_file(loose(evil.as_str())).unwrap();
    fs::copy(loose(benign.as_str()), loose(evil.as_str())).unwrap();
    assert_snapshot!(check(&f, &["--since", "HEAD~1"]).replace(evil.as_str(), "<id>"), @r"
    exit 1

    object-forged: object <id> is forged: the bytes stored under that id have another hash
    next: do not trust this clone: find out who wrote that object, and clone again
    ");
}
