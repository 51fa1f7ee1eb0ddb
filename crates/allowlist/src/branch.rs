//! Branches that count: names, or patterns in which `*` stands for any run of characters inside one component.

use crate::show;

/// The longest name or pattern, in bytes.
const MAX_BYTES: usize = 200;

/// True when the branch `name` (`main`, not `refs/heads/main`) is the one that `pattern` spells, or fits it.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (patterns, names): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), name.split('/').collect());
    patterns.len() == names.len() && patterns.iter().zip(names).all(|(pattern, name)| component(pattern, name))
}

/// The part before the first `*` and the one after the last stand where they are; each between them is found as early
/// as it can be, which leaves the most to the others.
fn component(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let within = name.strip_prefix(first).and_then(|name| name.strip_suffix(last));
    let left = within.and_then(|within| {
        middle.split('*').try_fold(within, |left, part| left.find(part).map(|at| &left[at + part.len()..]))
    });
    left.is_some()
}

/// Judges an entry of `allowed_branches`.
///
/// # Errors
/// Why it is none, in words.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    let shown = show::value(pattern);
    if pattern.contains("**") {
        return Err(format!("{shown}: `*` stays inside one component; there is no `**`"));
    }
    if pattern.starts_with("refs/") {
        return Err(format!("{shown} is a full ref name; write the branch alone: `main`"));
    }
    if is_branch(&pattern.replace('*', "x")) {
        Ok(())
    } else {
        Err(format!("{shown} is not the name of a branch (git check-ref-format), nor a pattern of names"))
    }
}

/// The rules of git-check-ref-format(1) with `--branch`.
pub(crate) fn is_branch(name: &str) -> bool {
    let forbidden = |char: char| char.is_ascii_control() || " ~^:?*[\\".contains(char);
    let is_good = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.as_bytes().ends_with(b".lock");
    name.len() <= MAX_BYTES
        && show::is_line(name)
        && name != "HEAD"
        && name != "@"
        && !name.starts_with('-')
        && name.split('/').all(is_good)
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, names: &[&str]) -> String {
        let hits: Vec<&str> = names.iter().copied().filter(|name| matches(pattern, name)).collect();
        hits.join(" ")
    }

    #[test]
    fn j06_a_name_is_only_itself() {
        assert_eq!(matched("main", &["main", "Main", "main2", "xmain", "main/x", ""]), "main");
    }

    #[test]
    fn j06_a_star_stays_inside_its_component() {
        assert_eq!(matched("release/*", &["release/1", "release/1/2", "release", "x/release/1"]), "release/1");
        assert_eq!(matched("*", &["main", "a/b"]), "main");
        assert_eq!(matched("r-*-*x", &["r-1-x", "r--x", "r-x", "r-1-xy", "r-a-b-cx"]), "r-1-x r--x r-a-b-cx");
        assert_eq!(matched("a*a", &["a", "aa", "aba"]), "aa aba");
        assert_eq!(matched("*ab*ab*", &["abab", "ab", "xabyabz", "aab"]), "abab xabyabz");
        assert_eq!(matched("é*", &["éa", "e"]), "éa");
    }

    #[test]
    fn j06_what_is_no_branch_is_refused() {
        let bad = [
            "",
            "/a",
            "a/",
            "a//b",
            "a b",
            "a..b",
            "a.lock",
            "a.lock/b",
            ".a",
            "a/.b",
            "a.",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a[b",
            "a\\b",
            "a@{1}",
            "@",
            "HEAD",
            "-a",
            "a\n",
            "a\u{200b}",
            &"a".repeat(201),
        ];
        for name in bad {
            assert!(!is_branch(name) && check(name).is_err(), "{name:?}");
        }
        for good in ["main", "release/1.2", "a-b_c", "feature/é", "a@b", "a{b", "main.2", &"a".repeat(200)] {
            assert!(is_branch(good) && check(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_says_why() {
        let why = ["**", "release/**", "refs/heads/main", "*.lock", "-*"].map(|pattern| check(pattern).unwrap_err());
        insta::assert_snapshot!(why.join("\n"), @r"
        `**`: `*` stays inside one component; there is no `**`
        `release/**`: `*` stays inside one component; there is no `**`
        `refs/heads/main` is a full ref name; write the branch alone: `main`
        `*.lock` is not the name of a branch (git check-ref-format), nor a pattern of names
        `-*` is not the name of a branch (git check-ref-format), nor a pattern of names
        ");
        assert_eq!(["*", "release/*", "v*.x", "*-stable/*"].map(check), [Ok(()), Ok(()), Ok(()), Ok(())]);
    }
}
