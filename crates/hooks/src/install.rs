//! Puts the gate and the hooks in their places.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use host::{Host, Kind};
use repo::usable_policy;
use serde::Serialize;
use verdict::Sha256;

use crate::site::{answered, git};
use crate::{HooksError, Origin, Site, script};

/// The programs to install copies of.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The gate.
    pub push_gate: PathBuf,
    /// Ship, for the post-commit hook; without it that hook only hands on.
    pub ship: Option<PathBuf>,
}

/// The policy to pin for a first push, when the remote has none.
#[derive(Debug, Clone, Default)]
pub struct PinnedPolicy {
    /// The bytes of `configs/ship.toml` that are trusted; `None` pins nothing.
    pub bytes: Option<Vec<u8>>,
    /// Replace another policy that was pinned before.
    pub repin: bool,
}

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    schema: u32,
    status: &'static str,
    /// The directory that git runs hooks from now.
    pub hooks: PathBuf,
    /// The installed gate.
    pub gate: PathBuf,
    /// What changed, a line each; empty if everything was in place.
    pub changes: Vec<String>,
    /// Another policy is pinned than the one that was given, and stays.
    pub other_policy_kept: bool,
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        if self.other_policy_kept {
            writeln!(f, "another policy stays pinned; to pin the present one: install-hooks --repin")?;
        }
        let done = if self.changes.is_empty() { "already installed" } else { "installed" };
        write!(f, "{done}: hooks in {}, gate at {}", self.hooks.display(), self.gate.display())
    }
}

/// Installs the gate, the policy and the hooks. Doing it again changes nothing; after an interruption it finishes.
///
/// # Errors
/// Every [`HooksError`]; no hook that was there is lost.
pub fn install(
    host: &dyn Host,
    site: &Site,
    programs: &Programs,
    policy: &PinnedPolicy,
) -> Result<Installed, HooksError> {
    if let Origin::Environment { origin } = &site.effective.origin {
        return Err(HooksError::Environment { origin: origin.clone(), dir: site.effective.dir.clone() });
    }
    for dir in [&site.gate_dir, &site.default_dir(), &site.own_dir()] {
        if let Some(tree) = site.work_tree_of(dir) {
            return Err(HooksError::InsideWorkTree { dir: dir.clone(), tree: tree.to_owned() });
        }
    }
    let mut work = Work { host, site, changes: Vec::new() };
    let other_policy_kept = work.gate(programs, policy)?;
    let hooks = work.hooks()?;
    Ok(Installed { schema: 1, status: "done", hooks, gate: site.gate(), changes: work.changes, other_policy_kept })
}

struct Work<'a> {
    host: &'a dyn Host,
    site: &'a Site,
    changes: Vec<String>,
}

