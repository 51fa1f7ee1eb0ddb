//! The program as a job runs it, over repositories as good and as hostile as they come.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use host::{Cmd, Host, Local};
use insta::assert_snapshot;
use job::size_cap::SizeCapMeta;
use job::{End, Observed, Status, conclude};
use orb::testing::{Kind, Orb};
use runner::{Caps, collect};
use serde_json::Value;

/// The program in the tree of `orb`, with `out` for its outputs.
fn program(orb: &Orb, out: &Path) -> Cmd {
    orb.program(env!("CARGO_BIN_EXE_orb-review-bundle"), out).env("SINCE_SHA", orb.since().as_str())
}

/// What came of it in a repository of that kind, and what is in the outputs.
fn check(kind: Kind) -> (Orb, PathBuf, String) {
    let orb = Orb::new(kind);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out));
    assert_eq!(fs::read_to_string(orb.home().join("precious")).unwrap(), "precious\n");
    (orb, out, text)
}

fn with_since(since: &str) -> String {
    let orb = Orb::new(Kind::Healthy);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out).env("SINCE_SHA", since));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing is written for a range that is none");
    text
}

#[test]
fn help() {
    let orb = Orb::new(Kind::Healthy);
    assert_snapshot!(orb.run(&program(&orb, Path::new("/")).arg("--help")));
    assert!(orb.run(&program(&orb, Path::new("/")).arg("--version")).starts_with("exit 0\norb-review-bundle "));
}

