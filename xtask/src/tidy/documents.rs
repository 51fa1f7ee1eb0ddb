//! What documents promise: every relative link leads somewhere, and every row of the threat model names a test that
//! exists.
//!
//! A row of the threat model is a table row whose first cell is an id, a capital letter and two digits, and whose last
//! cell names its tests, each in backticks: `` | G04 | deleting a protected ref is not gated | `g04_deleting_main_is_refused` | ``.
//! A test whose name begins with such an id names a row that is there.

use std::collections::BTreeSet;

use super::{Facts, Finding};

const THREAT_MODEL: &str = "docs/threat-model.md";

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let links = facts.documents().flat_map(|(path, text)| broken_links(facts, path, text));
    links.chain(threat_model(facts)).collect()
}

fn threat_model(facts: &Facts) -> Vec<Finding> {
    let Some(text) = facts.texts.get(THREAT_MODEL) else {
        return vec![Finding::new(THREAT_MODEL, "is missing")];
    };
    let tests = tests(facts);
    let rows: Vec<Row<'_>> = text.lines().zip(1..).filter_map(|(line, number)| Row::parse(line, number)).collect();
    let mut findings: Vec<Finding> = rows.iter().flat_map(|row| row.judge(&tests)).collect();
    findings.extend(tests.iter().filter_map(|test| {
        let id = row_id(test)?;
        let unknown = !rows.iter().any(|row| row.id == id);
        unknown.then(|| Finding::new(THREAT_MODEL, format!("has no row {id}, which the test {test} closes")))
    }));
    findings
}

/// A row of the threat model, and the tests that close it.
struct Row<'a> {
    id: &'a str,
    tests: Vec<&'a str>,
    number: usize,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str, number: usize) -> Option<Self> {
        let cells: Vec<&str> = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let (id, last) = (*cells.first()?, *cells.last()?);
        is_id(id).then(|| Self { id, tests: last.split('`').skip(1).step_by(2).collect(), number })
    }

    fn judge(&self, tests: &BTreeSet<&str>) -> Vec<Finding> {
        let place = format!("{THREAT_MODEL}:{}", self.number);
        if self.tests.is_empty() {
            return vec![Finding::new(place, format!("{} names no test", self.id))];
        }
        let missing = self.tests.iter().filter(|test| !tests.contains(*test));
        missing
            .map(|test| Finding::new(place.as_str(), format!("{} names {test}, which is no test", self.id)))
            .collect()
    }
}

fn is_id(word: &str) -> bool {
    matches!(word.as_bytes(), [b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9'])
}

/// The row that a test's name begins with: `G04` for `g04_deleting_main_is_refused`.
fn row_id(test: &str) -> Option<String> {
    let (id, _) = test.split_once('_')?;
    let id = id.to_ascii_uppercase();
    is_id(&id).then_some(id)
}

/// What stands above a test function.
const TESTS: [&str; 2] = ["#[test]", "#[tokio::test"];

/// The name of every test function: what stands after `fn` below one of [`TESTS`].
fn tests(facts: &Facts) -> BTreeSet<&str> {
    let below = |mark| facts.sources().flat_map(move |(_, text)| text.split(mark).skip(1));
    TESTS.into_iter().flat_map(below).filter_map(function_name).collect()
}

fn function_name(below: &str) -> Option<&str> {
    let mut lines = below.lines().map(|line| line.trim_start().trim_start_matches("async "));
    let line = lines.find_map(|line| line.strip_prefix("fn "))?;
    line.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

fn broken_links(facts: &Facts, path: &str, text: &str) -> Vec<Finding> {
    let mut fenced = false;
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            let broken = targets(line).filter(|target| !leads_somewhere(facts, path, target));
            findings.extend(broken.map(|target| {
                Finding::new(format!("{path}:{number}"), format!("links to {target}, which is not there"))
            }));
        }
    }
    findings
}

/// The targets of the links in a line: `[text](target)`, outside of `code`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let prose = line.split('`').step_by(2);
    prose.flat_map(|text| text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()))
}

fn leads_somewhere(facts: &Facts, from: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    if ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return true;
    }
    let file = if file.is_empty() { Some(from.to_owned()) } else { resolve(from, file) };
    file.is_some_and(|file| match (facts.texts.get(&file), anchor) {
        (Some(text), Some(anchor)) => headings(text).any(|heading| heading == anchor),
        _ => facts.paths.contains(&file) || facts.paths.iter().any(|path| path.starts_with(&format!("{file}/"))),
    })
}

/// `target`, as seen from the file `from`, relative to the root; `None` when it leaves the tree.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a document's headings, as GitHub makes them: lower case, hyphens for spaces, punctuation left out.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles.map(|title| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(files: &[(&str, &str)]) -> String {
        super::super::tests::check(judge, files, vec![])
    }

    #[test]
    fn a_row_names_tests_that_exist() {
        let model = "\
            | Row | Hole | Test |\n|---|---|---|\n\
            | G04 | deletion | `g04_deletion_is_refused`, `g04_gone` |\n\
            | G05 | rewind | none yet |\n\
            | G06 | refs | `not_a_test` |\n";
        let code = "//! T.\nfn not_a_test() {}\n#[test]\n#[allow(x)]\nfn g04_deletion_is_refused() {}\n    #[tokio::test(x)]\n    async fn g07_base() {}";
        assert_snapshot!(check(&[(THREAT_MODEL, model), ("a.rs", code)]), @r"
        docs/threat-model.md:3: G04 names g04_gone, which is no test
        docs/threat-model.md:4: G05 names no test
        docs/threat-model.md:5: G06 names not_a_test, which is no test
        docs/threat-model.md: has no row G07, which the test g07_base closes
        ");
    }

    #[test]
    fn a_missing_threat_model_is_a_breach() {
        assert_snapshot!(check(&[]), @"docs/threat-model.md: is missing");
    }

    #[test]
    fn a_link_leads_somewhere() {
        let readme = "# Top of it\n[a](docs/b.md) [b](docs/b.md#the-end) [c](#top-of-it) [d](docs) [e](https://example.com) `[f](nowhere)`\n\
            ```\n[g](nowhere)\n```\n[h](docs/c.md) [i](docs/b.md#start) [j](../../etc)\n";
        let files = [("README.md", readme), ("docs/b.md", "## The end!\n[up](../README.md)"), (THREAT_MODEL, "")];
        assert_snapshot!(check(&files), @r"
        README.md:6: links to docs/c.md, which is not there
        README.md:6: links to docs/b.md#start, which is not there
        README.md:6: links to ../../etc, which is not there
        ");
    }
}
