//! What is in the work tree and not in `HEAD`, by `git status`, read strictly.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use host::Cmd;
use verdict::Oid;

use crate::commit::Commit;
use crate::difference::difference;
use crate::error::RepoError;
use crate::git::Git;
use gix::bstr::ByteSlice as _;

/// What keeps a work tree from being clean. Raw paths, in Git's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Tracked files with changes that are not committed, staged or not, unmerged ones among them.
    pub changed: Vec<Vec<u8>>,
    /// Files and directories Git does not know and does not ignore.
    pub untracked: Vec<Vec<u8>>,
    /// Tracked files whose changes Git was told not to look for: assume-unchanged, skip-worktree and yet there, or an
    /// index that has the size and times of the changed file.
    pub hidden: Vec<Vec<u8>>,
}

impl Dirty {
    /// Nothing is changed, nothing is untracked and nothing is hidden.
    pub fn is_clean(&self) -> bool {
        self.changed.is_empty() && self.untracked.is_empty() && self.hidden.is_empty()
    }
}

impl Git<'_> {
    /// What is not committed. The index is not written, and no filter, hook or monitor runs.
    ///
    /// # Errors
    /// [`RepoError::Bare`]; those of git; [`RepoError::Answer`].
    pub fn status(&self, repo: &crate::Repo) -> Result<Dirty, RepoError> {
        let work_dir = repo.work_dir().ok_or(RepoError::Bare)?;
        let mut dirty = self.compared("--untracked-files=normal", |cmd| cmd)?;
        dirty.hidden = self.hidden(work_dir)?;
        if let (true, Some(head)) = (dirty.is_clean(), repo.head()?.id()) {
            dirty.hidden = self.disguised(head, work_dir)?;
        }
        Ok(dirty)
    }

    fn compared(&self, untracked: &str, with: impl FnOnce(Cmd) -> Cmd) -> Result<Dirty, RepoError> {
        let cmd = self.without_filters(self.local(&[
            "-c",
            "core.untrackedCache=false",
            "-c",
            "core.checkStat=default",
            "-c",
            "core.trustctime=true",
            "-c",
            "core.fileMode=true",
            "status",
            "--porcelain=v2",
            "-z",
            untracked,
            "--ignore-submodules=none",
            "--no-renames",
        ]))?;
        let output = self.run(&with(cmd), false)?;
        parse_status(&output.stdout).map_err(|why| RepoError::Answer { call: "git status".to_owned(), why })
    }

    /// The files that differ from `head` and that Git takes for unchanged. It looks into a file only when the index has
    /// another size or time for it, and whoever writes the index can see to that. So every file is looked into once,
    /// with an index that knows of none.
    fn disguised(&self, head: &Oid, work_dir: &Path) -> Result<Vec<Vec<u8>>, RepoError> {
        let tree = Commit::read(self.objects, head)?.tree();
        let mut entries = Vec::new();
        for file in difference(self.objects, &self.objects.empty_tree(), &tree)? {
            let Some(side) = file.new else { continue };
            entries.extend_from_slice(format!("{:o} {}\t", side.mode, side.id).as_bytes());
            entries.extend_from_slice(&file.path);
            entries.push(0);
        }
        let own = tempfile::tempdir().map_err(RepoError::io(std::env::temp_dir()))?;
        let index = own.path().join("index");
        let fill = self.local(&["-c", "core.splitIndex=false", "update-index", "-z", "--index-info"]);
        self.run(&fill.env("GIT_INDEX_FILE", &index).stdin(entries), false)?;
        let mut changed = self.compared("--untracked-files=no", |cmd| cmd.env("GIT_INDEX_FILE", &index))?.changed;
        let filtered = self.filtered(head, &changed)?;
        // A sparse checkout leaves files out; that others are gone was seen before.
        changed.retain(|path| is_there(work_dir, path) && !filtered.contains(path));
        Ok(changed)
    }

    /// Those of `paths` that are stored in another form than they are worked on: only their filter could tell whether
    /// they are changed, and it is not run. What names them is in `head`, where it is reviewed.
    fn filtered(&self, head: &Oid, paths: &[Vec<u8>]) -> Result<HashSet<Vec<u8>>, RepoError> {
        if paths.is_empty() || self.attributes_of_its_own() {
            return Ok(HashSet::new());
        }
        let source = format!("--source={head}");
        let ask =
            self.local(&["-c", "core.attributesFile=/dev/null", "check-attr", "-z", "--stdin", &source, "filter"]);
        let output = self.run(&ask.stdin(paths.join(&0)), false)?;
        let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        let (answers, _) = fields.as_chunks::<3>();
        let is_set = |value: &[u8]| value != b"unspecified" && value != b"unset";
        Ok(answers.iter().filter(|[_, _, value]| is_set(value)).map(|[path, ..]| path.to_vec()).collect())
    }

    /// The tracked files that `git status` does not look at; tags: git-ls-files(1), `-v`.
    fn hidden(&self, work_dir: &Path) -> Result<Vec<Vec<u8>>, RepoError> {
        let output = self.run(&self.local(&["ls-files", "-v", "-z"]), false)?;
        let entries = output.stdout.split(|byte| *byte == 0).filter_map(|entry| entry.split_at_checked(2));
        let hidden =
            |(tag, path): &(&[u8], &[u8])| tag[0].is_ascii_lowercase() || (tag[0] == b'S' && is_there(work_dir, path));
        Ok(entries.filter(hidden).map(|(_, path)| path.to_vec()).collect())
    }
}

