//! The hooks' text.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The hooks of this repository are the source of what is installed.
pub(crate) const PRE_PUSH: &[u8] = include_bytes!("../../../.githooks/pre-push");
pub(crate) const POST_COMMIT: &[u8] = include_bytes!("../../../.githooks/post-commit");

/// How the hook `name` begins in every version.
pub(crate) fn beginning(name: &str) -> String {
    format!("#!/bin/sh\n# The source of the {name} hook.")
}

/// The hooks that git runs in a clone (githooks(5)). Those of a server and `push-to-checkout`, `fsmonitor-watchman`
/// and `reference-transaction` change what git does by being there: they are handed on to only where they are.
pub(crate) const CLIENT_HOOKS: [&str; 13] = [
    "applypatch-msg",
    "commit-msg",
    "post-applypatch",
    "post-checkout",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-rebase",
    "prepare-commit-msg",
    "sendemail-validate",
];

/// The pre-push hook that calls `gate`.
pub(crate) fn pre_push(gate: &Path) -> Vec<u8> {
    filled(PRE_PUSH, b"'@PUSH_GATE@'", gate)
}

/// The post-commit hook that starts `ship`.
pub(crate) fn post_commit(ship: &Path) -> Vec<u8> {
    filled(POST_COMMIT, b"'@SHIP@'", ship)
}

/// A hook that does what the hook `name` of the directory `dir` does, if there is one. A relative `dir` stays
/// relative: git runs hooks where it resolves `core.hooksPath`.
pub(crate) fn forward(dir: &Path, name: &OsStr) -> Vec<u8> {
    let hook = quoted(&dir.join(name));
    [b"#!/bin/sh\n# Hands on to the hooks that were configured before those of ai-ops-runner.\nhook=" as &[u8], &hook]
        .concat()
        .into_iter()
        .chain(*b"\n[ -x \"$hook\" ] || exit 0\nexec \"$hook\" \"$@\"\n")
        .collect()
}

fn filled(template: &[u8], hole: &[u8], path: &Path) -> Vec<u8> {
    let at = template.windows(hole.len()).position(|window| window == hole).expect("the template has its hole");
    [&template[..at], &quoted(path), &template[at + hole.len()..]].concat()
}

/// `path` as one word of a POSIX shell. In single quotes only the single quote itself means something.
fn quoted(path: &Path) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    word
}
