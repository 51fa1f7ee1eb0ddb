//! What must not be read, whoever put it there and however it is asked for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use job_files::{Files, FilesError, HIDDEN};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::lab::{EPOCH, Lab};

const SECRET: &str = "nobody's business";

/// Asks for a path in every way.
async fn refused(files: &Files, lab: &Lab, path: &str) {
    assert_eq!(files.size(&lab.id, EPOCH, path).await, Ok(None), "{path:?}");
    assert_eq!(files.read(&lab.id, EPOCH, path, 0..10).await, Err(FilesError::Missing), "{path:?}");
}

#[tokio::test]
async fn j14_a_path_that_leads_out_is_no_file() {
    let lab = Lab::new();
    lab.put("out/a.txt", "a");
    fs::write(lab.dir().join("../secret"), SECRET).unwrap();
    fs::create_dir(lab.dir().join("../8")).unwrap();
    fs::write(lab.dir().join("../8/secret"), SECRET).unwrap();
    let absolute = lab.dir().join("out/a.txt");
    let encoded = ["%2e%2e/secret", "..%2fsecret", "..%2Fsecret", "%2e%2e%2fsecret", "..%252fsecret", "..\\secret"];
    let overlong = ["\u{2025}/secret", "..\u{2215}secret", "\u{ff0e}\u{ff0e}/secret", "..;/secret"];
    let plain =
        ["../secret", "../8/secret", "out/../../secret", "out/../out/a.txt", "./out/a.txt", "out//a.txt", "..", "."];
    let rest =
        ["", "/", "out", "out/", "out/a.txt/", "out/a.txt/x", "/etc/passwd", "//etc/passwd", "out/a.txt\0", "\0"];
    for path in encoded.iter().chain(&overlong).chain(&plain).chain(&rest).chain(&[absolute.to_str().unwrap()]) {
        refused(&lab.files, &lab, path).await;
    }
    refused(&lab.files, &lab, &"a".repeat(70_000)).await;
    refused(&lab.files, &lab, &"a/".repeat(5000)).await;
    assert_eq!(lab.size("out/a.txt").await, Some(1));
}

#[tokio::test]
async fn j14_no_link_is_followed_at_any_level() {
    let lab = Lab::new();
    let outside = tempfile::TempDir::new().unwrap();
    let secret = outside.path().join("stdout.log");
    fs::write(&secret, SECRET).unwrap();
    lab.put("sub/real.txt", "real");
    symlink(&secret, lab.dir().join("stdout.log")).unwrap();
    symlink(&secret, lab.dir().join("sub/link")).unwrap();
    symlink(outside.path(), lab.dir().join("sub/dir")).unwrap();
    symlink("real.txt", lab.dir().join("sub/near")).unwrap();
    symlink("loop", lab.dir().join("loop")).unwrap();
    symlink("/proc/self/root", lab.dir().join("root")).unwrap();
    for path in ["stdout.log", "sub/link", "sub/dir/stdout.log", "sub/near", "loop", "root/etc/passwd"] {
        refused(&lab.files, &lab, path).await;
    }
    assert_eq!(lab.paths().await, ["sub/real.txt"]);
    assert_eq!(lab.files.log_size(&lab.id, EPOCH, runner_wire::Stream::Stdout).await, Ok(0));

    // The directory of the attempt, and that of the job.
    for level in [lab.dir(), lab.dir().parent().unwrap().to_owned()] {
        let moved = outside.path().join("moved");
        fs::rename(&level, &moved).unwrap();
        symlink(&moved, &level).unwrap();
        assert!(lab.paths().await.is_empty());
        refused(&lab.files, &lab, "sub/real.txt").await;
        fs::remove_file(&level).unwrap();
        fs::rename(&moved, &level).unwrap();
    }
    assert_eq!(lab.size("sub/real.txt").await, Some(4));
}

