//! Credentials in content, commit messages and paths.
//!
//! One pass over the bytes looks for the keywords of all [`pattern`]s at once; only behind a keyword does a regular
//! expression run, anchored there, compiled when its keyword is first seen. So clean text costs one search.

mod keyword;
mod pattern;

use crate::finding::{Finding, Report, Rule, Severity};
use crate::text::LineCounter;
use keyword::Keywords;
use pattern::{Edge, PATTERNS, Pattern, is_word};
use regex::bytes::Regex;
use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

/// Bytes from a keyword on that a pattern looks at; the longest published token with what may stand before it.
const WINDOW: usize = 4096;

/// Scans one new blob, commit message or tag object, and its path, for credentials. `path` labels the findings. Returns
/// them in order; messages show at most a token's first four characters.
pub fn scan_blob(path: &[u8], content: &[u8]) -> Vec<Finding> {
    let mut report = Report::new(path);
    scan_path(&mut report, path);
    let content = as_utf8(content);
    let mut lines = LineCounter::new(&content);
    for hit in hits(&content) {
        let line = lines.at(hit.start);
        report.add(Rule::Secret, hit.severity, Some(line), hit.message(&content));
    }
    report.finish()
}

/// Reports credentials in a path.
pub(crate) fn scan_path(report: &mut Report<'_>, path: &[u8]) {
    for hit in hits(path) {
        report.add(Rule::Secret, hit.severity, None, format!("{} in the path", hit.message(path)));
    }
}

/// UTF-16 with a byte order mark, as Windows tools write it, becomes UTF-8; other content stays as it is.
fn as_utf8(content: &[u8]) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match content {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(content),
    };
    let units = content.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(text.into_bytes())
}

/// A credential at `start..end`.
#[derive(Debug, Clone, Copy)]
struct Hit {
    start: usize,
    end: usize,
    severity: Severity,
    pattern: &'static Pattern,
}

impl Hit {
    fn message(&self, content: &[u8]) -> String {
        let secret = &content[self.start..self.end];
        let length = secret.len();
        if self.pattern.is_token && length >= 16 {
            let start: String = secret[..4].iter().map(|&b| char::from(b)).flat_map(char::escape_default).collect();
            format!("{}: `{start}…` ({length} bytes)", self.pattern.name)
        } else {
            format!("{} ({length} bytes)", self.pattern.name)
        }
    }
}

/// All credentials in order; a notice that shares bytes with a blocker is the same secret and left out.
fn hits(content: &[u8]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut from = 0;
    while let Some((keyword, at)) = SEARCH.keywords.next(content, from) {
        let found = SEARCH.patterns[keyword].iter().find_map(|&index| hit(index, content, at));
        from = match found {
            Some(Hit { end, severity: Severity::Blocker, .. }) => end.max(at + 1),
            _ => at + 1,
        };
        hits.extend(found);
    }
    let blockers: Vec<Hit> = hits.iter().filter(|h| h.severity == Severity::Blocker).copied().collect();
    hits.retain(|h| h.severity == Severity::Blocker || !overlaps(&blockers, h));
    hits.sort_by_key(|h| h.start);
    hits.dedup_by_key(|h| (h.start, h.end));
    hits
}

fn overlaps(sorted: &[Hit], hit: &Hit) -> bool {
    let after = sorted.partition_point(|b| b.end <= hit.start);
    sorted.get(after).is_some_and(|b| b.start < hit.end)
}

fn hit(index: usize, content: &[u8], at: usize) -> Option<Hit> {
    let pattern = &PATTERNS[index];
    if !begins(pattern.edge, &content[..at]) {
        return None;
    }
    let window = &content[at..content.len().min(at + WINDOW)];
    if pattern.is_token && !is_word(window) {
        return None;
    }
    let captures = SEARCH.regex(index).captures(window)?;
    let severity = (pattern.judge)(&captures)?;
    let secret = captures.name("secret").or_else(|| captures.get(0))?;
    Some(Hit { start: at + secret.start(), end: at + secret.end(), severity, pattern })
}

/// Whether a token may begin after `before`: an escape (`\n`, `%3D`) is no part of a word.
fn begins(edge: Edge, before: &[u8]) -> bool {
    let joined = |extra: &[u8]| match before {
        [.., b'\\', b'n' | b'r' | b't'] => false,
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => false,
        [.., last] => last.is_ascii_alphanumeric() || extra.contains(last),
        [] => false,
    };
    match edge {
        Edge::Anywhere => true,
        Edge::Word => !joined(b""),
        Edge::Token => !joined(b"-_"),
    }
}

/// The keywords, ready to be searched for, and the patterns behind each.
struct Search {
    keywords: Keywords,
    /// Indexes into [`PATTERNS`] for each keyword.
    patterns: Vec<Vec<usize>>,
    compiled: Vec<OnceLock<Regex>>,
}

static SEARCH: LazyLock<Search> = LazyLock::new(Search::new);

impl Search {
    fn new() -> Self {
        let mut words: Vec<&'static [u8]> = Vec::new();
        let mut patterns: Vec<Vec<usize>> = Vec::new();
        for (index, pattern) in PATTERNS.iter().enumerate() {
            for &keyword in pattern.keywords {
                let slot = words.iter().position(|w| *w == keyword.as_bytes()).unwrap_or_else(|| {
                    words.push(keyword.as_bytes());
                    patterns.push(Vec::new());
                    words.len() - 1
                });
                patterns[slot].push(index);
            }
        }
        let compiled = PATTERNS.iter().map(|_| OnceLock::new()).collect();
        Self { keywords: Keywords::new(words), patterns, compiled }
    }

    fn regex(&self, index: usize) -> &Regex {
        self.compiled[index].get_or_init(|| {
            let anchored = format!("(?s-u)\\A(?:{})", PATTERNS[index].regex);
            Regex::new(&anchored).expect("every pattern of the table compiles in a test")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_has_its_keyword() {
        for (index, pattern) in PATTERNS.iter().enumerate() {
            assert!(!pattern.keywords.is_empty(), "{}", pattern.name);
            assert!(SEARCH.regex(index).as_str().starts_with("(?s-u)"), "{}", pattern.name);
        }
    }

    #[test]
    fn every_token_is_a_word_of_the_shortest_length() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for pattern in PATTERNS.iter().filter(|pattern| pattern.is_token) {
            let regex = pattern.regex.trim_end_matches(r"\b").replace(r"\b)", ")");
            let tokens = proptest::string::bytes_regex(&format!("(?s-u){regex}")).expect(pattern.name);
            let is_word = |token: Vec<u8>| {
                proptest::prop_assert!(is_word(&token), "{}", pattern.name);
                Ok(())
            };
            runner.run(&tokens, is_word).unwrap();
        }
    }

    #[test]
    fn no_keyword_begins_another_and_none_is_short() {
        let keywords: Vec<&str> = PATTERNS.iter().flat_map(|p| p.keywords).copied().collect();
        for a in &keywords {
            assert!(a.len() >= 3, "{a}");
            assert!(keywords.iter().all(|b| a == b || !b.starts_with(a)), "{a}");
        }
    }
}
