//! No content makes a scanner panic, print what a terminal would obey, name a line that is not there, or overlook what was
//! not given.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rules::{Finding, Rule, Side, scan_blob, scan_change, scan_tree_names};

#[derive(Arbitrary, Debug)]
struct Input {
    path: Vec<u8>,
    old: Option<(u32, Option<Vec<u8>>)>,
    new: Option<(u32, Option<Vec<u8>>)>,
    names: Vec<Vec<u8>>,
}

fn judge(findings: &[Finding], content: &[u8]) {
    let lines = content.split(|byte| *byte == b'\n').count() as u64;
    for finding in findings {
        assert!(!finding.message.chars().any(char::is_control), "{finding:?}");
        assert!(finding.line.is_none_or(|line| (1..=lines).contains(&line)), "{finding:?} of {lines} lines");
    }
}

fn side(side: &Option<(u32, Option<Vec<u8>>)>) -> Option<Side<'_>> {
    side.as_ref().map(|(mode, content)| Side { mode: *mode, content: content.as_deref() })
}

fuzz_target!(|input: Input| {
    let findings = scan_change(&input.path, side(&input.old), side(&input.new));
    let content = input.new.as_ref().and_then(|(_, content)| content.as_deref());
    judge(&findings, content.unwrap_or_default());
    if let Some((0o100_644, None)) = input.new {
        assert!(findings.iter().any(|finding| finding.rule == Rule::Unseen), "a file without its content passed");
    }
    judge(&scan_blob(&input.path, content.unwrap_or_default()), content.unwrap_or_default());
    judge(&scan_tree_names(&input.names, &input.names), b"");
});
