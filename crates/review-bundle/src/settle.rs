//! Where a change is shown that could be at several places: between equal lines it can slide up and down.

use imara_diff::{Algorithm, Diff, Hunk, IndentHeuristic, IndentLevel, InternedInput, Token};

use crate::compare::Marks;

/// Lines of both texts that are settled in one go, or a few more: the library's time is quadratic in them.
const STRETCH: usize = 1000;

/// Columns between two tab stops.
const TAB: u8 = 8;

/// Returns the changes that `deleted` and `added` mark, in order and apart, each slid to where a reader expects it: as
/// far down as it goes, unless the indentation says that a block starts elsewhere.
pub(crate) fn settled(input: &InternedInput<&[u8]>, deleted: &Marks, added: &Marks) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut old, mut new) = (0, 0);
    while old < deleted.len() || new < added.len() {
        let (old_end, new_end) = stretch_end(deleted, added, old, new);
        let mut diff = marked(&deleted[old..old_end], &added[new..new_end]);
        let indent =
            IndentHeuristic::new(|line: Token| IndentLevel::for_ascii_line(input.interner[line].iter().copied(), TAB));
        diff.postprocess_with(&input.before[old..old_end], &input.after[new..new_end], indent);
        for hunk in diff.hunks() {
            push(&mut hunks, moved(&hunk, old, new));
        }
        (old, new) = (old_end, new_end);
    }
    hunks
}

/// Returns where the stretch that starts at two lines ends: after a line that is in both texts, or where they end.
fn stretch_end(deleted: &Marks, added: &Marks, old: usize, new: usize) -> (usize, usize) {
    let run = |marks: &Marks, from: usize| from + marks[from..].iter().take_while(|mark| **mark).count();
    let (mut old_end, mut new_end) = (old, new);
    while old_end - old + new_end - new < STRETCH {
        (old_end, new_end) = (run(deleted, old_end), run(added, new_end));
        if old_end == deleted.len() || new_end == added.len() {
            break;
        }
        (old_end, new_end) = (old_end + 1, new_end + 1);
    }
    (old_end, new_end)
}

/// Returns the marked lines as a difference of the library, which takes no marks: it is given texts that differ in
/// nothing else, and finds that at once.
fn marked(deleted: &[bool], added: &[bool]) -> Diff {
    let number = |count: usize| u32::try_from(count).expect("lines are counted in 31 bits");
    let unchanged = number(deleted.iter().filter(|mark| !**mark).count());
    let mut foreign = unchanged..number(deleted.len() + added.len());
    let mut labels = |marks: &[bool]| -> Vec<Token> {
        let mut same = 0..unchanged;
        let label = |&mark: &bool| if mark { foreign.next() } else { same.next() };
        marks.iter().map(label).map(|label| Token(label.expect("as many lines are unmarked in both"))).collect()
    };
    let (before, after) = (labels(deleted), labels(added));
    let mut diff = Diff::default();
    diff.compute_with(Algorithm::Myers, &before, &after, foreign.end);
    diff
}

fn moved(hunk: &Hunk, old: usize, new: usize) -> Hunk {
    let by = |range: &std::ops::Range<u32>, lines: usize| {
        let lines = u32::try_from(lines).expect("lines are counted in 31 bits");
        range.start + lines..range.end + lines
    };
    Hunk { before: by(&hunk.before, old), after: by(&hunk.after, new) }
}

/// Appends a change, as a part of the last one if no line is between them.
fn push(hunks: &mut Vec<Hunk>, next: Hunk) {
    match hunks.last_mut() {
        Some(last) if last.before.end == next.before.start && last.after.end == next.after.start => {
            (last.before.end, last.after.end) = (next.before.end, next.after.end);
        }
        _ => hunks.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changes that `marks` say, `first..end>first..end` each. A line's mark is `-`, `+` or a space.
    fn check(marks: &str) -> String {
        let (mut old, mut new, mut deleted, mut added) = (String::new(), String::new(), Vec::new(), Vec::new());
        for line in marks.split_inclusive('\n') {
            let (mark, text) = line.split_at(1);
            if mark != "+" {
                old.push_str(text);
                deleted.push(mark == "-");
            }
            if mark != "-" {
                new.push_str(text);
                added.push(mark == "+");
            }
        }
        let hunks = settled(&InternedInput::new(old.as_bytes(), new.as_bytes()), &deleted, &added);
        hunks.iter().map(|hunk| format!("{:?}>{:?} ", hunk.before, hunk.after)).collect()
    }

    #[test]
    fn marks_stay_where_nothing_can_slide() {
        for (marks, changes) in [
            ("", ""),
            (" a\n", ""),
            ("-a\n", "0..1>0..0 "),
            ("+a\n", "0..0>0..1 "),
            ("-a\n+b\n", "0..1>0..1 "),
            (" a\n-b\n", "1..2>1..1 "),
            ("+b\n a\n", "0..0>0..1 "),
            ("-b\n a\n+c\n", "0..1>0..0 2..2>1..2 "),
            ("+x\n a\n-b\n c\n+d\n", "0..0>0..1 1..2>2..2 3..3>3..4 "),
        ] {
            assert_eq!(check(marks), changes, "{marks:?}");
        }
    }

    #[test]
    fn a_change_slides_down_or_to_the_start_of_a_block() {
        assert_eq!(check(" a\n+a\n a\n a\n b\n"), "3..3>3..4 ");
        assert_eq!(check(" fn a() {\n+}\n+\n+fn b() {\n }\n"), "2..2>2..5 ");
    }

    #[test]
    fn changes_that_touch_are_one_also_between_stretches() {
        let unchanged = " a\n".repeat(STRETCH / 2 - 1);
        for lines in ["+a\n b\n", "-b\n", "+b\n-a\n+a\n"] {
            let found = check(&[unchanged.as_str(), lines, lines, " c\n", lines].concat());
            let ends: Vec<&str> = found.split(['>', ' ', '.']).filter(|number| !number.is_empty()).collect();
            let touches = |at: usize| ends[at + 1] == ends[at + 4] && ends[at + 3] == ends[at + 6];
            assert!((0..ends.len() / 4 - 1).all(|at| !touches(4 * at)), "{found}");
        }
    }

    #[test]
    fn far_lines_are_counted_from_the_start() {
        let lines: String = (0..5000).map(|n| format!(" {n}\n")).collect();
        let marks = ["-x\n", &lines, "+y\n", &lines, "-z\n"].concat();
        assert_eq!(check(&marks), "0..1>0..0 5001..5001>5000..5001 10001..10002>10001..10001 ");
    }
}
