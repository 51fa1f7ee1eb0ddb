//! Logs: while they grow, after that, and their last lines.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;

use insta::assert_snapshot;
use runner_wire::Stream::{Stderr, Stdout};

use crate::lab::{EPOCH, Lab};

/// The last lines of a log and how many it has.
async fn tail(lab: &Lab, lines: u32) -> (Vec<String>, u64) {
    let tail = lab.files.tail(&lab.id, EPOCH, Stdout, lines).await.unwrap();
    (tail.lines, tail.total_lines)
}

/// Where the last lines of a log begin.
async fn begin(lab: &Lab, lines: u32) -> u64 {
    lab.files.last_lines(&lab.id, EPOCH, Stdout, lines).await.unwrap()
}

#[tokio::test]
async fn a_log_that_grows_is_read_from_where_one_was() {
    let lab = Lab::new();
    assert_eq!(lab.files.log_size(&lab.id, EPOCH, Stdout).await, Ok(0));
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stdout, 0, 100).await.unwrap(), "");
    lab.put("stdout.log", "one\n");
    lab.put("stderr.log", "bad\n");
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stdout, 0, 100).await.unwrap(), "one\n");
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stdout, 4, 100).await.unwrap(), "");
    let mut log = OpenOptions::new().append(true).open(lab.attempt().join("stdout.log")).unwrap();
    log.write_all(b"two\n").unwrap();
    assert_eq!(lab.files.log_size(&lab.id, EPOCH, Stdout).await, Ok(8));
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stdout, 4, 3).await.unwrap(), "two");
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stdout, u64::MAX, usize::MAX).await.unwrap(), "");
    assert_eq!(lab.files.log(&lab.id, EPOCH, Stderr, 0, usize::MAX).await.unwrap(), "bad\n");
    assert_eq!(lab.files.log_size(&lab.id, EPOCH + 1, Stdout).await, Ok(0));
}

#[tokio::test]
async fn the_last_lines_are_those_a_person_would_count() {
    let lab = Lab::new();
    let mut told = String::new();
    for log in ["", "\n", "\n\n", "one", "one\n", "one\ntwo", "one\r\ntwo\n", "\none\n\n", "b\u{e4}d \n"] {
        lab.put("stdout.log", log);
        let (last, total) = tail(&lab, 2).await;
        writeln!(told, "{log:?}: {last:?} of {total}, from {}", begin(&lab, 2).await).unwrap();
    }
    assert_snapshot!(told, @r#"
    "": [] of 0, from 0
    "\n": [""] of 1, from 0
    "\n\n": ["", ""] of 2, from 0
    "one": ["one"] of 1, from 0
    "one\n": ["one"] of 1, from 0
    "one\ntwo": ["one", "two"] of 2, from 0
    "one\r\ntwo\n": ["one\r", "two"] of 2, from 0
    "\none\n\n": ["one", ""] of 3, from 1
    "bäd \n": ["bäd "] of 1, from 0
    "#);
    lab.put("stdout.log", b"\xff\xfe\n");
    assert_eq!(tail(&lab, 2).await, (vec!["\u{fffd}\u{fffd}".to_owned()], 1));
    assert_eq!(tail(&lab, 0).await, (vec![], 1));
}

#[tokio::test]
async fn lines_across_blocks_are_whole() {
    let lab = Lab::new();
    let lines: Vec<String> = (0..40_000).map(|number| format!("{number} {}", "x".repeat(number % 97))).collect();
    lab.put("stdout.log", lines.join("\n"));
    for most in [1, 7, 5000, 39_999, 40_000, u32::MAX] {
        let (last, total) = tail(&lab, most).await;
        let wanted = lines.len() - lines.len().min(most as usize);
        assert_eq!(total, 40_000);
        assert!(last == lines[wanted..], "{most}");
        let before: usize = lines[..wanted].iter().map(|line| line.len() + 1).sum();
        assert_eq!(begin(&lab, most).await, before as u64, "{most}");
    }
}

#[tokio::test]
async fn j15_a_line_without_end_is_shown_by_its_end_and_the_answer_is_bounded() {
    let lab = Lab::new();
    // Three bytes each: a cut comes into the middle of one.
    let long = "\u{20ac}".repeat(1 << 20);
    lab.put("stdout.log", format!("first\n{long}end\nlast\n"));
    let (last, total) = tail(&lab, 3).await;
    assert_eq!((last.len(), total, &*last[0], &*last[2]), (3, 3, "first", "last"));
    assert!(last[1].len() <= 64 << 10 && last[1].len() > (64 << 10) - 4);
    assert!(last[1].starts_with('\u{20ac}') && last[1].ends_with("\u{20ac}end"));

    lab.put("stdout.log", format!("{}\n", "y".repeat(60_000)).repeat(300));
    let (last, total) = tail(&lab, 300).await;
    assert_eq!((last.len(), total), (139, 300));

    lab.put("stdout.log", vec![b'\n'; 1 << 20]);
    let (last, total) = tail(&lab, u32::MAX).await;
    assert_eq!((last.len(), total), (262_144, 1 << 20));

    lab.put("stdout.log", vec![0xff; 1 << 20]);
    let (last, total) = tail(&lab, 5).await;
    assert_eq!((last[0].len(), total), (3 * (64 << 10), 1));
}

#[tokio::test]
async fn j15_what_is_bounded_of_an_answer_is_what_is_sent_of_it() {
    let lab = Lab::new();
    for (character, escaped) in [("\u{1}", 6), ("\"", 2), ("\\", 2), ("\t", 2), ("\r", 2), ("\u{7f}", 1), ("y", 1)] {
        lab.put("stdout.log", format!("{}\n", character.repeat(60_000)).repeat(200));
        let (last, _) = tail(&lab, 200).await;
        let sent = serde_json::to_vec(&last).unwrap().len();
        let line = escaped * 60_000;
        assert!(sent <= 8 << 20 && sent + line + 200 * 32 > 8 << 20, "{character:?}: {sent}");
    }
}
