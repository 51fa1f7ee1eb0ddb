//! Where the files of a job's attempts are.
//!
//! A worker writes what there is of an attempt, job and epoch, to `jobs/<id>/<epoch>` in its state directory: the logs,
//! which grow while the job runs, what the job left, and last `artifact.json`. Who reads on the same machine reads that
//! directory. With an object store the worker sends it all there, and readers on other machines read it there.
//!
//! **Invariant:** nothing outside of an attempt's directory is read, whatever path is asked for and whatever was put
//! there.
//! **Invariant:** no call holds more than a bounded piece of a file, and none blocks the runtime.
//! **Invariant:** a byte of a log has one offset: while it grows, while it is sent and after that.
//! **Invariant:** `artifact.json` is given when everything else is there.
//!
//! The state directory and a shared one are trusted, with who may write to them; what a job left there is not.

#![allow(clippy::disallowed_methods, reason = "this crate reads what jobs left: it is the boundary to those files")]

mod beneath;
mod error;
mod layout;
mod log;
mod name;
mod objects;
mod open;
mod send;
mod tail;

pub use error::FilesError;
pub use name::HIDDEN;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use job::Id;
use runner_wire::{ArtifactFile, Artifacts, LogTail, Stream};
use tokio::task::spawn_blocking;

use crate::beneath::{Beneath, read_at};
use crate::layout::ARTIFACT;
use crate::log::Log;
use crate::objects::Objects;

/// The most bytes of one answer.
pub const MAX_READ: u64 = 1 << 20;
/// The longest list of files that is read, in bytes. A runner's proof has room for less.
const MAX_INDEX: u64 = 256 << 20;

/// The files of all attempts.
#[derive(Debug, Clone)]
pub struct Files {
    here: Beneath,
    /// Where others read them.
    objects: Option<Objects>,
}

impl Files {
    /// Those of a state directory.
    pub fn local(state: &Path) -> Self {
        Self { here: Beneath::jobs(state), objects: None }
    }

    /// Those that are at `file:///DIR` or, with the feature `s3`, at `s3://BUCKET/PREFIX`. A worker sends them there from
    /// its state directory. Credentials and endpoint of S3 are those of the environment, `AWS_...`.
    ///
    /// Who may enter the directory may read the files. A bucket needs a rule that removes uploads that were never
    /// completed: those of a worker that died.
    ///
    /// # Errors
    /// [`FilesError::Url`]; [`FilesError::Unavailable`] when there is no such directory.
    pub fn open(url: &str, state: &Path) -> Result<Self, FilesError> {
        Self::open_with(url, state, open::aws_vars())
    }

    /// The same with variables of another environment.
    ///
    /// # Errors
    /// Those of [`Files::open`].
    pub fn open_with(url: &str, state: &Path, vars: Vec<(String, String)>) -> Result<Self, FilesError> {
        Ok(Self { objects: Some(open::open(url, vars)?), ..Self::local(state) })
    }

    /// The files of an attempt, by path, without the runner's working files. None where there is no such attempt; from an
    /// object store none before all but `artifact.json` are there.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`]; [`FilesError::Corrupt`] where there are more than a runner keeps.
    pub async fn list(&self, id: &Id, epoch: u32) -> Result<Vec<ArtifactFile>, FilesError> {
        let attempt = attempt(id, epoch);
        let Some(objects) = &self.objects else {
            let here = self.here.clone();
            return Ok(blocking(move || here.list(&name::below(&attempt, &[]))).await?.unwrap_or_default());
        };
        let index = layout::index(&attempt);
        let Some(size) = objects.size(&index).await? else { return Ok(Vec::new()) };
        if size > MAX_INDEX {
            return Err(FilesError::Corrupt("there are too many"));
        }
        let Some(index) = objects.read(&index, 0..size).await? else { return Ok(Vec::new()) };
        let last = objects.size(&layout::file(&attempt, ARTIFACT)).await?;
        let last = last.map(|bytes| ArtifactFile { path: ARTIFACT.to_owned(), bytes });
        blocking(move || indexed(&index, last)).await
    }

