//! Where git looks for hooks, and where ours belong.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use host::{Cmd, Host, Output, SECRETS, data_dir};
use verdict::Sha256;

use crate::HooksError;

/// The directory that git runs hooks from, and what made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The directory: absolute, and canonical if it exists.
    pub dir: PathBuf,
    /// What decides it.
    pub origin: Origin,
}

/// What decides where git looks for hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: the repository's own directory.
    Default,
    /// `core.hooksPath` in a configuration file.
    Config {
        /// `system`, `global`, `local` or `worktree`.
        scope: String,
        /// Git's name for the file, such as `file:.git/config`.
        file: String,
        /// The value, `~` expanded, a relative path left relative.
        value: PathBuf,
    },
    /// `core.hooksPath` in `GIT_CONFIG_*` or `-c`.
    Environment {
        /// Git's name for it.
        origin: String,
    },
}

/// A repository as far as its hooks are concerned.
#[derive(Debug, Clone)]
pub struct Site {
    /// The work tree that was looked from; `None` in a bare repository.
    pub top: Option<PathBuf>,
    /// The directory shared by all work trees (`.git`), canonical.
    pub common: PathBuf,
    /// Every work tree.
    pub trees: Vec<PathBuf>,
    /// Where git looks for hooks.
    pub effective: Effective,
    /// A setting that may lead git to other hooks once another branch is checked out.
    pub by_branch: Option<String>,
    /// Where the gate, the pinned policy and their checksums are: outside every work tree.
    pub gate_dir: PathBuf,
}

impl Site {
    /// Looks at the repository that `dir` is in.
    ///
    /// # Errors
    /// [`HooksError::Git`] outside a repository, [`HooksError::NoDataDirectory`].
    pub fn observe(host: &dyn Host, dir: &Path) -> Result<Self, HooksError> {
        let common = path(&asked(host, dir, "where its directory is", &COMMON)?.stdout);
        let common = std::fs::canonicalize(&common).unwrap_or(common);
        let top = top(host, dir)?;
        let trees = asked(host, dir, "what work trees there are", &["worktree", "list", "--porcelain", "-z"])?;
        let trees = work_trees(&trees.stdout, top.as_ref());
        let effective = effective_hooks(host, dir)?;
        let by_branch = by_branch(host, top.as_deref().unwrap_or(dir))?;
        let gate_dir = gate_dir(host, &common)?;
        Ok(Self { top, common, trees, effective, by_branch, gate_dir })
    }

    /// The repository's own hooks directory.
    #[must_use]
    pub fn default_dir(&self) -> PathBuf {
        self.common.join("hooks")
    }

    /// Where our hooks go if git looks for hooks elsewhere than in [`Site::default_dir`].
    #[must_use]
    pub fn own_dir(&self) -> PathBuf {
        self.common.join("ai-ops-runner-hooks")
    }

    /// The installed gate.
    #[must_use]
    pub fn gate(&self) -> PathBuf {
        self.gate_dir.join("push-gate")
    }

    /// The installed ship, that the post-commit hook starts.
    #[must_use]
    pub fn ship(&self) -> PathBuf {
        self.gate_dir.join("ship")
    }

    /// The pinned policy.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.gate_dir.join(POLICY)
    }

    /// The checksums of the three, as `sha256sum -c` reads them.
    #[must_use]
    pub fn checksums(&self) -> PathBuf {
        self.gate_dir.join("SHA256SUMS")
    }

    /// The work tree that `dir` is in, where a branch can change what is there.
    #[must_use]
    pub fn work_tree_of(&self, dir: &Path) -> Option<&Path> {
        let dir = canonical(dir);
        let tree = self.trees.iter().find(|tree| dir.starts_with(tree))?;
        (!dir.starts_with(&self.common)).then_some(tree)
    }
}

const POLICY: &str = "policy.toml";

/// The pinned policy of the repository whose directory, shared by all work trees, is `common`, canonical; `None` if none
/// is pinned. Git is not asked.
///
/// # Errors
/// [`HooksError::NoDataDirectory`]; those of the machine.
pub fn pinned_policy(host: &dyn Host, common: &Path) -> Result<Option<Vec<u8>>, HooksError> {
    Ok(host.read(&gate_dir(host, common)?.join(POLICY))?)
}

fn gate_dir(host: &dyn Host, common: &Path) -> Result<PathBuf, HooksError> {
    Ok(data_dir(host).ok_or(HooksError::NoDataDirectory)?.join("ai-ops-runner/gates").join(id(common)))
}

const COMMON: [&str; 3] = ["rev-parse", "--path-format=absolute", "--git-common-dir"];

