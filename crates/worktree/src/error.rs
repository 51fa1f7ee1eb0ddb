//! Why there is no mirror, no commit or no checkout.

use std::io;
use std::path::{Path, PathBuf};

use host::{HostError, disk_full, is_full};
use outcome::Failure;
use repo::RepoError;
use verdict::Oid;

/// Why there is no mirror, no commit or no checkout. Names in messages are escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorktreeError {
    /// The remote's URL is of a kind that is never fetched.
    #[error("{url}: only https, ssh and file URLs are fetched")]
    Protocol {
        /// The URL, escaped.
        url: String,
    },
    /// There is a mirror where this one has to be, and it is another's.
    #[error("{}: {why}", path.display())]
    ForeignMirror {
        /// Where.
        path: PathBuf,
        /// What is there.
        why: String,
    },
    /// The remote was fetched and has no such commit on any branch or tag.
    #[error("{url} has no commit {sha}: {why}")]
    CommitUnknown {
        /// The URL, escaped.
        url: String,
        /// The commit.
        sha: Oid,
        /// What was found instead.
        why: String,
    },
    /// The remote has no such branch.
    #[error("{url} has no branch {branch}")]
    NoBranch {
        /// The URL, escaped.
        url: String,
        /// The branch, escaped.
        branch: String,
    },
    /// The commit is there, and on no branch that jobs may use.
    #[error("commit {sha} is on no allowed branch of {url} ({branches})")]
    NotOnAllowedBranch {
        /// The URL, escaped.
        url: String,
        /// The commit.
        sha: Oid,
        /// The allowed branches as they are configured, escaped.
        branches: String,
    },
    /// The key of an SSH server is not pinned.
    #[error("{url}: no host key is pinned for this SSH server")]
    HostKeyMissing {
        /// The URL, escaped.
        url: String,
    },
    /// A pinned key is not in the form of a public key.
    #[error("{url}: a pinned host key is not of the form `ssh-ed25519 AAAA...`")]
    HostKeyMalformed {
        /// The URL, escaped.
        url: String,
    },
    /// The SSH server has another key than the pinned ones.
    #[error("{url}: the SSH server did not prove itself by a pinned host key: {said}")]
    HostKeyMismatch {
        /// The URL, escaped.
        url: String,
        /// What ssh said, escaped.
        said: String,
    },
    /// The remote does not let this program read.
    #[error("{url} denies access: {said}")]
    Denied {
        /// The URL, escaped.
        url: String,
        /// What was said, escaped.
        said: String,
    },
    /// The remote sent objects that git does not accept.
    #[error("{url} sent objects that are not accepted: {said}")]
    BadObjects {
        /// The URL, escaped.
        url: String,
        /// What git said, escaped.
        said: String,
    },
    /// The remote could not be fetched.
    #[error("{url} could not be fetched ({status}): {said}")]
    Fetch {
        /// The URL, escaped.
        url: String,
        /// How git ended.
        status: String,
        /// What git said, escaped.
        said: String,
    },
    /// There was no room for what was fetched or written.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Another run holds a lock for longer than this one waits.
    #[error("{}: another run holds this lock", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The tree cannot be a directory of files.
    #[error("{path}: {why}")]
    UnsafeTree {
        /// Where in the tree, escaped.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A checkout is not what its tree is: it was put away.
    #[error("the checkout of tree {tree} was changed ({}); it was put away in {}", paths.join(", "), quarantine.display())]
    MutationDetected {
        /// The tree.
        tree: Oid,
        /// What differs, escaped; a bounded number of paths.
        paths: Vec<String>,
        /// Where it is now.
        quarantine: PathBuf,
    },
    /// The machine refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// An object could not be read, or is not what it must be.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The same, of a mirror: it may be the mirror that is damaged.
    #[error("{source}")]
    Mirror {
        /// Its directory.
        dir: PathBuf,
        /// What is wrong.
        source: RepoError,
    },
    /// The machine refused to run or write.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl WorktreeError {
    /// For `map_err`: what is wrong with an object is wrong in the mirror in `dir`.
    pub(crate) fn in_mirror(dir: &Path) -> impl Fn(Self) -> Self {
        move |error| match error {
            Self::Repo(source) => Self::Mirror { dir: dir.to_owned(), source },
            other => other,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn errno(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> Self {
        |errno| Self::Io { path: path.into(), source: errno.into() }
    }

    pub(crate) fn unsafe_tree(path: &[u8], why: &str) -> Self {
        Self::UnsafeTree { path: review_bundle::escape(path), why: why.to_owned() }
    }
}

impl From<WorktreeError> for Failure {
    fn from(error: WorktreeError) -> Self {
        use WorktreeError as E;
        let reason = error.to_string();
        match error {
            E::Protocol { .. } => Self::refused(
                "protocol-not-allowed",
                reason,
                "use an https, ssh or file URL in the repository allowlist",
            ),
            E::ForeignMirror { .. } => {
                Self::refused("mirror-foreign", reason, "find out who put it there and move it away, then try again")
            }
            E::CommitUnknown { .. } => {
                Self::refused("commit-unknown", reason, "push the commit to the remote, or name one that is there")
            }
            E::NoBranch { .. } => {
                Self::refused("no-branch", reason, "push the branch to the remote, or name one that is there")
            }
            E::NotOnAllowedBranch { .. } => Self::refused(
                "not-on-allowed-branch",
                reason,
                "merge the commit to an allowed branch, or allow its branch in the repository allowlist",
            ),
            E::HostKeyMissing { .. } => Self::not_ready(
                "host-key-missing",
                reason,
                "run ssh-keyscan for the host, compare the key's fingerprint with what the host's operator publishes, and put it in ssh_host_keys of the repository allowlist",
            ),
            E::HostKeyMalformed { .. } => {
                Self::not_ready("host-key-malformed", reason, "mend ssh_host_keys in the repository allowlist")
            }
            E::HostKeyMismatch { .. } => Self::refused(
                "host-key-mismatch",
                reason,
                "find out from the host's operator whether its key was changed; only then pin the new one in ssh_host_keys",
            ),
            E::Denied { .. } => {
                Self::not_ready("remote-denied", reason, "give this host read access to the repository, then try again")
            }
            E::BadObjects { .. } => Self::refused(
                "remote-objects-refused",
                reason,
                "run git fsck on the remote and mend it, then try again",
            ),
            E::Fetch { .. } => {
                Self::infrastructure("remote-unreachable", reason, "check the network and the remote, then try again")
            }
            E::Full(_) => disk_full(reason),
            E::Cancelled => Self::infrastructure("cancelled", reason, "run it again"),
            E::Busy { .. } => Self::busy("worktree-locked", reason, "wait for the other run, then try again"),
            E::UnsafeTree { .. } => {
                Self::refused("unsafe-tree", reason, "take that path out of the repository, then run the new commit")
            }
            E::MutationDetected { .. } => Self::refused(
                "mutation-detected",
                reason,
                "find out what changed it; the next run builds the checkout anew",
            ),
            E::Io { source, .. } if is_full(&source) => disk_full(reason),
            E::Io { path, source } => HostError::Io { path, source }.into(),
            E::Repo(error) => error.into(),
            E::Mirror { dir, source } => {
                let next = format!(
                    "remove the mirror {}, so that the next run fetches it anew; if that is no help, mend the repository",
                    dir.display()
                );
                Self { next, ..source.into() }
            }
            E::Host(error) => error.into(),
        }
    }
}
