//! The verdict file: archived samples of every version, and each way in which it can lie about itself.
#![allow(
    clippy::disallowed_methods,
    reason = "the test of a shipped file reads that file, and writes it when asked to"
)]

use insta::assert_snapshot;
use serde_json::{Value, json};
use verdict::schema::{Invalid, MAX_BYTES, MAX_FINDINGS, MAX_TESTS, Source};
use verdict::{Finding, Verdict};

const APPROVED: &str = include_str!("../samples/verdict-v2-approved.json");
const BY_RULES: &str = include_str!("../samples/verdict-v2-blocked-by-rules.json");
const SIMULATED: &str = include_str!("../samples/verdict-v2-simulated.json");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/verdict.schema.json");

fn parsed(text: &str) -> String {
    match Verdict::parse(text.as_bytes()) {
        Ok(_) => "valid".into(),
        Err(invalid) => invalid.to_string(),
    }
}

/// A sample with the value at `pointer` replaced.
fn with(sample: &str, pointer: &str, value: impl Into<Value>) -> String {
    let mut json: Value = serde_json::from_str(sample).unwrap();
    *json.pointer_mut(pointer).unwrap() = value.into();
    parsed(&json.to_string())
}

#[test]
fn every_sample_of_schema_2_is_read_and_written_as_it_was() {
    for sample in [APPROVED, BY_RULES, SIMULATED] {
        assert_eq!(Verdict::parse(sample.as_bytes()).unwrap().to_json().unwrap(), sample);
    }
}

#[test]
fn g02_a_verdict_of_the_old_scripts_is_refused() {
    assert_snapshot!(parsed(include_str!("../samples/verdict-v1.json")), @r#"not a verdict: invalid type: string "consider a test", expected struct Finding at line 4 column 36"#);
}

#[test]
fn g02_a_later_schema_is_refused() {
    assert_snapshot!(with(APPROVED, "/schema", 3), @"verdict schema 3 is not 2");
}

#[test]
fn g02_an_unknown_key_is_refused() {
    assert_snapshot!(parsed(&APPROVED.replace("\"schema\": 2,", "\"schema\": 2, \"\u{9b}force\": true,")), @r"not a verdict: unknown field `\u{9b}force`, expected one of `schema`, `verdict`, `blockers`, `non_blocking`, `tests_run`, `meta` at line 2 column 24");
}

#[test]
fn g02_every_key_is_required() {
    fn pointers(value: &Value, at: &str, all: &mut Vec<(String, String)>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                all.push((at.to_owned(), key.clone()));
                pointers(value, &format!("{at}/{key}"), all);
            }),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), all));
            }
            _ => {}
        }
    }
    for sample in [APPROVED, BY_RULES, SIMULATED] {
        let json: Value = serde_json::from_str(sample).unwrap();
        let mut all = Vec::new();
        pointers(&json, "", &mut all);
        for (parent, key) in all {
            let mut json = json.clone();
            json.pointer_mut(&parent).unwrap().as_object_mut().unwrap().remove(&key);
            assert!(parsed(&json.to_string()).starts_with("not a verdict: "), "{parent}/{key}");
        }
    }
}

#[test]
fn g02_a_key_that_stands_twice_is_refused() {
    assert_snapshot!(parsed(&APPROVED.replace("\"schema\": 2,", "\"schema\": 2, \"verdict\": \"BLOCKED\",")), @"not a verdict: duplicate field `verdict` at line 3 column 11");
}

