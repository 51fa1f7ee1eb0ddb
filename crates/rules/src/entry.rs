//! What a tree entry is: its mode, where a link leads, whether its content is in the tree at all.

use crate::change::Side;
use crate::control_plane::is_baseline;
use crate::finding::{Report, Rule};
use crate::name::is_dot_git;
use crate::text::is_text;

const FILE: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;
const DIRECTORY: u32 = 0o040_000;
/// The bits of a mode that say what an entry is.
const TYPE: u32 = 0o170_000;
/// setuid, setgid, sticky.
const SPECIAL: u32 = 0o7000;

/// A pointer is shorter than this; from the Git LFS specification.
const POINTER_LIMIT: usize = 1024;

/// What an entry is, whatever its permission bits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Link,
    Submodule,
    Other,
}

impl Kind {
    pub(crate) const fn of(mode: u32) -> Self {
        match mode & TYPE {
            0o100_000 => Self::File,
            LINK => Self::Link,
            SUBMODULE => Self::Submodule,
            _ => Self::Other,
        }
    }
}

/// Blocks a mode git never writes; one that was there before is noted.
pub(crate) fn scan_mode(report: &mut Report<'_>, old: Option<Side<'_>>, new: Side<'_>) {
    if matches!(new.mode, FILE | EXECUTABLE | LINK | SUBMODULE | DIRECTORY) {
        return;
    }
    let special = if new.mode & SPECIAL == 0 { "" } else { " with setuid, setgid or sticky bit" };
    let message = format!("mode {:06o}{special}, which git never writes", new.mode);
    if old.is_some_and(|o| o.mode == new.mode) {
        report.notice(Rule::OddMode, None, message);
    } else {
        report.blocker(Rule::OddMode, None, message);
    }
}

/// Blocks a submodule added, moved or removed.
pub(crate) fn scan_submodule(report: &mut Report<'_>, old: Option<Side<'_>>, new: Option<Side<'_>>) {
    let is_submodule = |side: Option<Side<'_>>| side.is_some_and(|s| Kind::of(s.mode) == Kind::Submodule);
    let message = match (is_submodule(old), is_submodule(new)) {
        (false, false) => return,
        (false, true) => "submodule added: its commit is not in this change",
        (true, true) => "submodule moved: its commits are not in this change",
        (true, false) => "submodule removed",
    };
    report.blocker(Rule::Submodule, None, message);
}

/// Blocks a link that leads out of the tree, into `.git`, or stands where git reads its own settings.
pub(crate) fn scan_link(report: &mut Report<'_>, path: &[u8], target: &[u8]) {
    if let Some(why) = escape(path, target) {
        report.blocker(Rule::EscapingSymlink, None, why);
    }
    let name = crate::name::fold(path.rsplit(|&b| b == b'/').next().unwrap_or_default());
    if matches!(&*name, b".gitmodules" | b".gitattributes" | b".gitignore" | b".mailmap") {
        report.blocker(Rule::EscapingSymlink, None, "git's own settings as a symbolic link");
    }
}

fn escape(path: &[u8], target: &[u8]) -> Option<&'static str> {
    let is_separator = |b: &u8| *b == b'/' || *b == b'\\';
    let drive = matches!(target, [letter, b':', ..] if letter.is_ascii_alphabetic());
    if target.is_empty() || target.contains(&0) {
        return Some("the symbolic link's target is no path");
    }
    if target.first().is_some_and(is_separator) || drive {
        return Some("the symbolic link's target is absolute");
    }
    let mut named = false;
    let mut depth = memchr::memchr_iter(b'/', path).count();
    for component in target.split(is_separator) {
        match component {
            b"" | b"." => {}
            b".." if named => return Some("the symbolic link goes back through a name, which may be another link"),
            b".." if depth == 0 => return Some("the symbolic link leads out of the tree"),
            b".." => depth -= 1,
            _ if is_dot_git(component) => return Some("the symbolic link leads into .git"),
            _ => named = true,
        }
    }
    None
}

