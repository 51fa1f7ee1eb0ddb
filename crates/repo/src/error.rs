//! Why a repository could not be read or acted on.

use std::io;
use std::path::PathBuf;

use host::{HostError, disk_full};
use outcome::Failure;
use review_bundle::escape;
use verdict::Oid;

/// Why a repository could not be read or acted on. Names in messages are escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// There is no repository, or none that can be read.
    #[error("{path}: not a Git repository that can be read: {why}")]
    NotARepository {
        /// Where it was looked for.
        path: String,
        /// What was wrong.
        why: String,
    },
    /// An object is not there. In a shallow or partial clone that is to be expected.
    #[error("object {0} is not in this repository")]
    Missing(Oid),
    /// An object is there and cannot be read.
    #[error("object {id} cannot be read: {why}")]
    Unreadable {
        /// The object.
        id: Oid,
        /// What was wrong.
        why: String,
    },
    /// The bytes stored under an id do not have that hash: somebody forged an object, or the disk failed.
    #[error("object {id} is forged: the bytes stored under that id have another hash")]
    Forged {
        /// The id that was asked for.
        id: Oid,
    },
    /// An object is what it says and not what it must be.
    #[error("{kind} {id} is malformed: {why}")]
    Malformed {
        /// The object.
        id: Oid,
        /// What it was to be.
        kind: &'static str,
        /// What is wrong.
        why: String,
    },
    /// An id that names an object of another kind.
    #[error("{id} is a {is}, not a {want}")]
    WrongKind {
        /// The object.
        id: Oid,
        /// What it is.
        is: &'static str,
        /// What was asked for.
        want: &'static str,
    },
    /// More of something than is ever handled.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A revision that names nothing here, or more than one thing.
    #[error("`{0}` names no commit of this repository")]
    UnknownRevision(String),
    /// An id of the other hash function than the repository's.
    #[error("{0} is not an id of this repository's hash function")]
    OtherHash(Oid),
    /// A ref that cannot be read, or whose name is not UTF-8.
    #[error("{name}: {why}")]
    BadRef {
        /// The ref.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The policy's exceptions from the rules are wrong.
    #[error(transparent)]
    Allow(#[from] rules::AllowError),
    /// A work tree is needed and the repository is bare.
    #[error("this repository is bare: there is no work tree")]
    Bare,
    /// The branch is not where it was.
    #[error("{name} moved: it was at {expected}, it is at {is}")]
    Moved {
        /// What moved.
        name: String,
        /// Where it was.
        expected: String,
        /// Where it is.
        is: String,
    },
    /// A remote is not configured.
    #[error("there is no remote `{0}`")]
    NoRemote(String),
    /// Git ran and refused.
    #[error("`{call}` failed ({status}): {stderr}")]
    Git {
        /// The call.
        call: String,
        /// How it ended.
        status: String,
        /// What it said, escaped.
        stderr: String,
        /// Whether the call needed the network.
        network: bool,
    },
    /// Git ran and found no room to write.
    #[error("`{call}` failed ({status}), the disk is full: {stderr}")]
    Full {
        /// The call.
        call: String,
        /// How it ended.
        status: String,
        /// What it said, escaped.
        stderr: String,
    },
    /// The remote was reached, and did not take a push.
    #[error("the remote declined {updates}: {said}")]
    Declined {
        /// Each ref with the remote's reason, escaped.
        updates: String,
        /// What else was said, escaped.
        said: String,
    },
    /// The pre-push hook of this repository refused a push: the gate, or the hook that was there before it.
    #[error("the pre-push hook refused: {said}")]
    Hook {
        /// What was said, escaped.
        said: String,
    },
    /// Git answered something that it never answers.
    #[error("`{call}` answered what cannot be read: {why}")]
    Answer {
        /// The call.
        call: String,
        /// What is wrong.
        why: String,
    },
    /// The file system has something that Git could not have put there, or that cannot be told apart.
    #[error("{path}: {why}")]
    Hostile {
        /// Where.
        path: String,
        /// What.
        why: String,
    },
    /// The machine refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The machine refused to run or write.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl RepoError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn errno(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> Self {
        |errno| Self::Io { path: path.into(), source: errno.into() }
    }

    pub(crate) fn hostile(path: &[u8], why: impl Into<String>) -> Self {
        Self::Hostile { path: escape(path), why: why.into() }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => "not-a-repository",
            Self::Missing(_) => "object-missing",
            Self::Unreadable { .. } => "object-unreadable",
            Self::Forged { .. } => "object-forged",
            Self::Malformed { kind: "policy", .. } => "bad-policy",
            Self::Malformed { .. } => "object-malformed",
            Self::WrongKind { .. } | Self::UnknownRevision(_) | Self::OtherHash(_) => "unknown-revision",
            Self::TooMany { .. } => "too-large",
            Self::BadRef { .. } => "bad-ref",
            Self::Allow(_) => "bad-policy",
            Self::Bare => "bare-repository",
            Self::Moved { .. } => "moved",
            Self::NoRemote(_) => "no-remote",
            Self::Git { network: true, .. } => "git-remote-failed",
            Self::Git { .. } => "git-failed",
            Self::Full { .. } => "disk-full",
            Self::Declined { .. } => "remote-declined",
            Self::Hook { said } if by_former_hook(said) => "former-hook",
            Self::Hook { .. } => "push-blocked",
            Self::Answer { .. } => "git-answer",
            Self::Hostile { .. } => "hostile-files",
            Self::Io { .. } | Self::Host(_) => "io",
        }
    }

    fn next(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => "run it inside a Git repository you can read",
            Self::Missing(_) => "fetch the whole history (git fetch --unshallow, or git fetch), then try again",
            Self::Malformed { kind: "policy", .. } => {
                "mend configs/ship.toml where it is in force: what the remote has, or the pinned copy (install-hooks --repin)"
            }
            Self::Unreadable { .. } | Self::Malformed { .. } => "run git fsck, mend the repository, then try again",
            Self::Forged { .. } => "do not trust this clone: find out who wrote that object, and clone again",
            Self::WrongKind { .. } | Self::UnknownRevision(_) | Self::OtherHash(_) => "name a commit that is here",
            Self::TooMany { .. } => "split the change",
            Self::BadRef { .. } => "check git symbolic-ref HEAD and git show-ref, mend the ref, then try again",
            Self::Allow(_) => "mend [[rules.allow]] of the policy that the remote has",
            Self::Bare => "run it in a clone with a work tree",
            Self::Moved { .. } => "somebody committed or pushed meanwhile: run it again",
            Self::NoRemote(_) => "git remote add NAME URL, then try again",
            Self::Git { network: true, .. } => "check the network and your access to the remote, then try again",
            Self::Git { .. } => "do what git says, then try again",
            Self::Full { .. } => "free some space, then try again",
            Self::Declined { .. } => "do what the remote says, then try again",
            Self::Hook { said } if by_former_hook(said) => {
                "do what the hook says that was there before the gate, then try again"
            }
            Self::Hook { .. } => "do what the gate says, then try again",
            Self::Answer { .. } => "check the installed git (2.40 or later), then try again",
            Self::Hostile { .. } => "remove what is there, then try again",
            Self::Io { .. } | Self::Host(_) => "check that the path exists and its permissions, then try again",
        }
    }
}

/// The gate hands on after a push has passed, and then begins its refusal with the class.
fn by_former_hook(said: &str) -> bool {
    said.lines().any(|line| line.starts_with("former-hook: "))
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        let (class, reason, next) = (error.class(), error.to_string(), error.next());
        match error {
            RepoError::Host(error) => error.into(),
            RepoError::Io { path, source } => HostError::Io { path, source }.into(),
            RepoError::UnknownRevision(_) | RepoError::WrongKind { .. } | RepoError::OtherHash(_) => {
                Self::usage(class, reason, next)
            }
            RepoError::TooMany { .. } => Self::size_cap(class, reason, next),
            RepoError::Full { .. } => disk_full(reason),
            RepoError::Git { network: true, .. } | RepoError::Moved { .. } => Self::infrastructure(class, reason, next),
            RepoError::Forged { .. }
            | RepoError::Malformed { .. }
            | RepoError::Hostile { .. }
            | RepoError::Hook { .. }
            | RepoError::Declined { .. } => Self::refused(class, reason, next),
            _ => Self::not_ready(class, reason, next),
        }
    }
}
