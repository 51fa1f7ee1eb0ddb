//! Machines for tests: Debian with systemd as its first process, booted in half a second.
//!
//! A machine is a boot from a disk. The disk outlasts the boot; everything else is new with the next one.

mod boot;
mod builder;
mod disk;
mod files;
mod group;
mod wires;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boot::Boot;
pub use builder::Builder;
use disk::Disk;
pub(crate) use files::Files;
use wires::Wires;

use crate::broken::{Broken, Trying as _, run};
use crate::network::{Host, Namespace};
use crate::tree::Tree;

/// A machine with Debian, real systemd and two networks: `eth0`, which is public, with `203.0.113.1/24` and
/// `2001:db8::1/64`, and `tailscale0`, a tailnet, with `100.64.0.1/10` and `fd7a:115c:a1e0::1/48`. It is gone with all
/// it wrote when dropped.
///
/// ```no_run
/// use real_parts::{Machine, Tree};
///
/// let mut machine = Machine::boot(&Tree::debian().unwrap()).unwrap();
/// machine.write("/etc/motd", "hello\n").unwrap();
/// machine.reboot().unwrap();
/// assert_eq!(machine.sh("cat /etc/motd").unwrap(), "hello");
/// assert!(machine.wan().command("ping").args(["-c1", "203.0.113.1"]).status().unwrap().success());
/// ```
pub struct Machine {
    // Dropped before the disk that it runs on.
    boot: Option<Boot>,
    network: Namespace,
    disk: Disk,
    wires: Wires,
    tailnet: bool,
}

impl Machine {
    /// Boots a copy of a tree and waits until systemd has started everything.
    ///
    /// # Errors
    /// When a right is missing, with its name; with the journal when systemd does not come to an end.
    pub fn boot(tree: &Tree) -> Result<Self, Broken> {
        Self::builder(tree)?.boot()
    }

    /// A machine that is changed before it boots.
    ///
    /// # Errors
    /// When this process may not mount.
    pub fn builder(tree: &Tree) -> Result<Builder, Broken> {
        Builder::of(tree)
    }

    fn on(disk: Disk, tailnet: bool) -> Result<Self, Broken> {
        let mut machine = Self { boot: None, network: Namespace::new()?, disk, wires: Wires::new()?, tailnet };
        machine.start()?;
        Ok(machine)
    }

