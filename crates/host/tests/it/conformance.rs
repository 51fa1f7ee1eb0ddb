//! What every machine does in the same way.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::ErrorKind::PermissionDenied;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host::{Cmd, Host, HostError, Kind, Local, Status, Stream};
use zeroize::Zeroizing;

/// Every byte that an argument can have.
fn every_byte() -> Vec<u8> {
    (1..=255).collect()
}

fn sh(script: &str) -> Cmd {
    Cmd::new("/bin/sh").args(["-c", script])
}

fn status(host: &dyn Host, script: &str) -> Status {
    host.run(&sh(script)).unwrap().status
}

/// Checks one machine, of which `dir` is an empty directory.
pub(crate) fn conformance(host: &dyn Host, dir: &Path) {
    words_arrive_byte_for_byte(host);
    the_environment_is_what_was_named(host);
    input_arrives_byte_for_byte(host);
    a_directory_is_worked_in(host, dir);
    ends_are_told_apart(host, dir);
    output_is_capped_and_seen_line_by_line(host);
    nothing_outlives_a_time_out_nor_success(host, dir);
    a_file_is_written_whole(host, dir);
    what_is_not_there_is_none_and_what_is_something_else_is_an_error(host, dir);
    names_and_links_are_told(host, dir);
    who_and_when_it_is_are_known(host);
}

fn words_arrive_byte_for_byte(host: &dyn Host) {
    let every = every_byte();
    let odd: [&[u8]; 9] = [b"", b"'", b"\"", b"\\", b"$(id)`id`$HOME", b" a  b ", b"\n", b"--", &every];
    let words = odd.iter().map(|word| OsString::from_vec(word.to_vec()));
    let output = host.run(&Cmd::new("printf").arg(r"%s\0").args(words)).unwrap();
    let expected: Vec<u8> = odd.iter().flat_map(|word| [word, &b"\0"[..]].concat()).collect();
    assert_eq!(output.stdout, expected);
    assert_eq!(output.status, Status::Exited(0));
    let many = host.run(&sh("echo $#").arg("sh").args(vec!["x".repeat(1000); 500])).unwrap();
    assert_eq!(many.stdout_text(), "500");
    let nul = host.run(&Cmd::new("true").arg("a\0b")).unwrap_err();
    assert!(matches!(nul, HostError::Io { .. }), "{nul}");
}

fn the_environment_is_what_was_named(host: &dyn Host) {
    let every = OsString::from_vec(every_byte());
    let long = "x".repeat(64 << 10);
    let values = ["", "it's", "a\nb\n", "\"$(id)\\", "grün", &long];
    let mut cmd = Cmd::new("/usr/bin/env").arg("-0").inherit(&["NOT_SET_ANYWHERE"]).env("EVERY", &every);
    let mut expected = vec![[b"EVERY=", every.as_bytes()].concat()];
    for (n, value) in values.iter().enumerate() {
        cmd = cmd.secret_env(format!("SECRET_{n}"), Zeroizing::new((*value).to_owned()));
        expected.push(format!("SECRET_{n}={value}").into_bytes());
    }
    // Names that a shell has its own ideas of.
    for name in ["PATH", "PWD", "IFS", "HOME", "text", "dir"] {
        cmd = cmd.env(name, "one").env(name, "/usr/bin");
        expected.push(format!("{name}=/usr/bin").into_bytes());
    }
    let output = host.run(&cmd).unwrap();
    let mut seen: Vec<_> = output.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    assert_eq!(seen.pop().unwrap(), b"");
    seen.sort();
    expected.sort();
    let lossy = |all: &[Vec<u8>]| all.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect::<Vec<_>>();
    assert!(seen == expected, "{:?}", lossy(&seen));

    let names = |cmd: Cmd| host.run(&cmd).unwrap().stdout_text();
    assert!(names(Cmd::new("/usr/bin/env")).starts_with("PATH=/"));
    let but_path = names(Cmd::new("env").inherit_all_but(&["PATH"]));
    assert!(!but_path.lines().any(|line| line.starts_with("PATH=")), "{but_path}");
    let home = host.env("HOME").unwrap().into_string().unwrap();
    assert_eq!(names(sh("echo $HOME").inherit(&["HOME"])), home);
    assert_eq!(names(sh("echo $HOME").inherit_all_but(&[])), home);
    assert_eq!(names(sh("echo $HOME").inherit_all_but(&["HOME"])), "");
}

fn input_arrives_byte_for_byte(host: &dyn Host) {
    let bytes: Vec<u8> = every_byte().into_iter().chain([0, b'\n', b'.', b'\n']).cycle().take(1 << 20).collect();
    let output = host.run(&Cmd::new("cat").stdin(bytes.clone()).output_cap(2 << 20)).unwrap();
    assert!(output.stdout == bytes, "{} bytes of {}", output.stdout.len(), bytes.len());
    assert_eq!((output.status, output.cut), (Status::Exited(0), false));
    assert_eq!(host.run(&Cmd::new("wc").arg("-c")).unwrap().stdout_text(), "0");
    assert!(host.run(&Cmd::new("true").stdin(bytes)).unwrap().success(), "an unread stdin is no error");
}