    /// The size of a file, in bytes. `None` when there is none that may be read.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn size(&self, id: &Id, epoch: u32, path: &str) -> Result<Option<u64>, FilesError> {
        if name::parts(path).is_none() {
            return Ok(None);
        }
        let (attempt, path) = (attempt(id, epoch), path.to_owned());
        if let Some(objects) = &self.objects {
            return objects.size(&layout::file(&attempt, &path)).await;
        }
        let here = self.here.clone();
        Ok(blocking(move || here.open(&name::below(&attempt, &split(&path)))).await?.map(|(_, size)| size))
    }

    /// What is there of a range of a file: at most [`MAX_READ`] bytes, and none only behind its end.
    ///
    /// # Errors
    /// [`FilesError::Missing`] when there is no file that may be read; [`FilesError::Unavailable`].
    pub async fn read(&self, id: &Id, epoch: u32, path: &str, range: Range<u64>) -> Result<Bytes, FilesError> {
        if name::parts(path).is_none() {
            return Err(FilesError::Missing);
        }
        let (attempt, path, range) = (attempt(id, epoch), path.to_owned(), bounded(range));
        if let Some(objects) = &self.objects {
            return objects.read(&layout::file(&attempt, &path), range).await?.ok_or(FilesError::Missing);
        }
        let here = self.here.clone();
        let read = move || {
            let (file, size) = here.open(&name::below(&attempt, &split(&path)))?.ok_or(FilesError::Missing)?;
            read_at(&file, range.start..range.end.min(size))
        };
        blocking(read).await
    }

    /// How much there is of a log, in bytes: more and more while the job runs.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn log_size(&self, id: &Id, epoch: u32, stream: Stream) -> Result<u64, FilesError> {
        self.open_log(id, epoch, stream).await?.size().await
    }

    /// What is there of a log from an offset on: at most `most` and [`MAX_READ`] bytes, and fewer only where it has no
    /// more yet.
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
        let range = bounded(offset..offset.saturating_add(most as u64));
        self.open_log(id, epoch, stream).await?.read(range).await
    }

    /// The last lines of a log, and how many it has. A line of more than 64 KiB is shown by its end; lines of more than
    /// 8 MiB together, as they are in JSON, are left out, the oldest first.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn tail(&self, id: &Id, epoch: u32, stream: Stream, lines: u32) -> Result<LogTail, FilesError> {
        let log = self.open_log(id, epoch, stream).await?;
        let (lines, total_lines) = tail::tail(&log, lines).await?;
        Ok(LogTail { stream, lines, total_lines })
    }

    /// Where the last lines of a log begin, in bytes: one line at least.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`].
    pub async fn last_lines(&self, id: &Id, epoch: u32, stream: Stream, lines: u32) -> Result<u64, FilesError> {
        tail::start(&self.open_log(id, epoch, stream).await?, lines).await
    }

    async fn open_log(&self, id: &Id, epoch: u32, stream: Stream) -> Result<Log, FilesError> {
        let attempt = attempt(id, epoch);
        match &self.objects {
            Some(objects) => Ok(Log::Objects(objects.clone(), attempt, stream)),
            None => self.log_here(&attempt, stream).await,
        }
    }

    async fn log_here(&self, attempt: &str, stream: Stream) -> Result<Log, FilesError> {
        let (here, attempt) = (self.here.clone(), attempt.to_owned());
        let file = blocking(move || here.open(&name::below(&attempt, &[name::log(stream)]))).await?;
        Ok(Log::File(file.map(|(file, size)| (Arc::new(file), size))))
    }
}

/// The place of an attempt below that of all.
fn attempt(id: &Id, epoch: u32) -> String {
    format!("{id}/{epoch}")
}

fn split(path: &str) -> Vec<&str> {
    path.split('/').collect()
}

fn bounded(range: Range<u64>) -> Range<u64> {
    range.start..range.end.min(range.start.saturating_add(MAX_READ))
}

/// The files of an index, and the last.
fn indexed(index: &[u8], last: Option<ArtifactFile>) -> Result<Vec<ArtifactFile>, FilesError> {
    let index: Artifacts =
        serde_json::from_slice(index).map_err(|_| FilesError::Corrupt("the list of them is none"))?;
    let mut files: Vec<ArtifactFile> = index.files.into_iter().chain(last).collect();
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Does what may wait for a disk where nobody waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(FilesError::Unavailable(error.to_string())))
}
