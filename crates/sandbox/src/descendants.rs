//! The processes below this one, where no namespace holds them together.
//!
//! **Invariant:** this process is a subreaper: what loses its parent becomes its child and stays findable.

use std::collections::BTreeMap;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

/// Kills and reaps until there is no child left.
pub(crate) fn kill() {
    loop {
        // Stopped first, none of them can fork while the list is made.
        signal(Signal::STOP);
        signal(Signal::KILL);
        match rustix::process::wait(WaitOptions::empty()) {
            Err(Errno::CHILD) => return,
            Ok(_) | Err(_) => while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {},
        }
    }
}

/// Sends a signal to every descendant.
pub(crate) fn signal(signal: Signal) {
    for pid in below(std::process::id(), &parents()) {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Its number may have become another's between the list and the handle, but not any more.
        let number = pid.as_raw_nonzero().get().unsigned_abs();
        if below(std::process::id(), &parents_of(number)).contains(&number) {
            let _ = rustix::process::pidfd_send_signal(&handle, signal);
        }
    }
}

/// The parent of every process.
fn parents() -> BTreeMap<u32, u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// The chain of parents from `pid` up.
fn parents_of(mut pid: u32) -> BTreeMap<u32, u32> {
    let mut chain = BTreeMap::new();
    while let Some(up) = parent(pid).filter(|_| !chain.contains_key(&pid)) {
        chain.insert(pid, up);
        pid = up;
    }
    chain
}

fn parent(pid: u32) -> Option<u32> {
    parse_parent(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The fourth field of `/proc/PID/stat`, behind a name that may hold anything.
fn parse_parent(stat: &[u8]) -> Option<u32> {
    let behind = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(&stat[behind..]).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Everybody whose chain of parents leads to `top`.
fn below(top: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let leads = |pid: &u32| {
        let mut at = *pid;
        for _ in 0..=parents.len() {
            match parents.get(&at) {
                Some(up) if *up == top => return true,
                Some(up) => at = *up,
                None => return false,
            }
        }
        false
    };
    parents.keys().copied().filter(leads).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_behind_any_name() {
        assert_eq!(parse_parent(b"12 (a) S 7) S 5 12 12"), Some(5));
        assert_eq!(parse_parent(b"12 (\xff\n) R 1 2"), Some(1));
        assert_eq!(parse_parent(b"12 x"), None);
    }

    #[test]
    fn everybody_below_is_found_and_nobody_else() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)]);
        assert_eq!(below(2, &parents), [3, 4]);
        assert_eq!(below(5, &parents), [0_u32; 0]);
    }
}
