//! The verdicts kept beside the objects: `<common git directory>/ai-ops-runner/verdicts/<since>..<to>/<stamp>.json`.
//!
//! **Invariant:** a verdict is looked up by its range; which one is newer decides nothing.
//! **Invariant:** no symbolic link is followed, and what cannot be read is an error, never "no verdict".

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use host::Host;
use rustix::fs::{Dir, Mode, OFlags, openat};
use rustix::io::Errno;
use verdict::schema::{Invalid, MAX_BYTES};
use verdict::{Oid, Verdict};

use crate::error::RepoError;
use crate::open::Repo;
use crate::plain::read_file;

/// The directories below the git directory.
const BELOW: [&str; 2] = ["ai-ops-runner", "verdicts"];
/// More verdicts about one range than anybody asks for.
const MAX_FILES: usize = 256;

/// A directory and the sorted names of the verdicts in it.
type Names = (OwnedFd, Vec<Vec<u8>>);

/// The verdicts of a repository, shared by its worktrees.
#[derive(Debug, Clone)]
pub struct VerdictStore {
    common_dir: PathBuf,
}

impl VerdictStore {
    /// The store of `repo`. Nothing is made until a verdict is kept.
    pub fn of(repo: &Repo) -> Self {
        Self { common_dir: repo.common_dir() }
    }

    /// Where verdicts about a range are; `since` is zeros on a first push.
    pub fn dir(&self, since: &Oid, to: &Oid) -> PathBuf {
        BELOW.iter().fold(self.common_dir.clone(), |path, name| path.join(name)).join(format!("{since}..{to}"))
    }

    /// Keeps a verdict about its range, under `stamp` or, when that is taken, `stamp-2` and so on. Returns the file.
    ///
    /// # Errors
    /// [`RepoError::Hostile`] for a verdict that does not hold by itself, a stamp that is no name, or a link on the way;
    /// [`RepoError::TooMany`]; those of the host.
    pub fn keep(&self, host: &dyn Host, verdict: &Verdict, stamp: &str) -> Result<PathBuf, RepoError> {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if stamp.is_empty() || !is_name(stamp) {
            return Err(RepoError::hostile(stamp.as_bytes(), "is no name for a verdict"));
        }
        let (since, to) = (&verdict.meta.since_sha, &verdict.meta.to_sha);
        let taken = self.names(since, to)?.map(|(_, names)| names).unwrap_or_default();
        let candidates =
            (1..=MAX_FILES).map(|n| if n == 1 { format!("{stamp}.json") } else { format!("{stamp}-{n}.json") });
        let name = { candidates }.find(|name| !taken.iter().any(|known| known == name.as_bytes()));
        let name = name.ok_or(RepoError::TooMany { what: "verdicts about one range", limit: MAX_FILES })?;
        let path = self.dir(since, to).join(name);
        let text = verdict.to_json().map_err(|why| RepoError::hostile(path.as_os_str().as_bytes(), why.to_string()))?;
        host.write_atomic(&path, text.as_bytes(), 0o600)?;
        Ok(path)
    }

    /// Every verdict about a range, each read or with the reason why it is none, in the order of their names.
    ///
    /// # Errors
    /// [`RepoError::Hostile`] for a link or anything else that is no file; [`RepoError::TooMany`]; [`RepoError::Io`].
    pub fn list(&self, since: &Oid, to: &Oid) -> Result<Vec<Result<Verdict, Invalid>>, RepoError> {
        let Some((dir, names)) = self.names(since, to)? else { return Ok(Vec::new()) };
        let path = self.dir(since, to);
        let read = |name: &Vec<u8>| {
            let shown = path.join(std::ffi::OsStr::from_bytes(name));
            let (_, bytes) = read_file(&dir, name, MAX_BYTES, shown.as_os_str().as_bytes())?;
            Ok(Verdict::parse(&bytes))
        };
        names.iter().map(read).collect()
    }

    /// The directory of a range and the sorted names of the verdicts in it; `None` when nothing was kept.
    fn names(&self, since: &Oid, to: &Oid) -> Result<Option<Names>, RepoError> {
        let range = format!("{since}..{to}");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut path = self.common_dir.clone();
        let mut dir = rustix::fs::open(&path, flags, Mode::empty()).map_err(RepoError::errno(&path))?;
        for name in BELOW.into_iter().chain([&*range]) {
            path.push(name);
            dir = match openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(dir) => dir,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(not_a_directory(&path, errno)),
            };
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir).map_err(RepoError::errno(&path))? {
            let name = entry.map_err(RepoError::errno(&path))?.file_name().to_bytes().to_vec();
            // What begins with a dot is a file that was being written when the power failed.
            if !name.starts_with(b".") && name.ends_with(b".json") {
                names.push(name);
            }
        }
        if names.len() > MAX_FILES {
            return Err(RepoError::TooMany { what: "verdicts about one range", limit: MAX_FILES });
        }
        names.sort_unstable();
        Ok(Some((dir, names)))
    }
}

fn not_a_directory(path: &Path, errno: Errno) -> RepoError {
    match errno {
        Errno::NOTDIR | Errno::LOOP => RepoError::hostile(path.as_os_str().as_bytes(), "is no directory"),
        errno => RepoError::errno(path)(errno),
    }
}
