//! The Codex CLI on this machine: its native program, version and hash.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Cmd, Host, HostError, disk_full, is_full};
use outcome::Failure;
use sha2::{Digest, Sha256 as Hasher};
use verdict::policy::Review;
use verdict::{Sha256, show};

use crate::npm::{self, Platform};

/// The name looked for on `PATH`.
const NAME: &str = "codex";
/// How long `codex --version` may take.
const VERSION_TIME: Duration = Duration::from_secs(30);

/// The native codex program, identified by version and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    version: String,
    sha256: Sha256,
}

/// The version that this was tested with.
const INSTALL: &str = "npm install --global @openai/codex@0.169.0";

/// Why no reviewer can be started. The way out is on this machine, so trying again does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// There is no `codex` on `PATH`.
    #[error("no program `codex` was found on PATH")]
    Missing,
    /// A wrapper without the native program it would start.
    #[error("{} is a script, and the native codex program it starts was not found", .0.display())]
    Wrapper(PathBuf),
    /// What it says is no version.
    #[error("`{} --version` did not say a version: {said}", path.display())]
    Version {
        /// The program that was asked.
        path: PathBuf,
        /// What it answered, made safe to print.
        said: String,
    },
    /// The policy names another version.
    #[error("the policy wants codex {wanted}, this is {found}")]
    OtherVersion {
        /// The policy's `codex_version`.
        wanted: String,
        /// The program's.
        found: String,
    },
    /// The policy does not list this program's hash.
    #[error("{} (sha256 {found}) is none of the programs the policy allows", path.display())]
    OtherProgram {
        /// The program.
        path: PathBuf,
        /// Its SHA-256.
        found: Sha256,
    },
    /// The program does not describe its models as expected.
    #[error("codex does not describe its models as expected: {0}")]
    Catalog(String),
    /// A file could not be read or a directory not made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The program could not be started.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl NotReady {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_full(source),
            Self::Host(error) => error.is_full(),
            _ => false,
        }
    }

    const fn class(&self) -> &'static str {
        match self {
            Self::Missing | Self::Wrapper(_) => "codex-missing",
            Self::Version { .. } | Self::Catalog(_) => "codex-unknown",
            Self::OtherVersion { .. } | Self::OtherProgram { .. } => "codex-not-pinned",
            Self::Io { .. } | Self::Host(_) => "codex-unusable",
        }
    }

    fn next(&self) -> String {
        match self {
            Self::Missing | Self::Wrapper(_) => format!("install it: {INSTALL}"),
            Self::OtherVersion { wanted, .. } => format!("install it: npm install --global @openai/codex@{wanted}"),
            Self::OtherProgram { .. } => "install a codex whose hash is in review.codex_sha256 of the policy".into(),
            Self::Version { .. } | Self::Catalog(_) => format!("install a known version: {INSTALL}"),
            Self::Io { .. } | Self::Host(_) => "check that it exists and its permissions, then try again".into(),
        }
    }
}

impl From<NotReady> for Failure {
    fn from(error: NotReady) -> Self {
        if error.is_full() {
            disk_full(error.to_string())
        } else {
            Self::not_ready(error.class(), error.to_string(), error.next())
        }
    }
}

impl Program {
    /// The first `codex` in an absolute directory of `PATH`; for a script, the native program that it starts.
    ///
    /// # Errors
    /// [`NotReady`] when there is none, or it cannot be identified.
    pub fn find(host: &dyn Host) -> Result<Self, NotReady> {
        Self::at(host, &on_path(host)?)
    }

    /// The version of the program that [`Program::find`] finds, which is not read for it.
    ///
    /// # Errors
    /// [`NotReady`] when there is none, or it says something else.
    pub fn find_version(host: &dyn Host) -> Result<String, NotReady> {
        version_of(host, &on_path(host)?)
    }

    /// The native program at `path`.
    ///
    /// # Errors
    /// [`NotReady`] when it cannot be identified.
    pub fn at(host: &dyn Host, path: &Path) -> Result<Self, NotReady> {
        // The sandbox of a heal grants the real path, and codex starts its helpers by it.
        let path = &path.canonicalize().map_err(NotReady::io(path))?;
        let version = version_of(host, path)?;
        Ok(Self { path: path.to_owned(), version, sha256: sha256_of_file(path).map_err(NotReady::io(path))? })
    }

    /// Refuses a program that is not the one the policy pins.
    ///
    /// # Errors
    /// [`NotReady::OtherVersion`] or [`NotReady::OtherProgram`].
    pub fn check_pins(&self, policy: &Review) -> Result<(), NotReady> {
        match &policy.codex_version {
            Some(wanted) if *wanted != self.version => {
                return Err(NotReady::OtherVersion { wanted: wanted.clone(), found: self.version.clone() });
            }
            _ => {}
        }
        if policy.codex_sha256.is_empty() || policy.codex_sha256.contains(&self.sha256) {
            Ok(())
        } else {
            Err(NotReady::OtherProgram { path: self.path.clone(), found: self.sha256.clone() })
        }
    }

    /// The native program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, e.g. `0.169.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The SHA-256 of its bytes.
    pub const fn sha256(&self) -> &Sha256 {
        &self.sha256
    }

    /// The folder it was installed with: its sandbox helper lies beside it.
    pub(crate) fn package(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }
}

fn on_path(host: &dyn Host) -> Result<PathBuf, NotReady> {
    let path = host.env("PATH").unwrap_or_default();
    // A relative entry would let the reviewed repository choose its reviewer.
    let dirs = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    native(&dirs.map(|dir| dir.join(NAME)).find(|path| path.is_file()).ok_or(NotReady::Missing)?)
}

fn version_of(host: &dyn Host, path: &Path) -> Result<String, NotReady> {
    let said = host.run(&Cmd::new(path).arg("--version").timeout(VERSION_TIME))?.stdout_text();
    version(&said).ok_or_else(|| NotReady::Version { path: path.to_owned(), said: show::clip(&said, 200) })
}

fn native(found: &Path) -> Result<PathBuf, NotReady> {
    let path = found.canonicalize().map_err(NotReady::io(found))?;
    if !is_script(&path).map_err(NotReady::io(&path))? {
        return Ok(path);
    }
    let mut candidates = npm::native_candidates(&path, Platform::current()).into_iter();
    candidates.find(|path| path.is_file()).ok_or_else(|| NotReady::Wrapper(found.to_owned()))
}

fn is_script(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut start)?;
    Ok(start == b"#!")
}

/// The version in `codex-cli 0.169.0`.
fn version(said: &str) -> Option<String> {
    let version = said.strip_prefix("codex-cli ")?;
    semver::Version::parse(version).ok().map(|version| version.to_string())
}

/// The program has 300 MB: it is streamed.
fn sha256_of_file(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(<[u8; 32]>::from(hasher.finalize()).into())
}

/// Makes a directory that only its owner can enter, and its parents.
pub(crate) fn private_dir(path: &Path) -> Result<(), NotReady> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(NotReady::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r08_only_an_exact_version_counts() {
        assert_eq!(version("codex-cli 0.169.0").as_deref(), Some("0.169.0"));
        for bad in ["", "codex", "codex-cli", "codex-cli unknown", "codex-cli 1", "mise 2026.1.0", "codex-cli 1.0.0 x"]
        {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
