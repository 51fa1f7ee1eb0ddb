//! What is left of the disks that the runner writes to.

use doctor::Check;
use host::HostError;
use outcome::Failure;
use rustix::fs::{stat, statvfs};
use rustix::io::Errno;

use crate::{LOGS, STATE, Scene, worst};

pub(crate) const NAME: &str = "disk";
pub(crate) const INODES: &str = "inodes";

/// How much of a hundred may be in use.
const WARNS: u64 = 85;
const FAILS: u64 = 95;
/// Less than that, in bytes, is used up by one job.
const LEAST: u64 = 1 << 30;

/// A file system of the host.
#[derive(Debug, Clone)]
struct Disk {
    path: &'static str,
    space: Amount,
    inodes: Amount,
}

/// Bytes or inodes.
#[derive(Debug, Clone, Copy)]
struct Amount {
    used: u64,
    /// What others than root may still take.
    free: u64,
}

impl Amount {
    fn percent(self) -> u64 {
        let all = u128::from(self.used) + u128::from(self.free);
        u64::try_from((u128::from(self.used) * 100).div_ceil(all.max(1))).unwrap_or(100)
    }
}

pub(crate) fn disk(_: &Scene<'_>) -> Result<Check, Failure> {
    Ok(worst(NAME, disks()?.iter().map(Disk::judge_space).collect()))
}

pub(crate) fn inodes(_: &Scene<'_>) -> Result<Check, Failure> {
    Ok(worst(INODES, disks()?.iter().map(Disk::judge_inodes).collect()))
}

/// Those of the directories that are there, each once.
fn disks() -> Result<Vec<Disk>, HostError> {
    let mut disks = Vec::new();
    let mut devices = Vec::new();
    for path in ["/", STATE, LOGS] {
        let error = |errno: Errno| HostError::io(path)(errno.into());
        match stat(path) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(error(errno)),
            Ok(found) if devices.contains(&found.st_dev) => {}
            Ok(found) => {
                devices.push(found.st_dev);
                let told = statvfs(path).map_err(error)?;
                let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
                let space =
                    Amount { used: bytes(told.f_blocks.saturating_sub(told.f_bfree)), free: bytes(told.f_bavail) };
                let inodes = Amount { used: told.f_files.saturating_sub(told.f_ffree), free: told.f_favail };
                disks.push(Disk { path, space, inodes });
            }
        }
    }
    Ok(disks)
}

impl Disk {
    fn judge_space(&self) -> Check {
        let percent = self.space.percent();
        let free = self.space.free;
        let free = if free < LEAST { format!("{} MiB", free >> 20) } else { format!("{} GiB", free >> 30) };
        let message = format!("{}: {percent} % used, {free} free", self.path);
        let next = "free some: runner prune; journalctl --vacuum-size 200M; docker system prune";
        if percent >= FAILS || self.space.free < LEAST {
            Check::fail(NAME, "disk-full", message, next)
        } else if percent >= WARNS {
            Check::warn(NAME, "disk-filling", message, next)
        } else {
            Check::pass(NAME, message)
        }
    }

    fn judge_inodes(&self) -> Check {
        let Amount { used, free } = self.inodes;
        // Some make them as they need them, and count none.
        if used == 0 && free == 0 {
            return Check::pass(INODES, format!("{}: not counted", self.path));
        }
        let percent = self.inodes.percent();
        let message = format!("{}: {percent} % used, {free} free", self.path);
        let next = "find where they are: du --inodes --one-file-system --max-depth 3 DIR; runner prune removes those of old jobs";
        if percent >= FAILS {
            Check::fail(INODES, "inodes-used-up", message, next)
        } else if percent >= WARNS {
            Check::warn(INODES, "inodes-filling", message, next)
        } else {
            Check::pass(INODES, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::shown;

    const GIB: u64 = 1 << 30;

    fn of(used: u64, free: u64) -> Disk {
        Disk { path: "/", space: Amount { used, free }, inodes: Amount { used, free } }
    }

    #[test]
    fn a_disk_warns_before_it_is_full() {
        let space = |used, free| shown(&of(used, free).judge_space());
        assert_snapshot!(space(84 * GIB, 16 * GIB), @"
        PASS: disk: /: 84 % used, 16 GiB free
              class: ok
        ");
        assert_snapshot!(space(84 * GIB + 1, 16 * GIB - 1), @"
        WARN: disk: /: 85 % used, 15 GiB free
              next: free some: runner prune; journalctl --vacuum-size 200M; docker system prune
              class: disk-filling
        ");
        assert_snapshot!(space(94 * GIB + 1, 6 * GIB - 1), @"
        FAIL: disk: /: 95 % used, 5 GiB free
              next: free some: runner prune; journalctl --vacuum-size 200M; docker system prune
              class: disk-full
        ");
        assert_snapshot!(space(GIB, GIB - 1), @"
        FAIL: disk: /: 51 % used, 1023 MiB free
              next: free some: runner prune; journalctl --vacuum-size 200M; docker system prune
              class: disk-full
        ");
        assert_snapshot!(space(0, 0), @"
        FAIL: disk: /: 0 % used, 0 MiB free
              next: free some: runner prune; journalctl --vacuum-size 200M; docker system prune
              class: disk-full
        ");
        assert!(space(u64::MAX, u64::MAX).starts_with("PASS"));
    }

    #[test]
    fn inodes_run_out_as_space_does_and_some_disks_have_none() {
        let inodes = |used, free| shown(&of(used, free).judge_inodes());
        assert_snapshot!(inodes(84, 16), @"
        PASS: inodes: /: 84 % used, 16 free
              class: ok
        ");
        assert_snapshot!(inodes(85, 15), @"
        WARN: inodes: /: 85 % used, 15 free
              next: find where they are: du --inodes --one-file-system --max-depth 3 DIR; runner prune removes those of old jobs
              class: inodes-filling
        ");
        assert_snapshot!(inodes(95, 5), @"
        FAIL: inodes: /: 95 % used, 5 free
              next: find where they are: du --inodes --one-file-system --max-depth 3 DIR; runner prune removes those of old jobs
              class: inodes-used-up
        ");
        assert_snapshot!(inodes(1, 0), @"
        FAIL: inodes: /: 100 % used, 0 free
              next: find where they are: du --inodes --one-file-system --max-depth 3 DIR; runner prune removes those of old jobs
              class: inodes-used-up
        ");
        assert_snapshot!(inodes(0, 0), @"
        PASS: inodes: /: not counted
              class: ok
        ");
    }

    #[test]
    fn this_machine_has_a_disk() {
        let disks = disks().unwrap();
        assert!(disks[0].path == "/" && disks[0].space.used > 0);
    }
}
