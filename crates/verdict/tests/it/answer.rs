//! A reviewer's answer: one good one, and each thing a model really sends instead; then many answers into one.

use insta::assert_snapshot;
use serde_json::{Value, json};
use verdict::Finding;
use verdict::aggregate::{RuleFindings, aggregate, by_rules};
use verdict::answer::{self, Answer, MAX_BYTES, MAX_FINDINGS};
use verdict::schema::{MAX_FINDINGS as MAX_IN_VERDICT, Source};

const APPROVED: &str = r#"{"packet":"packet-001","nonce":"n1","verdict":"APPROVED","blockers":[],"non_blocking":[]}"#;
const BLOCKED: &str = r#"{"packet":"packet-001","nonce":"n1","verdict":"BLOCKED","blockers":[{"path":"a.rs","line":3,"title":"leak","detail":"close it"}],"non_blocking":[]}"#;

fn parsed(text: &str) -> String {
    match answer::parse(text.as_bytes(), "packet-001", "n1") {
        Ok(answer) => format!("{:?}, {} blockers", answer.verdict, answer.blockers.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_answer_is_read() {
    assert_snapshot!(parsed(APPROVED), @"Approved, 0 blockers");
    assert_snapshot!(parsed(&format!("\n {BLOCKED}\r\n")), @"Blocked, 1 blockers");
}

#[test]
fn r06_anything_around_the_document_is_refused() {
    for text in [
        format!("Here is my review:\n{APPROVED}"),
        format!("```json\n{APPROVED}\n```"),
        format!("{APPROVED}\nThe sample above is not my answer."),
        format!("{APPROVED}{BLOCKED}"),
        format!("{BLOCKED}\n{APPROVED}"),
        format!("\u{feff}{APPROVED}"),
        format!("\u{a0}{APPROVED}"),
        format!("[{APPROVED}]"),
        format!("{APPROVED},"),
        "null".into(),
        "\"APPROVED\"".into(),
        r#"["packet-001","n1","APPROVED",[],[]]"#.into(),
    ] {
        assert!(parsed(&text).starts_with("the answer is not exactly one document of the schema: "), "{text}");
    }
}

#[test]
fn r06_an_empty_answer_is_refused() {
    assert_snapshot!(parsed(""), @"the answer is empty");
    assert_eq!(parsed(" \n\t\r"), parsed(""));
}

#[test]
fn r06_every_key_stands_there_once_and_no_other() {
    for text in [
        APPROVED.replace(r#""non_blocking":[]"#, r#""non_blocking":[],"note":"x""#),
        APPROVED.replace(r#","non_blocking":[]"#, ""),
        APPROVED.replace(r#""blockers":[]"#, r#""blockers":[],"blockers":[]"#),
        APPROVED.replace(r#""verdict":"APPROVED""#, r#""verdict":"BLOCKED","verdict":"APPROVED""#),
        APPROVED.replace(r#""APPROVED""#, r#"{"APPROVED":null}"#),
        APPROVED.replace("APPROVED", "LGTM"),
        BLOCKED.replace(r#""path":"a.rs","#, ""),
        BLOCKED.replace(r#""line":3"#, r#""line":-3"#),
        BLOCKED.replace(r#""line":3"#, r#""line":3.0"#),
        BLOCKED.replace(
            r#"{"path":"a.rs","line":3,"title":"leak","detail":"close it"}"#,
            r#"["a.rs",3,"leak","close it"]"#,
        ),
    ] {
        assert!(parsed(&text).starts_with("the answer is not exactly one document of the schema: "), "{text}");
    }
}

#[test]
fn r07_an_answer_about_another_packet_or_question_is_refused() {
    assert_snapshot!(parsed(&APPROVED.replace("-001", "-002\\u001b")), @r"the answer is about packet `packet-002\u{1b}`");
    assert_snapshot!(parsed(&APPROVED.replace("n1", "n2")), @"the answer does not carry this question's nonce");
}

#[test]
fn g02_approved_with_blockers_and_blocked_without_are_no_answers() {
    assert_snapshot!(parsed(&BLOCKED.replace("BLOCKED", "APPROVED")), @"APPROVED with blockers");
    assert_snapshot!(parsed(&APPROVED.replace("APPROVED", "BLOCKED")), @"BLOCKED without a blocker");
}

#[test]
fn a_finding_needs_a_title() {
    assert_snapshot!(parsed(&BLOCKED.replace("leak", " ")), @"a finding without a title");
    let notice =
        BLOCKED.replace("BLOCKED", "APPROVED").replace("non_blocking", "x").replace("blockers", "non_blocking");
    let notice = notice.replace(r#""x""#, r#""blockers""#);
    assert_snapshot!(parsed(&notice), @"Approved, 0 blockers");
    assert_eq!(parsed(&notice.replace("leak", "")), parsed(&BLOCKED.replace("leak", "")));
}

#[test]
fn an_answer_is_bounded() {
    let with = |key: &str, count: usize| {
        let mut answer: Value = serde_json::from_str(BLOCKED).unwrap();
        answer[key] = vec![json!({"path": null, "line": null, "title": "t", "detail": ""}); count].into();
        parsed(&answer.to_string())
    };
    assert_snapshot!(with("blockers", MAX_FINDINGS), @"Blocked, 200 blockers");
    assert_snapshot!(with("blockers", MAX_FINDINGS + 1), @"more than 200 findings");
    assert_snapshot!(with("non_blocking", MAX_FINDINGS), @"Blocked, 1 blockers");
    assert_eq!(with("non_blocking", MAX_FINDINGS + 1), with("blockers", MAX_FINDINGS + 1));
    let padded = |len: usize| parsed(&format!("{APPROVED}{}", " ".repeat(len - APPROVED.len())));
    assert_eq!(padded(MAX_BYTES), parsed(APPROVED));
    assert_snapshot!(padded(MAX_BYTES + 1), @"the answer is not exactly one document of the schema: longer than 1048576 bytes");
}

#[test]
fn r15_what_a_model_says_is_made_safe_to_print() {
    let hostile = BLOCKED.replace("leak", r"leak\u001b[2J\u202e").replace("a.rs", r"a\nb");
    let answer = answer::parse(hostile.as_bytes(), "packet-001", "n1").unwrap();
    assert_snapshot!(answer.blockers[0].to_finding().summary(), @r"a b:3: leak\u{1b}[2J\u{202e}");
}

/// OpenAI, "Structured model outputs", supported schemas: an object at the root, every key required, no additional
/// properties, no `oneOf` and `$ref` kept out; `format` and bounds are not known to every model.
#[test]
fn the_schema_to_ask_with_fits_strict_mode() {
    fn check(schema: &Value) {
        let Value::Object(map) = schema else { panic!("{schema} is no schema") };
        let known = ["type", "enum", "properties", "items", "required", "additionalProperties", "description"];
        assert!(map.keys().all(|key| known.contains(&key.as_str())), "{schema}");
        if let Some(Value::Object(properties)) = map.get("properties") {
            assert_eq!(map["additionalProperties"], json!(false));
            assert_eq!(map["required"], json!(properties.keys().collect::<Vec<_>>()));
            properties.values().for_each(check);
        }
        map.get("items").into_iter().for_each(check);
    }
    let schema = answer::json_schema();
    check(&schema);
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["properties"]["verdict"]["enum"], json!(["APPROVED", "BLOCKED"]));
    assert_eq!(schema["properties"]["blockers"]["items"]["properties"]["line"]["type"], json!(["integer", "null"]));
}

fn answered(packet: &str, blocker: Option<&str>) -> Answer {
    let finding = |title: &str| json!({"path": packet, "line": 1, "title": title, "detail": ""});
    let text = json!({
        "packet": packet, "nonce": "n", "verdict": if blocker.is_some() { "BLOCKED" } else { "APPROVED" },
        "blockers": blocker.iter().map(|title| finding(title)).collect::<Vec<_>>(), "non_blocking": [finding("note")],
    });
    answer::parse(text.to_string().as_bytes(), packet, "n").unwrap()
}

fn rule(title: &str) -> Finding {
    Finding::new(Source::Rule, None, None, title, "")
}

fn joined(expected: &[&str], answers: &[Answer], rules: RuleFindings) -> String {
    match aggregate(expected, answers, rules) {
        Ok(all) => {
            let told = |findings: &[Finding]| findings.iter().map(Finding::summary).collect::<Vec<_>>().join(", ");
            format!("{:?} [{}] [{}]", all.verdict, told(&all.blockers), told(&all.non_blocking))
        }
        Err(missing) => missing.to_string(),
    }
}

#[test]
fn r01_all_packets_approved_is_approved() {
    let answers = [answered("p2", None), answered("p1", None)];
    assert_snapshot!(joined(&["p1", "p2"], &answers, RuleFindings::default()), @"Approved [] [p1:1: note, p2:1: note]");
}

#[test]
fn r01_one_blocker_in_any_packet_or_rule_blocks() {
    let answers = [answered("p2", Some("bug")), answered("p1", None)];
    assert_snapshot!(joined(&["p1", "p2"], &answers, RuleFindings::default()), @"Blocked [p2:1: bug] [p1:1: note, p2:1: note]");
    let rules = RuleFindings { blockers: vec![rule("secret"), rule("secret")], notices: vec![rule("agents file")] };
    assert_snapshot!(joined(&["p1"], &answers[1..], rules), @"Blocked [secret] [agents file, p1:1: note]");
}

#[test]
fn r01_every_packet_is_answered_exactly_once() {
    let [one, two] = [answered("p1", None), answered("p2", None)];
    let none = RuleFindings::default;
    assert_snapshot!(joined(&[], &[], none()), @"there was nothing to review");
    assert_snapshot!(joined(&["p1", "p2", "p3"], std::slice::from_ref(&two), none()), @"not answered: p1, p3");
    assert_snapshot!(joined(&["p1"], &[one.clone(), one.clone()], none()), @"packet p1 stands there twice");
    assert_snapshot!(joined(&["p1", "p1"], std::slice::from_ref(&one), none()), @"packet p1 stands there twice");
    assert_snapshot!(joined(&["p1"], &[one, two], none()), @"packet p2 was not asked for");
}

#[test]
fn rules_decide_alone_only_to_block() {
    let notices = vec![rule("agents file")];
    assert_eq!(by_rules(RuleFindings { blockers: vec![], notices: notices.clone() }), None);
    let blocked = by_rules(RuleFindings { blockers: vec![rule("secret")], notices }).unwrap();
    assert_snapshot!(format!("{:?} {} {}", blocked.verdict, blocked.blockers.len(), blocked.non_blocking.len()), @"Blocked 1 1");
}

#[test]
fn more_findings_than_a_verdict_holds_are_counted() {
    let many = |count: usize| {
        let blockers = (0..count).map(|number| rule(&number.to_string())).collect();
        by_rules(RuleFindings { blockers, notices: vec![] }).unwrap().blockers
    };
    assert_eq!(many(MAX_IN_VERDICT).last().unwrap().title, "9999");
    let cut = many(MAX_IN_VERDICT + 5);
    assert_eq!(cut.len(), MAX_IN_VERDICT);
    assert_snapshot!(cut.last().unwrap().title, @"6 more findings");
}

#[test]
fn findings_that_differ_only_in_detail_are_both_kept() {
    let blockers = vec![rule("bug"), Finding::new(Source::Rule, None, None, "bug", "elsewhere")];
    assert_eq!(by_rules(RuleFindings { blockers, notices: vec![] }).unwrap().blockers.len(), 2);
}
