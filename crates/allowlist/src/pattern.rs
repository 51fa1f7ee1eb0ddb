//! The regular expression a parameter's value must match as a whole.
//!
//! It is anchored by construction, so that neither `a|b` nor a forgotten `$` lets more through. Classes are those of
//! ASCII: `\d` is `0` to `9` and not a digit of another script.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::show;

/// The longest pattern, in bytes.
pub(crate) const MAX_BYTES: usize = 1_000;
/// The most memory of one compiled pattern, and of its cache while it is matched, in bytes.
const MAX_COMPILED: usize = 128 << 10;
/// The deepest nesting.
const MAX_DEPTH: u32 = 20;

/// A regular expression over the whole of a value.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    written: String,
    whole: Regex,
}

impl Pattern {
    /// Compiles `written`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn new(written: String) -> Result<Self, String> {
        if written.len() > MAX_BYTES {
            return Err(format!("is longer than {MAX_BYTES} bytes"));
        }
        if !show::is_line(&written) {
            return Err("holds a control or invisible character".into());
        }
        // Alone first: `a)|(?:b` is no expression, but would be one inside of the group below.
        compile(&written)?;
        let whole = compile(&format!(r"\A(?:{written})\z"))?;
        Ok(Self { written, whole })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.written
    }

    /// True when the whole of `value` is matched.
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.whole.is_match(value.as_bytes())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Pattern {}

fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.unicode(false).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(MAX_DEPTH);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("takes more than {limit} bytes of memory: repeat less"),
        other => format!("is no regular expression: {}", last_line(&other)),
    })
}

/// The regex crate draws the expression with a mark below it; its last line says what is wrong.
fn last_line(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().next_back().unwrap_or_default();
    show::clip(line.strip_prefix("error: ").unwrap_or(line), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, values: &[&str]) -> String {
        let pattern = Pattern::new(pattern.into()).unwrap();
        let matched: Vec<&str> = values.iter().copied().filter(|value| pattern.matches(value)).collect();
        matched.join(" ")
    }

    #[test]
    fn j16_a_pattern_is_anchored_whatever_it_says() {
        assert_eq!(matched("^a|b$", &["a", "b", "ax", "xb", "ab", "a\n", "\na"]), "a b");
        assert_eq!(matched("a", &["a", "aa", "ba", "a\n"]), "a");
        assert_eq!(matched("(?m)^a$", &["a", "a\nb", "b\na"]), "a");
        assert_eq!(matched("a|ab|(abc)", &["a", "ab", "abc", "abcd"]), "a ab abc");
        assert_eq!(matched("(?i)a", &["a", "A", "b"]), "a A");
    }

    #[test]
    fn j16_classes_are_those_of_ascii() {
        assert_eq!(matched(r"\d+", &["12", "١٢", "１２"]), "12");
        assert_eq!(matched(r"\w+", &["ab_1", "é", "аb"]), "ab_1");
    }

    #[test]
    fn j16_a_pattern_cannot_leave_its_group() {
        for bad in ["a)|(?:b", "a)|(b", "(?x) a # c", "(", "a{2", "*"] {
            if let Ok(pattern) = Pattern::new(bad.into()) {
                assert!(!pattern.matches("b") && !pattern.matches("xb"), "{bad}");
            }
        }
        assert!(Pattern::new("a)|(?:b".into()).is_err());
    }

    #[test]
    fn a_pattern_that_cannot_be_used_says_why() {
        let depth = "(".repeat(30) + "a" + &")".repeat(30);
        let why = ["(", "[z-a]", r"\p{Greek}", "a\nb", "(?x) a # c", "[a-z]{1000}{100}", &"a".repeat(1001), &depth]
            .map(|pattern| Pattern::new(pattern.into()).unwrap_err());
        insta::assert_snapshot!(why.join("\n"), @r"
        is no regular expression: unclosed group
        is no regular expression: invalid character class range, the start must be <= the end
        is no regular expression: Unicode not allowed here
        holds a control or invisible character
        is no regular expression: unclosed group
        takes more than 131072 bytes of memory: repeat less
        is longer than 1000 bytes
        is no regular expression: exceed the maximum number of nested parentheses/brackets (20)
        ");
    }

    #[test]
    fn patterns_are_equal_when_they_are_written_alike() {
        assert_eq!(Pattern::new("a".into()), Pattern::new("a".into()));
        assert_ne!(Pattern::new("a".into()), Pattern::new("(a)".into()));
    }

    #[test]
    fn a_long_pattern_and_a_large_class_fit() {
        assert_eq!(matched(&"a".repeat(MAX_BYTES), &["a"]), "");
        assert_eq!(matched("[A-Za-z0-9][A-Za-z0-9._-]{0,199}", &["run-1", "-x"]), "run-1");
        assert_eq!(matched(".{0,1000}", &["--output=F"]), "--output=F");
    }
}
