//! A log, wherever it is.
//!
//! While its job runs, an object store has a log in blocks of one size, of which the last is written again as it grows.
//! When all of the log is there as a file, the blocks go. So whoever finds no block, or nothing more in it, looks for the
//! file after that, and never the other way round.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use runner_wire::Stream;

use crate::beneath::read_at;
use crate::error::FilesError;
use crate::layout::{self, BLOCK};
use crate::objects::Objects;
use crate::{blocking, name};

/// A log.
#[derive(Clone)]
pub(crate) enum Log {
    /// A file that was opened, with its size then; none where the job said nothing yet.
    File(Option<(Arc<File>, u64)>),
    /// The objects of an attempt.
    Objects(Objects, String, Stream),
}

impl Log {
    /// How much of it there is, in bytes.
    pub(crate) async fn size(&self) -> Result<u64, FilesError> {
        match self {
            Self::File(file) => Ok(file.as_ref().map_or(0, |(_, size)| *size)),
            Self::Objects(objects, attempt, stream) => {
                let blocks = objects.list(&layout::blocks_of(attempt, *stream)).await?;
                let ends = blocks.iter().filter_map(|(name, size)| Some(layout::offset(name)? + size));
                let end = ends.max().unwrap_or(0);
                Ok(objects.size(&layout::file(attempt, name::log(*stream))).await?.unwrap_or(end))
            }
        }
    }

    /// What is there of a range, or of its beginning; nothing only where there is nothing yet.
    async fn piece(&self, range: Range<u64>) -> Result<Bytes, FilesError> {
        match self {
            Self::File(None) => Ok(Bytes::new()),
            Self::File(Some((file, size))) => {
                let (file, range) = (Arc::clone(file), range.start..range.end.min(*size));
                blocking(move || read_at(&file, range)).await
            }
            Self::Objects(objects, attempt, stream) => {
                let at = range.start % BLOCK;
                let in_block = at..BLOCK.min(at + range.end.saturating_sub(range.start));
                let block = objects.read(&layout::block(attempt, *stream, range.start), in_block).await?;
                if let Some(block) = block.filter(|block| !block.is_empty()) {
                    return Ok(block);
                }
                let file = objects.read(&layout::file(attempt, name::log(*stream)), range).await?;
                Ok(file.unwrap_or_default())
            }
        }
    }

    /// What is there of a range.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes, FilesError> {
        let first = self.piece(range.clone()).await?;
        let mut start = range.start + first.len() as u64;
        if start == range.end || first.is_empty() {
            return Ok(first);
        }
        let mut all = BytesMut::from(first);
        while start < range.end {
            let piece = self.piece(start..range.end).await?;
            if piece.is_empty() {
                break;
            }
            start += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}
