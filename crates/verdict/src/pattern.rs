//! Patterns over slash-separated names: refs and paths.
//!
//! `*` stands for any run of bytes inside one component; `**`, alone in its component, for any number of
//! components, at the end of a pattern for at least one. Every other byte stands for itself.

use serde::{Deserialize, Serialize};

use crate::show;

/// The longest pattern, in bytes.
pub const MAX_LEN: usize = 256;

/// A pattern over a ref name or a path. Matching takes at most length of pattern × length of name steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Text that is no [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pattern: components joined by single `/`, `**` alone in its component, at most 256 bytes")]
pub struct BadPattern(String);

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when the whole of `name` is matched.
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut pattern: Vec<&[u8]> = self.0.as_bytes().split(|byte| *byte == b'/').collect();
        if pattern.last() == Some(&b"**".as_slice()) {
            pattern.push(b"*");
        }
        let name: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
        runs(
            &pattern,
            &name,
            |part| *part == b"**",
            |part, component| runs(part, component, |byte| *byte == b'*', |byte, other| byte == other),
        )
    }
}

/// Matches all of `items` against `pattern`, in which an element that `is_any` stands for any run of items. Going
/// back to the last such element only is enough: an earlier one could not match more.
fn runs<P, I>(pattern: &[P], items: &[I], is_any: impl Fn(&P) -> bool, one: impl Fn(&P, &I) -> bool) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while seen < items.len() {
        match pattern.get(at) {
            Some(part) if is_any(part) => {
                at += 1;
                retry = Some((at, seen));
            }
            Some(part) if one(part, &items[seen]) => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    at = after;
                    seen = from + 1;
                    retry = Some((after, seen));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(is_any)
}

impl TryFrom<String> for Pattern {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        let component_is_good = |part: &str| !part.is_empty() && (part == "**" || !part.contains("**"));
        if text.len() <= MAX_LEN && show::is_line(&text) && text.split('/').all(component_is_good) {
            Ok(Self(text))
        } else {
            Err(BadPattern(show::clip(&text, 80)))
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, names: &[&str]) -> String {
        let pattern = Pattern::try_from(pattern.to_owned()).unwrap();
        let hits: Vec<&str> = names.iter().filter(|name| pattern.matches(name.as_bytes())).copied().collect();
        hits.join(" ")
    }

    #[test]
    fn a_literal_matches_itself_only() {
        assert_eq!(matched("a/b", &["a/b", "a/bc", "a", "a/b/c", "xa/b", "A/b", ""]), "a/b");
    }

    #[test]
    fn g03_a_star_stays_inside_its_component() {
        assert_eq!(matched("r/*", &["r/1", "r/1/2", "r", "r/a.b"]), "r/1 r/a.b");
        assert_eq!(matched("r/v*-*x", &["r/v1-x", "r/v-x-yx", "r/v1x", "r/v/-x", "r/v1-xy"]), "r/v1-x r/v-x-yx");
    }

    #[test]
    fn g03_two_stars_cross_components() {
        assert_eq!(matched("a/**", &["a", "a/b", "a/b/c", "ab"]), "a/b a/b/c");
        assert_eq!(matched("**/c", &["c", "a/c", "a/b/c", "a/bc", "c/a"]), "c a/c a/b/c");
        assert_eq!(matched("a/**/c", &["a/c", "a/b/c", "a/c/c/c", "a/b"]), "a/c a/b/c a/c/c/c");
        assert_eq!(matched("**/a/*/**", &["a/b", "x/a/b/c", "a/a/a", "b/a"]), "x/a/b/c a/a/a");
    }

    #[test]
    fn a_malformed_pattern_is_refused() {
        for bad in ["", "/a", "a/", "a//b", "a**", "**a", "a/***", "a\nb"] {
            assert!(Pattern::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(Pattern::try_from("a".repeat(MAX_LEN)).is_ok());
        assert!(Pattern::try_from("a".repeat(MAX_LEN + 1)).is_err());
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = Pattern::try_from("*a".repeat(120)).unwrap();
        assert!(!pattern.matches("a".repeat(4000).replace("aaaa", "aaab").as_bytes()));
        let pattern = Pattern::try_from("**/a/".repeat(50) + "b").unwrap();
        assert!(!pattern.matches("a/".repeat(2000).as_bytes()));
    }
}
