//! Files of another machine, by the programs of coreutils and findutils there.
//!
//! **Invariant:** nothing is there only if the program that looked says so, by its exit code and in the words of the C
//! library; all else that fails is an error.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::far::plain;
use crate::local::absent_is_none;
use crate::{Cmd, HostError, Kind, Output, Stat, Status};

/// How long one file may take.
const TIME: Duration = Duration::from_secs(600);

/// Takes the path, its directory, the mode and a random word.
const WRITE: &str = r#"
umask 077
mkdir -p -- "$2" || exit 1
new=$1.new-$4
trap 'rm -f -- "$new"' EXIT
set -C
cat >"$new" && chmod -- "$3" "$new" && sync -- "$new" && mv -f -T -- "$new" "$1" && sync -- "$2" ||
exit 1
"#;

/// The words of the C library, and what they mean.
const WORDS: [(&str, io::ErrorKind); 11] = [
    ("No such file or directory", io::ErrorKind::NotFound),
    ("Not a directory", io::ErrorKind::NotADirectory),
    ("Is a directory", io::ErrorKind::IsADirectory),
    ("Permission denied", io::ErrorKind::PermissionDenied),
    ("Operation not permitted", io::ErrorKind::PermissionDenied),
    ("Read-only file system", io::ErrorKind::ReadOnlyFilesystem),
    ("File exists", io::ErrorKind::AlreadyExists),
    ("Invalid argument", io::ErrorKind::InvalidInput),
    ("No space left on device", io::ErrorKind::StorageFull),
    ("Disk quota exceeded", io::ErrorKind::QuotaExceeded),
    ("Text file busy", io::ErrorKind::ExecutableFileBusy),
];

/// Runs a program there.
type Run<'a> = &'a dyn Fn(&Cmd) -> Result<Output, HostError>;

pub(super) fn read(run: Run<'_>, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
    on(run, path, Cmd::new("cat").arg("--").arg(plain(path)))
}

pub(super) fn write_atomic(run: Run<'_>, path: &Path, bytes: &[u8], mode: u32, nonce: &str) -> Result<(), HostError> {
    let (file, mode) = (plain(path), format!("{mode:04o}"));
    let dir = file.parent().unwrap_or(Path::new("/"));
    let write = Cmd::new("/bin/sh").args(["-c", WRITE, "sh"]).arg(&file).arg(dir).arg(mode).arg(nonce);
    told(run, path, write.stdin(bytes))?.map(drop).map_err(HostError::io(path))
}

pub(super) fn stat(run: Run<'_>, path: &Path) -> Result<Option<Stat>, HostError> {
    let Some(line) = on(run, path, Cmd::new("stat").args(["-c", "%f %u %s", "--"]).arg(plain(path)))? else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(&line);
    parse(line.trim()).map(Some).ok_or_else(|| refused(path, &format!("stat says {line:?}")))
}

fn parse(line: &str) -> Option<Stat> {
    let mut words = line.split(' ');
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let (uid, len) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let kind = match mode & 0o170_000 {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Dir,
        0o120_000 => Kind::Symlink,
        _ => Kind::Other,
    };
    words.next().is_none().then_some(Stat { kind, mode: mode & 0o7777, uid, len })
}

pub(super) fn remove(run: Run<'_>, path: &Path) -> Result<(), HostError> {
    on(run, path, Cmd::new("unlink").arg("--").arg(plain(path))).map(drop)
}

pub(super) fn list(run: Run<'_>, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
    let find =
        Cmd::new("find").arg(plain(dir).join(".")).args(["-mindepth", "1", "-maxdepth", "1", "-printf", r"%f\0"]);
    let said = told(run, dir, find)?;
    // A name below a file is not there; the file itself is.
    if said.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotADirectory) && stat(run, dir)?.is_some() {
        return said.map(|_| None).map_err(HostError::io(dir));
    }
    let names = absent_is_none(said).map_err(HostError::io(dir))?;
    Ok(names.map(|names| {
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let mut names: Vec<_> = names.map(|name| OsString::from_vec(name.to_vec())).collect();
        names.sort();
        names
    }))
}

pub(super) fn follow(run: Run<'_>, path: &Path) -> Result<Option<PathBuf>, HostError> {
    let said = told(run, path, Cmd::new("readlink").args(["-n", "-v", "--"]).arg(plain(path)))?;
    if said.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::InvalidInput) {
        return Ok(None);
    }
    Ok(absent_is_none(said).map_err(HostError::io(path))?.map(|target| OsString::from_vec(target).into()))
}

