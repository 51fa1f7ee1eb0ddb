//! The queue in a PostgreSQL server, for workers on many machines.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{Connection as _, PgPool};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::error::StoreError;
use crate::hints::{Hint, Hints};
use crate::open::Settings;

/// A hint that was lost is made up for so soon.
const POLL: Duration = Duration::from_secs(1);
/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is listened through one connection.
const LISTENING: Duration = Duration::from_mins(5);
/// Who listens again after a connection broke waits so long.
const AGAIN: Duration = Duration::from_millis(500);

#[path = "engine.rs"]
#[allow(clippy::duplicate_mod, reason = "the same SQL for each dialect, each with its own types")]
mod engine;

/// What the engine needs to know of PostgreSQL.
mod dialect {
    use job::Time;
    use sqlx::PgConnection;

    use crate::error::StoreError;
    use crate::hints::Hint;

    pub(super) type Db = sqlx::Postgres;

    pub(super) const MIGRATIONS: [(i64, &str, &str); 1] =
        [(1, "jobs", include_str!("../migrations/postgres/0001_jobs.sql"))];
    pub(super) const BEGIN: &str = "BEGIN";
    /// Who counts what runs is alone until its commit: else two count the same, and both take one more. So is who makes
    /// the tables. The number is this program's own.
    pub(super) const LOCK: Option<&str> = Some("SELECT pg_advisory_xact_lock(7102004533178466)");
    pub(super) const LOCKED: &str = "SELECT doc, lease_until, lease_ms, (SELECT max(version) FROM _sqlx_migrations) FROM jobs WHERE id = $1 FOR UPDATE";
    /// As for SQLite. What somebody is just cancelling is left out. The state of the one that is taken is looked at again in
    /// a way that no index has: a plan from a time when few jobs waited would go through all that wait now.
    pub(super) const BEST: &str = "
        WITH RECURSIVE waiting (repo) AS (
            (SELECT repo FROM jobs WHERE status = 'queued' ORDER BY repo LIMIT 1)
            UNION ALL
            SELECT (SELECT repo FROM jobs WHERE status = 'queued' AND repo > waiting.repo ORDER BY repo LIMIT 1)
            FROM waiting WHERE waiting.repo IS NOT NULL
        ), free (repo) AS MATERIALIZED (
            SELECT repo FROM waiting
            WHERE repo IS NOT NULL AND repo NOT IN (SELECT json_array_elements_text($1::json))
        ), best (seq) AS MATERIALIZED (
            SELECT (
                SELECT seq FROM jobs
                WHERE status = 'queued' AND jobs.repo = free.repo AND (not_before <= $2 OR not_before > $3)
                ORDER BY priority DESC, seq LIMIT 1
            ) FROM free
        )
        SELECT doc FROM jobs WHERE seq = ANY (ARRAY(SELECT seq FROM best)) AND status || '' = 'queued'
        ORDER BY priority DESC, seq LIMIT 1 FOR UPDATE SKIP LOCKED";

    /// As for SQLite.
    pub(super) const COUNTS: &str = "
        SELECT repo, sum(waits)::bigint, sum(runs)::bigint FROM (
            SELECT repo, count(*) AS waits, 0 AS runs FROM jobs WHERE status = 'queued' GROUP BY repo
            UNION ALL
            SELECT repo, 0, count(*) FROM jobs WHERE status = 'running' GROUP BY repo
        ) AS each GROUP BY repo ORDER BY repo";

    /// The time of the server, for leases too.
    pub(super) async fn clock(conn: &mut PgConnection) -> Result<(Time, i64), StoreError> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let now: i64 = sqlx::query_scalar(now).fetch_one(conn).await?;
        Ok((Time::from_millis(now).map_err(|error| StoreError::Corrupt(error.to_string()))?, now))
    }

    /// Heard by everybody at the commit.
    pub(super) async fn tell(conn: &mut PgConnection, hint: Hint) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_notify('ai_ops_runner', $1)").bind(hint.as_str()).execute(conn).await?;
        Ok(())
    }
}

/// The channel of hints.
const CHANNEL: &str = "ai_ops_runner";

/// A task that ends with what holds it.
struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) async fn open(options: PgConnectOptions, settings: Settings) -> Result<engine::Engine, StoreError> {
    let options = options.application_name("ai-ops-runner").options([
        // Another is what a database may have as its own: then who waited for the lock still counts what was before.
        ("default_transaction_isolation", "read committed".to_owned()),
        // A program that is stopped, or whose machine is gone, gives up what it holds as it gives up its jobs.
        ("idle_in_transaction_session_timeout", settings.lease.as_millis().to_string()),
        // A plan is kept when the table has grown since: from a small one all of it would be read by every statement.
        ("enable_seqscan", "off".to_owned()),
        ("jit", "off".to_owned()),
    ]);
    // One more, to listen.
    let pool = PgPoolOptions::new().max_connections(settings.connections.saturating_add(1)).acquire_timeout(PATIENCE);
    // What somebody gave up asking may never be answered: such a connection is not kept.
    let pool = pool.after_release(|conn, _| {
        Box::pin(async move { Ok(timeout(PATIENCE, conn.ping()).await.is_ok_and(|answered| answered.is_ok())) })
    });
    let pool = pool.connect_with(options).await?;
    engine::migrate(&pool).await?;
    let hints = Arc::new(Hints::default());
    let listening = Listening(tokio::spawn(listen(pool.clone(), Arc::clone(&hints))).abort_handle());
    Ok(engine::Engine::new(pool.clone(), pool, hints, settings, POLL).holding(Box::new(listening)))
}

/// Hands on what the server tells, for ever.
async fn listen(pool: PgPool, hints: Arc<Hints>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // A connection that only listens does not notice when the other end is gone.
            let _ = timeout(LISTENING, hand_on(&mut listener, &hints)).await;
        }
        sleep(AGAIN).await;
    }
}

/// Until the connection is lost and does not come back.
async fn hand_on(listener: &mut PgListener, hints: &Hints) {
    // Something may have happened before.
    hints.give(Hint::Work);
    while let Ok(told) = listener.try_recv().await {
        let told = told.as_ref().map(PgNotification::payload);
        // Of what happened while the connection was lost nothing is told.
        let given = |hint: &Hint| told.is_none_or(|told| told == hint.as_str());
        Hint::ALL.into_iter().filter(given).for_each(|hint| hints.give(hint));
    }
}