#[test]
fn the_bundle_of_the_repository_is_the_output() {
    let (orb, out, text) = check(Kind::Healthy);
    assert_snapshot!(text, @r"
    exit 0
    REVIEW_BUNDLE.txt: 536 bytes
    bundle: 536 bytes
    ");
    let bundle = fs::read_to_string(out.join("REVIEW_BUNDLE.txt")).unwrap();
    assert!(
        bundle.contains("-    public int Minutes { get; set; } = 15;\n+    public int Minutes { get; set; } = 30;")
    );
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(orb.fixture().git(&["status", "--porcelain"]), "");
}

#[test]
fn as_json() {
    let orb = Orb::new(Kind::Healthy);
    let text = orb.run(&program(&orb, &orb.artifacts("out")).arg("--json"));
    assert_snapshot!(text, @r#"
    exit 0
    {"schema":1,"status":"done","mode":"bundle","output":"REVIEW_BUNDLE.txt","since_sha":"SINCE","head_sha":"HEAD","bytes":536}
    "#);
    let text = orb.run(&program(&orb, &orb.artifacts("out")).arg("--json").env("SINCE_SHA", "main"));
    assert_snapshot!(text.lines().nth(1).unwrap(), @r#"{"schema":1,"status":"usage","class":"parameter","reason":"SINCE_SHA is \"main\", not the full id of a commit (40 or 64 lower-case hex digits)","next":"give the full id of a commit (40 or 64 lower-case hex digits)"}"#);
}

#[test]
fn j16_j17_a_since_that_is_no_full_id_is_refused() {
    let long = "a".repeat(41);
    for bad in
        ["", "main", "HEAD", "HEAD~1", "--output=F", "-", &long[..39], &long, &"A".repeat(40), &"0".repeat(40), "a b"]
    {
        let text = with_since(bad);
        assert!(text.starts_with("exit 2\n\nparameter: SINCE_SHA is "), "{bad}: {text}");
    }
    let orb = Orb::new(Kind::Healthy);
    let unset = Cmd::new("env").args(["-u", "SINCE_SHA", env!("CARGO_BIN_EXE_orb-review-bundle")]).dir(orb.work());
    assert_snapshot!(orb.run(&unset.env("ARTIFACT_DIR", orb.artifacts("out"))), @r"
    exit 2

    parameter: SINCE_SHA is not set
    next: set SINCE_SHA to the full id of a commit (40 or 64 lower-case hex digits)
    ");
}

#[test]
fn j17_a_since_that_is_no_commit_here_is_refused() {
    assert_snapshot!(with_since(&"ab".repeat(20)), @r"
    exit 1

    since-sha-unknown: SINCE_SHA: object abababababababababababababababababababab is not in this repository
    next: name a commit before the one under review: git log --format=%H
    ");
    let orb = Orb::new(Kind::Healthy);
    let tree = orb.fixture().id("HEAD^{tree}");
    let text = with_since(tree.as_str());
    assert!(
        text.starts_with(&format!("exit 1\n\nsince-sha-unknown: SINCE_SHA: {tree} is a tree, not a commit")),
        "{text}"
    );
    assert!(with_since(&"ab".repeat(32)).starts_with("exit 1\n\nsince-sha-unknown: "));
}

#[test]
fn j17_a_since_that_is_no_ancestor_is_refused() {
    let orb = Orb::new(Kind::Healthy);
    let f = orb.fixture();
    f.git(&["checkout", "-q", "-b", "other", orb.since().as_str()]);
    f.write("other", "x");
    let other = f.commit("other");
    f.git(&["checkout", "-q", "main"]);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out).env("SINCE_SHA", other.as_str()));
    assert_snapshot!(text.replace(other.as_str(), "OTHER"), @r"
    exit 1

    since-sha-no-ancestor: SINCE_SHA: OTHER is no ancestor of HEAD (HEAD)
    next: name a commit before the one under review: git log --format=%H
    ");
}

#[test]
fn a_missing_script_is_said_in_the_output() {
    let (_orb, out, text) = check(Kind::WithoutReview);
    assert_snapshot!(text, @r"
    exit 1

    script-not-found: the tree has no ops/review_bundle.sh
    next: name a commit that has it, or another job
    ");
    assert_snapshot!(fs::read_to_string(out.join("REVIEW_BUNDLE.txt")).unwrap(), @"SCRIPT_NOT_FOUND: the tree has no ops/review_bundle.sh");
}

#[test]
fn j14_a_script_that_is_a_link_out_of_the_tree_is_not_run() {
    let orb = Orb::new(Kind::WithoutReview);
    fs::write(orb.home().join("evil.sh"), "echo x > \"$ARTIFACT_DIR/REVIEW_BUNDLE.txt\"\n").unwrap();
    for target in [orb.home().join("evil.sh"), "nothing".into(), "/".into()] {
        let link = orb.work().join("ops/review_bundle.sh");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, link).unwrap();
        let text = orb.run(&program(&orb, &orb.artifacts("out")));
        assert!(text.starts_with("exit 1\n\nscript-outside: ops/review_bundle.sh is no file of the tree"), "{text}");
    }
}

#[test]
fn a_script_that_fails_is_refused_with_what_it_said_last() {
    assert_snapshot!(check(Kind::Fails).2, @r"
    exit 1

    the script is broken
    script-failed: ops/review_bundle.sh failed (exit 9): the script is broken
    next: read what it said in the job's log
    ");
}

#[test]
fn j17_a_script_that_says_success_and_leaves_no_bundle_is_an_error() {
    assert_snapshot!(check(Kind::NoBundle).2, @r"
    exit 1

    bundle-missing: ops/review_bundle.sh says that it wrote REVIEW_BUNDLE.txt and left none
    next: mend the script: it writes the file that --output names
    ");
    assert_snapshot!(check(Kind::EmptyBundle).2.lines().nth(2).unwrap(), @"bundle-missing: ops/review_bundle.sh says that it wrote REVIEW_BUNDLE.txt and left an empty one");
    assert_snapshot!(check(Kind::LinkAsBundle).2.lines().nth(2).unwrap(), @"bundle-missing: ops/review_bundle.sh says that it wrote REVIEW_BUNDLE.txt and left a link or something else that is no file");
}

#[test]
fn a_bundle_of_an_earlier_run_is_no_bundle_of_this_one() {
    let orb = Orb::new(Kind::NoBundle);
    let out = orb.artifacts("out");
    fs::write(out.join("REVIEW_BUNDLE.txt"), "stale").unwrap();
    assert!(orb.run(&program(&orb, &out)).contains("left none"));
}

#[test]
fn only_this_program_says_that_the_size_cap_was_exceeded() {
    let (_orb, out, text) = check(Kind::ForgedMeta);
    assert!(text.starts_with("exit 0\n"), "{text}");
    assert!(!out.join("size_cap_meta.json").exists());
}

/// What a runner concludes from the outputs of a program that exited with 0.
fn concluded(out: &Path) -> job::Conclusion {
    let kept = out.with_extension("kept");
    fs::create_dir(&kept).unwrap();
    let collected = collect(File::open(out).unwrap(), &kept, &Caps::default()).unwrap();
    let observed = Observed {
        end: End::Exited(0),
        read_only: Ok(true),
        clean_tree: Ok(true),
        changed: vec![],
        changed_cut: false,
        logs: Ok(()),
        size_cap_meta: fs::read(kept.join("size_cap_meta.json")).ok(),
        collected: Ok(collected),
    };
    conclude(&observed)
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn over_the_size_cap_there_are_packets_and_that_is_a_success() {
    let (orb, out, text) = check(Kind::OverTheCap);
    let meta = SizeCapMeta::parse(&fs::read(out.join("size_cap_meta.json")).unwrap()).unwrap();
    let dir = meta.review_packets_dir.clone();
    let stamp = dir.strip_prefix("review_packets/").unwrap();
    assert!(stamp.len() == 15 && stamp.as_bytes()[8] == b'_', "{stamp}");
    assert_snapshot!(text.replace(&dir, "DIR"), @r"
    exit 0
    SIZE_CAP: 8 packets in DIR and ORB_REVIEW_PACKETS.tar.gz
    the bundle has 308768 bytes, the cap is 204800
    ");
    assert_eq!((meta.since_sha.as_str(), meta.head_sha.as_str()), (orb.since().as_str(), orb.head().as_str()));
    assert_snapshot!(files(&out).join(" "), @"ORB_REVIEW_PACKETS.tar.gz ORB_REVIEW_PACKETS.tar.zst README_REVIEW_PACKETS.txt REVIEW_BUNDLE.txt review_packets size_cap_meta.json");
    assert_snapshot!(files(&out.join(&dir)).join(" "), @"HOW_TO_PASTE.txt LEDGER.json overview_001.txt packet_001.txt packet_002.txt packet_003.txt packet_004.txt packet_005.txt packet_006.txt packet_007.txt packet_008.txt");
    let sizes: Vec<u64> =
        (1..=8).map(|n| fs::metadata(out.join(&dir).join(format!("packet_{n:03}.txt"))).unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 50_000), "{sizes:?}");
    let shown = |name: &str| fs::read_to_string(out.join(name)).unwrap().replace(&dir, "DIR");
    assert_snapshot!(shown("REVIEW_BUNDLE.txt"), @r"
    SIZE_CAP: the bundle has 310514 bytes, more than its cap.
    It is in 8 packets instead: DIR/, and all of them in ORB_REVIEW_PACKETS.tar.gz and ORB_REVIEW_PACKETS.tar.zst.
    Begin with DIR/HOW_TO_PASTE.txt.
    ");
    assert_snapshot!(shown(&format!("{dir}/HOW_TO_PASTE.txt")));
    let readme = shown("README_REVIEW_PACKETS.txt");
    assert_snapshot!(readme.replace(orb.since().as_str(), "SINCE").replace(orb.head().as_str(), "HEAD"));
    // Every changed line is in a packet.
    let packets: String = (1..=8).map(|n| shown(&format!("{dir}/packet_{n:03}.txt"))).collect();
    for line in
        (0..4).flat_map(|part| (0..2000).map(move |n| format!("\n+{part},{n},the price of one tick of a day\n")))
    {
        assert!(packets.contains(&line), "{line}");
    }
    let conclusion = concluded(&out);
    assert_eq!((conclusion.status, conclusion.warnings), (Status::Success, vec!["SIZE_CAP_EXCEEDED".to_owned()]));
    assert_eq!(conclusion.size_cap, Some(meta));
}

#[test]
fn the_archives_have_what_is_in_the_directory() {
    let (_orb, out, _) = check(Kind::OverTheCap);
    for (archive, flag) in [("ORB_REVIEW_PACKETS.tar.gz", "-z"), ("ORB_REVIEW_PACKETS.tar.zst", "--zstd")] {
        let list = Command::new("tar").args([flag, "-df", archive]).current_dir(&out).output().unwrap();
        let text = String::from_utf8_lossy(&list.stderr);
        // The times and owners differ on purpose: `tar --compare` names those and nothing else.
        let said = String::from_utf8_lossy(&list.stdout);
        let odd =
            said.lines().filter(|line| !line.contains("differs") || line.contains("Contents") || line.contains("Size"));
        assert_eq!(odd.count(), 0, "{archive} (tar and zstd: apt-get install tar zstd)\n{said}{text}");
        assert_eq!(
            said.lines().filter(|line| line.contains("packet_001.txt: Mod time differs")).count(),
            1,
            "{said}{text}"
        );
    }
}

#[test]
fn a_forced_size_cap_is_one() {
    let orb = Orb::new(Kind::Healthy);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out).env("FORCE_SIZE_CAP", "1").arg("--json"));
    let json: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&json["mode"], &json["size_cap"]["packets"]), (&"packet".into(), &1.into()));
    assert_eq!(concluded(&out).status, Status::Success);
    // Not with any other value.
    let text = orb.run(&program(&orb, &orb.artifacts("other")).env("FORCE_SIZE_CAP", "0"));
    assert!(text.contains("REVIEW_BUNDLE.txt: 536 bytes"), "{text}");
}

#[test]
fn a_packet_that_is_lost_after_all_is_no_success() {
    let (_orb, out, _) = check(Kind::OverTheCap);
    let dir = out.join("review_packets").join(&files(&out.join("review_packets"))[0]);
    fs::remove_file(dir.join("packet_003.txt")).unwrap();
    assert_eq!(concluded(&out).why.unwrap().class, "size-cap-incomplete");
}

#[test]
fn a_size_cap_of_an_empty_range_is_refused() {
    let orb = Orb::new(Kind::Healthy);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out).env("SINCE_SHA", orb.head().as_str()).env("FORCE_SIZE_CAP", "1"));
    assert_snapshot!(text, @r"
    exit 1

    nothing-to-pack: the size cap was exceeded and nothing changed
    next: find out what the repository's script measures: there is nothing to review
    ");
    assert!(!out.join("size_cap_meta.json").exists());
}

#[test]
fn j14_what_a_script_leaves_among_the_outputs_is_not_followed() {
    let (orb, out, text) = check(Kind::Litters);
    // The directory of the packets is a link: nothing was written through it, and that is no success.
    assert!(text.starts_with("exit 3\n\nio: $ARTIFACT_DIR/review_packets/"), "{text}");
    assert_eq!(files(&orb.home()), ["precious"]);
    assert!(!out.join("size_cap_meta.json").exists());
    let conclusion = concluded(&out);
    assert_eq!((conclusion.size_cap, conclusion.warnings), (None, vec!["OUTPUT_REFUSED".to_owned()]));
}

#[test]
fn j23_a_full_disk_is_told_and_there_is_no_word_of_packets() {
    let orb = Orb::new(Kind::OverTheCap);
    let out = orb.artifacts("small");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(&out).status();
    assert!(mounted.unwrap().success(), "tests that need a small disk run as root");
    let text = orb.run(&program(&orb, &out));
    let meta = out.join("size_cap_meta.json").exists();
    assert!(Command::new("umount").arg("-l").arg(&out).status().unwrap().success());
    assert!(text.starts_with("exit 4\n\n") && text.contains("disk-full: $ARTIFACT_DIR/"), "{text}");
    assert!(!meta);
}

#[test]
fn r03_odd_names_and_links_of_a_tree_are_shown_and_not_followed() {
    let orb = Orb::new(Kind::OddNames);
    let out = orb.artifacts("out");
    let text = orb.run(&program(&orb, &out).env("FORCE_SIZE_CAP", "1"));
    assert!(text.starts_with("exit 0\n"), "{text}");
    let readme = fs::read_to_string(out.join("README_REVIEW_PACKETS.txt")).unwrap();
    for name in [r"line\u{a}feed.txt", r"esc\u{1b}[2J.txt", r"latin-\x{e9}.txt", "passwd", "-rf"] {
        assert!(readme.contains(name), "{name}: {readme}");
    }
    let dir = out.join("review_packets").join(&files(&out.join("review_packets"))[0]);
    let packet = fs::read_to_string(dir.join("packet_001.txt")).unwrap();
    assert!(packet.contains("+/etc/passwd") && !packet.contains("root:"), "{packet}");
}

#[test]
fn j15_a_script_that_says_100_mb_is_bounded() {
    let orb = Orb::new(Kind::Floods);
    let out = orb.artifacts("out");
    let output = Local::new().run(&program(&orb, &out).arg("--json")).unwrap();
    assert_eq!(output.status.to_string(), "exit 0");
    assert!(output.stdout.len() < 1000 && output.stderr.is_empty());
}

#[test]
fn git_s_own_variable_for_the_git_directory_is_heard() {
    let orb = Orb::new(Kind::OverTheCap);
    let (out, git) = (orb.artifacts("out"), orb.fixture().dir().join("git"));
    fs::rename(orb.work().join(".git"), &git).unwrap();
    let text = orb.run(&program(&orb, &out));
    assert!(text.starts_with("exit 3\n\nnot-a-repository: "), "{text}");
    let named = program(&orb, &out).env("GIT_DIR", &git).env("GIT_WORK_TREE", orb.work());
    assert!(orb.run(&named).starts_with("exit 0\nSIZE_CAP: 8 packets"));
    fs::write(orb.work().join(".git"), format!("gitdir: {}\n", git.display())).unwrap();
    assert!(orb.run(&program(&orb, &out)).starts_with("exit 0\nSIZE_CAP: 8 packets"));
}

#[test]
fn a_directory_of_outputs_that_is_none_is_refused() {
    let orb = Orb::new(Kind::Healthy);
    let link = orb.fixture().dir().join("link");
    std::os::unix::fs::symlink(orb.home(), &link).unwrap();
    for bad in [PathBuf::from("relative"), orb.home().join("none"), link, orb.home().join("precious")] {
        let text = orb.run(&program(&orb, &bad));
        assert!(text.starts_with("exit 3\n\nartifact-dir: ARTIFACT_DIR "), "{}: {text}", bad.display());
    }
    assert_eq!(files(&orb.home()), ["precious"]);
}

#[test]
fn j08_the_script_sees_nothing_of_the_environment_but_what_it_needs() {
    let orb = Orb::new(Kind::Healthy);
    orb.fixture()
        .write("ops/review_bundle.sh", "env | sort | cut -d= -f1; for last; do :; done; echo bundle > \"$last\"\n");
    let secrets =
        program(&orb, &orb.artifacts("out")).env("OPENAI_API_KEY", "sk-secret").env("DATABASE_URL", "postgres://");
    let secrets = secrets
        .env("BASH_ENV", "/evil")
        .env("LD_PRELOAD", "")
        .env("GIT_SSH_COMMAND", "evil")
        .env("FORCE_SIZE_CAP", "0");
    let needed = secrets.env("TMPDIR", "/tmp").env("LANG", "C.UTF-8").env("REVIEW_BUNDLE_SIZE_CAP", "5");
    let git = needed.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "a.b").env("GIT_CONFIG_VALUE_0", "c");
    assert_snapshot!(orb.run(&git), @r"
    exit 0
    REVIEW_BUNDLE.txt: 7 bytes
    ARTIFACT_DIR
    GIT_CONFIG_COUNT
    GIT_CONFIG_GLOBAL
    GIT_CONFIG_KEY_0
    GIT_CONFIG_NOSYSTEM
    GIT_CONFIG_VALUE_0
    HOME
    LANG
    PATH
    PWD
    REVIEW_BUNDLE_SIZE_CAP
    SHLVL
    SINCE_SHA
    TMPDIR
    _
    ");
}
