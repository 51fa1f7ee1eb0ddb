//! The files of a mirror that git obeys: ours, written before every use.
//!
//! **Invariant:** after [`Template::check`] said so or [`Template::restore`] ran, the mirror has nothing but this crate's
//! settings, objects, refs, proofs of ancestry and the URL it is of.

use std::fs::{DirBuilder, Permissions, symlink_metadata};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use host::Host;

use crate::error::WorktreeError;

/// A mirror has no branch of its own; git wants to read of one.
const HEAD: &str = "ref: refs/heads/main\n";
/// How many bytes the file of a ref has, by either hash function: an id and a line feed.
const REF: [u64; 2] = [41, 65];
/// All that a mirror has; `proofs` and `url` are ours.
const NAMES: [&str; 7] = ["HEAD", "config", "objects", "packed-refs", "proofs", "refs", "url"];

/// The mode of the directory of objects.
const OBJECTS: u32 = 0o755;

/// The hash function of a repository's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Sha1,
    Sha256,
}

/// What a mirror has to be.
pub(crate) struct Template<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) url: &'a str,
    pub(crate) format: Format,
    pub(crate) uid: u32,
}

impl Template<'_> {
    /// A push has every URL turned into one that no protocol is allowed for. Objects are for every user: a job may be
    /// another one, and finds nothing but them.
    fn config(&self) -> String {
        let (version, format) = match self.format {
            Format::Sha1 => (0, ""),
            Format::Sha256 => (1, "[extensions]\n\tobjectFormat = sha256\n"),
        };
        format!(
            "[core]\n\trepositoryformatversion = {version}\n\tbare = true\n\tfilemode = true\n\thooksPath = /dev/null\n\
             \tfsmonitor = false\n\tsharedRepository = 0644\n\tlogAllRefUpdates = false\n\tcommitGraph = false\n\tmultiPackIndex = false\n\
             {format}[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[protocol]\n\tallow = never\n\
             [receive]\n\tdenyCurrentBranch = refuse\n[url \"DISABLED:\"]\n\tpushInsteadOf = \"\"\n"
        )
    }

    fn ours(&self) -> [(&'static str, String); 2] {
        [("HEAD", HEAD.to_owned()), ("config", self.config())]
    }

    /// Whether the mirror is as it has to be, so that nothing needs to be written.
    pub(crate) fn check(&self) -> Result<bool, WorktreeError> {
        self.belongs()?;
        if read(&self.dir.join("url")).as_deref() != Some(self.url) {
            return Ok(false);
        }
        let is_ours = |(name, bytes): &(&str, String)| read(&self.dir.join(name)).as_ref() == Some(bytes);
        let is_dir = |name: &&str| symlink_metadata(self.dir.join(name)).is_ok_and(|found| found.is_dir());
        let is_open = symlink_metadata(self.dir.join("objects")).is_ok_and(|found| found.mode() & 0o777 == OBJECTS);
        let is_gone = symlink_metadata(self.dir.join("objects/info")).is_err();
        let named =
            is_gone && is_open && self.ours().iter().all(is_ours) && ["objects", "proofs", "refs"].iter().all(is_dir);
        Ok(named && self.others()?.is_empty())
    }

    /// Makes it so. Nobody else may use the mirror meanwhile.
    pub(crate) fn restore(&self, host: &dyn Host) -> Result<(), WorktreeError> {
        self.belongs()?;
        make_dir(self.dir)?;
        let foreign = |why: &str| WorktreeError::ForeignMirror { path: self.dir.to_owned(), why: why.to_owned() };
        let url = self.dir.join("url");
        match read(&url) {
            Some(found) if found == self.url => {}
            Some(found) => {
                return Err(foreign(&format!("is the mirror of {}", review_bundle::escape(found.as_bytes()))));
            }
            None if names(self.dir)?.iter().all(|path| is_begun(path)) => {
                host.write_atomic(&url, self.url.as_bytes(), 0o600)?;
            }
            None => return Err(foreign("is a directory that this program did not make")),
        }
        self.others()?.iter().try_for_each(|path| remove(path))?;
        remove(&self.dir.join("objects/info"))?;
        for (name, mode) in [("objects", OBJECTS), ("proofs", 0o700), ("refs", 0o700)] {
            make_real_dir(&self.dir.join(name), mode)?;
        }
        for (name, bytes) in self.ours() {
            let path = self.dir.join(name);
            if read(&path).as_ref() != Some(&bytes) {
                remove(&path)?;
                host.write_atomic(&path, bytes.as_bytes(), 0o600)?;
            }
        }
        Ok(())
    }

    /// A mirror is a directory of this user's, or not there.
    fn belongs(&self) -> Result<(), WorktreeError> {
        match symlink_metadata(self.dir) {
            Ok(found) if found.is_dir() && found.uid() == self.uid => Ok(()),
            Ok(_) => {
                let why = "is no directory of this user".to_owned();
                Err(WorktreeError::ForeignMirror { path: self.dir.to_owned(), why })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(WorktreeError::Io { path: self.dir.to_owned(), source }),
        }
    }

    fn others(&self) -> Result<Vec<PathBuf>, WorktreeError> {
        let is_other = |path: &PathBuf| path.file_name().is_none_or(|name| !NAMES.iter().any(|known| name == *known));
        Ok(names(self.dir)?.into_iter().filter(is_other).collect())
    }
}

/// Removes what keeps git from fetching: the locks that a killed git left, and files without an id, as a power failure
/// leaves them. Nobody else may fetch meanwhile.
pub(crate) fn mend_refs(refs: &Path) -> Result<(), WorktreeError> {
    mend_below(refs, &refs.join("pins"))
}

fn mend_below(dir: &Path, pins: &Path) -> Result<(), WorktreeError> {
    for path in names(dir)? {
        let found = match symlink_metadata(&path) {
            // Other runs make pins meanwhile, each under the name of a lock first.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            found => found.map_err(WorktreeError::io(&path))?,
        };
        let is_lock = path.extension().is_some_and(|it| it == "lock");
        let is_in_the_way = if is_lock { dir != pins } else { !REF.contains(&found.len()) };
        if found.is_dir() {
            mend_below(&path, pins)?;
        } else if is_in_the_way {
            remove(&path)?;
        }
    }
    Ok(())
}

/// What a run leaves that was killed before the mirror had its URL.
fn is_begun(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"url.new-"))
}

fn read(path: &Path) -> Option<String> {
    let is_file = symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() < 1 << 16);
    if is_file { std::fs::read_to_string(path).ok() } else { None }
}

fn names(dir: &Path) -> Result<Vec<PathBuf>, WorktreeError> {
    let entries = std::fs::read_dir(dir).map_err(WorktreeError::io(dir))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(WorktreeError::io(dir))).collect()
}

/// Removes whatever has this name, without following it.
pub(crate) fn remove(path: &Path) -> Result<(), WorktreeError> {
    let done = match symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(WorktreeError::io(path)(error)),
        _ => Ok(()),
    }
}

fn make_real_dir(path: &Path, mode: u32) -> Result<(), WorktreeError> {
    if !symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        remove(path)?;
    }
    make_dir(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(WorktreeError::io(path))
}

/// Makes a directory for this user alone, and those it is in.
pub(crate) fn make_dir(path: &Path) -> Result<(), WorktreeError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(WorktreeError::io(path))
}
