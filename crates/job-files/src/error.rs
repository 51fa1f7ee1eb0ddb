//! Why the files of a job were not read or kept.

use std::error::Error;
use std::io;
use std::iter::successors;

use host::{disk_full, is_full};
use outcome::Failure;

/// What HTTP calls a full disk.
const FULL: &str = "507";

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
    /// The URL names no place.
    #[error("the URL of the place of jobs' files {0}")]
    Url(&'static str),
}

impl FilesError {
    /// Of a place that does not answer in time.
    pub fn silent() -> Self {
        Self::Unavailable("the place does not answer".into())
    }
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

impl From<object_store::Error> for FilesError {
    /// Only the kind of the error is told: a server may quote in its answer what it was sent.
    fn from(error: object_store::Error) -> Self {
        let system = causes(&error).find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
        if let Some(code) = system {
            return io::Error::from_raw_os_error(code).into();
        }
        match (&error, status(&error)) {
            (_, Some(status)) if status == FULL => Self::Full(format!("the store answers {status}")),
            (_, Some(status)) => Self::Unavailable(format!("the store answers {status}")),
            (object_store::Error::NotFound { .. }, None) => Self::Unavailable("there is no such bucket".into()),
            _ => Self::Unavailable("the store did not answer, or not as it should".into()),
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
}

/// The HTTP status in the text of an error: three digits behind a word.
fn status(error: &object_store::Error) -> Option<String> {
    causes(error).find_map(|cause| {
        let text = cause.to_string();
        let code = text.split_once("status code: ")?.1.get(..3)?;
        code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.to_owned())
    })
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
            FilesError::Url(_) => {
                let next = "name a directory as file:///DIR, or a bucket as s3://BUCKET/PREFIX";
                Self::usage("files-url", reason, next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn told(error: object_store::Error) -> String {
        let failure = Failure::from(FilesError::from(error));
        format!("{} {:?}: {}", failure.class, failure.exit, failure.reason)
    }

    fn generic(source: impl Into<Box<dyn Error + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "x", source: source.into() }
    }

    #[test]
    fn an_error_is_told_by_its_kind_alone() {
        let body = "<StringToSign>secret</StringToSign>";
        let answered = |status: &str| generic(format!("Server returned non-2xx status code: {status}: {body}"));
        assert_snapshot!(told(answered("503 Slow Down")), @"files-unavailable Infrastructure: the files of jobs cannot be reached: the store answers 503");
        assert_snapshot!(told(answered("507 Insufficient Storage")), @"disk-full Infrastructure: there is no space left for the files of jobs: the store answers 507");
        assert_snapshot!(told(answered("\u{20ac}\u{20ac}")), @"files-unavailable Infrastructure: the files of jobs cannot be reached: the store did not answer, or not as it should");
        assert_snapshot!(told(generic(io::Error::from_raw_os_error(28))), @"disk-full Infrastructure: there is no space left for the files of jobs: No space left on device (os error 28)");
        assert_snapshot!(told(generic(io::Error::other(body))), @"files-unavailable Infrastructure: the files of jobs cannot be reached: the store did not answer, or not as it should");
        let missing = object_store::Error::NotFound { path: "secret".into(), source: body.into() };
        assert_snapshot!(told(missing), @"files-unavailable Infrastructure: the files of jobs cannot be reached: there is no such bucket");
    }
}