/// Blocks a Git LFS pointer: what would be checked out is elsewhere.
pub(crate) fn scan_pointer(report: &mut Report<'_>, content: &[u8]) {
    const FORMS: [&[u8]; 2] = [b"version https://git-lfs", b"version https://hawser"];
    let start = content.trim_ascii_start();
    if content.len() < POINTER_LIMIT && FORMS.iter().any(|form| start.starts_with(form)) {
        report.blocker(Rule::LfsPointer, None, "Git LFS pointer: the content it names is not in this change");
    }
}

/// Blocks content that is not text, so that nobody can read it, unless its name and its first bytes are those of data:
/// a program is found by what it holds, and a shell, a compiler or an agent takes a file of any other name.
pub(crate) fn scan_opaque(report: &mut Report<'_>, path: &[u8], side: Side<'_>, content: &[u8]) {
    if is_text(content) {
        return;
    }
    let why = if side.mode & 0o111 != 0 {
        "executable"
    } else if content.starts_with(b"#!") {
        "script"
    } else if PROGRAMS.iter().any(|magic| content.starts_with(magic)) {
        "program"
    } else if is_data(path) {
        return;
    } else {
        "file of no known kind of data,"
    };
    report.blocker(Rule::OpaqueExecutable, None, format!("{why} whose content is not text"));
}

/// First bytes of programs and libraries: ELF, Windows, Mach-O (its universal form is also that of Java's classes),
/// WebAssembly, Android, Lua, LLVM, static libraries.
const PROGRAMS: &[&[u8]] = &[
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
    b"dex\n",
    b"\x1bLua",
    b"BC\xc0\xde",
    b"!<arch>",
];

/// Extensions of what is shown, played, unpacked or loaded as plain data, sorted.
const DATA: &[&str] = &[
    "7z", "aac", "avi", "avif", "bin", "bmp", "br", "bz2", "cur", "dat", "db", "docx", "eot", "flac", "gif", "gz",
    "heic", "icns", "ico", "jp2", "jpeg", "jpg", "jxl", "m4a", "mid", "mkv", "mo", "mov", "mp3", "mp4", "mpeg", "mpg",
    "npy", "npz", "odp", "ods", "odt", "ogg", "onnx", "opus", "otf", "parquet", "pcap", "pdf", "png", "pptx", "psd",
    "sqlite", "sqlite3", "tar", "tgz", "tif", "tiff", "ttc", "ttf", "wav", "webm", "webp", "woff", "woff2", "xlsx",
    "xz", "zip", "zst",
];

fn is_data(path: &[u8]) -> bool {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default().to_ascii_lowercase();
    let extension = memchr::memrchr(b'.', &name).filter(|&dot| dot > 0).map(|dot| &name[dot + 1..]);
    extension.is_some_and(|extension| DATA.binary_search_by(|known| known.as_bytes().cmp(extension)).is_ok())
}

/// Blocks a change of the baseline: only a finished review advances it, in a commit of its own.
pub(crate) fn scan_baseline(report: &mut Report<'_>, path: &[u8]) {
    if is_baseline(path) {
        report.blocker(Rule::BaselineEdited, None, "the reviewed baseline is changed by the change under review");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_sorted() {
        assert!(DATA.is_sorted());
    }

    #[test]
    fn r14_links_out_of_the_tree_are_known() {
        for (path, target) in [
            ("a", "../b"),
            ("d/a", "../../b"),
            ("a", "/etc/passwd"),
            ("d/a", "x/../../../b"),
            ("a", "C:\\x"),
            ("a", ""),
            ("a", "..\\b"),
            ("a", ".git/config"),
            ("d/a", "../.GIT/hooks"),
            ("k/e", "d/.."),
        ] {
            assert!(escape(path.as_bytes(), target.as_bytes()).is_some(), "{path} -> {target}");
        }
        for (path, target) in [("a", "b"), ("d/a", "../b"), ("d/e/a", "../../x/y"), ("a", "./b/c"), ("a", "..b")] {
            assert!(escape(path.as_bytes(), target.as_bytes()).is_none(), "{path} -> {target}");
        }
    }
}
