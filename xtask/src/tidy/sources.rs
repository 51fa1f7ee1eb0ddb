//! What every source file keeps: a first line that says what it is for, nothing put off, and programs that are doors.

use super::{Facts, Finding, is_a};

/// Words that put work off; in two halves, since this file is judged too.
const PUT_OFF: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const IGNORED: &str = concat!("#[", "ignore");

/// The longest `main.rs` of a program, in lines: it parses, calls and exits.
const DOOR: usize = 40;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let judged = facts.texts.iter().filter(|(path, _)| !is_a(path, "md"));
    judged.flat_map(|(path, text)| judge_file(path, text)).collect()
}

fn judge_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        text.lines().zip(1..).flat_map(|(line, number)| put_off(path, line, number)).collect();
    if is_a(path, "rs") {
        findings.extend(undescribed(path, text));
        findings.extend(not_a_door(path, text));
    }
    findings
}

fn put_off(path: &str, line: &str, number: usize) -> Vec<Finding> {
    let place = format!("{path}:{number}");
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    let word = words.find(|word| PUT_OFF.contains(word)).map(|word| format!("says {word}: do it, or file an issue"));
    let ignored = (is_a(path, "rs") && line.contains(IGNORED)).then(|| "ignores a test: no test is skipped".into());
    [word, ignored].into_iter().flatten().map(|message: String| Finding::new(place.as_str(), message)).collect()
}

fn undescribed(path: &str, text: &str) -> Option<Finding> {
    (!text.starts_with("//!")).then(|| Finding::new(path, "does not begin with what it is for: //! .."))
}

fn not_a_door(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    let door = path.starts_with("bins/") && path.ends_with("/src/main.rs");
    (door && lines > DOOR)
        .then(|| Finding::new(path, format!("has {lines} lines, over {DOOR}: move the flow to a library")))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::check;
    use super::*;

    #[test]
    fn what_is_put_off_is_found_by_line() {
        let [first, second, third] = PUT_OFF;
        let rust = format!("//! a\n// {first}: later\nlet id = \"MY_{second}\";\nmktemp {third}{third}\n{IGNORED}]");
        let toml = format!("a = 1 # {second}(me)");
        let found = check(judge, &[("a.rs", &rust), ("b.toml", &toml)], vec![]);
        assert_snapshot!(found.replace(first, "FIRST").replace(second, "SECOND"), @r"
        a.rs:2: says FIRST: do it, or file an issue
        a.rs:5: ignores a test: no test is skipped
        b.toml:1: says SECOND: do it, or file an issue
        ");
    }

    #[test]
    fn every_source_file_says_what_it_is_for() {
        let files = [("a/tests/it/range.rs", "use super::*;"), ("a/src/lib.rs", "//! A."), ("a/src/empty.rs", "")];
        assert_snapshot!(check(judge, &files, vec![]), @r"
        a/src/empty.rs: does not begin with what it is for: //! ..
        a/tests/it/range.rs: does not begin with what it is for: //! ..
        ");
    }

    #[test]
    fn a_program_is_a_door() {
        let long = "//! A.\n".repeat(DOOR + 1);
        let files = [("bins/a/src/main.rs", long.as_str()), ("crates/a/src/main.rs", long.as_str())];
        assert_snapshot!(check(judge, &files, vec![]), @"bins/a/src/main.rs: has 41 lines, over 40: move the flow to a library");
    }
}
