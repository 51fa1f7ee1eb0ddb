//! Debian as a directory, made once for each target directory and never written to: what machines of tests boot copies
//! of.
//!
//! **Invariant:** a tree is whole. It is made elsewhere and renamed, and another recipe makes another tree.

mod recipe;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use recipe::{DEBIAN, DOCKER, Recipe};

use crate::broken::{Broken, Trying as _, run};
use crate::target::target_dir;

/// A tree that is there.
///
/// It has a stub of Tailscale, since no real one can be had from package registries. `tailscaled` is a unit that is
/// ready at once and does nothing, and `tailscale` prints what files in `/var/lib/tailscale-stub` say: `status --json`
/// prints `status.json` and ends with the code in `status.exit`, if that is there; `serve status --json` does so with
/// `serve.json` and `serve.exit`; `ip -4` and `ip -6` print the first such address of `status.json`; `serve --bg PORT`
/// and `serve reset` write `serve.json`; every command line is added to `calls`; others are refused.
#[derive(Debug, Clone)]
pub struct Tree {
    dir: PathBuf,
    volumes: &'static [&'static str],
}

impl Tree {
    /// Debian 12 as a small virtual server has it: systemd, an SSH server, UFW, Python. Makes it where it is not there
    /// yet, which takes most of a minute.
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

    /// Whether [`Tree::debian`] is there already.
    pub fn has_debian() -> bool {
        base().join(DEBIAN.versioned()).exists()
    }

    /// Whether [`Tree::docker`] is there already.
    pub fn has_docker() -> bool {
        base().join(DOCKER.versioned()).exists()
    }

    fn of(recipe: &Recipe) -> Result<Self, Broken> {
        fs::create_dir_all(base()).trying(base().display())?;
        let dir = base().join(recipe.versioned());
        let lock = File::create(dir.with_added_extension("lock")).trying("the lock of the tree")?;
        lock.lock().trying("the lock of the tree")?;
        if !dir.exists() {
            make(recipe, &dir)?;
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

fn base() -> PathBuf {
    target_dir().join("real-parts")
}

fn make(recipe: &Recipe, dir: &Path) -> Result<(), Broken> {
    let part = dir.with_added_extension("part");
    run(Command::new("rm").args(["--recursive", "--force", "--one-file-system"]).arg(&part))?;
    recipe.make(&part)?;
    fs::rename(&part, dir).trying(dir.display())
}
