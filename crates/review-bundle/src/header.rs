//! What stands before the hunks of a file: names, modes and ids, in the form of `git diff --full-index`.

use std::fmt::Write as _;

use crate::change::{Blob, Kind, as_in_index, hex};
use crate::diff::Section;
use crate::escape::escape;

/// How a path is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As `git apply` reads it.
    Exact,
    /// As a person reads it.
    Shown,
}

impl Form {
    /// `mode` in octal.
    fn mode(self, mode: u32) -> String {
        let mode = if self == Self::Exact { as_in_index(mode) } else { mode };
        format!("{mode:06o}")
    }

    /// `path` below `root`, which is `a` for the old tree and `b` for the new one.
    fn path(self, root: char, path: &[u8]) -> String {
        match self {
            Self::Shown => format!("{root}/{}", escape(path)),
            Self::Exact => quoted(root, path),
        }
    }
}

/// C-quoted where Git quotes and also where there is a space: then no header can be read in two ways.
///
/// Format: `quote.c` of Git. Every other byte is as it is, or three octal digits.
fn quoted(root: char, path: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if path.iter().all(|&byte| is_plain(byte)) {
        return [format!("{root}/"), path.iter().copied().map(char::from).collect()].concat();
    }
    let mut text = format!("\"{root}/");
    for &byte in path {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' ' => text.push(' '),
            _ if is_plain(byte) => text.push(char::from(byte)),
            _ => text.extend(['\\', octal(byte >> 6), octal(byte >> 3 & 7), octal(byte & 7)]),
        }
    }
    text.push('"');
    text
}

fn octal(digit: u8) -> char {
    char::from(b'0' + digit)
}

/// Returns the lines before the hunks of `section`, the file names among them only if there are `names`. Nothing if they
/// say nothing in this form.
pub(crate) fn header(path: &[u8], section: &Section, form: Form, names: bool) -> String {
    let modes = modes(section, form);
    if modes.is_empty() {
        return modes;
    }
    let (a, b) = (form.path('a', path), form.path('b', path));
    let mut text = format!("diff --git {a} {b}\n{modes}");
    if names {
        let nowhere = || "/dev/null".to_owned();
        let from = section.old.as_ref().map_or_else(nowhere, |_| a);
        let to = section.new.as_ref().map_or_else(nowhere, |_| b);
        _ = write!(text, "--- {from}\n+++ {to}\n");
    }
    text
}

fn modes(section: &Section, form: Form) -> String {
    match (&section.old, &section.new) {
        (None, None) => String::new(),
        (None, Some(new)) => {
            format!("new file mode {}\nindex {}..{}\n", form.mode(new.mode), zeros(&new.id), new.id)
        }
        (Some(old), None) => {
            format!("deleted file mode {}\nindex {}..{}\n", form.mode(old.mode), old.id, zeros(&old.id))
        }
        (Some(old), Some(new)) => match [old, new].map(|blob| form.mode(blob.mode)) {
            [old_mode, new_mode] if old_mode == new_mode => index(old, new, &format!(" {new_mode}")),
            [old_mode, new_mode] => format!("old mode {old_mode}\nnew mode {new_mode}\n{}", index(old, new, "")),
        },
    }
}

fn index(old: &Blob, new: &Blob, mode: &str) -> String {
    if old.same_content(new) { String::new() } else { format!("index {}..{}{mode}\n", old.id, new.id) }
}

fn zeros(id: &str) -> String {
    "0".repeat(id.len())
}

/// Returns what the hunks do not say: which content is only named, and how much of the rest is escaped.
pub(crate) fn remarks(section: &Section) -> String {
    let opaque = [("old", &section.old), ("new", &section.new)].into_iter().filter_map(|(side, blob)| {
        let Kind::Opaque(content) = blob.as_ref()?.kind else { return None };
        Some(format!("{side} content is not text: {} bytes, sha256 {}\n", content.bytes, hex(&content.sha256)))
    });
    let escapes = (section.escapes > 0)
        .then(|| format!("characters shown as \\u{{...}} or \\x{{...}}, in all hunks: {}\n", section.escapes));
    opaque.chain(escapes).collect()
}

/// Returns the line of the manifest: everything that tells one change from another.
pub(crate) fn manifest_line(path: &[u8], old: Option<&Blob>, new: Option<&Blob>) -> String {
    let [old_text, new_text] = [old, new].map(|blob| blob.map_or_else(|| "none".to_owned(), describe));
    format!("{} {old_text} -> {new_text} {}\n", status(old, new), escape(path))
}

fn describe(blob: &Blob) -> String {
    let Blob { mode, id, .. } = blob;
    match blob.content() {
        None => format!("{mode:06o} {id} submodule"),
        Some(content) => format!("{mode:06o} {id} {} bytes sha256 {}", content.bytes, hex(&content.sha256)),
    }
}

/// `A` added, `D` deleted, `T` another type, `M` modified: the letters of `git diff --name-status`.
pub(crate) fn status(old: Option<&Blob>, new: Option<&Blob>) -> char {
    match (old, new) {
        (None, _) => 'A',
        (_, None) => 'D',
        (Some(old), Some(new)) if crate::change::is_type_change(old.mode, new.mode) => 'T',
        _ => 'M',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r03_paths_are_quoted_so_that_they_are_read_in_one_way() {
        for (path, expected) in [
            (b"src/a.rs".as_slice(), "a/src/a.rs"),
            (b"a b/x", r#""a/a b/x""#),
            (b"q\"b\\s", r#""a/q\"b\\s""#),
            (b"nl\ntab\tdel\x7f", r#""a/nl\012tab\011del\177""#),
            (b"caf\xc3\xa9\xff", r#""a/caf\303\251\377""#),
        ] {
            assert_eq!(Form::Exact.path('a', path), expected);
        }
        assert_eq!(Form::Shown.path('b', b"nl\ncaf\xc3\xa9\xff"), "b/nl\\u{a}café\\x{ff}");
    }
}
