//! A database of its own for each test, opened as by several programs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use job_store::{Settings, Store, StoreError};
use real_parts::Postgres;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};
use tempfile::TempDir;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A new database.
pub(crate) struct Lab {
    pub(crate) url: String,
    dir: TempDir,
    server: Option<Mutex<Postgres>>,
}

/// Somebody beside the stores.
pub(crate) enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lab {
    pub(crate) fn with(engine: Engine, scenario: impl AsyncFnOnce(&Self)) {
        let dir = tempfile::tempdir().unwrap();
        let lab = match engine {
            Engine::Sqlite => Self { url: format!("sqlite:{}", dir.path().join("queue").display()), dir, server: None },
            Engine::Postgres => {
                let server = Postgres::start().unwrap();
                Self { url: server.url(), dir, server: Some(Mutex::new(server)) }
            }
        };
        block_on(scenario(&lab));
    }

    pub(crate) fn engine(&self) -> Engine {
        if self.server.is_some() { Engine::Postgres } else { Engine::Sqlite }
    }

    /// The server, where there is one.
    pub(crate) fn server(&self) -> MutexGuard<'_, Postgres> {
        self.server.as_ref().unwrap().lock().unwrap()
    }

    /// The database, where it is a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("queue")
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

    /// A connection that waits for nobody.
    pub(crate) async fn raw(&self) -> Raw {
        match self.engine() {
            Engine::Sqlite => {
                let options = SqliteConnectOptions::new().filename(self.file()).busy_timeout(Duration::ZERO);
                Raw::Sqlite(options.connect().await.unwrap())
            }
            Engine::Postgres => Raw::Postgres(PgConnection::connect(&self.url).await.unwrap()),
        }
    }

    /// Does what no store would.
    pub(crate) async fn sql(&self, sql: &str) {
        let mut raw = self.raw().await;
        // A store rolls back behind its answer.
        eventually(async || raw.run(sql).await.ok()).await;
        raw.close().await;
    }

    /// The number that a query finds.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut raw = self.raw().await;
        // As long as somebody closes the file SQLite lets nobody wait.
        let number = eventually(async || raw.number(sql).await.ok()).await;
        raw.close().await;
        number
    }

    /// The same, of a server that may be away.
    pub(crate) async fn try_number(&self, sql: &str) -> Option<i64> {
        let mut conn = PgConnection::connect(&self.url).await.ok()?;
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut conn).await.ok()?;
        Some(row.get(0))
    }
}

impl Raw {
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Sqlite(conn) => sql.execute(conn).await.map(drop),
            Self::Postgres(conn) => sql.execute(conn).await.map(drop),
        }
    }

    pub(crate) async fn number(&mut self, sql: &str) -> Result<i64, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(conn) => sqlx::query(sql).fetch_one(conn).await?.try_get(0),
            Self::Postgres(conn) => sqlx::query(sql).fetch_one(conn).await?.try_get(0),
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(conn) => conn.close().await.unwrap(),
            Self::Postgres(conn) => conn.close().await.unwrap(),
        }
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

/// Somebody who writes a line of a timeline now is held up in the middle of a transaction.
pub(crate) struct Hold<'a> {
    lab: &'a Lab,
    raw: Raw,
}

impl Lab {
    pub(crate) async fn hold(&self) -> Hold<'_> {
        let mut raw = self.raw().await;
        let hold = match self.engine() {
            // A program that reads without end before it writes.
            Engine::Sqlite => {
                "CREATE VIEW endless AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;
                CREATE TRIGGER hold BEFORE INSERT ON events BEGIN SELECT * FROM endless; END"
            }
            Engine::Postgres => "BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE",
        };
        eventually(async || raw.run(hold).await.ok()).await;
        Hold { lab: self, raw }
    }
}

impl Hold<'_> {
    /// Waits until somebody is.
    pub(crate) async fn reached(&mut self) {
        let mut raw = self.lab.raw().await;
        eventually(async || match self.lab.engine() {
            Engine::Sqlite => match raw.run("BEGIN IMMEDIATE").await {
                Ok(()) => {
                    raw.run("ROLLBACK").await.unwrap();
                    None
                }
                Err(_) => Some(()),
            },
            Engine::Postgres => {
                (raw.number("SELECT count(*) FROM pg_locks WHERE NOT granted").await.unwrap() > 0).then_some(())
            }
        })
        .await;
        raw.close().await;
    }

    /// To be called when whoever was held up was killed.
    pub(crate) async fn let_go(mut self) {
        let let_go = match self.lab.engine() {
            Engine::Sqlite => "DROP TRIGGER hold; DROP VIEW endless",
            Engine::Postgres => "ROLLBACK",
        };
        eventually(async || self.raw.run(let_go).await.ok()).await;
        self.raw.close().await;
    }
}
