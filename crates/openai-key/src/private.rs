//! Files that only their owner may read.

use std::io;
use std::path::Path;

use host::{Host, HostError, Kind, Stat};
use zeroize::Zeroizing;

/// No key is larger than this, so a file that is holds something else.
const CAP: u64 = 4096;

/// Who besides the owner may read a private file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody.
    Owner,
    /// The group too: systemd gives a service its credential by an ACL, whose mask shows in the group's bits
    /// (`-r--r-----`), inside a directory that only the service may enter.
    Group,
}

impl Readers {
    const fn forbidden(self) -> u32 {
        match self {
            Self::Owner => 0o077,
            Self::Group => 0o037,
        }
    }
}

/// Why a file's content was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("{0}")]
    Unsafe(String),
    #[error("this user may not read it")]
    Denied,
    #[error(transparent)]
    Host(HostError),
}

impl From<HostError> for Closed {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Self::Denied,
            other => Self::Host(other),
        }
    }
}

/// The content of the private file at `path`, or `None` if nothing is there.
///
/// The directory is judged too: whoever may write to it could put another file in place between look and read.
pub(crate) fn read(host: &dyn Host, path: &Path, readers: Readers) -> Result<Option<Zeroizing<Vec<u8>>>, Closed> {
    let Some(stat) = host.stat(path)? else { return Ok(None) };
    check_file(&stat, host.uid(), readers)?;
    check_parent(host, path)?;
    Ok(host.read(path)?.map(Zeroizing::new))
}

/// The directory of `path`, if it is there, is one that only root or the user can change.
pub(crate) fn check_parent(host: &dyn Host, path: &Path) -> Result<(), Closed> {
    let stat = path.parent().map(|dir| host.stat(dir)).transpose()?.flatten();
    stat.map_or(Ok(()), |stat| check_dir(&stat, host.uid()))
}

fn check_dir(stat: &Stat, user: u32) -> Result<(), Closed> {
    match stat.kind {
        Kind::Dir if stat.mode & 0o022 != 0 => unsafe_because("others may write to its directory".to_owned()),
        Kind::Dir => owned(stat, user, "its directory"),
        _ => unsafe_because("its directory is not a plain directory".to_owned()),
    }
}

fn check_file(stat: &Stat, user: u32, readers: Readers) -> Result<(), Closed> {
    match stat.kind {
        Kind::File => {}
        Kind::Symlink => return unsafe_because("it is a symlink".to_owned()),
        Kind::Dir | Kind::Other => return unsafe_because("it is not a regular file".to_owned()),
    }
    if stat.mode & readers.forbidden() != 0 {
        return unsafe_because(format!("group or others may reach it (mode {:04o})", stat.mode));
    }
    if stat.len > CAP {
        return unsafe_because(format!("it is {} bytes long, too long for a key", stat.len));
    }
    owned(stat, user, "it")
}

fn owned(stat: &Stat, user: u32, what: &str) -> Result<(), Closed> {
    if [0, user].contains(&stat.uid) {
        Ok(())
    } else {
        unsafe_because(format!("{what} belongs to user {}, not to root or user {user}", stat.uid))
    }
}

fn unsafe_because<T>(why: String) -> Result<T, Closed> {
    Err(Closed::Unsafe(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const USER: u32 = 1000;

    fn stat(kind: Kind, mode: u32, uid: u32) -> Stat {
        Stat { kind, mode, uid, len: 51 }
    }

    fn file(mode: u32, uid: u32) -> String {
        shown(check_file(&stat(Kind::File, mode, uid), USER, Readers::Owner))
    }

    fn shown(checked: Result<(), Closed>) -> String {
        checked.map_or_else(|closed| closed.to_string(), |()| "taken".to_owned())
    }

    #[test]
    fn a_file_of_root_or_the_user_is_taken() {
        assert_snapshot!([file(0o600, 0), file(0o400, USER)].join(" "), @"taken taken");
    }

    #[test]
    fn k03_a_file_that_others_reach_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
            assert_eq!(file(mode, 0), format!("group or others may reach it (mode {mode:04o})"));
        }
    }

    #[test]
    fn k03_a_file_of_someone_else_is_refused() {
        assert_snapshot!(file(0o600, 1001), @"it belongs to user 1001, not to root or user 1000");
    }

    #[test]
    fn k03_what_is_no_regular_file_is_refused() {
        let kinds = [Kind::Symlink, Kind::Dir, Kind::Other];
        let seen = kinds.map(|kind| shown(check_file(&stat(kind, 0o600, 0), USER, Readers::Owner)));
        assert_snapshot!(seen.join("\n"), @r"
        it is a symlink
        it is not a regular file
        it is not a regular file
        ");
    }

    #[test]
    fn k03_a_directory_that_others_can_change_is_refused() {
        let dirs = [
            (Kind::Dir, 0o755, 0),
            (Kind::Dir, 0o775, 0),
            (Kind::Dir, 0o757, 0),
            (Kind::Dir, 0o700, 1001),
            (Kind::Symlink, 0o777, 0),
        ];
        let seen = dirs.map(|(kind, mode, uid)| shown(check_dir(&stat(kind, mode, uid), USER)));
        assert_snapshot!(seen.join("\n"), @r"
        taken
        others may write to its directory
        others may write to its directory
        its directory belongs to user 1001, not to root or user 1000
        its directory is not a plain directory
        ");
    }

    #[test]
    fn k03_a_systemd_credential_may_be_read_by_its_acl_only() {
        let modes = [0o400, 0o440, 0o460, 0o444];
        let seen = modes.map(|mode| shown(check_file(&stat(Kind::File, mode, 0), USER, Readers::Group)));
        assert_snapshot!(seen.join("\n"), @r"
        taken
        taken
        group or others may reach it (mode 0460)
        group or others may reach it (mode 0444)
        ");
    }

    #[test]
    fn a_file_too_long_for_a_key_is_not_read() {
        let long = Stat { len: 5000, ..stat(Kind::File, 0o600, 0) };
        assert_snapshot!(shown(check_file(&long, USER, Readers::Owner)), @"it is 5000 bytes long, too long for a key");
    }
}
