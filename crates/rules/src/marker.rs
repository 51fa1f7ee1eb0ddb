//! Merges left unresolved: conflict markers in their three-part structure.

use crate::finding::{Report, Rule};
use crate::text::{Line, added, lines_with};
use memchr::{memchr, memmem};

/// A line that begins one of the parts of a conflict, as git and jj write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ours,
    Middle,
    Theirs,
}

/// Blocks each conflict whose first line the change added; notes an opening or closing line without the others.
pub(crate) fn scan(report: &mut Report<'_>, old: &[u8], new: &[u8]) {
    let lines = marked_lines(new);
    if !lines.iter().any(|l| matches!(part(l.bytes), Some(Part::Ours | Part::Theirs))) {
        return;
    }
    let fresh = added(&marked_lines(old), lines.clone());
    let is_fresh = |line: &Line<'_>| fresh.contains(line);
    let mut left = &lines[..];
    while let [first, rest @ ..] = left {
        left = rest;
        match part(first.bytes) {
            Some(Part::Ours) => {
                if let Some(end) = conflict_end(rest) {
                    if rest[..=end].iter().chain([first]).any(is_fresh) {
                        report.blocker(Rule::ConflictMarker, Some(first.number), "unresolved merge conflict");
                    }
                    left = &rest[end + 1..];
                } else if is_fresh(first) {
                    report.notice(
                        Rule::ConflictMarker,
                        Some(first.number),
                        "a conflict marker without its other parts",
                    );
                }
            }
            Some(Part::Theirs) if is_fresh(first) => {
                report.notice(Rule::ConflictMarker, Some(first.number), "a conflict marker without its other parts");
            }
            _ => {}
        }
    }
}

/// The index of the closing line when `lines` go on with a middle and a closing part.
fn conflict_end(lines: &[Line<'_>]) -> Option<usize> {
    let mut middle = false;
    for (index, line) in lines.iter().enumerate() {
        match part(line.bytes) {
            Some(Part::Middle) => middle = true,
            Some(Part::Theirs) => return middle.then_some(index),
            Some(Part::Ours) => return None,
            None => {}
        }
    }
    None
}

fn marked_lines(content: &[u8]) -> Vec<Line<'_>> {
    let finders = [b"<<<<<<<", b">>>>>>>"].map(memmem::Finder::new);
    if finders.iter().all(|f| f.find(content).is_none()) {
        return Vec::new();
    }
    lines_with(content, next_part)
}

/// The start of the next line, from the one that starts at `from`, that begins a part.
fn next_part(content: &[u8], from: usize) -> Option<usize> {
    let mut start = from;
    while start < content.len() {
        let end = memchr(b'\n', &content[start..]).map_or(content.len(), |len| start + len);
        if part(&content[start..end]).is_some() {
            return Some(start);
        }
        start = end + 1;
    }
    None
}

fn part(line: &[u8]) -> Option<Part> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (marker, label) = line.split_at_checked(7)?;
    let labelled = label.is_empty() || label.starts_with(b" ");
    match marker {
        b"<<<<<<<" if labelled => Some(Part::Ours),
        b">>>>>>>" if labelled => Some(Part::Theirs),
        b"=======" if label.is_empty() => Some(Part::Middle),
        b"%%%%%%%" | b"+++++++" if labelled => Some(Part::Middle),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const OPEN: &str = concat!("<<<<", "<<< HEAD\n");
    const CLOSE: &str = concat!(">>>>", ">>> topic\n");

    fn check(old: &str, new: &str) -> String {
        let mut report = Report::new(b"f");
        scan(&mut report, old.as_bytes(), new.as_bytes());
        let lines = report.finish().into_iter();
        lines.map(|f| format!("{} {}: {}\n", f.severity.as_str(), f.line.unwrap_or(0), f.message)).collect()
    }

    #[test]
    fn a_conflict_blocks_at_its_first_line() {
        let conflict = format!("a\n{OPEN}b\n=======\nc\n{CLOSE}d\n");
        assert_snapshot!(check("", &conflict), @"blocker 2: unresolved merge conflict");
        assert_snapshot!(check("", &conflict.replace('\n', "\r\n")), @"blocker 2: unresolved merge conflict");
        assert_snapshot!(check(&conflict, &format!("new\n{conflict}")), @"");
        assert_snapshot!(check("", &format!("{OPEN}%%%%%%% diff\n+++++++ side\n{CLOSE}")), @"blocker 1: unresolved merge conflict");
    }

    #[test]
    fn half_a_conflict_is_noted() {
        assert_snapshot!(check("", &format!("{OPEN}b\n")), @"notice 1: a conflict marker without its other parts");
        assert_snapshot!(check("", &format!("=======\nb\n{CLOSE}")), @"notice 3: a conflict marker without its other parts");
    }

    #[test]
    fn underlines_and_quotes_are_clean() {
        for text in ["Heading\n=======\n\ntext\n", "x <<<<<<< y\n", ">>>>>>>>quoted\n", "a <<<<<<<\n=======\n"] {
            assert_eq!(check("", text), "", "{text}");
        }
    }
}
