//! The files that are put in place, to the byte.

use std::net::Ipv4Addr;

use crate::paths::{PENDING, PROGRAM, STATE};

/// The first words of every file of these.
const MARK: &str = "# Written by sshd-fix";

/// It was put there by a change.
pub(crate) fn is_ours(text: &str) -> bool {
    text.starts_with(MARK)
}

/// What binds sshd.
pub(crate) fn drop_in(address: Ipv4Addr) -> String {
    format!("{MARK}: sshd listens on the tailnet alone.\nAddressFamily inet\nListenAddress {address}\n")
}

/// At a boot sshd starts before the address is there and gives up for good: it has to wait, and to try again. Its runtime
/// directory stays meanwhile, without which nobody checks a configuration.
pub(crate) const UNIT_DROP_IN: &str = "\
# Written by sshd-fix: the address of the tailnet comes up after sshd would start.
[Unit]
After=tailscaled.service
Wants=tailscaled.service
StartLimitIntervalSec=0

[Service]
RestartPreventExitStatus=
Restart=always
RestartSec=1s
RuntimeDirectoryPreserve=yes
";

/// What systemd has to make of it, whatever else there is.
pub(crate) const RETRIES: [&str; 4] =
    ["Restart=always", "RestartUSec=1s", "RestartPreventExitStatus=", "StartLimitIntervalUSec=0"];

/// Before everything of sshd: whatever it starts from at this boot, it starts from what was there before the change.
pub(crate) fn boot_unit(units: &str) -> String {
    format!(
        "[Unit]
Description=Put back the files of sshd: a change of sshd-fix was not confirmed
ConditionPathExists={PENDING}
DefaultDependencies=no
RequiresMountsFor={STATE} /etc
After=local-fs.target
Before={units} shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart={PROGRAM} boot
TimeoutStartSec=2min

[Install]
WantedBy=multi-user.target
"
    )
}

/// Puts back and looks, again and again until it is.
pub(crate) fn revert_unit(units: &str) -> String {
    format!(
        "[Unit]
Description=Put back sshd: a change of sshd-fix was not confirmed
ConditionPathExists={PENDING}
RequiresMountsFor={STATE}
After=sshd-fix-boot.service {units}
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={PROGRAM} revert
Restart=on-failure
RestartSec=10s
TimeoutStartSec=15min
"
    )
}

/// Counts anew from each boot. Without the accuracy systemd may be a minute late.
pub(crate) fn timer_unit(within_s: u64) -> String {
    format!(
        "[Unit]
Description=Put back sshd unless the change of sshd-fix is confirmed
ConditionPathExists={PENDING}
RequiresMountsFor={STATE}

[Timer]
OnActiveSec={within_s}s
AccuracySec=1s
Unit=sshd-fix-revert.service

[Install]
WantedBy=timers.target
"
    )
}
