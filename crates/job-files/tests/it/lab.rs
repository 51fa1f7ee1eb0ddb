//! A state directory with the attempt that tests look at, and the places where its files are read.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use job::Id;
use job_files::Files;
use real_parts::S3;
use tempfile::TempDir;

pub(crate) const EPOCH: u32 = 7;

/// Where the files are read.
pub(crate) enum Place {
    /// In the state directory.
    State,
    /// In a directory that machines share.
    Dir(TempDir),
    /// In a bucket.
    Bucket(Box<S3>),
}

pub(crate) struct Lab {
    state: TempDir,
    pub(crate) place: Place,
    pub(crate) worker: Files,
    /// Where they are read: on another machine unless it is the state directory.
    pub(crate) files: Files,
    pub(crate) id: Id,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::at(Place::State)
    }

    /// One of each kind.
    pub(crate) fn all() -> [Self; 3] {
        [Self::new(), Self::dir(), Self::bucket()]
    }

    pub(crate) fn dir() -> Self {
        Self::at(Place::Dir(TempDir::new().unwrap()))
    }

    pub(crate) fn bucket() -> Self {
        Self::at(Place::Bucket(Box::new(S3::start().unwrap())))
    }

    fn at(place: Place) -> Self {
        let state = TempDir::new().unwrap();
        let worker = place.open(&state);
        let files = if matches!(place, Place::State) { worker.clone() } else { place.open(&TempDir::new().unwrap()) };
        let id = "20260131T235959123Z-0123456789abcdef".parse().unwrap();
        let lab = Self { state, place, worker, files, id };
        fs::create_dir_all(lab.attempt()).unwrap();
        lab
    }

    /// The directory of the attempt.
    pub(crate) fn attempt(&self) -> PathBuf {
        self.state.path().join(format!("jobs/{}/{EPOCH}", self.id))
    }

    pub(crate) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.attempt().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) async fn keep(&self) {
        self.worker.keep(&self.id, EPOCH).await.unwrap();
    }

    /// The paths that are listed.
    pub(crate) async fn paths(&self) -> Vec<String> {
        self.files.list(&self.id, EPOCH).await.unwrap().into_iter().map(|file| file.path).collect()
    }

    pub(crate) async fn size(&self, path: &str) -> Option<u64> {
        self.files.size(&self.id, EPOCH, path).await.unwrap()
    }

    pub(crate) async fn read(&self, path: &str) -> String {
        let read = self.files.read(&self.id, EPOCH, path, 0..u64::MAX).await.unwrap();
        String::from_utf8(read.into()).unwrap()
    }
}

impl Place {
    fn open(&self, state: &TempDir) -> Files {
        match self {
            Self::State => Files::local(state.path()),
            Self::Dir(dir) => Files::open(&format!("file://{}", dir.path().display()), state.path()).unwrap(),
            Self::Bucket(s3) => {
                let vars = s3.env().map(|(name, value)| (name.to_owned(), value)).to_vec();
                Files::open_with(&format!("s3://{}/some/prefix", s3.bucket()), state.path(), vars).unwrap()
            }
        }
    }
}

/// Waits for what will be.
pub(crate) async fn eventually(mut is: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is().await {
        assert!(Instant::now() < end, "it never was");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