fn a_directory_is_worked_in(host: &dyn Host, dir: &Path) {
    assert_eq!(host.run(&Cmd::new("pwd").dir(dir)).unwrap().stdout_text(), dir.to_str().unwrap());
    let nowhere = host.run(&Cmd::new("true").dir(dir.join("no where"))).unwrap_err();
    assert!(matches!(&nowhere, HostError::Io { path, .. } if path.ends_with("no where")), "{nowhere}");
}

fn ends_are_told_apart(host: &dyn Host, dir: &Path) {
    for code in [0, 1, 124, 126, 127, 128, 129, 130, 137, 139, 143, 255] {
        assert_eq!(status(host, &format!("exit {code}")), Status::Exited(code));
    }
    for signal in [1, 2, 3, 9, 11, 13, 15] {
        assert_eq!(status(host, &format!("ulimit -c 0; kill -{signal} $$")), Status::Signaled(signal));
    }
    for missing in ["no-such-program", "/nowhere/program", "cd"] {
        let error = host.run(&Cmd::new(missing)).unwrap_err();
        assert!(matches!(&error, HostError::NotFound { program } if program == missing), "{error}");
    }
    host.write_atomic(&dir.join("plain"), b"", 0o644).unwrap();
    let denied = host.run(&Cmd::new(dir.join("plain"))).unwrap_err();
    assert!(matches!(denied, HostError::Io { .. }), "{denied}");
}

fn output_is_capped_and_seen_line_by_line(host: &dyn Host) {
    let output = host.run(&sh("seq 1 200000; seq 1 9 >&2").output_cap(14)).unwrap();
    assert_eq!(output.stdout, b"199999\n200000\n");
    assert_eq!(output.stderr, b"3\n4\n5\n6\n7\n8\n9\n");
    assert!(output.cut);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let cmd = sh("echo one; echo; echo late >&2; printf two");
    let cmd = cmd.on_line(move |stream, line| into.lock().unwrap().push((stream, line.to_owned())));
    assert_eq!(host.run(&cmd).unwrap().stdout, b"one\n\ntwo");
    let seen = seen.lock().unwrap().clone();
    let of = |wanted| seen.iter().filter(|(s, _)| *s == wanted).map(|(_, line)| line.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Stdout), ["one", "", "two"]);
    assert_eq!(of(Stream::Stderr), ["late"]);
}

/// Whether a process runs there. One that has ended and nobody has asked for may be seen for a moment.
pub(crate) fn runs(host: &dyn Host, pid: &str) -> bool {
    let start = Instant::now();
    while host.run(&Cmd::new("/bin/kill").args(["-s", "0", pid])).unwrap().success() {
        if start.elapsed() > Duration::from_secs(10) {
            return true;
        }
    }
    false
}

fn nothing_outlives_a_time_out_nor_success(host: &dyn Host, dir: &Path) {
    // One that was late before it began is not left alone.
    for _ in 0..5 {
        let late = host.run(&sh("sleep 1; echo >late").dir(dir).timeout(Duration::ZERO)).unwrap();
        assert_eq!(late.status, Status::TimedOut);
    }
    let stubborn = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait";
    let output = host.run(&sh(stubborn).timeout(Duration::from_millis(300))).unwrap();
    assert_eq!(output.status, Status::TimedOut);
    assert!(!runs(host, &output.stdout_text()));
    let output = host.run(&sh("sleep 1000 & echo $!")).unwrap();
    assert_eq!(output.status, Status::Exited(0));
    assert!(!runs(host, &output.stdout_text()));
    // It is neither waited for nor lost what was written until then.
    let output = host.run(&sh("setsid sleep 20 & echo said")).unwrap();
    assert_eq!((output.status, output.stdout_text().as_str()), (Status::Exited(0), "said"));
    assert!(output.elapsed < Duration::from_secs(10));
    assert_eq!(host.stat(&dir.join("late")).unwrap(), None);
}

