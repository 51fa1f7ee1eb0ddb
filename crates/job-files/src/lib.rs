//! Where the files of a job's attempts are.
//!
//! A worker writes what there is of an attempt, job and epoch, to `jobs/<id>/<epoch>` in its state directory: the logs,
//! which grow while the job runs, what the job left, and last `artifact.json`.
//!
//! **Invariant:** nothing outside of an attempt's directory is read, whatever path is asked for and whatever was put
//! there.
//! **Invariant:** no call holds more than a bounded piece of a file, and none blocks the runtime.
//! **Invariant:** a byte of a log has one offset, while it grows and after.

mod error;
mod here;
mod log;
mod name;
mod tail;

pub use error::FilesError;
pub use name::HIDDEN;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use job::Id;
use runner_wire::{ArtifactFile, LogTail, Stream};
use tokio::task::spawn_blocking;

use crate::here::{Here, read_at};
use crate::log::Log;

/// The most bytes of one answer.
pub const MAX_READ: usize = 1 << 20;

/// The files of all attempts.
#[derive(Debug, Clone)]
pub struct Files {
    here: Here,
}

impl Files {
    /// Those of a state directory.
    pub fn local(state: &Path) -> Self {
        Self { here: Here::new(state) }
    }

    /// Those of a directory that several machines share: not yet.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub fn open(url: &str, _state: &Path) -> Result<Self, FilesError> {
        Err(FilesError::Unavailable(format!("{url} cannot be shared")))
    }

    /// The files of an attempt, by path, without the runner's working files. None where there is no such attempt.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`]; [`FilesError::Corrupt`] where there are more than a runner keeps.
    pub async fn list(&self, id: &Id, epoch: u32) -> Result<Vec<ArtifactFile>, FilesError> {
        let (here, id) = (self.here.clone(), id.clone());
        Ok(blocking(move || here.list(&id, epoch)).await?.unwrap_or_default())
    }

    /// The size of a file, in bytes. `None` when there is none that may be read.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn size(&self, id: &Id, epoch: u32, path: &str) -> Result<Option<u64>, FilesError> {
        let (here, id, path) = (self.here.clone(), id.clone(), path.to_owned());
        let file = blocking(move || open(&here, &id, epoch, &path)).await?;
        Ok(file.map(|(_, size)| size))
    }

    /// What is there of a range of a file: at most [`MAX_READ`] bytes, and none only behind its end.
    ///
    /// # Errors
    /// [`FilesError::Missing`] when there is no file that may be read; [`FilesError::Unavailable`].
    pub async fn read(&self, id: &Id, epoch: u32, path: &str, range: Range<u64>) -> Result<Bytes, FilesError> {
        let (here, id, path) = (self.here.clone(), id.clone(), path.to_owned());
        let read = move || {
            let (file, size) = open(&here, &id, epoch, &path)?.ok_or(FilesError::Missing)?;
            let most = range.end.min(size).saturating_sub(range.start);
            read_at(&file, range.start, bounded(most))
        };
        Ok(blocking(read).await?.into())
    }

    /// How much there is of a log, in bytes: more and more while the job runs.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn log_size(&self, id: &Id, epoch: u32, stream: Stream) -> Result<u64, FilesError> {
        Ok(self.open_log(id, epoch, stream).await?.size)
    }

    /// What is there of a log from an offset on: at most `most` and [`MAX_READ`] bytes, none where it has no more yet.
    /// Fewer do not mean that there are no more.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn log(
        &self,
        id: &Id,
        epoch: u32,
        stream: Stream,
        offset: u64,
        most: usize,
    ) -> Result<Bytes, FilesError> {
        let log = self.open_log(id, epoch, stream).await?;
        log.read(offset..offset.saturating_add(most.min(MAX_READ) as u64)).await
    }

    /// The last lines of a log, and how many it has. A line of more than 64 KiB is shown by its end; lines of more than
    /// 8 MiB together are left out, the oldest first.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn tail(&self, id: &Id, epoch: u32, stream: Stream, lines: u32) -> Result<LogTail, FilesError> {
        let log = self.open_log(id, epoch, stream).await?;
        let (lines, total_lines) = tail::tail(&log, lines).await?;
        Ok(LogTail { stream, lines, total_lines })
    }

    async fn open_log(&self, id: &Id, epoch: u32, stream: Stream) -> Result<Log, FilesError> {
        let (here, id) = (self.here.clone(), id.clone());
        let file = blocking(move || here.open(&id, epoch, &[name::log(stream)])).await?;
        let (file, size) = file.map_or((None, 0), |(file, size)| (Some(Arc::new(file)), size));
        Ok(Log { file, size })
    }
}

fn open(here: &Here, id: &Id, epoch: u32, path: &str) -> Result<Option<(std::fs::File, u64)>, FilesError> {
    name::parts(path).map_or(Ok(None), |parts| here.open(id, epoch, &parts))
}

fn bounded(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_READ)
}

/// Does what may wait for a disk where nobody waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(FilesError::Unavailable(error.to_string())))
}
