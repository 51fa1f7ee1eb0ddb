//! Debian as a directory, made once for each target directory and never written to: what machines of tests boot copies
//! of.
//!
//! **Invariant:** a tree is whole. It is made elsewhere and renamed, and another recipe makes another tree.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broken::{Broken, Trying as _, run};
use crate::machine::Files;
use crate::target::target_dir;

const MMDEBSTRAP: &str = "mmdebstrap";

/// Nothing that only people read, and no waiting for a disk: what a crash leaves of it is made anew.
const OPTIONS: [&str; 5] = [
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
];

/// How this machine reaches a mirror, and what it lets pass.
const ACQUIRE: [&str; 4] = ["Acquire::http", "Acquire::https", "Acquire::Check-Date", "Acquire::Check-Valid-Until"];

/// Nothing here has a terminal, and nothing is to go on by itself while a test looks.
const MASKED: [&str; 4] = ["console-getty.service", "getty.target", "apt-daily.timer", "apt-daily-upgrade.timer"];

/// With an identity, so that a boot is none of a new machine's, which takes longer; and without the names of this one.
const WRITTEN: [(&str, &str); 5] = [
    ("/etc/machine-id", "5d1a7c0e4b3f4c8f9f0e6a2d8b7c1e90\n"),
    ("/etc/hostname", "machine\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 machine\n::1 localhost ip6-localhost ip6-loopback\n"),
    ("/etc/resolv.conf", ""),
    ("/etc/apt/apt.conf.d/99mmdebstrap", ""),
];

/// What a tree is made of.
#[derive(Debug, Hash)]
struct Recipe {
    name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    more: &'static [&'static str],
    /// Directories that cannot be on an overlay.
    volumes: &'static [&'static str],
}

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

const DEBIAN: Recipe = Recipe { name: "debian", suite: "bookworm", packages: &PACKAGES, more: &[], volumes: &[] };

const DOCKER: Recipe = Recipe {
    name: "docker",
    suite: "trixie",
    packages: &PACKAGES,
    more: &["curl", "docker-cli", "docker-compose", "docker.io"],
    volumes: &["/var/lib/docker", "/var/lib/containerd"],
};

/// A tree that is there.
#[derive(Debug, Clone)]
pub struct Tree {
    dir: PathBuf,
    volumes: &'static [&'static str],
}

impl Tree {
    /// Debian 12 as a small virtual server has it: systemd, an SSH server, UFW, Python. Makes it where it is not there
    /// yet, which takes half a minute.
    ///
    /// # Errors
    /// When mmdebstrap is not installed; with what it said when it fails.
    pub fn debian() -> Result<Self, Broken> {
        Self::of(&DEBIAN)
    }

    /// Debian 13 with the same, Docker and its Compose.
    ///
    /// # Errors
    /// As [`Tree::debian`].
    pub fn docker() -> Result<Self, Broken> {
        Self::of(&DOCKER)
    }

    fn of(recipe: &Recipe) -> Result<Self, Broken> {
        let base = target_dir().join("real-parts");
        fs::create_dir_all(&base).trying(base.display())?;
        let name = recipe.versioned();
        let dir = base.join(&name);
        let lock = File::create(base.join(format!("{name}.lock"))).trying("the lock of the tree")?;
        lock.lock().trying("the lock of the tree")?;
        if !dir.exists() {
            recipe.make(&dir)?;
        }
        Ok(Self { dir, volumes: recipe.volumes })
    }

    /// Where it is, for looking at it.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn volumes(&self) -> &'static [&'static str] {
        self.volumes
    }
}

impl Recipe {
    fn versioned(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (self, OPTIONS, MASKED, WRITTEN).hash(&mut hasher);
        format!("{}-{:016x}", self.name, hasher.finish())
    }

    fn make(&self, dir: &Path) -> Result<(), Broken> {
        let part = dir.with_added_extension("part");
        run(Command::new("rm").args(["--recursive", "--force", "--one-file-system"]).arg(&part))?;
        let mut mmdebstrap = Command::new(MMDEBSTRAP);
        mmdebstrap.args(["--mode=root", "--format=directory", "--quiet"]).args(OPTIONS).args(acquiring());
        mmdebstrap.arg(format!("--include={}", [self.packages, self.more].concat().join(",")));
        mmdebstrap.arg(self.suite).arg(&part).args(mirror());
        run(&mut mmdebstrap).map_err(|error| refused(&error))?;
        let files = Files::below(&part)?;
        for (path, text) in WRITTEN {
            files.write(path, text)?;
        }
        self.volumes.iter().try_for_each(|volume| files.make_dir(volume))?;
        for unit in MASKED {
            files.link(&format!("/etc/systemd/system/{unit}"), "/dev/null")?;
        }
        fs::rename(&part, dir).trying(dir.display())
    }
}

fn refused(error: &Broken) -> Broken {
    let mut text = format!("no Debian for machines of tests: {error}; it takes root, mmdebstrap (cargo xtask setup)");
    let _ = write!(text, " and a mirror of Debian in reach (apt-get update)");
    Broken::new(text)
}

/// The mirror that this machine's packages come from, when that is one of Debian's and `apt-get update` was run; else
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