impl Work<'_> {
    /// Returns whether another policy was kept.
    fn gate(&mut self, programs: &Programs, policy: &PinnedPolicy) -> Result<bool, HooksError> {
        self.program(&programs.push_gate, &self.site.gate())?;
        if let Some(ship) = &programs.ship {
            self.program(ship, &self.site.ship())?;
        }
        let kept = self.pin(policy)?;
        self.record()?;
        Ok(kept)
    }

    fn program(&mut self, from: &Path, to: &Path) -> Result<(), HooksError> {
        let bytes = self.host.read(from)?.ok_or_else(|| HooksError::NoProgram(from.to_owned()))?;
        self.put(to, &bytes, 0o755)
    }

    fn pin(&mut self, policy: &PinnedPolicy) -> Result<bool, HooksError> {
        let Some(bytes) = &policy.bytes else { return Ok(false) };
        let pinned = self.host.read(&self.site.policy())?;
        if !policy.repin && pinned.is_some_and(|pinned| pinned != *bytes) {
            return Ok(true);
        }
        usable_policy(bytes).map_err(HooksError::Policy)?;
        self.put(&self.site.policy(), bytes, 0o600)?;
        Ok(false)
    }

    fn record(&mut self) -> Result<(), HooksError> {
        let sums = checksums(self.host, self.site)?;
        self.put(&self.site.checksums(), sums.as_bytes(), 0o600)
    }

    fn hooks(&mut self) -> Result<PathBuf, HooksError> {
        let (default, own) = (self.site.default_dir(), self.site.own_dir());
        let configured = match &self.site.effective.origin {
            Origin::Config { scope, value, .. } => Some((scope.as_str(), value.as_path())),
            Origin::Default | Origin::Environment { .. } => None,
        };
        match configured {
            Some((scope, value)) if self.site.effective.dir != default => {
                let former = self.former_dir(value)?;
                self.forwards(&former)?;
                self.hook(&own, "pre-push", &script::pre_push(&self.site.gate()))?;
                self.hook(&own, "post-commit", &script::post_commit(&self.site.ship()))?;
                self.point_git_to(&own, scope)?;
                Ok(own)
            }
            _ => {
                self.keep_former(&default, "pre-push")?;
                self.hook(&default, "pre-push", &script::pre_push(&self.site.gate()))?;
                self.keep_former(&default, "post-commit")?;
                self.hook(&default, "post-commit", &script::post_commit(&self.site.ship()))?;
                Ok(default)
            }
        }
    }

    fn hook(&mut self, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), HooksError> {
        self.put(&dir.join(name), bytes, 0o755)
    }

    /// Copies the hook `name` that is not ours to `name.former`. Ours is written over it only afterwards.
    fn keep_former(&mut self, dir: &Path, name: &str) -> Result<(), HooksError> {
        let hook = dir.join(name);
        let Some(stat) = self.host.stat(&hook)? else { return Ok(()) };
        // A link to nothing is a hook that git does not run.
        let Some(bytes) = self.host.read(&hook)? else { return Ok(()) };
        if is_ours(name, &bytes) {
            return Ok(());
        }
        let kept = dir.join(format!("{name}.former"));
        match self.host.read(&kept)? {
            Some(other) if other != bytes => Err(HooksError::TwoFormer { hook, kept }),
            _ => self.put(&kept, &bytes, if stat.kind == Kind::Symlink { 0o755 } else { stat.mode & 0o777 }),
        }
    }

    /// The directory that `core.hooksPath` named before us.
    fn former_dir(&mut self, value: &Path) -> Result<PathBuf, HooksError> {
        let (own, record) = (self.site.own_dir(), self.site.own_dir().join("former-directory"));
        if self.site.effective.dir == own {
            let recorded = self.host.read(&record)?;
            return Ok(recorded.map_or_else(|| self.site.default_dir(), |bytes| OsString::from_vec(bytes).into()));
        }
        self.put(&record, value.as_os_str().as_bytes(), 0o600)?;
        Ok(value.to_owned())
    }

    fn forwards(&mut self, former: &Path) -> Result<(), HooksError> {
        let own = self.site.own_dir();
        let at = self.site.top.as_deref().unwrap_or(&self.site.common).join(former);
        let there = names_in(&at);
        let client = script::CLIENT_HOOKS.map(OsString::from);
        for name in client.iter().chain(&there) {
            if ["pre-push", "post-commit"].iter().any(|ours| name == ours) || name.as_bytes().contains(&b'.') {
                continue;
            }
            self.put(&own.join(name), &script::forward(former, name), 0o755)?;
        }
        for name in ["pre-push", "post-commit"] {
            let ours = self.host.read(&at.join(name))?.is_some_and(|bytes| is_ours(name, &bytes));
            if !ours {
                self.put(&own.join(format!("{name}.former")), &script::forward(former, OsStr::new(name)), 0o755)?;
            }
        }
        Ok(())
    }

    fn point_git_to(&mut self, own: &Path, scope: &str) -> Result<(), HooksError> {
        if self.site.effective.dir == own {
            return Ok(());
        }
        // A value of one work tree alone is stronger than one of the repository.
        let file = if scope == "worktree" { "--worktree" } else { "--local" };
        let at = self.site.top.as_deref().unwrap_or(&self.site.common);
        let set = git(at, &["config", file, "--replace-all", "core.hooksPath"]).arg(own);
        answered(self.host.run(&set)?, "whether core.hooksPath was set")?;
        self.changes.push(format!("core.hooksPath: {}", own.display()));
        Ok(())
    }

    fn put(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HooksError> {
        let stat = self.host.stat(path)?;
        let same = stat.is_some_and(|stat| stat.kind == Kind::File && stat.mode == mode);
        if same && self.host.read(path)?.is_some_and(|old| old == bytes) {
            return Ok(());
        }
        self.host.write_atomic(path, bytes, mode)?;
        self.changes.push(format!("wrote {}", path.display()));
        Ok(())
    }
}

/// The names in a directory, sorted; none if it cannot be listed.
fn names_in(dir: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|entry| !entry.path().is_dir());
    let mut names: Vec<_> = files.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// One of our hooks, whatever gate it names and whatever version wrote it.
pub(crate) fn is_ours(name: &str, bytes: &[u8]) -> bool {
    bytes.starts_with(script::beginning(name).as_bytes())
}

/// The checksums of what is installed, in the form of `sha256sum`.
pub(crate) fn checksums(host: &dyn Host, site: &Site) -> Result<String, HooksError> {
    let mut sums = String::new();
    for (path, name) in [(site.policy(), "policy.toml"), (site.gate(), "push-gate"), (site.ship(), "ship")] {
        if let Some(bytes) = host.read(&path)? {
            sums.extend([Sha256::of(&bytes).as_str(), "  ", name, "\n"]);
        }
    }
    Ok(sums)
}
