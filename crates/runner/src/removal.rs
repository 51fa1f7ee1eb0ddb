//! Directories that a job filled, removed whatever it did to them.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, RenameFlags};
use rustix::io::Errno;

use crate::collect::{DIRECTORY, kind, names};

/// Removes a directory and all that is in it. No job may still run there.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Ok(level(path)?),
        removed => removed,
    }
}

/// A job may have taken the rights to a directory away, or put more of them into one another than can be open at a time:
/// each is brought to the top before it is looked into.
fn level(path: &Path) -> Result<(), Errno> {
    rustix::fs::chmod(path, Mode::RWXU)?;
    let top = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?;
    let mut lifted = 0;
    loop {
        let (names, _) = names(&top, usize::MAX)?;
        if names.is_empty() {
            return rustix::fs::rmdir(path);
        }
        for name in names {
            if kind(&top, &name)? == FileType::Directory {
                rustix::fs::chmodat(&top, &name, Mode::RWXU, AtFlags::empty())?;
                let dir = rustix::fs::openat(&top, &name, DIRECTORY, Mode::empty())?;
                empty(&dir, &top, &mut lifted)?;
                rustix::fs::unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
            } else {
                rustix::fs::unlinkat(&top, &name, AtFlags::empty())?;
            }
        }
    }
}

/// Removes what is in a directory, but for directories: they go to the top.
fn empty(dir: &OwnedFd, top: &OwnedFd, lifted: &mut u64) -> Result<(), Errno> {
    for name in names(dir, usize::MAX)?.0 {
        if kind(dir, &name)? == FileType::Directory {
            rustix::fs::chmodat(dir, &name, Mode::RWXU, AtFlags::empty())?;
            lift(dir, &name, top, lifted)?;
        } else {
            rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Brings a directory to the top, under a number that nothing there has.
fn lift(dir: &OwnedFd, name: &[u8], top: &OwnedFd, lifted: &mut u64) -> Result<(), Errno> {
    loop {
        *lifted += 1;
        match rustix::fs::renameat_with(dir, name, top, lifted.to_string(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            moved => return moved,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn j23_directories_deeper_than_any_path_and_without_rights_go() {
        let dir = TempDir::new().unwrap();
        let filled = dir.path().join("filled");
        fs::create_dir(&filled).unwrap();
        let mut at = rustix::fs::openat(CWD, &filled, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "deep", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "deep", DIRECTORY, Mode::empty()).unwrap();
        }
        fs::create_dir_all(filled.join("1/2")).unwrap();
        fs::write(filled.join("1/2/file"), "").unwrap();
        fs::write(dir.path().join("precious"), "precious").unwrap();
        symlink(dir.path(), filled.join("1/link")).unwrap();
        fs::set_permissions(filled.join("1/2"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(filled.join("1"), fs::Permissions::from_mode(0o000)).unwrap();
        level(&filled).unwrap();
        assert!(!filled.exists());
        assert_eq!(fs::read(dir.path().join("precious")).unwrap(), b"precious");
    }
}
