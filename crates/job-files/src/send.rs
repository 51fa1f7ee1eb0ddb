//! What a worker sends to where other machines read it.

use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use job::Id;
use runner_wire::{ArtifactFile, Artifacts, Stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::layout::{self, ARTIFACT, BLOCK};
use crate::objects::Objects;
use crate::{Files, FilesError, attempt, blocking, name};

/// How often logs are looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// Files that are sent at one time.
const AT_ONCE: usize = 8;

impl Files {
    /// Sends what the logs of an attempt get new, until `until`. What cannot be sent is tried again: nothing but time is
    /// lost with it. Returns at once where readers have the state directory.
    pub async fn follow(&self, id: &Id, epoch: u32, until: CancellationToken) {
        let Some(objects) = &self.objects else { return };
        let attempt = attempt(id, epoch);
        let both = join(self.stream(objects, &attempt, Stream::Stdout), self.stream(objects, &attempt, Stream::Stderr));
        until.run_until_cancelled(both).await;
    }

    async fn stream(&self, objects: &Objects, attempt: &str, stream: Stream) {
        let (mut sent, mut fails) = (0, false);
        let mut pauses = interval(PAUSE);
        pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pauses.tick().await;
            let result = self.news(objects, attempt, stream, &mut sent).await;
            if let Err(error) = &result
                && !fails
            {
                tracing::warn!(attempt, ?stream, %error, "a log that grows cannot be sent");
            }
            fails = result.is_err();
        }
    }

    /// Sends the blocks behind what was sent.
    async fn news(&self, objects: &Objects, attempt: &str, stream: Stream, sent: &mut u64) -> Result<(), FilesError> {
        let log = self.log_here(attempt, stream).await?;
        let size = log.size().await?;
        while *sent < size {
            let start = *sent - *sent % BLOCK;
            let end = size.min(start + BLOCK);
            let block = log.read(start..end).await?;
            objects.put(&layout::block(attempt, stream, start), block).await?;
            *sent = end;
        }
        Ok(())
    }

    /// Sends all files of an attempt that ended, `artifact.json` last. It can be called again, whether it failed or not;
    /// an attempt without a directory or without `artifact.json` has nothing or less to send. Does nothing where readers
    /// have the state directory. Says whether there is a directory, as far as it was looked for.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`] and [`FilesError::Full`]: `artifact.json` is not there then, or everything is.
    pub async fn keep(&self, id: &Id, epoch: u32) -> Result<bool, FilesError> {
        let Some(objects) = &self.objects else { return Ok(true) };
        let attempt = &attempt(id, epoch);
        let (here, place) = (self.here.clone(), attempt.clone());
        let Some(files) = blocking(move || here.list(&name::below(&place, &[]))).await? else { return Ok(false) };
        let (last, files): (Vec<ArtifactFile>, _) = files.into_iter().partition(|file| file.path == ARTIFACT);
        let sends = iter(0..files.len()).map(|at| self.send(objects, attempt, &files[at].path));
        sends.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let index = serde_json::to_vec(&Artifacts { files }).expect("paths and numbers are JSON");
        objects.put(&layout::index(attempt), index.into()).await?;
        for file in last {
            self.send(objects, attempt, &file.path).await?;
        }
        objects.remove(&layout::blocks(attempt)).await?;
        Ok(true)
    }

    async fn send(&self, objects: &Objects, attempt: &str, path: &str) -> Result<(), FilesError> {
        let (here, place, parts) = (self.here.clone(), attempt.to_owned(), path.to_owned());
        let open = move || here.open(&name::below(&place, &parts.split('/').collect::<Vec<_>>()));
        let (file, size) = blocking(open).await?.ok_or(FilesError::Corrupt("a file went while it was kept"))?;
        objects.send(&layout::file(attempt, path), file, size).await
    }

    /// Removes all that was sent of a job. Does nothing where readers have the state directory.
    ///
    /// # Errors
    /// [`FilesError::Unavailable`]: some of it may be gone.
    pub async fn prune(&self, id: &Id) -> Result<(), FilesError> {
        let Some(objects) = &self.objects else { return Ok(()) };
        objects.remove(&layout::job(id)).await
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{
        CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    };
    use tempfile::TempDir;

    use super::*;
    use crate::beneath::Beneath;

    const EPOCH: u32 = 1;

    /// A store that is gone after so many writes.
    #[derive(Debug)]
    struct Failing {
        store: Arc<InMemory>,
        writes: AtomicUsize,
    }

    impl Failing {
        fn write(&self) -> Result<()> {
            let left = self.writes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.map(drop).map_err(|_| Error::Generic { store: "failing", source: "gone".into() })
        }
    }

    impl fmt::Display for Failing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("failing")
        }
    }

    #[async_trait::async_trait]
    impl ObjectStore for Failing {
        async fn put_opts(&self, to: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
            self.write()?;
            self.store.put_opts(to, bytes, options).await
        }

        async fn put_multipart_opts(
            &self,
            to: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.write()?;
            self.store.put_multipart_opts(to, options).await
        }

        async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
            self.store.get_opts(from, options).await
        }

        fn delete_stream(&self, names: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            match self.write() {
                Ok(()) => self.store.delete_stream(names),
                Err(error) => iter([Err(error)]).boxed(),
            }
        }

        fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.store.list(below)
        }

        async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
            self.store.list_with_delimiter(below).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.store.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn the_last_file_is_never_there_before_all_others_wherever_the_store_fails() {
        let (state, id) = (TempDir::new().unwrap(), "20260131T235959123Z-0123456789abcdef".parse().unwrap());
        let dir = state.path().join(format!("jobs/{id}/{EPOCH}"));
        std::fs::create_dir_all(&dir).unwrap();
        let names = ["a b", "artifact.json", "artifact.json.sha256", "job.json", "stdout.log", "z"];
        for name in names {
            std::fs::write(dir.join(name), name).unwrap();
        }
        std::fs::write(dir.join("z"), vec![0; 6 << 20]).unwrap();
        let store = Arc::new(InMemory::new());
        let failing = |writes| {
            let store = Arc::new(Failing { store: Arc::clone(&store), writes: AtomicUsize::new(writes) });
            Files { here: Beneath::jobs(state.path()), objects: Some(Objects::of_store(store)) }
        };
        let mut fails = 0;
        for writes in 0.. {
            let files = failing(writes);
            let block = layout::block(&format!("{id}/{EPOCH}"), Stream::Stdout, 0);
            Objects::of_store(Arc::<InMemory>::clone(&store)).put(&block, "std".into()).await.unwrap();
            let kept = files.keep(&id, EPOCH).await;
            let listed: Vec<String> = files.list(&id, EPOCH).await.unwrap().into_iter().map(|file| file.path).collect();
            if files.size(&id, EPOCH, ARTIFACT).await.unwrap().is_some() {
                assert_eq!(listed, names);
                for name in names {
                    assert!(files.size(&id, EPOCH, name).await.unwrap().is_some(), "{name}");
                }
            }
            // Whichever of the two it is read from.
            assert_eq!(files.log(&id, EPOCH, Stream::Stdout, 1, 2).await.unwrap(), "td");
            if kept.is_ok() {
                assert_eq!(listed, names);
                break;
            }
            assert!(matches!(kept, Err(FilesError::Unavailable(_))));
            fails += 1;
            // What was sent is completed by the next try.
            failing(usize::MAX).keep(&id, EPOCH).await.unwrap();
            assert_eq!(failing(0).list(&id, EPOCH).await.unwrap().len(), names.len());
            failing(usize::MAX).prune(&id).await.unwrap();
        }
        // Each file, the index, and the blocks that go.
        assert_eq!(fails, names.len() + 2);
    }
}
