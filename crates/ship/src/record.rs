//! What a review leaves for people: `review_packets/<YYYYMMDD_HHMMSS>[-n]/`.
//!
//! The gate does not read it; it looks verdicts up by range in the store under the git directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use host::{Host, Kind};
use jiff::Timestamp;
use outcome::Failure;
use serde::Serialize;

/// The folder in the root of the work tree. It ignores itself, so that it is never committed nor seen as untracked.
pub(crate) const DIR: &str = "review_packets";

/// One review's own directory.
#[derive(Debug)]
pub(crate) struct Record {
    dir: PathBuf,
}

/// `META.json`: what a script wants to know first.
#[derive(Debug, Serialize)]
pub(crate) struct Meta<'a> {
    /// Where the range begins, zeros where everything is new.
    pub(crate) since_sha: &'a str,
    /// The commit that was reviewed.
    pub(crate) head_sha: &'a str,
    /// RFC 3339.
    pub(crate) timestamp: &'a str,
    /// `bundle` or `packet`.
    pub(crate) mode: &'a str,
    /// `APPROVED` or `BLOCKED`.
    pub(crate) verdict: &'a str,
    /// What the review cost.
    pub(crate) tokens: Tokens,
}

/// Tokens of a review.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Tokens {
    /// Counted here before asking, with the `o200k` encoding.
    pub(crate) estimated_input: u64,
    /// Reported by the reviewer, for rejected answers too.
    pub(crate) input: u64,
    /// Likewise.
    pub(crate) output: u64,
    /// What the whole run has spent of its budget by the end of this review, heals included.
    pub(crate) spent: u64,
    /// Packets whose answer was known from before.
    pub(crate) cached_packets: u64,
}

impl Record {
    /// Makes a directory that no other run has, named by the time `now` in UTC.
    ///
    /// # Errors
    /// Refused, if something else than a directory has the folder's name; not ready, if it cannot be made.
    pub(crate) fn create(host: &dyn Host, root: &Path, now: Timestamp) -> Result<Self, Failure> {
        let base = root.join(DIR);
        // A branch can hold a symbolic link of that name, and it leads wherever the branch says.
        if host.stat(&base)?.is_some_and(|stat| stat.kind != Kind::Dir) {
            return Err(repo::RepoError::Hostile { path: DIR.to_owned(), why: "is no directory".to_owned() }.into());
        }
        host.write_atomic(&base.join(".gitignore"), b"*\n", 0o644)?;
        let stamp = now.strftime("%Y%m%d_%H%M%S").to_string();
        let names = std::iter::once(stamp.clone()).chain((2..).map(|n| format!("{stamp}-{n}")));
        for dir in names.map(|name| base.join(name)) {
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Self { dir }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(host::HostError::Io { path: dir, source }.into()),
            }
        }
        unreachable!("the names never end")
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of the directory.
    #[must_use]
    pub(crate) fn stamp(&self) -> &str {
        self.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Writes one file of the record.
    ///
    /// # Errors
    /// The host's, such as a full disk.
    pub(crate) fn write(&self, host: &dyn Host, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        Ok(host.write_atomic(&self.dir.join(name), bytes, 0o644)?)
    }

    /// Writes one file as indented JSON.
    ///
    /// # Errors
    /// The host's, such as a full disk.
    pub(crate) fn write_json(&self, host: &dyn Host, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let mut bytes = serde_json::to_vec_pretty(value).expect("records have string keys only");
        bytes.push(b'\n');
        self.write(host, name, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Local;

    #[test]
    fn r12_two_reviews_in_one_second_have_a_directory_each_that_git_ignores() {
        let root = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-02-13T10:20:30Z".parse().unwrap();
        let name = || Record::create(&Local::new(), root.path(), now).unwrap().dir().file_name().unwrap().to_owned();
        assert_eq!([name(), name(), name()], ["20260213_102030", "20260213_102030-2", "20260213_102030-3"]);
        assert_eq!(fs::read_to_string(root.path().join("review_packets/.gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn r21_a_link_in_the_place_of_the_folder_is_not_followed() {
        let [root, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join(DIR)).unwrap();
        let refused = Record::create(&Local::new(), root.path(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((&*refused.class, &*refused.reason), ("hostile-files", "review_packets: is no directory"));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
