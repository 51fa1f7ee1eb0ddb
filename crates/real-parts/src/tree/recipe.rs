//! What a tree is made of, and how.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::Path;
use std::process::Command;

use crate::broken::{Broken, Trying as _, run};
use crate::machine::Files;

/// It mounts and starts what it would leave here, above all when it is killed.
const ALONE: [&str; 7] =
    ["--pdeathsig=KILL", "unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child=KILL"];

/// Nothing that only people read, and no waiting for a disk: what a crash leaves of a tree is made anew.
const OPTIONS: [&str; 5] = [
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
];

/// How this machine reaches a mirror, and what it lets pass.
const ACQUIRE: [&str; 4] = ["Acquire::http", "Acquire::https", "Acquire::Check-Date", "Acquire::Check-Valid-Until"];

const PACKAGES: [&str; 14] = [
    "ca-certificates",
    "dbus",
    "iproute2",
    "iptables",
    "libpam-systemd",
    "netbase",
    "nftables",
    "openssh-client",
    "openssh-server",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
    "ufw",
];

/// An identity, so that no boot is a new machine's first, which takes longer; and nothing of this machine's.
const FILES: [(&str, &str); 8] = [
    ("/etc/machine-id", "5d1a7c0e4b3f4c8f9f0e6a2d8b7c1e90\n"),
    ("/etc/hostname", "machine\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 machine\n::1 localhost ip6-localhost ip6-loopback\n"),
    ("/etc/resolv.conf", ""),
    ("/etc/apt/apt.conf.d/99mmdebstrap", ""),
    ("/lib/systemd/system/tailscaled.service", include_str!("tailscaled.service")),
    ("/var/lib/tailscale-stub/status.json", include_str!("status.json")),
    ("/var/lib/tailscale-stub/serve.json", "{}\n"),
];

const PROGRAMS: [(&str, &str); 1] = [("/usr/bin/tailscale", include_str!("tailscale.sh"))];

/// A program of its own: processes are told apart by theirs.
const COPIES: [(&str, &str); 1] = [("/usr/bin/sleep", "/usr/sbin/tailscaled")];

/// Units that are enabled, or masked: nothing here has a terminal, and nothing is to go on by itself while a test looks.
const LINKS: [(&str, &str); 5] = [
    ("/etc/systemd/system/multi-user.target.wants/tailscaled.service", "/lib/systemd/system/tailscaled.service"),
    ("/etc/systemd/system/console-getty.service", "/dev/null"),
    ("/etc/systemd/system/getty.target", "/dev/null"),
    ("/etc/systemd/system/apt-daily.timer", "/dev/null"),
    ("/etc/systemd/system/apt-daily-upgrade.timer", "/dev/null"),
];

#[derive(Debug, Hash)]
pub(super) struct Recipe {
    name: &'static str,
    suite: &'static str,
    more: &'static [&'static str],
    /// Directories that cannot be on an overlay.
    pub(super) volumes: &'static [&'static str],
}

pub(super) const DEBIAN: Recipe = Recipe { name: "debian", suite: "bookworm", more: &[], volumes: &[] };

pub(super) const DOCKER: Recipe = Recipe {
    name: "docker",
    suite: "trixie",
    more: &["curl", "docker-cli", "docker-compose", "docker.io"],
    volumes: &["/var/lib/docker", "/var/lib/containerd"],
};

impl Recipe {
    /// Its name with what it comes to.
    pub(super) fn versioned(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (self, OPTIONS, PACKAGES, FILES, PROGRAMS, COPIES, LINKS).hash(&mut hasher);
        format!("{}-{:016x}", self.name, hasher.finish())
    }

    /// # Errors
    /// When mmdebstrap is not installed; with what it said when it fails.
    pub(super) fn make(&self, dir: &Path) -> Result<(), Broken> {
        let mut mmdebstrap = Command::new("setpriv");
        mmdebstrap
            .args(ALONE)
            .args(["mmdebstrap", "--mode=root", "--format=directory", "--quiet"])
            .args(OPTIONS)
            .args(acquiring());
        mmdebstrap.arg(format!("--include={}", [&PACKAGES, self.more].concat().join(",")));
        run(mmdebstrap.arg(self.suite).arg(dir).args(mirror())).map_err(|error| refused(&error))?;
        let files = Files::below(dir)?;
        FILES.iter().try_for_each(|(path, text)| files.write(path, text))?;
        PROGRAMS.iter().try_for_each(|(path, text)| files.install(path, text))?;
        LINKS.iter().try_for_each(|(path, target)| files.link(path, target))?;
        self.volumes.iter().try_for_each(|volume| files.make_dir(volume))?;
        let below = |path: &str| dir.join(path.trim_start_matches('/'));
        COPIES.iter().try_for_each(|(from, to)| fs::copy(below(from), below(to)).map(drop).trying(to))
    }
}

fn refused(error: &Broken) -> Broken {
    let takes = "it takes root, mmdebstrap (cargo xtask setup) and a mirror of Debian in reach (apt-get update)";
    Broken::new(format!("no Debian for machines of tests: {error}; {takes}"))
}

/// The mirror that this machine's packages come from, where that is one of Debian's and its lists are there; else
/// mmdebstrap takes Debian's own.
fn mirror() -> Option<String> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(REPO_URI)"]);
    apt.args(["Created-By: Packages", "Label: Debian", "Component: main"]);
    run(&mut apt).ok()?.lines().next().map(str::to_owned)
}

fn acquiring() -> Vec<String> {
    let mut apt = Command::new("apt-config");
    apt.args(["dump", "--no-empty", "--format", "%f \"%v\";%n"]).args(ACQUIRE);
    run(&mut apt).unwrap_or_default().lines().map(|line| format!("--aptopt={line}")).collect()
}
