//! Names of one tree that are one name on macOS or Windows.
//!
//! Directories count too: `A/x` beside a symbolic link `a` writes through the link (CVE-2021-21300).

use crate::finding::{Finding, Report, Rule};
use crate::name::fold;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Finds, among all `names` of the last tree, those that collide with a `changed` one or with a directory of it.
/// Equal after Unicode normalisation and case folding is a collision. Returns one blocker for each changed name.
pub fn scan_tree_names(names: &[Vec<u8>], changed: &[Vec<u8>]) -> Vec<Finding> {
    let wanted: HashSet<Vec<u8>> = changed.iter().flat_map(|c| prefixes(c)).map(|p| fold(p).into_owned()).collect();
    let spellings = spellings(names, &wanted);
    let mut findings: Vec<Finding> = changed.iter().flat_map(|path| collisions(path, &spellings)).collect();
    findings.sort();
    findings.dedup();
    findings
}

/// The spellings in the tree of each folded prefix that is wanted.
fn spellings<'a>(names: &'a [Vec<u8>], wanted: &HashSet<Vec<u8>>) -> HashMap<Vec<u8>, BTreeSet<&'a [u8]>> {
    let mut spellings: HashMap<Vec<u8>, BTreeSet<&[u8]>> = HashMap::new();
    let mut previous: &[u8] = b"";
    for name in names {
        let known = shared_directory(previous, name);
        for prefix in prefixes(name).filter(|p| p.len() > known) {
            let folded = fold(prefix);
            if wanted.contains(&*folded) {
                spellings.entry(folded.into_owned()).or_default().insert(prefix);
            }
        }
        previous = name;
    }
    spellings
}

fn collisions(path: &[u8], spellings: &HashMap<Vec<u8>, BTreeSet<&[u8]>>) -> Vec<Finding> {
    let mut report = Report::new(path);
    for prefix in prefixes(path) {
        let Some(same) = spellings.get(&*fold(prefix)) else { continue };
        if same.contains(prefix) {
            for other in same.iter().filter(|other| **other != prefix) {
                report.blocker(Rule::CaseCollision, None, message(other));
            }
        }
    }
    report.finish()
}

fn message(other: &[u8]) -> String {
    const SHOWN: usize = 200;
    let other: String = String::from_utf8_lossy(other).chars().take(SHOWN).flat_map(char::escape_default).collect();
    format!("one name with `{other}` on file systems that ignore case or Unicode form")
}

/// The path and each directory above it.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memchr_iter(b'/', path).chain([path.len()]).map(|end| &path[..end]).filter(|p| !p.is_empty())
}

/// The length of the longest directory that both paths are in: its prefixes were looked at with the first.
fn shared_directory(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    memchr::memrchr(b'/', &a[..same]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn check(names: &[&str], changed: &[&str]) -> String {
        let raw = |list: &[&str]| list.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>();
        let findings = scan_tree_names(&raw(names), &raw(changed)).into_iter();
        findings.map(|f| format!("{}: {}\n", String::from_utf8_lossy(&f.path), f.message)).collect()
    }

    #[test]
    fn r15_names_that_differ_in_case_or_form_collide() {
        assert_snapshot!(check(&["README.md", "a/b", "caf\u{e9}", "cafe\u{301}", "readme.MD"], &["readme.MD", "caf\u{e9}"]), @r"
        café: one name with `cafe\u{301}` on file systems that ignore case or Unicode form
        readme.MD: one name with `README.md` on file systems that ignore case or Unicode form
        ");
    }

    #[test]
    fn r15_a_directory_collides_with_a_file_or_link() {
        assert_snapshot!(check(&["A/x", "a"], &["a"]), @"a: one name with `A` on file systems that ignore case or Unicode form");
        assert_snapshot!(check(&["A/x", "a"], &["A/x"]), @"A/x: one name with `a` on file systems that ignore case or Unicode form");
    }

    #[test]
    fn old_collisions_and_deletions_are_not_findings_of_this_change() {
        assert_snapshot!(check(&["A", "a", "b"], &["b"]), @"");
        assert_snapshot!(check(&["A"], &["a"]), @"");
        assert_snapshot!(check(&["d/a", "d/ab", "d2/a"], &["d/a"]), @"");
    }

    #[test]
    fn unsorted_names_are_compared_too() {
        assert!(!check(&["x/a", "y/b", "X/c", "x/d"], &["y/b", "X/c"]).is_empty());
    }
}
