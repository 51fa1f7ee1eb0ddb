//! A directory that takes what a job left.
//!
//! **Invariant:** nothing outside of it is written, whatever a file is called and whatever is put there meanwhile: each
//! part of a path is opened in the directory of the part before it, and no link is followed.
//! **Invariant:** nothing in it is replaced, and no file has its name before it is whole.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use host::{Host as _, HostError, Local};
use outcome::Failure;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

/// The most parts of a path, as the service has them.
const MAX_DEPTH: usize = 64;
/// The longest part of a path, in bytes, as file systems have it.
const MAX_PART: usize = 255;
/// For this user alone: a log may hold what was not thought of.
const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory of this machine.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    top: OwnedFd,
}

impl Folder {
    /// Opens the directory at `path`, which is made where it is not there; its parent has to be.
    ///
    /// # Errors
    /// Not ready, class `io`, when it cannot be opened or made.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match mkdirat(CWD, path, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(HostError::io(path)(errno.into()).into()),
        }
        let top = openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty());
        let top = top.map_err(|errno| HostError::io(path)(errno.into()))?;
        Ok(Self { path: path.to_owned(), top })
    }

    /// That a file of this name may be kept here.
    ///
    /// # Errors
    /// Refused: class `hostile-name` for a path that is not below, or that a terminal would obey; `already-there` when
    /// something has this name.
    pub fn admits(&self, name: &str) -> Result<(), Failure> {
        let parts = parts(name)?;
        let mut dir = None::<OwnedFd>;
        for (at, part) in parts.iter().enumerate() {
            let above = dir.as_ref().map_or(self.top.as_fd(), AsFd::as_fd);
            match statat(above, *part, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(self.io(name, errno)),
                Ok(_) if at + 1 == parts.len() => return Err(self.there(name)),
                Ok(_) => dir = Some(openat(above, *part, DIRECTORY, Mode::empty()).map_err(|e| self.io(name, e))?),
            }
        }
        Ok(())
    }

    /// Keeps what `write` writes as the file `name`, and returns what that returns.
    ///
    /// # Errors
    /// As [`Folder::admits`]; those of `write`; not ready, class `io`, for what the disk refuses.
    pub fn keep<T>(&self, name: &str, write: impl FnOnce(&mut File) -> Result<T, Failure>) -> Result<T, Failure> {
        let parts = parts(name)?;
        let (last, dirs) = parts.split_last().expect("a path has at least one part");
        let dir = self.dir(name, dirs)?;
        let unfinished = format!(".{}.part", Local::new().random_hex(8));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&dir, unfinished.as_str(), flags, FILE_MODE).map_err(|errno| self.io(name, errno))?;
        let mut file = File::from(file);
        let kept = write(&mut file).and_then(|written| {
            file.sync_all().map_err(|error| self.error(name, error))?;
            match renameat_with(&dir, unfinished.as_str(), &dir, *last, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(written),
                Err(Errno::EXIST) => Err(self.there(name)),
                Err(errno) => Err(self.io(name, errno)),
            }
        });
        if kept.is_err() {
            // It has no name that anybody looks for; that it stays is no second failure.
            let _ = unlinkat(&dir, unfinished.as_str(), AtFlags::empty());
        }
        kept
    }

    /// The directory of these parts, made where it is not there.
    fn dir(&self, name: &str, parts: &[&str]) -> Result<OwnedFd, Failure> {
        let error = |errno| self.io(name, errno);
        let mut dir = self.top.try_clone().map_err(|error| self.error(name, error))?;
        for part in parts {
            match mkdirat(&dir, *part, DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(error(errno)),
            }
            dir = openat(&dir, *part, DIRECTORY, Mode::empty()).map_err(error)?;
        }
        Ok(dir)
    }

    fn there(&self, name: &str) -> Failure {
        let reason = format!("{} is there already", self.path.join(name).display());
        Failure::refused("already-there", reason, "move it away, or name another directory")
    }

    fn io(&self, name: &str, errno: Errno) -> Failure {
        self.error(name, errno.into())
    }

    fn error(&self, name: &str, error: io::Error) -> Failure {
        HostError::io(self.path.join(name))(error).into()
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The parts of a path that stays below and does nothing to whoever lists it.
fn parts(name: &str) -> Result<Vec<&str>, Failure> {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |part: &&str| !matches!(*part, "" | "." | "..") && part.len() <= MAX_PART;
    let shown = outcome::printable(name);
    if parts.len() <= MAX_DEPTH && parts.iter().all(plain) && shown == name && !name.contains(['\n', '\t']) {
        return Ok(parts);
    }
    let reason = format!("no file is kept by the name `{}`", shown.chars().take(MAX_PART).collect::<String>());
    Err(Failure::refused("hostile-name", reason, "leave it where it is: name the files that you want"))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests look at real files")]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn put(folder: &Folder, name: &str, text: &str) -> Result<(), String> {
        folder
            .keep(name, |file| file.write_all(text.as_bytes()).map_err(|error| panic!("{error}")))
            .map_err(|failure| failure.class.into_owned())
    }

    #[test]
    fn what_is_kept_is_below_and_for_this_user_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = Folder::open(&dir.path().join("new")).unwrap();
        put(&folder, "a/b/c.txt", "text").unwrap();
        let file = dir.path().join("new/a/b/c.txt");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(dir.path().join("new/a").metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(dir.path().join("new/a/b")).unwrap().count(), 1);
    }

    #[test]
    fn no_name_leads_out_or_drives_a_terminal() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = Folder::open(&dir.path().join("new")).unwrap();
        let (long, deep) = ("a".repeat(256), ["a"; 65].join("/"));
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            ".",
            "./a",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "a\u{202e}b",
            &long,
            &deep,
        ] {
            assert_eq!(put(&folder, name, "x"), Err("hostile-name".into()), "{name:?}");
            assert_eq!(folder.admits(name).unwrap_err().class, "hostile-name");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(dir.path().join("new")).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_replaced_and_no_link_is_followed() {
        let dir = tempfile::TempDir::new().unwrap();
        let (new, outside) = (dir.path().join("new"), dir.path().join("outside"));
        let folder = Folder::open(&new).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, new.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), new.join("dangling")).unwrap();
        std::fs::write(new.join("mine"), "mine").unwrap();
        assert_eq!(put(&folder, "link/file", "x"), Err("io".into()));
        assert!(folder.admits("link/file").is_err());
        for name in ["mine", "dangling", "link"] {
            assert_eq!(put(&folder, name, "x"), Err("already-there".into()), "{name}");
            assert_eq!(folder.admits(name).unwrap_err().class, "already-there");
        }
        assert_eq!(std::fs::read_to_string(new.join("mine")).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(&new).unwrap().count(), 3, "no unfinished file is left");
    }

    #[test]
    fn what_broke_off_leaves_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let broken = folder.keep("a", |file| {
            file.write_all(b"half").unwrap();
            Err::<(), _>(Failure::infrastructure("api-broken", "gone", "again"))
        });
        assert_eq!(broken.unwrap_err().class, "api-broken");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