/// What a program prints about `path`, or `None` if it says that nothing is there.
fn on(run: Run<'_>, path: &Path, cmd: Cmd) -> Result<Option<Vec<u8>>, HostError> {
    absent_is_none(told(run, path, cmd)?).map_err(HostError::io(path))
}

/// What a program prints about `path`, or what it complains of.
fn told(run: Run<'_>, path: &Path, cmd: Cmd) -> Result<io::Result<Vec<u8>>, HostError> {
    let output = run(&cmd.env("LC_ALL", "C").timeout(TIME).output_cap(usize::MAX))?;
    match output.status {
        Status::Exited(0) if !output.cut => Ok(Ok(output.stdout)),
        // Any other code is that of a program that did not get as far as to look.
        Status::Exited(1) => Ok(Err(complaint(&output.stderr_text()))),
        status => Err(refused(path, &status.to_string())),
    }
}

/// The last words of the last line are the C library's.
fn complaint(stderr: &str) -> io::Error {
    let line = stderr.lines().next_back().unwrap_or("the program does not say why");
    let words = line.rsplit(": ").next().unwrap_or(line);
    match WORDS.iter().find(|(known, _)| *known == words) {
        Some((_, kind)) => io::Error::new(*kind, words),
        None => io::Error::other(line.to_owned()),
    }
}

pub(super) fn refused(path: impl Into<PathBuf>, words: &str) -> HostError {
    HostError::io(path)(complaint(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: Status, stdout: &str, stderr: &str) -> impl Fn(&Cmd) -> Result<Output, HostError> {
        let (stdout, stderr) = (stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec());
        let output = Output { status, stdout, stderr, cut: false, elapsed: Duration::ZERO };
        move |_| Ok(output.clone())
    }

    #[test]
    fn only_a_program_that_looked_and_found_nothing_says_so() {
        let check = |status, stderr: &str| match read(&said(status, "", stderr), Path::new("/file")) {
            Ok(None) => "absent".to_owned(),
            Ok(Some(_)) => "there".to_owned(),
            Err(error) => error.to_string(),
        };
        let absent = "cat: /file: No such file or directory";
        let library = "cat: error while loading shared libraries: libc.so.6: No such file or directory";
        let seen = [
            check(Status::Exited(1), absent),
            check(Status::Exited(1), "cat: /file/below: Not a directory\n"),
            check(Status::Exited(127), library),
            check(Status::Exited(1), "cat: '/x: No such file or directory': Permission denied"),
            check(Status::Exited(1), "cat: /file: Input/output error"),
            check(Status::Exited(1), ""),
            check(Status::Signaled(9), absent),
            check(Status::TimedOut, absent),
            check(Status::Cancelled, absent),
        ];
        insta::assert_snapshot!(seen.join("\n"), @r"
        absent
        absent
        /file: exit 127
        /file: Permission denied
        /file: cat: /file: Input/output error
        /file: the program does not say why
        /file: signal 9
        /file: timed out
        /file: cancelled
        ");
    }

    #[test]
    fn a_full_disk_there_is_a_full_disk() {
        let full = said(Status::Exited(1), "", "cat: write error: No space left on device");
        assert!(write_atomic(&full, Path::new("/file"), b"", 0o600, "5eed").unwrap_err().is_full());
    }

    #[test]
    fn what_stat_says_is_understood_as_a_whole_or_not_at_all() {
        let check = |line: &str| stat(&said(Status::Exited(0), line, ""), Path::new("/file"));
        let expected = Stat { kind: Kind::File, mode: 0o4755, uid: 7, len: 12 };
        assert_eq!(check("89ed 7 12\n").unwrap(), Some(expected));
        assert_eq!(check("41c0 0 1").unwrap().unwrap().kind, Kind::Dir);
        assert_eq!(check("a1ff 0 1").unwrap().unwrap().kind, Kind::Symlink);
        assert_eq!(check("2190 0 1").unwrap().unwrap().kind, Kind::Other);
        for line in ["", "89ed", "89ed 7", "89ed 7 x", "89ed 7 12 1", "x 7 12"] {
            assert!(check(line).is_err(), "{line:?}");
        }
    }
}
