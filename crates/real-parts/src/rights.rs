//! What a process may do, as the kernel numbers it.

use std::fs;

use crate::broken::Broken;

/// What networks and machines are made by.
const NEEDED: [(u32, &str); 2] = [(21, "CAP_SYS_ADMIN"), (12, "CAP_NET_ADMIN")];

/// `what` is not there because of `error`: names the capabilities that are missing, or says `otherwise` what it takes.
pub(crate) fn lacking(what: &str, error: &str, otherwise: &str) -> Broken {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing: Vec<&str> = NEEDED.iter().filter(|(bit, _)| !has(&status, *bit)).map(|(_, name)| *name).collect();
    let next = if missing.is_empty() {
        otherwise.to_owned()
    } else {
        format!("this process lacks {}: run it as root, in a container that was given them", missing.join(" and "))
    };
    Broken::new(format!("no {what} for a test: {error}; {next}"))
}

/// Whether a capability is in force, by a process's status.
fn has(status: &str, bit: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> bit & 1 == 1)
}
