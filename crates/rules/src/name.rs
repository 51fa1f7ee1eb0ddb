//! Names of paths as other systems read them.
//!
//! The ways `.git` can be spelled are those git's own `verify_path` and `is_{hfs,ntfs}_dotgit` refuse, whatever
//! `core.protectHFS` and `core.protectNTFS` say here: the change may be checked out elsewhere.

use crate::finding::{Report, Rule};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Bytes; `PATH_MAX` on Linux.
const PATH_LIMIT: usize = 4096;
/// Bytes; `NAME_MAX` on Linux and macOS.
const NAME_LIMIT: usize = 255;

/// The form in which names are equal on a file system that ignores case, Unicode form and invisible characters.
pub(crate) fn fold(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_ascii() {
        let folded = name.iter().any(u8::is_ascii_uppercase).then(|| name.to_ascii_lowercase());
        return folded.map_or(Cow::Borrowed(name), Cow::Owned);
    }
    let Ok(text) = std::str::from_utf8(name) else { return Cow::Owned(name.to_ascii_lowercase()) };
    let visible = text.chars().filter(|c| !is_ignored_by_hfs(*c));
    let upper: String = visible.nfd().flat_map(char::to_uppercase).collect();
    Cow::Owned(upper.chars().flat_map(char::to_lowercase).nfd().collect::<String>().into_bytes())
}

const fn is_ignored_by_hfs(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Whether one component is `.git` on some system.
pub(crate) fn is_dot_git(component: &[u8]) -> bool {
    let folded = fold(component);
    let stem = folded.split(|&b| b == b':').next().unwrap_or_default();
    let stem = trim_end(stem);
    stem == b".git" || stem == b"git~1"
}

/// Windows drops trailing dots and spaces.
fn trim_end(mut name: &[u8]) -> &[u8] {
    while let [rest @ .., b'.' | b' '] = name {
        name = rest;
    }
    name
}

/// Blocks a path that some system reads as another one or not at all.
pub(crate) fn scan(report: &mut Report<'_>, path: &[u8]) {
    if path.len() > PATH_LIMIT {
        report.blocker(Rule::HostilePath, None, format!("the path has {} bytes, over {PATH_LIMIT}", path.len()));
    }
    if path.contains(&0) {
        report.blocker(Rule::HostilePath, None, "the path holds a NUL byte");
    }
    if std::str::from_utf8(path).is_err() {
        report.notice(Rule::HostilePath, None, "the path is not UTF-8");
    }
    for component in path.split(|&b| b == b'/') {
        if let Some(why) = hostile(component) {
            report.blocker(Rule::HostilePath, None, why);
        }
    }
    if path.contains(&b'\n') || path.contains(&b'\t') {
        report.notice(Rule::HostilePath, None, "the path holds a line break or a tab");
    }
    if path.contains(&b'\\') {
        report.notice(Rule::HostilePath, None, "the path holds a backslash, a separator on Windows");
    }
}

fn hostile(component: &[u8]) -> Option<&'static str> {
    match component {
        b"" => Some("the path has an empty component"),
        b"." | b".." => Some("the path has a component `.` or `..`"),
        _ if component.len() > NAME_LIMIT => Some("a component of the path is over 255 bytes"),
        _ if component.split(|&b| b == b'\\').any(is_dot_git) => Some("a component of the path is .git on some system"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(path: &[u8]) -> bool {
        let mut report = Report::new(path);
        scan(&mut report, path);
        report.finish().iter().any(|f| f.severity == crate::Severity::Blocker)
    }

    #[test]
    fn r18_every_spelling_of_dot_git_is_refused() {
        let spellings =
            [".git", ".GIT", ".Git.", ".git ", "git~1", "GIT~1", ".g\u{200c}it", ".git::$INDEX_ALLOCATION", "a\\.git"];
        for spelling in spellings {
            assert!(blocks(format!("a/{spelling}/config").as_bytes()), "{spelling:?}");
        }
        for name in [".gitignore", ".github/a", "git", "a.git", "git~10", "dir/.git-blame-ignore-revs"] {
            assert!(!blocks(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn r18_paths_out_of_the_tree_or_too_long_are_refused() {
        for path in ["../a", "a/../b", "/etc/passwd", "a//b", "a/", "", "./a"] {
            assert!(blocks(path.as_bytes()), "{path:?}");
        }
        assert!(blocks(&[b'a'; 256]));
        assert!(blocks(format!("{}a", "a/".repeat(2048)).as_bytes()));
        assert!(!blocks(&"a/".repeat(2048).as_bytes()[..4095]));
        assert!(blocks(b"a\0b"));
        assert!(!blocks(&[b'a'; 255]));
    }

    #[test]
    fn fold_joins_case_form_and_invisible_characters() {
        for (a, b) in
            [("Straße", "STRASSE"), ("é", "e\u{301}"), ("K", "\u{212a}"), ("a\u{200d}b", "AB"), ("É", "e\u{301}")]
        {
            assert_eq!(fold(a.as_bytes()), fold(b.as_bytes()), "{a} {b}");
        }
        assert_ne!(fold(b"a"), fold(b"b"));
        assert_ne!(fold(b"\xff"), fold(b"\xfe"));
    }
}
