//! What a person sees at a terminal while a ship runs.

use std::io::Read as _;

use pty_process::blocking::{Command, open};

use crate::stage::{Setup, Stage, nobody};

#[test]
fn a_running_step_is_shown_with_its_last_line_and_its_time_until_it_ends() {
    let stage = Stage::new(&Setup::testing("echo 7 of 9 tests; sleep 2"), nobody());
    stage.change();
    let mut ship = stage.program("ship");
    ship.env("CODEX_SKIP", "1").env("TERM", "xterm");
    let (mut terminal, device) = open().unwrap();
    let mut child = Command::from(ship).spawn(device).unwrap();
    let (mut shown, mut buffer) = (Vec::new(), [0; 256]);
    // Linux reports the end of a terminal as an error.
    while let Ok(len @ 1..) = terminal.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..len]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let shown = String::from_utf8(shown).unwrap();
    let plain = shown.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
    assert!(plain.contains("7 of 9 tests 1s"), "{shown:?}");
    let left: String = plain.lines().map(|line| line.rsplit("\u{1b}[2K").next().unwrap_or_default()).collect();
    assert!(left.contains("passed unit in ") && !left.contains("7 of 9 tests"), "{shown:?}");
}