/// Where git, run in `dir` with this process's own environment, looks for hooks.
///
/// # Errors
/// [`HooksError::Git`] outside a repository.
pub fn effective_hooks(host: &dyn Host, dir: &Path) -> Result<Effective, HooksError> {
    // Git resolves a relative path where it runs hooks: at the top of the work tree.
    let top = top(host, dir)?;
    let at = top.as_deref().unwrap_or(dir);
    let hooks =
        asked(host, at, "where its hooks are", &["rev-parse", "--path-format=absolute", "--git-path", "hooks"])?;
    let dir = canonical(&path(&hooks.stdout));
    let get = ["config", "-z", "--type=path", "--show-origin", "--show-scope", "--get", "core.hooksPath"];
    let set = host.run(&git(at, &get))?;
    let origin = if set.status == host::Status::Exited(1) {
        Origin::Default
    } else {
        origin(&answered(set, "core.hooksPath")?.stdout)?
    };
    Ok(Effective { dir, origin })
}

/// `<scope> NUL <origin> NUL <value> NUL`.
fn origin(entry: &[u8]) -> Result<Origin, HooksError> {
    let mut fields = entry.split(|byte| *byte == 0);
    let (Some(scope), Some(file), Some(value)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(HooksError::Git { what: "core.hooksPath", why: "an answer of another form".to_owned() });
    };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(match scope {
        b"command" => Origin::Environment { origin: text(file) },
        scope => Origin::Config { scope: text(scope), file: text(file), value: OsStr::from_bytes(value).into() },
    })
}

/// The first `includeIf.onbranch:*` whose file sets `core.hooksPath`, includes another or cannot be read.
fn by_branch(host: &dyn Host, at: &Path) -> Result<Option<String>, HooksError> {
    const CONDITION: &str = r"^includeif\.onbranch:.*\.path$";
    let ask = ["config", "-z", "--type=path", "--show-origin", "--get-regexp", CONDITION];
    let listed = host.run(&git(at, &ask))?;
    if listed.status == host::Status::Exited(1) {
        return Ok(None);
    }
    let listed = answered(listed, "what it includes on some branch")?.stdout;
    let fields: Vec<&[u8]> = listed.split(|byte| *byte == 0).collect();
    let (includes, _) = fields.as_chunks::<2>();
    for [origin, entry] in includes {
        let mut words = entry.splitn(2, |byte| *byte == b'\n');
        let (key, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if leads_elsewhere(host, at, origin, Path::new(OsStr::from_bytes(value)))? {
            return Ok(Some(format!("{}, {}", String::from_utf8_lossy(key), String::from_utf8_lossy(origin))));
        }
    }
    Ok(None)
}

/// `value` is relative to the file that includes it.
fn leads_elsewhere(host: &dyn Host, at: &Path, origin: &[u8], value: &Path) -> Result<bool, HooksError> {
    const TELLING: &str = r"^(core\.hookspath|include\.path|includeif\..*\.path)$";
    let including = at.join(OsStr::from_bytes(origin.strip_prefix(b"file:").unwrap_or_default()));
    let file = including.parent().unwrap_or(at).join(value);
    let ask = git(at, &["config", "--file"]).arg(file).args(["--name-only", "--get-regexp", TELLING]);
    Ok(host.run(&ask)?.status != host::Status::Exited(1))
}

fn top(host: &dyn Host, dir: &Path) -> Result<Option<PathBuf>, HooksError> {
    let inside = asked(host, dir, "whether this is a work tree", &["rev-parse", "--is-inside-work-tree"])?;
    if inside.stdout_text() != "true" {
        return Ok(None);
    }
    let top = asked(host, dir, "where its work tree is", &["rev-parse", "--path-format=absolute", "--show-toplevel"])?;
    Ok(Some(canonical(&path(&top.stdout))))
}

/// The work trees of `git worktree list --porcelain -z`, without the entry of a bare repository itself.
fn work_trees(listed: &[u8], top: Option<&PathBuf>) -> Vec<PathBuf> {
    let mut trees: Vec<PathBuf> = top.cloned().into_iter().collect();
    for line in listed.split(|byte| *byte == 0) {
        if let Some(tree) = line.strip_prefix(b"worktree ") {
            trees.push(canonical(Path::new(OsStr::from_bytes(tree))));
        } else if line == b"bare" {
            trees.pop();
        }
    }
    trees.sort();
    trees.dedup();
    trees
}

/// The canonical form of a path, also of one whose end does not exist yet.
fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    })
}

/// A directory name for a repository: the first half of the SHA-256 of its canonical path.
fn id(common: &Path) -> String {
    Sha256::of(common.as_os_str().as_bytes()).as_str()[..32].to_owned()
}

/// Git with this process's whole environment but its secrets, because that is what a push will have.
pub(crate) fn git(dir: &Path, args: &[&str]) -> Cmd {
    Cmd::new("git").args(args).dir(dir).inherit_all_but(SECRETS)
}

fn asked(host: &dyn Host, dir: &Path, what: &'static str, args: &[&str]) -> Result<Output, HooksError> {
    answered(host.run(&git(dir, args))?, what)
}

pub(crate) fn answered(output: Output, what: &'static str) -> Result<Output, HooksError> {
    if output.success() { Ok(output) } else { Err(HooksError::Git { what, why: output.stderr_text() }) }
}

fn path(stdout: &[u8]) -> PathBuf {
    OsStr::from_bytes(stdout.strip_suffix(b"\n").unwrap_or(stdout)).into()
}
