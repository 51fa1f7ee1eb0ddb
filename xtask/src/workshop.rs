//! The place tasks work in: the workspace, its target directory, and how a tool is run there.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Metadata, MetadataCommand};
use outcome::Failure;

/// Whether no tool of a task may see the variable: a git hook's, which would redirect every git command of a test; a
/// key; the switches that make insta accept what it should judge; and what cargo says of xtask's own package, by which
/// cargo-machete takes itself for a part of it.
fn is_withheld(name: &str) -> bool {
    ["GIT_", "INSTA_", "CARGO_PKG_"].iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("_API_KEY")
}

/// The workspace as cargo sees it.
pub(crate) struct Workshop {
    /// What `cargo metadata` says of the workspace's own packages; their dependencies are not resolved.
    pub(crate) metadata: Metadata,
}

impl Workshop {
    /// The workspace that this program was built from.
    ///
    /// # Errors
    /// `not-ready` when `cargo metadata` fails.
    pub(crate) fn open() -> Result<Self, Failure> {
        MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .no_deps()
            .exec()
            .map(|metadata| Self { metadata })
            .map_err(|e| Failure::not_ready("cargo-metadata", e.to_string(), "mend Cargo.toml as it says"))
    }

    /// The top folder of the workspace.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// A path below the target directory, where everything a task writes goes.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.metadata.target_directory.join(path).into_std_path_buf()
    }

    /// The tree as git sees it: every file, relative to the root, that is tracked or could be added.
    ///
    /// # Errors
    /// Not ready outside a git repository; refused with a name that is not UTF-8, which no check would see.
    pub(crate) fn tree(&self) -> Result<BTreeSet<String>, Failure> {
        let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = self.tool("git").args(listing).answer().ok_or_else(|| {
            Failure::not_ready("no-repository", "git cannot list the tree", "run it in a clone of the repository")
        })?;
        if listed.contains(char::REPLACEMENT_CHARACTER) {
            return Err(Failure::refused("bad-name", "a file's name is not UTF-8", "rename it: git ls-files -z"));
        }
        let present = |path: &&str| !path.is_empty() && self.root().join(path).symlink_metadata().is_ok();
        Ok(listed.split('\0').filter(present).map(String::from).collect())
    }

    /// A tool, to be run at the root, that also finds what `setup` installed and does not see what [`is_withheld`].
    pub(crate) fn tool(&self, program: impl AsRef<OsStr>) -> Tool {
        let mut command = Command::new(program);
        command.current_dir(self.root()).stdin(Stdio::null()).env("PATH", self.search_path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_withheld(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        Tool { command }
    }

    fn search_path(&self) -> OsString {
        let mut path = self.target("tools/bin").into_os_string();
        if let Some(inherited) = std::env::var_os("PATH") {
            path.push(":");
            path.push(inherited);
        }
        path
    }
}

/// One run of a tool.
pub(crate) struct Tool {
    command: Command,
}

impl Tool {
    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in another folder.
    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it with the terminal of the task, and says whether it succeeded.
    ///
    /// # Errors
    /// `tool-missing` when it cannot be started.
    pub(crate) fn succeeds(mut self) -> Result<bool, Failure> {
        let status = self.command.status().map_err(|e| self.missing(&e))?;
        Ok(status.success())
    }

    /// Runs it with the terminal of the task.
    ///
    /// # Errors
    /// `tool-missing` when it cannot be started; refused with `class` and `next` when it fails.
    pub(crate) fn run(self, class: &'static str, next: impl Into<String>) -> Result<(), Failure> {
        let shown = self.shown();
        if self.succeeds()? { Ok(()) } else { Err(Failure::refused(class, format!("`{shown}` failed"), next)) }
    }

    /// Runs it with the terminal of the task. Returns its exit code; `None` when a signal ended it.
    ///
    /// # Errors
    /// `tool-missing` when it cannot be started.
    pub(crate) fn exit_code(mut self) -> Result<Option<i32>, Failure> {
        Ok(self.command.status().map_err(|e| self.missing(&e))?.code())
    }

    /// What it prints on stdout, or `None` when it fails or cannot be started: for asking whether a part is there.
    pub(crate) fn answer(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }

    fn missing(&self, error: &std::io::Error) -> Failure {
        let program = self.command.get_program().to_string_lossy();
        Failure::not_ready(
            "tool-missing",
            format!("{program}: {error}"),
            format!("install {program}, or run: cargo xtask setup"),
        )
    }
}

/// A failure of the file system under the task's hands.
pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::not_ready(
        "file-unusable",
        format!("{}: {error}", path.display()),
        "mend the path or its permissions, then run it again",
    )
}
