//! A log, wherever it is.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::blocking;
use crate::error::FilesError;
use crate::here::read_at;

/// A log that is read piece by piece. It has the size that it had when it was opened.
pub(crate) struct Log {
    /// None where the job said nothing yet.
    pub(crate) file: Option<Arc<File>>,
    pub(crate) size: u64,
}

impl Log {
    /// What is there of a range.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes, FilesError> {
        let Some(file) = self.file.clone() else { return Ok(Bytes::new()) };
        let end = range.end.min(self.size);
        let most = usize::try_from(end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        Ok(blocking(move || read_at(&file, range.start, most)).await?.into())
    }
}
