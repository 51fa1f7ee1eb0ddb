//! What must not be read, whoever put it there and however it is asked for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Instant;

use job_files::{FilesError, HIDDEN, MAX_READ};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use runner_wire::Stream::Stdout;
use tempfile::TempDir;

use crate::lab::{EPOCH, Lab, Place};

const SECRET: &str = "nobody's business";

/// Asks for a path in every way.
async fn refused(lab: &Lab, path: &str) {
    for files in [&lab.files, &lab.worker] {
        assert_eq!(files.size(&lab.id, EPOCH, path).await, Ok(None), "{path:?}");
        assert_eq!(files.read(&lab.id, EPOCH, path, 0..10).await, Err(FilesError::Missing), "{path:?}");
    }
}

#[tokio::test]
async fn j14_a_path_that_leads_out_is_no_file() {
    for lab in Lab::all() {
        lab.put("out/a.txt", "a");
        lab.put("../secret", SECRET);
        lab.put("../8/secret", SECRET);
        lab.put("artifact.json", "{}");
        lab.keep().await;
        let absolute = lab.attempt().join("out/a.txt");
        let encoded = ["%2e%2e/secret", "..%2fsecret", "..%2Fsecret", "%2e%2e%2fsecret", "..%252fsecret", "..\\secret"];
        let alike = ["\u{2025}/secret", "..\u{2215}secret", "\u{ff0e}\u{ff0e}/secret", "..;/secret", ".. /secret"];
        let plain = ["../secret", "../8/secret", "out/../../secret", "out/../out/a.txt", "./out/a.txt", "out//a.txt"];
        let own = ["../index.json", "../files/out/a.txt", "index.json", "log/stdout/00000000000000000000"];
        let rest =
            ["", ".", "..", "/", "out", "out/", "out/a.txt/", "out/a.txt/x", "/etc/passwd", "//etc/passwd", "\0"];
        let all = encoded.iter().chain(&alike).chain(&plain).chain(&own).chain(&rest);
        for path in all.chain(&[absolute.to_str().unwrap(), "out/a.txt\0"]) {
            refused(&lab, path).await;
        }
        refused(&lab, &"a".repeat(70_000)).await;
        refused(&lab, &"a/".repeat(5000)).await;
        assert_eq!(lab.read("out/a.txt").await, "a");
        assert_eq!(lab.paths().await, ["artifact.json", "out/a.txt"]);
    }
}

#[tokio::test]
async fn j14_no_link_is_followed_at_any_level() {
    let lab = Lab::new();
    let outside = TempDir::new().unwrap();
    let secret = outside.path().join("stdout.log");
    fs::write(&secret, SECRET).unwrap();
    lab.put("sub/real.txt", "real");
    symlink(&secret, lab.attempt().join("stdout.log")).unwrap();
    symlink(&secret, lab.attempt().join("sub/link")).unwrap();
    symlink(outside.path(), lab.attempt().join("sub/dir")).unwrap();
    symlink("real.txt", lab.attempt().join("sub/near")).unwrap();
    symlink("loop", lab.attempt().join("loop")).unwrap();
    symlink("/proc/self/root", lab.attempt().join("root")).unwrap();
    for path in ["stdout.log", "sub/link", "sub/dir/stdout.log", "sub/near", "loop", "root/etc/passwd"] {
        refused(&lab, path).await;
    }
    assert_eq!(lab.paths().await, ["sub/real.txt"]);
    assert_eq!(lab.files.log_size(&lab.id, EPOCH, Stdout).await, Ok(0));

    // The directory of the attempt, and that of the job.
    for level in [lab.attempt(), lab.attempt().parent().unwrap().to_owned()] {
        let moved = outside.path().join("moved");
        fs::rename(&level, &moved).unwrap();
        symlink(&moved, &level).unwrap();
        assert!(lab.paths().await.is_empty());
        refused(&lab, "sub/real.txt").await;
        fs::remove_file(&level).unwrap();
        fs::rename(&moved, &level).unwrap();
    }
    assert_eq!(lab.size("sub/real.txt").await, Some(4));
}

