//! Hostile input: no parser panics, nothing is accepted that is not there.

use proptest::prelude::*;
use verdict::gate::parse_pre_push;
use verdict::{Policy, Verdict, answer};

const VERDICT: &str = include_str!("../samples/verdict-v2-approved.json");
const POLICY: &str = include_str!("../samples/policy-v1.toml");
const ANSWER: &str = r#"{"packet":"p","nonce":"n","verdict":"APPROVED","blockers":[],"non_blocking":[]}"#;

fn oid() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9a-f]{40}", Just("0".repeat(40))]
}

/// A line as Git writes it.
fn line() -> impl Strategy<Value = (String, String, String, String)> {
    ("[!-~]{1,20}( [!-~]{1,5})?", oid(), "refs/[!-~]{1,20}", oid())
}

/// `text` with a few bytes replaced, taken out or put in.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((0..text.len(), any::<u8>(), 0..3u8), 1..4).prop_map(move |edits| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.min(bytes.len() - 1);
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text: String) {
        for input in [bytes.as_slice(), text.as_bytes()] {
            let _ = (parse_pre_push(input), Verdict::parse(input), Policy::parse(input), answer::parse(input, "p", "n"));
        }
        let class = Policy::built_in().classify(&text);
        prop_assert!(text.starts_with("refs/") || class == verdict::policy::RefClass::Unknown);
    }

    #[test]
    fn g06_each_line_becomes_one_update(lines in prop::collection::vec(line(), 0..20)) {
        let stdin: String = lines.iter().map(|(local, new, remote, old)| format!("{local} {new} {remote} {old}\n")).collect();
        let updates = parse_pre_push(stdin.as_bytes()).unwrap();
        let read: Vec<_> = updates.into_iter().map(|u| (u.local_ref, u.new.to_string(), u.remote_ref, u.old.to_string())).collect();
        prop_assert_eq!(read, lines);
    }

    #[test]
    fn g06_as_many_updates_as_lines_or_none(text in "([ab0]{40} |refs/[a-z]{3} |\n|x ){0,40}") {
        if let Ok(updates) = parse_pre_push(text.as_bytes()) {
            prop_assert_eq!(updates.len(), text.lines().count());
        }
    }

    #[test]
    fn r06_a_damaged_answer_is_refused_or_still_says_what_it_says(bytes in damaged(ANSWER)) {
        if let Ok(answer) = answer::parse(&bytes, "p", "n") {
            prop_assert_eq!(serde_json::to_value(&answer).unwrap(), serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
        }
    }

    #[test]
    fn r06_nothing_may_stand_around_an_answer(before in "\\PC{0,5}", after in "\\PC{0,5}") {
        let read = answer::parse(format!("{before}{ANSWER}{after}").as_bytes(), "p", "n");
        prop_assert_eq!(read.is_ok(), format!("{before}{after}").chars().all(|char| char == ' '));
    }

    #[test]
    fn g02_a_damaged_verdict_is_refused_or_consistent(bytes in damaged(VERDICT)) {
        if let Ok(verdict) = Verdict::parse(&bytes) {
            prop_assert_eq!(Verdict::parse(verdict.to_json().unwrap().as_bytes()), Ok(verdict));
        }
    }

    #[test]
    fn a_damaged_policy_is_refused_or_still_protects(bytes in damaged(POLICY)) {
        if let Ok(policy) = Policy::parse(&bytes) {
            prop_assert!(!policy.refs.protected.is_empty());
            prop_assert!((1..=7_200).contains(&policy.review.timeout_sec));
        }
    }

    #[test]
    fn s07_r15_shown_text_is_one_printable_line(text in "([ -~é]|[\\x00-\\x1f\\x7f-\\x9f]|[\u{200b}-\u{200f}\u{202a}-\u{202e}\u{feff}]){0,40}") {
        let shown = verdict::show::line(&text);
        let hides = |char: char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}');
        prop_assert!(!shown.contains(|char: char| char.is_control() || hides(char)));
        prop_assert_eq!(&verdict::show::line(&shown), &shown);
    }
}