#[tokio::test]
async fn j14_only_regular_files_with_one_name_are_given() {
    let lab = Lab::new();
    let outside = tempfile::NamedTempFile::new_in(lab.dir().parent().unwrap()).unwrap();
    fs::hard_link(outside.path(), lab.dir().join("second-name")).unwrap();
    mknodat(CWD, lab.dir().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = UnixListener::bind(lab.dir().join("socket")).unwrap();
    fs::create_dir_all(lab.dir().join("directory/in")).unwrap();
    let zero = rustix::fs::makedev(1, 5);
    let made = mknodat(CWD, lab.dir().join("device"), FileType::CharacterDevice, Mode::RUSR, zero);
    made.expect("tests that make a device run as root: sudo cargo nextest run -p job-files");
    for path in ["second-name", "pipe", "socket", "directory", "directory/in", "device"] {
        refused(&lab.files, &lab, path).await;
    }
    assert!(lab.paths().await.is_empty());
}

#[tokio::test]
async fn j14_odd_names_are_listed_and_read_as_they_are() {
    let lab = Lab::new();
    let names = ["%2e%2e", "a\nb", "a b", "a#1", "quote\"'\\", "ä~[x]{y}?*|<>", "\u{202e}txt"];
    for name in names {
        lab.put(name, name);
        lab.put(&format!("in {name}/{name}"), name);
    }
    fs::write(lab.dir().join(OsStr::from_bytes(b"not-\xff-text")), SECRET).unwrap();
    fs::create_dir(lab.dir().join(OsStr::from_bytes(b"\xfe"))).unwrap();
    fs::write(lab.dir().join(OsStr::from_bytes(b"\xfe/x")), SECRET).unwrap();
    let mut expected: Vec<String> =
        names.iter().flat_map(|name| [(*name).to_owned(), format!("in {name}/{name}")]).collect();
    expected.sort();
    assert_eq!(lab.paths().await, expected);
    for path in &expected {
        let read = lab.files.read(&lab.id, EPOCH, path, 0..1000).await.unwrap();
        assert_eq!(Some(std::str::from_utf8(&read).unwrap()), path.rsplit('/').next());
    }
    refused(&lab.files, &lab, "not-\u{fffd}-text").await;
}

#[tokio::test]
async fn j14_the_runners_working_files_are_nobodys() {
    let lab = Lab::new();
    for hidden in HIDDEN {
        lab.put(&format!("out/{hidden}"), "a job's");
    }
    lab.put(".died.json", SECRET);
    lab.put(".scratch/tmp/x", SECRET);
    lab.put(".copying", SECRET);
    lab.put(".other", "a job's");
    assert_eq!(lab.paths().await, [".other", "out/.copying", "out/.died.json", "out/.scratch"]);
    for path in [".died.json", ".scratch/tmp/x", ".copying"] {
        refused(&lab.files, &lab, path).await;
    }
}

#[tokio::test]
async fn j14_ten_thousand_files_and_paths_longer_than_a_system_call_takes_are_listed() {
    let lab = Lab::new();
    for dir in 0..100 {
        for file in 0..100 {
            lab.put(&format!("out/{dir}/{file}"), "x");
        }
    }
    // Made as the runner makes it, directory in directory: 33 parts of 250 bytes.
    let name = "d".repeat(250);
    let mut dir = fs::File::open(lab.dir()).unwrap().into();
    for _ in 0..32 {
        rustix::fs::mkdirat(&dir, &*name, Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, &*name, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    rustix::io::write(rustix::fs::openat(&dir, &*name, flags, Mode::RUSR).unwrap(), b"deep").unwrap();
    let paths = lab.paths().await;
    assert_eq!(paths.len(), 10_001);
    assert!(paths.is_sorted());
    assert_eq!(lab.files.read(&lab.id, EPOCH, &paths[0], 0..100).await.unwrap(), "deep");
}

#[tokio::test]
async fn a_read_is_bounded_and_ends_with_the_file() {
    let lab = Lab::new();
    lab.put("big", vec![7; 3 << 20]);
    let read = async |range| lab.files.read(&lab.id, EPOCH, "big", range).await.unwrap().len();
    assert_eq!(read(0..u64::MAX).await, job_files::MAX_READ);
    assert_eq!(read((3 << 20) - 5..u64::MAX).await, 5);
    for nothing in [3 << 20..4 << 20, u64::MAX - 1..u64::MAX, 5..5] {
        assert_eq!(read(nothing).await, 0);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake")]
    let reversed = 9..5;
    assert_eq!(read(reversed).await, 0);
}
