//! Logs are bounded, whatever a job says.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use job::LogSize;
use outcome::Failure;
use proptest::prelude::*;
use runner::{Log, Secrets};
use tempfile::TempDir;

use crate::redact::logged;

pub(crate) fn directory() -> (TempDir, OwnedFd) {
    let dir = TempDir::new().unwrap();
    let fd = File::open(dir.path()).unwrap().into();
    (dir, fd)
}

/// A log as a person would read it, after `bytes` bytes that count up.
fn check(cap: u64, bytes: usize) -> (Vec<u8>, LogSize) {
    let said: Vec<u8> = (0..bytes).map(|at| b"0123456789"[at % 10]).collect();
    let (file, live, size) = logged(cap, &Secrets::default(), &[&said]);
    assert_eq!(live, said);
    (file, size)
}

#[test]
fn j15_a_log_under_its_cap_is_whole() {
    for bytes in [0, 1, 2047, 2048, 2049, 4096 - 80] {
        let (file, size) = check(4096, bytes);
        assert_eq!(file.len(), bytes);
        assert_eq!(size, LogSize { seen: bytes as u64, kept: bytes as u64, truncated: false, redacted: 0 });
    }
}

#[test]
fn j15_a_log_over_its_cap_keeps_both_ends_and_says_what_is_left_out() {
    let (file, size) = check(4096, 1_000_000);
    let text = String::from_utf8(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_snapshot!(lines[1], @"[ai-ops-runner: 995984 bytes left out]");
    assert_eq!((lines[0].len(), lines[2].len()), (2048, 4096 - 2048 - 80));
    assert!(lines[0].starts_with("01234") && lines[2].ends_with("56789"));
    assert_eq!(size, LogSize { seen: 1_000_000, kept: text.len() as u64, truncated: true, redacted: 0 });
}

#[test]
fn j15_one_byte_too_many_is_left_out_and_told() {
    let (file, size) = check(4096, 4096 - 80 + 1);
    assert!(size.truncated && size.kept <= 4096);
    assert!(String::from_utf8(file).unwrap().contains("\n[ai-ops-runner: 1 bytes left out]\n"));
}

#[test]
fn j15_a_cap_of_nothing_is_the_smallest_cap() {
    let (file, _) = check(0, 100_000);
    assert!((2048..=4096).contains(&file.len()));
}

#[test]
fn j15_what_is_not_text_is_kept_as_it_is() {
    let said: Vec<u8> = (0..=255).cycle().take(3000).collect();
    assert_eq!(logged(1 << 20, &Secrets::default(), &[&said]).0, said);
}

#[test]
fn j15_2_gib_go_through_in_constant_memory() {
    let (dir, fd) = directory();
    let mut secrets = Secrets::default();
    secrets.register(b"sk-0123456789").unwrap();
    let mut log = Log::create(&fd, "stdout.log", 1 << 20, secrets, Box::new(|_| ())).unwrap();
    let chunk = vec![b'x'; 64 << 10];
    let before = peak();
    (0..(2 << 30) / chunk.len()).for_each(|_| log.feed(&chunk));
    let size = log.finish().unwrap();
    assert_eq!((size.seen, size.truncated), (2 << 30, true));
    assert_eq!(fs::metadata(dir.path().join("stdout.log")).unwrap().len(), size.kept);
    assert!(size.kept <= 1 << 20);
    assert!(peak() - before < 64 << 20, "{} bytes more", peak() - before);
}

/// The most memory of this process so far, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn j14_a_log_is_a_new_file_of_its_owner_and_no_link_is_followed() {
    let (dir, fd) = directory();
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("stdout.log")).unwrap();
    let create = |name| Log::create(&fd, name, 4096, Secrets::default(), Box::new(|_| ()));
    let failure = Failure::from(create("stdout.log").err().unwrap());
    assert_snapshot!(failure.text(), @r"
    log: stdout.log: File exists (os error 17)
    next: check the state directory and its disk, then run the job again
    ");
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
    drop(create("stderr.log").unwrap());
    assert_eq!(fs::metadata(dir.path().join("stderr.log")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn j23_a_full_disk_is_told_and_the_job_is_not_held_up() {
    let text = crate::collect::on_a_full_disk(|dir| {
        let fd: OwnedFd = File::open(dir).unwrap().into();
        let mut log = Log::create(&fd, "stdout.log", 8 << 20, Secrets::default(), Box::new(|_| ())).unwrap();
        let chunk = vec![b'x'; 64 << 10];
        (0..100).for_each(|_| log.feed(&chunk));
        Failure::from(log.finish().unwrap_err())
    });
    assert_snapshot!(text, @r"
    disk-full: stdout.log: No space left on device (os error 28)
    next: free some space, then try again
    ");
}

proptest! {
    #[test]
    fn j15_both_ends_are_those_of_what_was_said(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..12)) {
        let said = chunks.concat();
        let parts: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let (file, _, size) = logged(4096, &Secrets::default(), &parts);
        prop_assert!(file.len() <= 4096);
        if size.truncated {
            prop_assert_eq!(&file[..2048], &said[..2048]);
            prop_assert!(said.ends_with(&file[file.len() - (4096 - 2048 - 80)..]));
        } else {
            prop_assert_eq!(file, said);
        }
    }
}
