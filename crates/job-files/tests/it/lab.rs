//! A state directory with the attempt that tests look at.

use std::fs;
use std::path::PathBuf;

use job::Id;
use job_files::Files;
use tempfile::TempDir;

pub(crate) const EPOCH: u32 = 7;

pub(crate) struct Lab {
    state: TempDir,
    pub(crate) files: Files,
    pub(crate) id: Id,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let state = TempDir::new().unwrap();
        let id = "20260131T235959123Z-0123456789abcdef".parse().unwrap();
        let lab = Self { files: Files::local(state.path()), state, id };
        fs::create_dir_all(lab.dir()).unwrap();
        lab
    }

    /// The directory of the attempt.
    pub(crate) fn dir(&self) -> PathBuf {
        self.state.path().join(format!("jobs/{}/{EPOCH}", self.id))
    }

    pub(crate) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The paths that are listed.
    pub(crate) async fn paths(&self) -> Vec<String> {
        self.files.list(&self.id, EPOCH).await.unwrap().into_iter().map(|file| file.path).collect()
    }

    pub(crate) async fn size(&self, path: &str) -> Option<u64> {
        self.files.size(&self.id, EPOCH, path).await.unwrap()
    }
}
