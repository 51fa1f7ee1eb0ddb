//! Why the files of a job were not read or kept.

use std::io;

use host::{disk_full, is_full};
use outcome::Failure;

/// Why the files of a job were not read or kept.
///
/// **Invariant:** no credential is in it, nor anything that a server sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// There is no such file, or it is none that is given to anybody.
    #[error("the job has no such file")]
    Missing,
    /// The place cannot be reached, or refuses.
    #[error("the files of jobs cannot be reached: {0}")]
    Unavailable(String),
    /// There is no space left for them.
    #[error("there is no space left for the files of jobs: {0}")]
    Full(String),
    /// What is there is not what a worker writes.
    #[error("the files of the job are not what a worker wrote: {0}")]
    Corrupt(&'static str),
}

impl From<io::Error> for FilesError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

impl From<rustix::io::Errno> for FilesError {
    fn from(errno: rustix::io::Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        let reason = error.to_string();
        match error {
            FilesError::Missing => Self::refused("no-such-file", reason, "list the job's files"),
            FilesError::Unavailable(_) => {
                let next = "see whether the place of the files can be reached and may be used; then try again";
                Self::infrastructure("files-unavailable", reason, next)
            }
            FilesError::Full(_) => disk_full(reason),
            FilesError::Corrupt(_) => Self::bug("files-corrupt", reason, "run the job again"),
        }
    }
}