#[tokio::test]
async fn j14_only_regular_files_with_one_name_are_given() {
    let lab = Lab::new();
    let outside = tempfile::NamedTempFile::new_in(lab.attempt().parent().unwrap()).unwrap();
    fs::hard_link(outside.path(), lab.attempt().join("second-name")).unwrap();
    mknodat(CWD, lab.attempt().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = UnixListener::bind(lab.attempt().join("socket")).unwrap();
    fs::create_dir_all(lab.attempt().join("directory/in")).unwrap();
    let zero = rustix::fs::makedev(1, 5);
    let made = mknodat(CWD, lab.attempt().join("device"), FileType::CharacterDevice, Mode::RUSR, zero);
    made.expect("tests that make a device run as root: sudo cargo nextest run -p job-files");
    for path in ["second-name", "pipe", "socket", "directory", "directory/in", "device"] {
        refused(&lab, path).await;
    }
    assert!(lab.paths().await.is_empty());
}

#[tokio::test]
async fn j14_what_is_no_plain_file_is_not_sent() {
    let lab = Lab::dir();
    lab.put("real", "real");
    symlink("/etc/passwd", lab.attempt().join("artifact.json")).unwrap();
    symlink("/etc", lab.attempt().join("etc")).unwrap();
    mknodat(CWD, lab.attempt().join("stdout.log"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    lab.keep().await;
    assert_eq!(lab.paths().await, ["real"]);
    for path in ["artifact.json", "etc/passwd", "stdout.log"] {
        refused(&lab, path).await;
    }
}

#[tokio::test]
async fn j14_no_link_is_followed_in_a_shared_directory() {
    let lab = Lab::dir();
    let outside = TempDir::new().unwrap();
    lab.put("sub/stdout.log", "real");
    lab.put("stdout.log", "real");
    lab.keep().await;
    let Place::Dir(shared) = &lab.place else { unreachable!() };
    let job = shared.path().join(lab.id.as_str());
    for level in ["7/files/sub/stdout.log", "7/files/sub", "7/files", "7", "."] {
        let (level, moved) = (job.join(level), outside.path().join("moved"));
        let level = level.components().collect::<PathBuf>();
        fs::rename(&level, &moved).unwrap();
        symlink(&moved, &level).unwrap();
        refused(&lab, "sub/stdout.log").await;
        fs::remove_file(&level).unwrap();
        fs::rename(&moved, &level).unwrap();
        assert_eq!(lab.read("sub/stdout.log").await, "real");
    }
    fs::rename(job.join("7/files/stdout.log"), outside.path().join("moved")).unwrap();
    symlink(outside.path().join("moved"), job.join("7/files/stdout.log")).unwrap();
    assert_eq!(lab.files.log_size(&lab.id, EPOCH, Stdout).await, Ok(0));
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stdout, 0, 10).await.unwrap(), "");
}

/// The same name in a directory of a name as odd.
fn inside(name: &str) -> String {
    format!("{}/{name}", name.chars().take(100).collect::<String>() + "'s")
}

#[tokio::test]
async fn j14_odd_names_are_listed_and_read_as_they_are() {
    for lab in Lab::all() {
        let names =
            ["%2e%2e", "a\nb", "a b", "a#1", "quote\"'\\", "\u{e4}~[x]{y}?*|<>", "\u{202e}txt", &"n".repeat(255)];
        for name in names {
            lab.put(name, name);
            lab.put(&inside(name), name);
        }
        fs::write(lab.attempt().join(OsStr::from_bytes(b"not-\xff-text")), SECRET).unwrap();
        fs::create_dir(lab.attempt().join(OsStr::from_bytes(b"\xfe"))).unwrap();
        fs::write(lab.attempt().join(OsStr::from_bytes(b"\xfe/x")), SECRET).unwrap();
        lab.keep().await;
        let mut expected: Vec<String> = names.iter().flat_map(|name| [(*name).to_owned(), inside(name)]).collect();
        expected.sort();
        assert_eq!(lab.paths().await, expected);
        for path in &expected {
            assert_eq!(Some(&*lab.read(path).await), path.rsplit('/').next());
        }
        refused(&lab, "not-\u{fffd}-text").await;
    }
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
        refused(&lab, path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn j14_ten_thousand_files_and_paths_longer_than_a_system_call_takes_are_all_there() {
    for lab in Lab::all() {
        for dir in 0..100 {
            for file in 0..100 {
                lab.put(&format!("out/{dir}/{file}"), "x");
            }
        }
        // Made as the runner makes it, directory in directory: 33 parts of 250 bytes.
        let name = "d".repeat(250);
        let mut dir = fs::File::open(lab.attempt()).unwrap().into();
        for _ in 0..32 {
            rustix::fs::mkdirat(&dir, &*name, Mode::RWXU).unwrap();
            dir = rustix::fs::openat(&dir, &*name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        rustix::io::write(rustix::fs::openat(&dir, &*name, flags, Mode::RUSR).unwrap(), b"deep").unwrap();
        let began = Instant::now();
        lab.keep().await;
        let kept = began.elapsed();
        let paths = lab.paths().await;
        println!("10,001 files: kept in {kept:?}, kept and listed in {:?}", began.elapsed());
        assert_eq!(paths.len(), 10_001);
        assert!(paths.is_sorted());
        assert_eq!(lab.read(&paths[0]).await, "deep");
        assert_eq!(lab.size("out/99/99").await, Some(1));
    }
}

#[tokio::test]
async fn a_read_is_bounded_and_ends_with_the_file() {
    for lab in Lab::all() {
        // More than one part of an object.
        let size = (12 << 20) + 1;
        lab.put("big", (0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        lab.keep().await;
        assert_eq!(lab.size("big").await, Some(size));
        let read = async |range| lab.files.read(&lab.id, EPOCH, "big", range).await.unwrap();
        let mut at = 0;
        while at < size {
            let piece = read(at..u64::MAX).await;
            assert!(piece.len() as u64 <= MAX_READ && !piece.is_empty());
            assert!(piece.iter().zip(at..).all(|(byte, at)| u64::from(*byte) == at % 251));
            at += piece.len() as u64;
        }
        assert_eq!(at, size);
        for nothing in [size..size + 1, u64::MAX - 1..u64::MAX, 5..5] {
            assert_eq!(read(nothing).await, "");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake")]
        let reversed = 9..5;
        assert_eq!(read(reversed).await, "");
        assert_eq!(lab.files.read(&lab.id, EPOCH, "none", 5..5).await, Err(FilesError::Missing));
    }
}
