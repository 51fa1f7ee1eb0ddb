//! What Linux says of processes: memory and processor time; and of a directory, when something is made in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::param::clock_ticks_per_second;

/// How long a job may wait for its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a process holds, in KiB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) now: u64,
    /// The most since it began, or since [`forget_peak`].
    pub(super) peak: u64,
}

pub(super) fn memory(process: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim_end_matches("kB").trim().parse().ok())
            .ok_or_else(|| io::Error::other(format!("{name} is not known of process {process}")))
    };
    Ok(Memory { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

/// Lets the peak begin anew (`proc_pid_clear_refs(5)`).
pub(super) fn forget_peak(process: u32) -> io::Result<()> {
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

/// What all processes that this one began have taken of processors until now, themselves and what they waited for.
pub(super) fn spent() -> io::Result<Duration> {
    let mut processes = BTreeMap::<u32, Spent>::new();
    for entry in fs::read_dir("/proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok();
        processes.extend(stat.and_then(|stat| Spent::parse(&stat)).map(|spent| (id, spent)));
    }
    let this = std::process::id();
    let is_ours = |id: &u32| {
        let above = std::iter::successors(Some(*id), |id| processes.get(id).map(|process| process.parent));
        above.skip(1).any(|id| id == this)
    };
    let ticks: u64 = processes.iter().filter(|(id, _)| is_ours(id)).map(|(_, process)| process.ticks).sum();
    // What has ended and was waited for by this process is told of itself.
    let own = processes.get(&this).map_or(0, |process| process.ended);
    Ok(Duration::from_millis((ticks + own) * 1000 / clock_ticks_per_second()))
}

struct Spent {
    parent: u32,
    ticks: u64,
    /// By those that have ended.
    ended: u64,
}

impl Spent {
    /// Fields 4 and 14 to 17 of `/proc/PID/stat` (`proc_pid_stat(5)`).
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let ended = number(16)? + number(17)?;
        Some(Self { parent: number(4)?.try_into().ok()?, ticks: number(14)? + number(15)? + ended, ended })
    }
}

/// Sees what is made in a directory, and when.
pub(super) struct Watch {
    made: Receiver<(String, Instant)>,
}

impl Watch {
    /// Watches until the directory is gone.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC)?;
        inotify::add_watch(&inotify, dir, WatchFlags::CREATE)?;
        let (sender, made) = channel();
        thread::spawn(move || {
            let mut room = [MaybeUninit::uninit(); 4096];
            tell(Reader::new(inotify, &mut room), &sender);
        });
        Ok(Self { made })
    }

    /// When the next thing was made whose name begins so.
    pub(super) fn next(&self, begin: &str) -> io::Result<Instant> {
        loop {
            let made = self.made.recv_timeout(PATIENCE);
            let (name, at) = made.map_err(|_| io::Error::other(format!("{begin} was not begun")))?;
            if name.starts_with(begin) {
                return Ok(at);
            }
        }
    }
}

fn tell(mut reader: Reader<'_, rustix::fd::OwnedFd>, sender: &Sender<(String, Instant)>) {
    while let Ok(event) = reader.next() {
        let at = Instant::now();
        // The last one has no name: the directory is gone.
        let Some(name) = event.file_name() else { return };
        if sender.send((name.to_string_lossy().into_owned(), at)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_behind_its_name() {
        let stat = "7 (a ) b) S 3 7 7 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5";
        let spent = Spent::parse(stat).unwrap();
        assert_eq!((spent.parent, spent.ticks, spent.ended), (3, 127, 7));
        assert!(Spent::parse("7 (a) S 3").is_none());
    }

    #[test]
    fn what_is_made_is_seen_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch::new(dir.path()).unwrap();
        let before = Instant::now();
        fs::write(dir.path().join("other"), "").unwrap();
        fs::write(dir.path().join("one.1"), "").unwrap();
        assert!(watch.next("one").unwrap() >= before);
    }

    #[test]
    fn children_that_ended_count() {
        let before = spent().unwrap();
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", busy]).status().unwrap().success());
        assert!(spent().unwrap() > before);
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.peak >= memory.now && memory.now > 0);
    }
}