    /// Boots it. One that runs is cut off before.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn start(&mut self) -> Result<(), Broken> {
        self.cut();
        self.network = Namespace::new()?;
        self.network.ips("link set dev lo up\n")?;
        self.wires.plug_wan(&self.network)?;
        if self.tailnet {
            self.wires.plug_tailnet(&self.network)?;
        }
        self.boot = Some(Boot::of(&self.disk, &self.network)?);
        Ok(())
    }

    /// Kills all that is left of a boot.
    fn cut(&mut self) {
        self.boot = None;
        self.wires.unplug();
    }

    /// Reboots it as `systemctl reboot` does: units are stopped in order, `/run` and the rules of firewalls are gone, the
    /// networks are there again as they were.
    ///
    /// # Errors
    /// When units are not stopped in a minute; as [`Machine::boot`].
    pub fn reboot(&mut self) -> Result<(), Broken> {
        self.shut_down("reboot")?;
        self.start()
    }

    /// Ends it at once, as when its power is cut, and boots it from what was written. Other than from a real disk,
    /// nothing is lost that was written and not synchronized.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn power_cut(&mut self) -> Result<(), Broken> {
        self.start()
    }

    /// Shuts it down as `systemctl poweroff` does. Until [`Machine::start`] nothing runs on it.
    ///
    /// # Errors
    /// When units are not stopped in a minute.
    pub fn poweroff(&mut self) -> Result<(), Broken> {
        self.shut_down("poweroff")
    }

    fn shut_down(&mut self, how: &str) -> Result<(), Broken> {
        // The answer may come when nobody is left to take it.
        let _ = self.command("systemctl").arg(how).output().trying("systemctl")?;
        self.wait_until_off()
    }

    /// Waits until it has ended, for whatever reason it does.
    ///
    /// # Errors
    /// When it runs on for a minute, with the journal.
    pub fn wait_until_off(&mut self) -> Result<(), Broken> {
        if self.boot.as_ref().is_none_or(Boot::ends_by_itself) {
            self.cut();
            return Ok(());
        }
        Err(Broken::new(format!("the machine still ran after a minute; its journal:\n{}", self.journal())))
    }

    /// A program on it, as root in `/`, with an environment of its own, to which more can be added. Ending the child ends
    /// the program soon. The child's exit code is the program's, or as a shell has it when a signal ended that. Where the
    /// machine does not run, the child fails.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let off = || Command::new("false");
        self.boot.as_ref().map_or_else(off, |boot| boot.command(program))
    }

    /// Runs a script of the shell on it. Returns what it printed, without the newline at the end.
    ///
    /// # Errors
    /// With what it said when a command of it fails.
    pub fn sh(&self, script: &str) -> Result<String, Broken> {
        run(self.command("sh").args(["-euc", script]))
    }

    fn files(&self) -> &Files {
        self.boot.as_ref().map_or(self.disk.files(), Boot::files)
    }

    /// What a file says. While the machine is off, that is one on its disk.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn read(&self, path: &str) -> Result<String, Broken> {
        self.files().read(path)
    }

    /// Writes a file that root alone writes and everybody reads, with the directories above it.
    ///
    /// # Errors
    /// When there is something else.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<(), Broken> {
        self.files().write(path, text)
    }

    /// Whether there is something, where links are followed.
    pub fn exists(&self, path: &str) -> bool {
        self.files().exists(path)
    }

    /// Removes a file or link, if it is there.
    ///
    /// # Errors
    /// When it is a directory.
    pub fn remove(&self, path: &str) -> Result<(), Broken> {
        self.files().remove(path)
    }

    /// Copies a program of this machine to `path` there, in place of what is there.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn install(&self, program: &Path, path: &str) -> Result<(), Broken> {
        self.files().install(path, fs::read(program).trying(program.display())?)
    }

    /// The host that `eth0` leads to: `203.0.113.2` and `2001:db8::2`, which is the machine's gateway.
    pub fn wan(&self) -> &Host {
        self.wires.wan()
    }

    /// The host that `tailscale0` leads to: `100.64.0.2` and `fd7a:115c:a1e0::2`.
    pub fn tailnet(&self) -> &Host {
        self.wires.tailnet()
    }

    /// Gives it `tailscale0`, now where it runs, and with every boot.
    ///
    /// # Errors
    /// When it has it.
    pub fn attach_tailnet(&mut self) -> Result<(), Broken> {
        self.tailnet = true;
        if self.boot.is_some() { self.wires.plug_tailnet(&self.network) } else { Ok(()) }
    }

    /// Takes `tailscale0` away, until it is attached again.
    pub fn detach_tailnet(&mut self) {
        self.tailnet = false;
        self.wires.unplug_tailnet();
    }

    /// Whether the next boots have `tailscale0`. What it has now stays.
    pub fn set_tailnet_at_boot(&mut self, attached: bool) {
        self.tailnet = attached;
    }

    /// How long the last boot took, until systemd had started everything.
    pub fn boot_time(&self) -> Duration {
        self.boot.as_ref().map_or(Duration::ZERO, Boot::took)
    }

    /// What systemd said of itself then: `running`, or `degraded` where a unit has failed.
    pub fn state(&self) -> &str {
        self.boot.as_ref().map_or("off", Boot::state)
    }

    /// The last lines of its journal.
    pub fn journal(&self) -> String {
        self.boot.as_ref().map_or_else(String::new, Boot::journal)
    }
}
