//! The last lines of 2 GiB, in a process of its own, whose memory is measured.

use std::fs::{File, OpenOptions, read_to_string};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use job_files::Files;
use runner_wire::Stream::Stdout;

use crate::lab::{EPOCH, Lab};

/// Names the state directory for the process that is measured.
const STATE: &str = "JOB_FILES_TEST_STATE";
const SIZE: u64 = 2 << 30;

#[test]
fn j15_the_last_lines_of_2_gib_take_constant_memory() {
    if let Some(state) = std::env::var_os(STATE) {
        return measured(Path::new(&state));
    }
    let lab = Lab::new();
    let mut log = File::create(lab.attempt().join("stdout.log")).unwrap();
    log.write_all("a line\n".repeat(1 << 20).as_bytes()).unwrap();
    // One line without end, and no block of the disk.
    log.seek(SeekFrom::Start(SIZE)).unwrap();
    log.write_all("\nlast\n".repeat(100).as_bytes()).unwrap();
    drop(log);
    OpenOptions::new().append(true).open(lab.attempt().join("stdout.log")).unwrap().write_all(b"no end").unwrap();
    let state = lab.attempt().ancestors().nth(3).unwrap().to_owned();
    let name = "memory::j15_the_last_lines_of_2_gib_take_constant_memory";
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .status();
    assert!(ran.unwrap().success());
}

fn measured(state: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (files, id) = (Files::local(state), "20260131T235959123Z-0123456789abcdef".parse().unwrap());
    runtime.block_on(files.list(&id, EPOCH)).unwrap();
    for lines in [10, 201] {
        let (before, began) = (peak(), Instant::now());
        let tail = runtime.block_on(files.tail(&id, EPOCH, Stdout, lines)).unwrap();
        let (took, grown) = (began.elapsed(), peak() - before);
        println!("tail of {lines} lines of 2 GiB: {took:?}, peak memory grew by {grown} KiB");
        assert_eq!(tail.lines.len(), lines as usize);
        assert_eq!(tail.lines.last().unwrap(), "no end");
        assert_eq!(tail.total_lines, (1 << 20) + 201);
        assert!(grown < 8 << 10, "{grown} KiB");
        assert!(took < Duration::from_mins(1), "{took:?}");
    }
}

/// The most memory that this process had, in KiB.
fn peak() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
