//! A database of its own for each test, opened as by several programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use job_store::{Settings, Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tempfile::TempDir;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
}

/// A new database.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) url: String,
    dir: TempDir,
}

impl Lab {
    pub(crate) fn with(engine: Engine, scenario: impl AsyncFnOnce(&Self)) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("queue").display());
        let lab = Self { engine, url, dir };
        block_on(scenario(&lab));
    }

    /// A store as one more program has it, with a lease that no test outlasts.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.open_with(Duration::from_mins(1)).await
    }

    /// With a lease.
    pub(crate) async fn open_with(&self, lease: Duration) -> Arc<dyn Store> {
        open(&self.url, lease).await.unwrap()
    }

    pub(crate) async fn open_some<const N: usize>(&self) -> [Arc<dyn Store>; N] {
        let mut stores = Vec::new();
        for _ in 0..N {
            stores.push(self.open().await);
        }
        stores.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// Does what no store would.
    pub(crate) async fn sql(&self, sql: &str) {
        self.try_sql(sql).await.unwrap();
    }

    pub(crate) async fn try_sql(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut conn = self.sqlite().await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
        conn.close().await
    }

    /// The number that a query finds.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut conn = self.sqlite().await.unwrap();
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut conn).await.unwrap();
        row.get(0)
    }

    async fn sqlite(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnectOptions::new().filename(self.file()).busy_timeout(Duration::from_secs(5)).connect().await
    }

    /// The database, where that is a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("queue")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

pub(crate) async fn open(url: &str, lease: Duration) -> Result<Arc<dyn Store>, StoreError> {
    job_store::open(url, Settings { lease, connections: 4 }).await
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// What `look` finds at last.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing came of it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
