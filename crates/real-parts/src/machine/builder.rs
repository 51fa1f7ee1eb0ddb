//! What a machine is before its first boot.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Machine;
use super::disk::{Disk, root};
use crate::broken::{Broken, Trying as _, run};
use crate::tree::Tree;

/// A machine that was not booted yet.
pub struct Builder {
    disk: Disk,
    tailnet: bool,
}

impl Builder {
    pub(super) fn of(tree: &Tree) -> Result<Self, Broken> {
        Ok(Self { disk: Disk::over(tree)?, tailnet: true })
    }

    /// Boots it without `tailscale0`, as a machine is before its tailnet is there.
    #[must_use]
    pub fn without_tailnet(mut self) -> Self {
        self.tailnet = false;
        self
    }

    /// Writes a file that root alone writes and everybody reads, with the directories above it.
    ///
    /// # Errors
    /// When there is something else.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Result<Self, Broken> {
        self.disk.files().write(path, text)?;
        Ok(self)
    }

    /// Copies a program of this machine there.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn program(self, program: &Path, path: &str) -> Result<Self, Broken> {
        self.disk.files().install(path, fs::read(program).trying(program.display())?)?;
        Ok(self)
    }

    /// Makes a symbolic link, in place of what is there.
    ///
    /// # Errors
    /// When there is a directory.
    pub fn link(self, path: &str, target: &str) -> Result<Self, Broken> {
        self.disk.files().link(path, target)?;
        Ok(self)
    }

    /// Removes a file or link, if it is there.
    ///
    /// # Errors
    /// When it is a directory.
    pub fn without(self, path: &str) -> Result<Self, Broken> {
        self.disk.files().remove(path)?;
        Ok(self)
    }

    /// Runs a script of the shell with its files, where nothing else runs: for instance `systemctl enable ssh.socket`.
    ///
    /// # Errors
    /// With what it said when a command of it fails.
    pub fn prepared(self, script: &str) -> Result<Self, Broken> {
        let mut nsenter = Command::new("nsenter");
        nsenter
            .arg(format!("--mount={}", self.disk.mounts().path()))
            .args(["--", "unshare", "--net", "--pid", "--fork"]);
        nsenter.args(["--kill-child=KILL", "chroot"]).arg(root()).args(["sh", "-euc", script]);
        run(nsenter.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))?;
        Ok(self)
    }

    /// Boots it.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn boot(self) -> Result<Machine, Broken> {
        Machine::on(self.disk, self.tailnet)
    }
}
