//! Names of jobs and repositories: never a path, never an option; and what a wrong one was probably meant to be.

/// The longest name, in bytes.
pub(crate) const MAX_BYTES: usize = 64;

/// What a name is, for messages.
pub(crate) const RULE: &str = "letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64";

/// True for `[A-Za-z0-9][A-Za-z0-9._-]*` of at most [`MAX_BYTES`].
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= MAX_BYTES && text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

/// The one of `known` that `text` is nearest to: at most a third of it other, letter case aside.
pub(crate) fn near<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let text = text.to_lowercase();
    let distances = known.into_iter().map(|name| (distance(&text, &name.to_lowercase()), name));
    let close = distances.filter(|(distance, name)| *distance <= name.len() / 3);
    close.min().map(|(_, name)| name)
}

/// The least number of characters put in, taken out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, from) in a.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (left, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[left + 1];
            row[left + 1] = replaced.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j03_a_name_is_never_path_like() {
        for good in ["a", "0", "algo-nt8-orb", "a.b_c-D", &"a".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".a", "-a", "_a", "a/b", "../a", "a\\b", "a b", "a\n", "é", "a\0", &"a".repeat(65)]
        {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn distances_are_known() {
        let pairs = [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2), ("abcd", "acd", 1)];
        for (a, b, expected) in pairs {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_name_is_near_none() {
        let known = "a".repeat(64);
        assert_eq!(near(&"a".repeat(64), [known.as_str()]), Some(known.as_str()));
        assert_eq!(near(&"a".repeat(65), [known.as_str()]), None);
    }

    #[test]
    fn the_nearest_name_is_suggested_when_it_is_near() {
        let known = ["orb_doctor", "orb_score_run", "local_echo"];
        let near = ["orb-doctor", "ORB_DOCTER", "echo", "", "local_ec", "local_e", &"x".repeat(500)]
            .map(|name| near(name, known));
        assert_eq!(
            near,
            [Some("orb_doctor"), Some("orb_doctor"), None, None, Some("local_echo"), Some("local_echo"), None]
        );
    }
}
