//! What is left of a process.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const HOLDER: &str = "REAL_PARTS_HOLDER";
const READY: &str = "the part is there";

/// Runs the test `name`, which called this, in another process; in that one starts a part and waits to be killed. Here
/// kills it then, and returns how many processes it had started and which of them have not ended soon after.
pub(crate) fn after_a_kill<T, E: std::fmt::Debug>(name: &str, start: impl Fn() -> Result<T, E>) -> (usize, Vec<u32>) {
    if env::var_os(HOLDER).is_some() {
        let _part = start().unwrap();
        println!("{READY}");
        loop {
            thread::park();
        }
    }
    let open = fs::Permissions::from_mode(0o755);
    // Files are what a killed process cannot remove.
    let dir = tempfile::Builder::new().permissions(open).tempdir().unwrap();
    let mut holder = Command::new(env::current_exe().unwrap());
    holder.args(["--exact", name, "--nocapture"]).env(HOLDER, "1").env("TMPDIR", dir.path()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(READY)), "{name} is a test");
    let started = below(holder.id());
    holder.kill().unwrap();
    holder.wait().unwrap();
    (started.len(), left(started))
}

/// Every process that this one started, and those that they did.
pub(crate) fn below(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let listed = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let children: Vec<u32> =
        listed.flat_map(|ids| ids.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect();
    children.iter().flat_map(|&child| [vec![child], below(child)].concat()).collect()
}

/// Those that run 5 seconds from now.
pub(crate) fn left(mut processes: Vec<u32>) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !processes.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
        processes.retain(|&process| runs(process));
    }
    processes
}

/// One whose end nobody has asked for yet has ended.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}