#[test]
fn g02_an_object_written_as_an_array_is_refused() {
    let codex = r#"{
      "version": "0.169.0",
      "command": "/opt/codex/bin/codex"
    }"#;
    assert!(APPROVED.contains(codex));
    assert_snapshot!(parsed(&APPROVED.replace(codex, r#"["0.169.0", "/opt/codex/bin/codex"]"#)), @"not a verdict: a key is missing, or a value has another form");
}

#[test]
fn g02_nothing_may_follow_or_be_cut_off() {
    assert_snapshot!(parsed(&format!("{APPROVED}{{}}")), @"not a verdict: trailing characters at line 48 column 1");
    assert_snapshot!(parsed(&APPROVED[..APPROVED.len() - 3]), @"not a verdict: EOF while parsing an object at line 46 column 3");
    assert_snapshot!(parsed(""), @"not a verdict: EOF while parsing a value at line 1 column 0");
    assert!(Verdict::parse(b"\xff").is_err());
}

#[test]
fn g02_approved_with_blockers_and_blocked_without_are_refused() {
    assert_snapshot!(with(BY_RULES, "/verdict", "APPROVED"), @"APPROVED with blockers");
    assert_snapshot!(with(BY_RULES, "/blockers", json!([])), @"BLOCKED without a blocker");
    assert_snapshot!(with(APPROVED, "/verdict", "approved"), @"not a verdict: unknown variant `approved`, expected `APPROVED` or `BLOCKED` at line 1 column 1000");
}

#[test]
fn g14_rules_cannot_approve() {
    assert_snapshot!(with(&BY_RULES.replace("BLOCKED", "APPROVED"), "/blockers", json!([])), @"APPROVED by rules alone");
}

#[test]
fn g14_simulated_and_reviewed_exclude_each_other() {
    assert_snapshot!(with(APPROVED, "/meta/simulated", true), @"simulated, yet it names a codex_cli");
    assert_snapshot!(with(SIMULATED, "/meta/simulated", false), @"not simulated, yet it names no reviewer");
}

#[test]
fn r08_a_reviewer_has_a_real_version() {
    for version in ["", "unknown", "0.169", "v0.169.0", "0.169.0\n"] {
        let told = with(APPROVED, "/meta/reviewer/version", version);
        assert!(told.ends_with("is not a reviewer's version"), "{version}: {told}");
    }
}

#[test]
fn r08_codex_and_reviewer_agree() {
    let told = with(APPROVED, "/meta/codex_cli/version", "0.170.0");
    assert_snapshot!(told, @"codex_cli and reviewer do not agree");
    assert_eq!(with(APPROVED, "/meta/codex_cli", Value::Null), told);
    assert_eq!(with(APPROVED, "/meta/reviewer/name", "claude-code"), told);
    assert_snapshot!(with(APPROVED, "/meta/reviewer", Value::Null), @"not simulated, yet it names no reviewer");
}

#[test]
fn r08_a_model_reviewer_is_bound_to_a_program_and_a_prompt() {
    let told = with(APPROVED, "/meta/reviewer/binary_sha256", Value::Null);
    assert_snapshot!(told, @"the reviewer is not bound to a binary and a prompt");
    assert_eq!(with(APPROVED, "/meta/reviewer/prompt_sha256", Value::Null), told);
    let mut other: Value = serde_json::from_str(APPROVED).unwrap();
    other["meta"]["codex_cli"] = Value::Null;
    other["meta"]["reviewer"]["name"] = "claude-code".into();
    assert_snapshot!(parsed(&other.to_string()), @"valid");
}

#[test]
fn the_ids_are_those_of_one_range() {
    let told = with(APPROVED, "/meta/to_sha", "a".repeat(40));
    assert_snapshot!(told, @"the ids in meta are not those of one range");
    assert_eq!(with(APPROVED, "/meta/to_sha", "0".repeat(40)), told);
    assert_eq!(with(APPROVED, "/meta/to_tree", "0".repeat(40)), told);
    assert_eq!(with(APPROVED, "/meta/to_tree", "c".repeat(64)), told);
    assert_eq!(with(APPROVED, "/meta/since_sha", "a".repeat(64)), told);
    assert_snapshot!(with(APPROVED, "/meta/to_sha", "HEAD"), @"not a verdict: `HEAD` is not a full object id (40 or 64 lower-case hex digits) at line 1 column 653");
}

#[test]
fn the_time_is_rfc_3339() {
    for good in ["2026-11-22T20:00:00Z", "2026-11-22T20:00:00.5+01:00"] {
        assert_eq!(with(APPROVED, "/meta/generated_at", good), "valid");
    }
    for bad in
        ["", "yesterday", "2026-11-22", "2026-11-22 20:00:00Z", "2026-13-22T20:00:00Z", "2026-11-22T20:00:00Z[UTC]"]
    {
        assert_eq!(with(APPROVED, "/meta/generated_at", bad), "generated_at is not RFC 3339", "{bad}");
    }
}

#[test]
fn r15_text_that_must_not_reach_a_terminal_is_refused() {
    for pointer in [
        "/blockers/0/title",
        "/blockers/0/detail",
        "/blockers/0/path",
        "/meta/reviewer/name",
        "/meta/reviewer/model",
        "/meta/reviewer/endpoint",
    ] {
        let told = with(BY_RULES, pointer, "a\u{1b}[2J");
        assert!(told.ends_with("is empty, too long or not printable"), "{pointer}: {told}");
    }
    for pointer in ["/tests_run/0/name", "/meta/codex_cli/command", "/non_blocking/0/title"] {
        let told = with(APPROVED, pointer, "two\nlines");
        assert!(told.ends_with("is empty, too long or not printable"), "{pointer}: {told}");
    }
}

#[test]
fn text_and_lists_are_bounded() {
    let finding = json!({"source": "rule", "path": null, "line": null, "title": "t", "detail": ""});
    let run = json!({"name": "n", "argv": ["a"], "exit_code": 0, "duration_ms": 1});
    for (pointer, most, unit) in [
        ("/blockers/0/title", 300, 1),
        ("/blockers/0/detail", 8_000, 1),
        ("/blockers/0/path", 16_384, 1),
        ("/meta/reviewer/name", 200, 0),
    ] {
        assert_eq!(with(BY_RULES, pointer, "a".repeat(most)) == "valid", unit == 1, "{pointer}");
        assert!(with(BY_RULES, pointer, "a".repeat(most + 1)).contains("too long"), "{pointer}");
        assert_eq!(with(BY_RULES, pointer, "") == "valid", pointer.ends_with("detail"), "{pointer}");
    }
    assert_eq!(with(APPROVED, "/non_blocking", vec![finding.clone(); MAX_FINDINGS]), "valid");
    assert_snapshot!(with(APPROVED, "/non_blocking", vec![finding.clone(); MAX_FINDINGS + 1]), @"non_blocking has too many entries");
    assert_snapshot!(with(BY_RULES, "/blockers", vec![finding; MAX_FINDINGS + 1]), @"blockers has too many entries");
    assert_eq!(with(APPROVED, "/tests_run", vec![run.clone(); MAX_TESTS]), "valid");
    assert_snapshot!(with(APPROVED, "/tests_run", vec![run; MAX_TESTS + 1]), @"tests_run has too many entries");
    assert_snapshot!(with(APPROVED, "/tests_run/0/argv", json!([])), @"tests_run.argv has too many entries");
    assert_eq!(with(APPROVED, "/tests_run/0/argv", vec!["a"; 1_000]), "valid");
    assert_snapshot!(with(APPROVED, "/tests_run/0/argv", vec!["a"; 1_001]), @"tests_run.argv has too many entries");
    assert_eq!(with(APPROVED, "/tests_run/0/argv/0", "a".repeat(131_072)), "valid");
    assert_snapshot!(with(APPROVED, "/tests_run/0/argv/0", "a".repeat(131_073)), @"tests_run.argv is empty, too long or not printable");
}

#[test]
fn a_file_is_bounded() {
    let padded = |len: usize| parsed(&format!("{APPROVED}{}", " ".repeat(len - APPROVED.len())));
    assert_eq!(padded(MAX_BYTES), "valid");
    assert_snapshot!(padded(MAX_BYTES + 1), @"not a verdict: longer than 16777216 bytes");
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let mut verdict = Verdict::parse(BY_RULES.as_bytes()).unwrap();
    verdict.schema = 1;
    assert_eq!(verdict.to_json(), Err(Invalid::Schema(1)));
    verdict.schema = 2;
    let long = Finding::new(Source::Rule, Some(&"p".repeat(16_000)), None, "t", "");
    verdict.blockers = vec![long; 1_100];
    assert_snapshot!(verdict.to_json().unwrap_err(), @"not a verdict: longer than 16777216 bytes");
}

#[test]
fn r15_a_finding_is_made_safe_to_print() {
    let finding =
        Finding::new(Source::Reviewer, Some("a\u{202e}b"), Some(4), "wipe\u{1b}[2J\nfake", &"d".repeat(9_000));
    assert_snapshot!(finding.summary(), @r"a\u{202e}b:4: wipe\u{1b}[2J fake");
    assert_eq!(finding.detail.chars().count(), 8_000);
    assert_snapshot!(Finding::new(Source::Rule, Some(""), None, " ", "").summary(), @"(no title)");
    assert_snapshot!(Finding::new(Source::Rule, Some("a"), None, "t", "").summary(), @"a: t");
}

#[test]
fn the_id_of_a_finding_is_stable_and_its_own() {
    let id = |path, line, title, detail| Finding::new(Source::Rule, path, line, title, detail).id();
    let one = id(Some("a"), Some(1), "t", "d");
    assert_snapshot!(one, @"c25573715246");
    assert_eq!(id(Some("a"), Some(1), "t", "other words"), one);
    for other in [id(None, Some(1), "t", "d"), id(Some("a"), None, "t", "d"), id(Some("a"), Some(1), "u", "d")] {
        assert_ne!(other, one);
    }
}

#[test]
fn the_shipped_json_schema_is_the_generated_one() {
    let generated = Verdict::json_schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SHIPPED, format!("{generated:#}\n")).unwrap();
    }
    let shipped: Value =
        serde_json::from_str(&std::fs::read_to_string(SHIPPED).unwrap_or_default()).unwrap_or_default();
    assert_eq!(shipped, generated, "write it anew: UPDATE_SCHEMA=1 cargo nextest run -p verdict");
}