fn is_there(work_dir: &Path, path: &[u8]) -> bool {
    work_dir.join(OsStr::from_bytes(path)).symlink_metadata().is_ok()
}

/// Reads `git status --porcelain=v2 -z --no-renames`; format: git-status(1).
///
/// # Errors
/// What is not of the format, for a person.
pub fn parse_status(output: &[u8]) -> Result<Dirty, String> {
    let mut dirty = Dirty::default();
    if output.is_empty() {
        return Ok(dirty);
    }
    let lines = output.strip_suffix(b"\0").ok_or("the last line has no end")?;
    for line in lines.split(|byte| *byte == 0) {
        let odd = || format!("the line `{}`", review_bundle::escape(line));
        match line.split_at_checked(2).ok_or_else(odd)? {
            (b"1 ", rest) => dirty.changed.push(after(rest, 7).ok_or_else(odd)?),
            (b"u ", rest) => dirty.changed.push(after(rest, 9).ok_or_else(odd)?),
            (b"? ", path) if !path.is_empty() => dirty.untracked.push(path.to_vec()),
            _ => return Err(odd()),
        }
    }
    Ok(dirty)
}

/// The path behind `fields` fields.
fn after(line: &[u8], fields: usize) -> Option<Vec<u8>> {
    let mut rest = line;
    for _ in 0..fields {
        let (field, behind) = rest.split_once_str(b" ")?;
        if field.is_empty() {
            return None;
        }
        rest = behind;
    }
    (!rest.is_empty()).then(|| rest.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = "1111111111111111111111111111111111111111 2222222222222222222222222222222222222222";

    #[test]
    fn s06_changed_unmerged_and_untracked_are_told_apart_with_any_name() {
        let text = [
            &format!("1 .M N... 100644 100644 100644 {IDS} a b\nc"),
            &format!("u UU N... 100644 100644 100644 100644 {IDS} 3333333333333333333333333333333333333333 d"),
            "? e f/",
            "",
        ]
        .join("\0");
        insta::assert_debug_snapshot!(parse_status(text.as_bytes()).map(|dirty| [dirty.changed, dirty.untracked]
            .map(|paths| paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>())), @r#"
        Ok(
            [
                [
                    "a b\nc",
                    "d",
                ],
                [
                    "e f/",
                ],
            ],
        )
        "#);
        assert!(parse_status(b"").unwrap().is_clean());
    }

    #[test]
    fn what_git_never_prints_is_no_clean_tree() {
        for bad in
            ["x", "? a", "? \0", "\0", "1 .M N...\0", "2 R. a\0b\0", "! a\0", "# branch\0", "1 .M  a b c d e f g\0"]
        {
            assert!(parse_status(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_status_or_an_error(data: Vec<u8>) {
            let _ = parse_status(&data);
        }
    }
}
