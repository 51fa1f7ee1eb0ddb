//! The queue in a file of this machine: SQLite with a write-ahead log, synced at every commit.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use sqlx::Connection as _;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::hints::Hints;
use crate::open::Settings;

/// Programs beside this one give no hints: this is how soon they are noticed.
const POLL: Duration = Duration::from_millis(200);
/// How long a writer waits for another process to finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries to open a file that another opens.
const PAUSE: Duration = Duration::from_millis(20);

#[path = "engine.rs"]
#[allow(clippy::duplicate_mod, reason = "the same SQL for each dialect, each with its own types")]
mod engine;

/// What the engine needs to know of SQLite.
mod dialect {
    use std::time::SystemTime;

    use job::Time;
    use rustix::time::{ClockId, clock_gettime};
    use sqlx::SqliteConnection;

    use crate::error::StoreError;
    use crate::hints::Hint;

    pub(super) type Db = sqlx::Sqlite;

    pub(super) const MIGRATIONS: [(i64, &str, &str); 1] =
        [(1, "jobs", include_str!("../migrations/sqlite/0001_jobs.sql"))];
    /// It is the only writer from here on.
    pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
    pub(super) const LOCK: Option<&str> = None;
    pub(super) const LOCKED: &str =
        "SELECT doc, lease_until, lease_ms, (SELECT max(version) FROM _sqlx_migrations) FROM jobs WHERE id = $1";
    /// The next job: the repositories that wait, without going through all that wait; the best job of each; the best of
    /// those. A time that no clock of ours gave is of a clock that was put back. By itself SQLite would take the index of
    /// states, and look at all that wait.
    pub(super) const BEST: &str = "
        WITH RECURSIVE waiting (repo) AS (
            SELECT min(repo) FROM jobs INDEXED BY jobs_waiting WHERE status = 'queued'
            UNION ALL
            SELECT (SELECT min(repo) FROM jobs INDEXED BY jobs_waiting WHERE status = 'queued' AND repo > waiting.repo)
            FROM waiting WHERE waiting.repo IS NOT NULL
        ), free (repo) AS MATERIALIZED (
            SELECT repo FROM waiting
            WHERE repo IS NOT NULL AND repo NOT IN (SELECT value FROM json_each($1))
        ), best (seq) AS MATERIALIZED (
            SELECT (
                SELECT seq FROM jobs INDEXED BY jobs_waiting
                WHERE status = 'queued' AND jobs.repo = free.repo AND (not_before <= $2 OR not_before > $3)
                ORDER BY priority DESC, seq LIMIT 1
            ) FROM free
        )
        SELECT doc FROM jobs WHERE seq IN (SELECT seq FROM best) ORDER BY priority DESC, seq LIMIT 1";

    /// What waits and runs, each by its own index.
    pub(super) const COUNTS: &str = "
        SELECT repo, sum(waits), sum(runs) FROM (
            SELECT repo, count(*) AS waits, 0 AS runs FROM jobs INDEXED BY jobs_waiting WHERE status = 'queued' GROUP BY repo
            UNION ALL
            SELECT repo, 0, count(*) FROM jobs INDEXED BY jobs_running WHERE status = 'running' GROUP BY repo
        ) GROUP BY repo ORDER BY repo";

    /// The time of this machine. Leases are measured by a clock that nobody sets, and that stands still while the machine
    /// sleeps: so do all workers of this queue.
    #[expect(clippy::disallowed_methods, reason = "an embedded database has no other clock than this machine's")]
    pub(super) async fn clock(_: &mut SqliteConnection) -> Result<(Time, i64), StoreError> {
        let now = Time::try_from(SystemTime::now()).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let awake = clock_gettime(ClockId::Monotonic);
        Ok((now, awake.tv_sec * 1000 + awake.tv_nsec / 1_000_000))
    }

    /// There is nobody to be told but this process.
    pub(super) async fn tell(_: &mut SqliteConnection, _: Hint) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) async fn open(path: &Path, settings: Settings) -> Result<engine::Engine, StoreError> {
    make(path).map_err(|error| StoreError::Url(format!("{}: {error}", path.display())))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        // Of a log that was long once, so much is kept.
        .pragma("journal_size_limit", "16777216");
    // A connection to a file does not break while nobody uses it: asking it first would take longer than most questions.
    let pool = || SqlitePoolOptions::new().test_before_acquire(false).acquire_timeout(PATIENCE);
    let write = pool().max_connections(1).idle_timeout(None).max_lifetime(None);
    // SQLite itself rolls back where the disk is full, which sqlx does not know: its own transaction would never end.
    let write = write.after_release(|conn, _| {
        Box::pin(async move {
            conn.ping().await?;
            Ok(!conn.is_in_transaction())
        })
    });
    // Of several that open a new file at once SQLite lets one make its log, and lets the others not wait.
    let connect = || write.clone().connect_with(options.clone());
    let pauses = ConstantBuilder::new().with_delay(PAUSE).without_max_times();
    let began = Instant::now();
    let write = connect.retry(pauses).when(|error| is_busy(error) && began.elapsed() < PATIENCE).await?;
    engine::migrate(&write).await?;
    let read = pool().max_connections(2).connect_with(options.read_only(true)).await?;
    Ok(engine::Engine::new(write, read, Arc::new(Hints::default()), settings, POLL))
}

/// `SQLITE_BUSY`, whatever more it says.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// SQLite would make it for everybody to read; its log gets the mode that it has. One that is there is not opened here: a
/// process that closes a file a second time loses the locks that SQLite holds on it.
fn make(path: &Path) -> Result<(), io::Error> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}
