//! One run of a job: the only one, or one of several that a queue may begin.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use job::Id;

/// A run of a job, as its marker is called: `ID`, or `ID.EPOCH` where a queue hands out the job.
///
/// **Invariant:** two epochs of a job share no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The job.
    pub id: Id,
    /// How often it was handed out, this time included; none without a queue.
    pub epoch: Option<u32>,
}

impl Attempt {
    /// The lock of who runs it.
    pub(crate) fn marker(&self, state: &Path) -> PathBuf {
        state.join("running").join(self.to_string())
    }

    /// What there is of it: `jobs/ID`, or `jobs/ID/EPOCH`.
    pub fn dir(&self, state: &Path) -> PathBuf {
        let dir = state.join("jobs").join(self.id.as_str());
        self.epoch.map_or_else(|| dir.clone(), |epoch| dir.join(epoch.to_string()))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)?;
        self.epoch.map_or(Ok(()), |epoch| write!(f, ".{epoch}"))
    }
}

/// Text that names no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an attempt such as 20260131T235959123Z-0123456789abcdef.1")]
pub struct NotAnAttempt;

impl FromStr for Attempt {
    type Err = NotAnAttempt;

    fn from_str(text: &str) -> Result<Self, NotAnAttempt> {
        let (id, epoch) = match text.split_once('.') {
            Some((id, epoch)) => (id, Some(epoch.parse().map_err(|_| NotAnAttempt)?)),
            None => (text, None),
        };
        let attempt = Self { id: id.parse().map_err(|_| NotAnAttempt)?, epoch };
        // A number has other spellings.
        if attempt.to_string() == text { Ok(attempt) } else { Err(NotAnAttempt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "20260131T235959123Z-0123456789abcdef";

    #[test]
    fn an_attempt_has_one_name_and_a_directory_of_its_own() {
        for (name, dir) in [(ID.to_owned(), format!("/s/jobs/{ID}")), (format!("{ID}.7"), format!("/s/jobs/{ID}/7"))] {
            let attempt: Attempt = name.parse().unwrap();
            assert_eq!(attempt.to_string(), name);
            assert_eq!(attempt.dir(Path::new("/s")), Path::new(&dir));
            assert_eq!(attempt.marker(Path::new("/s")), Path::new("/s/running").join(&name));
        }
        for bad in
            ["", "x", ".1", "../x", &format!("{ID}."), &format!("{ID}.07"), &format!("{ID}.+7"), &format!("{ID}.1.1")]
        {
            assert_eq!(bad.parse::<Attempt>(), Err(NotAnAttempt), "{bad}");
        }
    }
}
