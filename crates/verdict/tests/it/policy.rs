//! The policy: archived samples, the class of each ref, each value that is refused.

use insta::assert_snapshot;
use verdict::policy::{Effort, MAX_BYTES, Policy, RefClass};

const SAMPLE: &str = include_str!("../samples/policy-v1.toml");

fn parsed(text: &str) -> String {
    match Policy::parse(text.as_bytes()) {
        Ok(_) => "valid".into(),
        Err(error) => error.to_string(),
    }
}

/// A policy of one table.
fn with(lines: &str) -> String {
    parsed(&format!("schema = 1\n{lines}\n"))
}

#[test]
fn the_sample_of_schema_1_is_read() {
    let policy = Policy::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(policy.tests.steps[1].timeout_sec, 1_800);
    assert_eq!((policy.review.effort, policy.review.effort.as_str()), (Effort::Xhigh, "xhigh"));
    assert_eq!(policy.sha256().as_str(), verdict::Sha256::of(SAMPLE.as_bytes()).as_str());
}

#[test]
fn the_built_in_policy_is_the_empty_file_of_schema_1() {
    assert_eq!(Policy::built_in(), Policy::parse(b"schema = 1\n").unwrap());
    assert_snapshot!(format!("{:#?}", Policy::built_in()), @r#"
    Policy {
        refs: Refs {
            protected: [
                Pattern(
                    "refs/heads/main",
                ),
                Pattern(
                    "refs/heads/master",
                ),
                Pattern(
                    "refs/heads/release/**",
                ),
            ],
            open: [
                Pattern(
                    "refs/heads/**",
                ),
                Pattern(
                    "refs/tags/**",
                ),
            ],
        },
        tests: Tests {
            required: false,
            steps: [],
        },
        review: Review {
            model: None,
            effort: High,
            size_cap_bytes: 204800,
            packet_cap_bytes: 100000,
            max_packets: 64,
            parallel: 2,
            timeout_sec: 600,
            retries: 2,
            max_tokens: 2000000,
            codex_version: None,
            codex_sha256: [],
            base_url: None,
        },
        heal: Heal {
            paths: [],
            timeout_sec: 900,
        },
        rules: Rules {
            allow: [],
        },
        sha256: Sha256(
            "da93db77ebb07776dbd095f79fe28cbf4d42340c27bc33547ed7eeb2d3c93ea1",
        ),
    }
    "#);
}

#[test]
fn every_effort_has_its_word() {
    for effort in ["minimal", "low", "medium", "high", "xhigh"] {
        let policy = Policy::parse(format!("schema = 1\nreview.effort = \"{effort}\"").as_bytes()).unwrap();
        assert_eq!(policy.review.effort.as_str(), effort);
    }
}

fn classes(policy: &Policy, names: &[&str]) -> String {
    names.iter().map(|name| format!("{:?} {}\n", policy.classify(name), name.escape_default())).collect()
}

#[test]
fn g03_protected_wins_and_what_fits_nothing_is_unknown() {
    assert_snapshot!(classes(&Policy::built_in(), &[
        "refs/heads/main", "refs/heads/master", "refs/heads/release/1", "refs/heads/release/1/2", "refs/heads/topic/x",
        "refs/tags/v1", "refs/notes/x", "refs/stash",
    ]), @r"
    Protected refs/heads/main
    Protected refs/heads/master
    Protected refs/heads/release/1
    Protected refs/heads/release/1/2
    Open refs/heads/topic/x
    Open refs/tags/v1
    Unknown refs/notes/x
    Unknown refs/stash
    ");
}

#[test]
fn g03_a_name_that_looks_protected_is_unknown() {
    for name in [
        "refs/heads/Main",
        "refs/heads/MAIN",
        "Refs/heads/main",
        "refs/Heads/main",
        "refs/heads/ma\u{200b}in",
        "refs/heads/\u{ff4d}ain",
        "refs/heads/ma\u{131}n",
        "refs/heads/ma\u{feff}in",
        "refs/heads/ma\u{17f}ter",
        "refs/heads/Release/1",
    ] {
        assert_eq!(Policy::built_in().classify(name), RefClass::Unknown, "{}", name.escape_unicode());
    }
    let accented = Policy::parse("schema = 1\nrefs.protected = [\"refs/heads/h\u{e9}\"]".as_bytes()).unwrap();
    assert_snapshot!(classes(&accented, &["refs/heads/h\u{e9}", "refs/heads/he\u{301}", "refs/heads/H\u{c9}", "refs/heads/he"]), @r"
    Protected refs/heads/h\u{e9}
    Unknown refs/heads/he\u{301}
    Unknown refs/heads/H\u{c9}
    Open refs/heads/he
    ");
}

#[test]
fn g03_names_git_would_refuse_are_unknown() {
    let policy = Policy::parse(b"schema = 1\nrefs.open = [\"refs/**\"]").unwrap();
    for name in [
        "",
        "main",
        "HEAD",
        "refs",
        "refs/",
        "refs//x",
        "refs/heads/",
        "refs/heads//x",
        "/refs/heads/x",
        "refs/heads/.x",
        "refs/heads/x.lock",
        "refs/heads/x.",
        "refs/heads/a..b",
        "refs/heads/a@{b",
        "refs/heads/a b",
        "refs/heads/a~b",
        "refs/heads/a^b",
        "refs/heads/a:b",
        "refs/heads/a?b",
        "refs/heads/a*b",
        "refs/heads/a[b",
        "refs/heads/a\\b",
        "refs/heads/a\u{7f}b",
        "refs/heads/a\nb",
        "refs/heads/x.lock/y",
    ] {
        assert_eq!(policy.classify(name), RefClass::Unknown, "{name:?}");
    }
    assert_eq!(policy.classify("refs/heads/a@b.c"), RefClass::Open);
}

#[test]
fn g15_replace_refs_are_never_open() {
    let policy = Policy::parse(b"schema = 1\nrefs.open = [\"refs/**\"]").unwrap();
    let id = "a".repeat(40);
    assert_eq!(policy.classify(&format!("refs/replace/{id}")), RefClass::Unknown);
    assert_eq!(policy.classify(&format!("refs/Replace/{id}")), RefClass::Unknown);
}

#[test]
fn what_is_not_understood_is_refused() {
    assert_snapshot!(parsed("schema = 2\nfuture = true"), @"policy schema 2 is not 1");
    assert_snapshot!(parsed(""), @"line 1: missing field `schema`");
    assert_snapshot!(parsed("schema = 1\nschema = 1"), @"line 2: duplicate key");
    assert_snapshot!(parsed("schema = \"1\""), @r#"line 1: invalid type: string "1", expected u32"#);
    assert_snapshot!(with("gate = \"off\""), @"line 2: unknown field `gate`, expected one of `schema`, `refs`, `tests`, `review`, `heal`, `rules`");
    for unknown in [
        "[refs]\nx = 1",
        "[tests]\nx = 1",
        "[review]\nx = 1",
        "[heal]\nx = 1",
        "[rules]\nx = 1",
        "[[tests.steps]]\nname = \"a\"\nargv = [\"a\"]\nx = 1",
        "[[rules.allow]]\nrule = \"a\"\npath = \"a\"\nreason = \"a\"\nx = 1",
    ] {
        assert!(with(unknown).contains("unknown field `x`"), "{unknown}");
    }
    assert_eq!(
        Policy::parse(b"schema = 1 # \xff").unwrap_err().to_string(),
        "invalid utf-8 sequence of 1 bytes from index 13"
    );
}

#[test]
fn g14_a_policy_cannot_protect_nothing() {
    assert_snapshot!(with("refs.protected = []"), @"refs.protected: must not be empty: it would turn the gate off");
    assert_snapshot!(with("refs.protected = [\"main\"]"), @"refs.protected: `main` matches no full ref name (refs/heads/…)");
    assert_snapshot!(with("refs.open = [\"heads/**\"]"), @"refs.open: `heads/**` matches no full ref name (refs/heads/…)");
    assert_snapshot!(with("refs.protected = [\"refs/heads/ma**\"]"), @"line 2: `refs/heads/ma**` is not a pattern: components joined by single `/`, `**` alone in its component, at most 256 bytes");
}

#[test]
fn tests_are_checked() {
    let step = |more: &str| with(&format!("[[tests.steps]]\nname = \"unit\"\n{more}"));
    assert_eq!(step("argv = [\"a\"]"), "valid");
    assert_snapshot!(with("tests.required = true"), @"tests.steps: required = true needs at least one step");
    assert_snapshot!(step("argv = []"), @"tests.steps.unit.argv: names no program");
    assert_snapshot!(step("argv = [\"\"]"), @"tests.steps.unit.argv: names no program");
    assert_snapshot!(step("argv = [\"a\\u0000\"]"), @"tests.steps.unit.argv: an argument is too long or holds a NUL");
    assert_eq!(step(&format!("argv = [\"{}\"]", "a".repeat(4_096))), "valid");
    assert_eq!(step(&format!("argv = [\"{}\"]", "a".repeat(4_097))), step("argv = [\"a\\u0000\"]"));
    assert_snapshot!(step("argv = \"cargo test\""), @r#"line 4: invalid type: string "cargo test", expected a sequence"#);
    assert_snapshot!(step("argv = [\"a\"]\n[[tests.steps]]\nname = \"unit\"\nargv = [\"b\"]"), @"tests.steps.unit: stands there twice");
    assert_snapshot!(with("[[tests.steps]]\nname = \"\\u001b[2J\"\nargv = [\"a\"]"), @"tests.steps.name: must be one printable line of at most 64 bytes");
    assert_snapshot!(with("[[tests.steps]]\nname = \" \"\nargv = [\"a\"]"), @"tests.steps.name: must be one printable line of at most 64 bytes");
    assert_snapshot!(with(&format!("tests.steps = [{}]", "{name=\"a\",argv=[\"a\"]},".repeat(101))), @"tests.steps: more than 100 entries");
    assert_snapshot!(step(&format!("argv = [{}]", "\"a\",".repeat(101))), @"tests.steps.unit.argv: more than 100 entries");
    assert_eq!(step(&format!("argv = [{}]", "\"a\",".repeat(100))), "valid");
}

#[test]
fn numbers_are_bounded() {
    for (key, min, max) in [
        ("review.size_cap_bytes", 1_000, 900_000),
        ("review.packet_cap_bytes", 1_000, 900_000),
        ("review.max_packets", 1, 1_000),
        ("review.parallel", 1, 16),
        ("review.timeout_sec", 1, 7_200),
        ("review.retries", 0, 10),
        ("review.max_tokens", 1_000, 1_000_000_000),
        ("heal.timeout_sec", 1, 7_200),
    ] {
        for (number, want) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
            assert_eq!(with(&format!("{key} = {number}")) == "valid", want, "{key} = {number}");
        }
    }
    assert_snapshot!(with("review.parallel = 17"), @"review.parallel = 17 is not within 1..=16");
    assert_snapshot!(with("tests.steps = [{ name = \"unit\", argv = [\"a\"], timeout_sec = 7201 }]"), @"tests.steps.unit.timeout_sec = 7201 is not within 1..=7200");
}

#[test]
fn review_names_are_safe_as_arguments() {
    for (key, good, bad) in [
        ("model", vec!["gpt-5.5", "org/model:1"], vec!["", "-m", "a b", "a\\\"b"]),
        ("codex_version", vec!["0.169.0", "0.170.0-alpha.1"], vec!["", "latest", "0.169"]),
        (
            "base_url",
            vec![
                "https://host/v1",
                "http://127.0.0.1:8000/v1",
                "http://localhost",
                "http://[::1]:1/",
                "https://[2001:db8::1]:8443/v1",
            ],
            vec![
                "",
                "host/v1",
                "http://host/v1",
                "https://",
                "https:///v1",
                "https://user@host/",
                "https://host/\\\"",
                "http://127.0.0.1.evil/",
                "http://localhost.evil/",
                "http://127.0.0.1:x/",
                "ftp://host/",
                "https://host/?a",
                "https://.host/",
                "http://",
            ],
        ),
    ] {
        for text in good {
            assert_eq!(with(&format!("review.{key} = \"{text}\"")), "valid", "{key} {text}");
        }
        for text in bad {
            assert!(with(&format!("review.{key} = \"{text}\"")).contains(" is not a "), "{key} {text}");
        }
    }
    let long = |key: &str, text: String| with(&format!("review.{key} = \"{text}\""));
    assert_eq!(long("model", "m".repeat(100)), "valid");
    assert_snapshot!(long("model", "m".repeat(101)), @"review.model: is not a model's name");
    assert_eq!(long("base_url", format!("https://{}", "a".repeat(292))), "valid");
    assert_snapshot!(long("base_url", format!("https://{}", "a".repeat(293))), @"review.base_url: is not a plain https URL (or http on loopback)");
    assert_snapshot!(with("review.codex_version = \"x\""), @"review.codex_version: is not a version like 0.169.0");
    assert_snapshot!(with("review.codex_sha256 = [\"abc\"]"), @"line 2: `abc` is not a SHA-256 digest (64 lower-case hex digits)");
}

#[test]
fn a_policy_is_bounded() {
    let padded = |len: usize| parsed(&format!("schema = 1\n{}", " ".repeat(len - 11)));
    assert_eq!(padded(MAX_BYTES), "valid");
    assert_snapshot!(padded(MAX_BYTES + 1), @"the policy is longer than 262144 bytes");
}

#[test]
fn an_exception_needs_a_reason() {
    let allow = |reason: &str| with(&format!("[[rules.allow]]\nrule = \"secret\"\npath = \"t/**\"\n{reason}"));
    assert_eq!(allow("reason = \"made up\""), "valid");
    assert_snapshot!(allow(""), @"line 2: missing field `reason`");
    assert_snapshot!(allow("reason = \"\""), @"rules.allow.reason: must be one printable line of at most 300 bytes");
    assert_eq!(allow(&format!("reason = \"{}\"", "r".repeat(300))), "valid");
    assert_eq!(allow(&format!("reason = \"{}\"", "r".repeat(301))), allow("reason = \"\""));
    assert_snapshot!(with("[[rules.allow]]\nrule = \"\"\npath = \"t/**\"\nreason = \"r\""), @"rules.allow.rule: must be one printable line of at most 64 bytes");
}

#[test]
fn an_exception_is_for_one_rule_and_some_files() {
    let policy = Policy::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(policy.allowed("secret", b"tests/fixtures/a/b"), Some("made-up keys of the scanner's own tests"));
    assert_eq!(policy.allowed("secret", b"src/a"), None);
    assert_eq!(policy.allowed("invisible", b"tests/fixtures/a/b"), None);
}

fn healable(path: &[u8]) -> bool {
    let policy = Policy::parse(SAMPLE.as_bytes()).unwrap();
    policy.healable(path, &|path| path.ends_with(b"agents.md"))
}

#[test]
fn a04_only_files_below_an_allowed_directory_can_be_healed() {
    for good in ["src/a.rs", "src/a/b.rs", "crates/a/src/x"] {
        assert!(healable(good.as_bytes()), "{good}");
    }
    for bad in [
        "src",
        "src/",
        "src.rs",
        "srcs/a",
        "Src/a",
        "a/src/b",
        "crates/a/x",
        "/src/a",
        "src//a",
        "src/./a",
        "src/../a",
        "./src/a",
        "src/a/",
        "src/.git/config",
        "src/.GIT/config",
        "src/a\0",
        "",
    ] {
        assert!(!healable(bad.as_bytes()), "{bad}");
    }
    assert!(healable(b"src/\xff"));
    assert!(!Policy::built_in().healable(b"src/a.rs", &|_| false));
}

#[test]
fn a05_control_plane_paths_cannot_be_healed_in_any_case() {
    assert!(!healable(b"src/agents.md") && !healable(b"src/AGENTS.md"));
    let policy = Policy::parse(SAMPLE.as_bytes()).unwrap();
    assert!(!policy.healable(b"src/AGENTS.md", &|path| path.ends_with(b"AGENTS.md")));
}

#[test]
fn a04_heal_directories_are_relative_and_normal() {
    assert_eq!(with("heal.paths = [\"src\", \"a/b\"]"), "valid");
    for bad in
        ["", ".", "..", "/", "/src", "src/", "src//a", "a/../b", "./src", ".git", "a/.Git/b", "a\\u0000b", "a\\nb"]
    {
        assert!(with(&format!("heal.paths = [\"{bad}\"]")).ends_with("is not a relative, normal path"), "{bad}");
    }
}
