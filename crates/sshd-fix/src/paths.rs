//! Where everything is.

/// The state of a change.
pub const STATE: &str = "/var/lib/sshd-fix";
/// A change that nobody confirmed yet, with what puts it back. What arms the rollback acts on nothing but this file.
pub const PENDING: &str = "/var/lib/sshd-fix/pending";
/// The change that was confirmed last.
pub const CONFIRMED: &str = "/var/lib/sshd-fix/confirmed";
/// The change that was put back last.
pub const REVERTED: &str = "/var/lib/sshd-fix/reverted";
/// The program that puts back: a copy, since the one that applied may be replaced or lie in memory.
pub const PROGRAM: &str = "/var/lib/sshd-fix/sshd-fix";
/// The configuration as it would be, for sshd to judge before it is used.
pub const CANDIDATE: &str = "/var/lib/sshd-fix/candidate";

/// What sshd reads first.
pub const MAIN_CONFIG: &str = "/etc/ssh/sshd_config";
/// Where `Include` has to lead.
pub const DROP_INS: &str = "/etc/ssh/sshd_config.d";
/// What binds sshd.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/99-tailscale-only.conf";
/// The directory that sshd wants to be there before it checks anything; in memory, its unit makes it at each start.
pub const RUNTIME: &str = "/run/sshd";

/// The unit at `BOOT_UNIT`.
pub const BOOT: &str = "sshd-fix-boot.service";
/// The unit at `TIMER_UNIT`.
pub const TIMER: &str = "sshd-fix-revert.timer";
/// Puts the files back at the next boot, before anything of sshd starts.
pub const BOOT_UNIT: &str = "/etc/systemd/system/sshd-fix-boot.service";
/// Puts everything back and looks whether it is.
pub const REVERT_UNIT: &str = "/etc/systemd/system/sshd-fix-revert.service";
/// Starts it when nobody confirmed.
pub const TIMER_UNIT: &str = "/etc/systemd/system/sshd-fix-revert.timer";

/// What `systemctl enable` makes of them.
pub const BOOT_WANTED: &str = "/etc/systemd/system/multi-user.target.wants/sshd-fix-boot.service";
/// The same of the timer.
pub const TIMER_WANTED: &str = "/etc/systemd/system/timers.target.wants/sshd-fix-revert.timer";

/// Neither sshd nor its socket is started while this is there, as Debian's units have it.
pub const NOT_TO_BE_RUN: &str = "/etc/ssh/sshd_not_to_be_run";

/// The drop-in of the unit that starts sshd: after `override.conf`, which `systemctl edit` writes.
pub fn unit_drop_in(service: &str) -> String {
    format!("/etc/systemd/system/{service}.d/zz-tailscale-only.conf")
}