fn a_file_is_written_whole(host: &dyn Host, dir: &Path) {
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let path = dir.join(OsStr::from_bytes(b"new/it's \xff\n-x/ file\n"));
    host.write_atomic(&path, b"one", 0o600).unwrap();
    host.write_atomic(&path, &bytes, 0o640).unwrap();
    assert!(host.read(&path).unwrap().unwrap() == bytes);
    let stat = host.stat(&path).unwrap().unwrap();
    assert_eq!((stat.kind, stat.mode, stat.uid, stat.len), (Kind::File, 0o640, host.uid(), 1 << 20));
    let parent = host.stat(path.parent().unwrap()).unwrap().unwrap();
    assert_eq!((parent.kind, parent.mode), (Kind::Dir, 0o700));
    assert_eq!(host.stat(&dir.join("new")).unwrap().unwrap().mode, 0o700);
    assert_eq!(host.list(path.parent().unwrap()).unwrap().unwrap(), [" file\n"]);
    host.write_atomic(&path, b"", 0o600).unwrap();
    assert_eq!(host.read(&path).unwrap().unwrap(), b"");
    host.remove(&path).unwrap();
    host.remove(&path).unwrap();
    assert_eq!(host.read(&path).unwrap(), None);

    let taken = dir.join("new");
    assert!(host.write_atomic(&taken, b"x", 0o600).is_err(), "a directory is not replaced");
    assert!(host.remove(&taken).is_err(), "nor removed");
    assert!(host.write_atomic(&dir.join("plain/below"), b"x", 0o600).is_err(), "nothing is below a file");
    let names = host.list(dir).unwrap().unwrap();
    assert_eq!(names, ["new", "plain"], "nothing is left beside");
}

fn what_is_not_there_is_none_and_what_is_something_else_is_an_error(host: &dyn Host, dir: &Path) {
    for absent in ["absent", "absent/below", "plain/below", "No such file or directory"] {
        let path = dir.join(absent);
        assert_eq!(host.read(&path).unwrap(), None);
        assert_eq!(host.stat(&path).unwrap(), None);
        assert_eq!(host.list(&path).unwrap(), None);
        assert_eq!(host.follow(&path).unwrap(), None);
        host.remove(&path).unwrap();
    }
    assert!(host.read(dir).is_err(), "a directory is no file, nor absent");
    assert!(host.list(&dir.join("plain")).is_err(), "a file is no directory, nor absent");
}

fn names_and_links_are_told(host: &dyn Host, dir: &Path) {
    let names = [&b".hidden"[..], b"-n", b"a b", b"c\nd", b"\xff"].map(OsStr::from_bytes);
    let below = dir.join("names");
    for name in names {
        host.write_atomic(&below.join(name), b"", 0o600).unwrap();
    }
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(host.list(&below).unwrap().unwrap(), sorted);
    let empty = dir.join("empty");
    assert!(host.run(&Cmd::new("mkdir").arg(&empty)).unwrap().success());
    assert_eq!(host.list(&empty).unwrap().unwrap(), [""; 0]);

    let (link, target) = (dir.join("link"), OsStr::from_bytes(b"no where/\xff\n"));
    assert!(host.run(&Cmd::new("ln").args(["-s", "--"]).arg(target).arg(&link)).unwrap().success());
    assert_eq!(host.follow(&link).unwrap().unwrap(), PathBuf::from(target));
    assert_eq!(host.stat(&link).unwrap().unwrap().kind, Kind::Symlink);
    assert_eq!(host.read(&link).unwrap(), None);
    assert_eq!(host.follow(&empty).unwrap(), None);
    host.write_atomic(&link, b"new", 0o600).unwrap();
    assert_eq!(host.stat(&link).unwrap().unwrap().kind, Kind::File, "a link is replaced and not followed");
}

fn who_and_when_it_is_are_known(host: &dyn Host) {
    assert_eq!(host.uid(), Local::new().uid());
    let here = Local::new().now();
    let apart = host.now().duration_since(here).unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_secs(10), "{apart:?}");
    assert_eq!(host.env("NOT_SET_ANYWHERE"), None);
    assert_eq!(host.random(32).len(), 32);
}

/// Checks that a machine knows the difference between nothing and what it may not see: in `dir`, where it may do nothing.
pub(crate) fn forbidden_is_not_absent(host: &dyn Host, dir: &Path) {
    for path in [dir.join("file"), dir.join("absent")] {
        let error = host.read(&path).unwrap_err();
        let denied = |e: &HostError| matches!(e, HostError::Io { source, .. } if source.kind() == PermissionDenied);
        assert!(denied(&error), "{error}");
        assert!(denied(&host.stat(&path).unwrap_err()));
        assert!(denied(&host.list(&path).unwrap_err()));
        assert!(denied(&host.follow(&path).unwrap_err()));
        assert!(denied(&host.remove(&path).unwrap_err()));
        assert!(denied(&host.write_atomic(&path, b"", 0o600).unwrap_err()));
        assert!(host.run(&Cmd::new("true").dir(&path)).is_err());
    }
    assert!(host.list(dir).is_err());
}

#[test]
fn this_machine_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conformance(&Local::new(), dir.path());
    let host = Local::new();
    if host.uid() != 0 {
        host.write_atomic(&dir.path().join("closed/file"), b"", 0o600).unwrap();
        fs::set_permissions(dir.path().join("closed"), Permissions::from_mode(0o0)).unwrap();
        forbidden_is_not_absent(&host, &dir.path().join("closed"));
        fs::set_permissions(dir.path().join("closed"), Permissions::from_mode(0o700)).unwrap();
    }
}
