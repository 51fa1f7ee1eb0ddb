//! Objects: in a bucket, or in a directory that machines share.
//!
//! **Invariant:** an object is there whole or not at all.
//! **Invariant:** in a directory no link is followed to read an object.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt as _};

use crate::beneath::{Beneath, read_at};
use crate::blocking;
use crate::error::FilesError;

/// Bytes that are sent at a time: the least that S3 takes as a part.
const PART: u64 = 5 << 20;

/// A place for objects.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// It is this directory.
    dir: Option<Beneath>,
}

impl Objects {
    pub(crate) fn of_store(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, dir: None }
    }

    /// A directory that is there.
    pub(crate) fn of_dir(dir: PathBuf) -> Result<Self, FilesError> {
        let store = LocalFileSystem::new_with_prefix(&dir)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), dir: Some(Beneath::new(dir)) })
    }

    /// The size of an object. `None` when there is none.
    pub(crate) async fn size(&self, name: &Path) -> Result<Option<u64>, FilesError> {
        if let Some(dir) = self.dir.clone() {
            let name = name.clone();
            return Ok(blocking(move || dir.open(&parts(&name))).await?.map(|(_, size)| size));
        }
        match self.store.head(name).await {
            Err(Error::NotFound { .. }) => Ok(None),
            meta => Ok(Some(meta?.size)),
        }
    }

    /// What is there of a range of an object, nothing behind its end. `None` when there is no such object.
    pub(crate) async fn read(&self, name: &Path, range: Range<u64>) -> Result<Option<Bytes>, FilesError> {
        if range.is_empty() {
            return Ok(self.size(name).await?.map(|_| Bytes::new()));
        }
        if let Some(dir) = self.dir.clone() {
            let name = name.clone();
            let read = move || {
                let Some((file, size)) = dir.open(&parts(&name))? else { return Ok(None) };
                let range = range.start..range.end.min(size);
                read_at(&file, range).map(Some)
            };
            return blocking(read).await;
        }
        match self.store.get_range(name, range.clone()).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            // Behind the end there is an error, which each store calls otherwise.
            Err(error) => match self.size(name).await? {
                Some(size) if size > range.start => Err(error.into()),
                size => Ok(size.map(|_| Bytes::new())),
            },
        }
    }

    pub(crate) async fn put(&self, name: &Path, bytes: Bytes) -> Result<(), FilesError> {
        self.store.put(name, bytes.into()).await?;
        Ok(())
    }

    /// Puts a file of any size.
    pub(crate) async fn send(&self, name: &Path, file: File, size: u64) -> Result<(), FilesError> {
        if size <= PART {
            return self.put(name, blocking(move || read_at(&file, 0..size)).await?).await;
        }
        // An object of many parts is there when all of it is: it is from an earlier try.
        if self.size(name).await? == Some(size) {
            return Ok(());
        }
        let mut upload = self.store.put_multipart(name).await?;
        if let Err(error) = send_parts(&mut *upload, file, size).await {
            // What was sent of it would be paid for.
            let _ = upload.abort().await;
            return Err(error);
        }
        upload.complete().await?;
        Ok(())
    }

    /// The last part of the name and the size of each object in a directory.
    pub(crate) async fn list(&self, below: &Path) -> Result<Vec<(String, u64)>, FilesError> {
        if let Some(dir) = self.dir.clone() {
            let below = below.clone();
            let files = blocking(move || dir.list(&parts(&below))).await?.unwrap_or_default();
            return Ok(files.into_iter().map(|file| (file.path, file.bytes)).collect());
        }
        let named =
            |meta: object_store::ObjectMeta| (meta.location.filename().unwrap_or_default().to_owned(), meta.size);
        Ok(self.store.list(Some(below)).map_ok(named).try_collect().await?)
    }

    /// Removes all objects in a directory.
    pub(crate) async fn remove(&self, below: &Path) -> Result<(), FilesError> {
        if let Some(dir) = self.dir.clone() {
            let below = below.clone();
            return blocking(move || dir.remove(&parts(&below))).await;
        }
        let names = self.store.list(Some(below)).map_ok(|meta| meta.location).boxed();
        let mut removed = self.store.delete_stream(names);
        while let Some(result) = removed.next().await {
            // Another may have removed it first.
            if !matches!(result, Err(Error::NotFound { .. })) {
                result?;
            }
        }
        Ok(())
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, file: File, size: u64) -> Result<(), FilesError> {
    let file = Arc::new(file);
    let mut start = 0;
    while start < size {
        let (file, end) = (Arc::clone(&file), size.min(start + PART));
        let part = blocking(move || read_at(&file, start..end)).await?;
        upload.put_part(part.into()).await?;
        start = end;
    }
    Ok(())
}

fn parts(name: &Path) -> Vec<&str> {
    name.as_ref().split('/').collect()
}
