//! The queue in SQL, compiled once for each dialect: what differs is in the module `dialect` of who includes it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use job::{Cancelled, Ending, Event, Id, Job, Kind, Request, Status, Step, Time, life};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, QueryBuilder, Row as _, SqlSafeStr as _, Transaction};

use super::dialect::{BEGIN, BEST, COUNTS, Db, LOCK, LOCKED, MIGRATIONS, clock, tell};
use crate::error::StoreError;
use crate::hints::{Hint, Hints};
use crate::limits::Busy;
use crate::open::Settings;
use crate::{Beat, Claim, Count, Filter, KnownWorker, NewJob, Stopped, Store, Submission, Token, WorkerInfo};

type Conn = <Db as Database>::Connection;
type Tx = Transaction<'static, Db>;
type Row = <Db as Database>::Row;

/// A worker that was not heard of for so long is forgotten, in milliseconds.
const FORGOTTEN_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) struct Engine {
    write: Pool<Db>,
    read: Pool<Db>,
    hints: Arc<Hints>,
    settings: Settings,
    poll: Duration,
    _held: Option<Box<dyn Any + Send + Sync>>,
}

/// A job whose row is locked.
struct Locked {
    job: Job,
    lease: Option<Lease>,
}

/// Until when nobody may take a job from its worker, and how long that was from the last beat.
#[derive(Clone, Copy)]
struct Lease {
    until: i64,
    length: i64,
}

impl Lease {
    /// Also when it ends later than it can: its clock began anew, or was put back.
    const fn is_over(self, now: i64) -> bool {
        self.until < now || self.until > now + 2 * self.length
    }
}

/// What came of a step.
enum Stepped {
    Done(Job),
    Refused(Job),
    Missing,
}

impl Stepped {
    fn done(self) -> Option<Job> {
        match self {
            Self::Done(job) => Some(job),
            Self::Refused(_) | Self::Missing => None,
        }
    }
}

impl Engine {
    pub(super) fn new(write: Pool<Db>, read: Pool<Db>, hints: Arc<Hints>, settings: Settings, poll: Duration) -> Self {
        Self { write, read, hints, settings, poll, _held: None }
    }

    /// Keeps something as long as this is there.
    #[allow(dead_code, reason = "only one dialect has something")]
    pub(super) fn holding(self, held: Box<dyn Any + Send + Sync>) -> Self {
        Self { _held: Some(held), ..self }
    }

    /// A caller that goes away in the middle of it would leave a transaction behind in which the next one finds itself:
    /// it is begun to the end, and then ended.
    async fn begin(&self) -> Result<Tx, StoreError> {
        let write = self.write.clone();
        match tokio::spawn(async move { write.begin_with(BEGIN).await }).await {
            Ok(begun) => Ok(begun?),
            Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }

    /// A connection that writes to tables which this program knows.
    async fn writer(&self) -> Result<PoolConnection<Db>, StoreError> {
        let mut conn = self.write.acquire().await?;
        check_schema(&mut conn).await?;
        Ok(conn)
    }

    async fn commit(&self, mut tx: Tx, hint: Hint) -> Result<(), StoreError> {
        tell(&mut tx, hint).await?;
        tx.commit().await?;
        self.hints.give(hint);
        Ok(())
    }

    fn lease_ms(&self) -> i64 {
        millis(self.settings.lease)
    }

    /// Takes one step of a job's life, where `may` says so of the job as it is.
    async fn step(
        &self,
        id: &Id,
        step: &Step,
        may: impl Fn(&Locked, i64) -> bool + Send,
    ) -> Result<Stepped, StoreError> {
        let mut tx = self.begin().await?;
        let Some(found) = locked(&mut tx, id).await? else { return Ok(Stepped::Missing) };
        let (now, lease_now) = clock(&mut tx).await?;
        if !may(&found, lease_now) {
            return Ok(Stepped::Refused(found.job));
        }
        let Ok((life, events)) = found.job.life.step(step, now) else { return Ok(Stepped::Refused(found.job)) };
        if events.is_empty() {
            // Nothing changed: nobody is woken for it.
            return Ok(Stepped::Done(found.job));
        }
        // What still runs after the step has its lease still.
        let lease = found.lease.filter(|_| life.status == Status::Running);
        let hint = match life.status {
            Status::Running => Hint::Cancel,
            _ => Hint::Work,
        };
        let job = Job { life, ..found.job };
        write(&mut tx, &job, lease).await?;
        record(&mut tx, id, &events).await?;
        self.commit(tx, hint).await?;
        Ok(Stepped::Done(job))
    }

    async fn lose(
        &self,
        ids: Vec<Id>,
        may: impl Fn(&Locked, i64) -> bool + Send + Sync,
    ) -> Result<Vec<Job>, StoreError> {
        let mut lost = Vec::new();
        for id in ids {
            lost.extend(self.step(&id, &Step::Lose, &may).await?.done());
        }
        Ok(lost)
    }

    /// The best job that may be begun.
    async fn best(&self, tx: &mut Tx, busy: &[String], now: Time) -> Result<Option<Job>, StoreError> {
        let now = now.as_millis();
        let unreal = now.saturating_add(millis(life::LONGEST_WAIT));
        let busy = json(&busy)?;
        let row = sqlx::query(BEST).bind(busy).bind(now).bind(unreal).fetch_optional(&mut **tx).await?;
        row.map(|row| document(&row, 0)).transpose()
    }
}

#[async_trait]
impl Store for Engine {
    async fn submit(&self, new: &NewJob) -> Result<Submission, StoreError> {
        let Request { repo_name, job_type, .. } = &new.job.request;
        plain(&[repo_name, job_type, &new.job.submitted_by, &new.request_hash])?;
        plain(new.idempotency_key.as_slice())?;
        let mut tx = self.begin().await?;
        check_schema(&mut tx).await?;
        let (now, _) = clock(&mut tx).await?;
        let life = life::Life::new(now, new.job.life.max_attempts);
        let job = Job { queued_at: now, life, ..new.job.clone() };
        if let Some(known) = insert(&mut tx, &job, new).await? {
            return if known.1 == new.request_hash {
                Ok(Submission::Known(known.0))
            } else {
                Err(StoreError::OtherRequest(known.0.job_id))
            };
        }
        let event = |kind, text: String| Event { at: now, kind, text };
        let submitted = event(Kind::Submitted, format!("by {}", job.submitted_by));
        let waiting = new.waiting.iter().map(|why| event(Kind::Waiting, why.clone()));
        let events: Vec<Event> = [submitted].into_iter().chain(waiting).collect();
        record(&mut tx, &job.job_id, &events).await?;
        self.commit(tx, Hint::Work).await?;
        Ok(Submission::New(job))
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Job>, StoreError> {
        plain(&[claim.worker])?;
        // Nobody is held up where there is nothing to be had.
        let waiting = "SELECT 1 FROM jobs WHERE status = 'queued' LIMIT 1";
        if claim.most == 0 || sqlx::query(waiting).fetch_optional(&self.read).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        lock(&mut tx).await?;
        // All others wait until this one is done: what can be asked at once is.
        let asked = "SELECT (SELECT max(version) FROM _sqlx_migrations),
            (SELECT count(*) FROM workers WHERE name = $1 AND draining <> 0)";
        let row = sqlx::query(asked).bind(claim.worker).fetch_one(&mut *tx).await?;
        known_schema(row.try_get(0)?)?;
        if row.try_get::<i64, _>(1)? != 0 {
            return Ok(Vec::new());
        }
        let mut running = running(&mut tx).await?;
        let (now, lease_now) = clock(&mut tx).await?;
        let lease = Lease { until: lease_now + self.lease_ms(), length: self.lease_ms() };
        let step = Step::Claim { worker: claim.worker.to_owned() };
        let mut claimed = Vec::new();
        while claimed.len() < claim.most as usize {
            let Busy::These(busy) = claim.limits.busy(&running) else { break };
            let Some(job) = self.best(&mut tx, &busy, now).await? else { break };
            let of_repo = running.entry(job.request.repo_name.clone()).or_default();
            if claim.limits.of(&job.request.repo_name) == 0 {
                // One of which none runs is known to be full from here on.
                continue;
            }
            *of_repo += 1;
            let stepped = job.life.step(&step, now).map_err(|error| StoreError::Corrupt(error.to_string()))?;
            let (life, events) = stepped;
            let job = Job { life, ..job };
            write(&mut tx, &job, Some(lease)).await?;
            record(&mut tx, &job.job_id, &events).await?;
            claimed.push(job);
        }
        if !claimed.is_empty() {
            self.commit(tx, Hint::News).await?;
        }
        Ok(claimed)
    }

    async fn beat(&self, id: &Id, epoch: u32) -> Result<Beat, StoreError> {
        let mut conn = self.write.acquire().await?;
        let (_, lease_now) = clock(&mut conn).await?;
        // A job that this program could not end is another's.
        let beat = "UPDATE jobs SET lease_until = $1 WHERE id = $2 AND epoch = $3 AND status = 'running'
            AND (SELECT max(version) FROM _sqlx_migrations) = $4 RETURNING doc";
        let until = lease_now + self.lease_ms();
        let row = sqlx::query(beat).bind(until).bind(id.as_str()).bind(i64::from(epoch)).bind(knows());
        let Some(row) = row.fetch_optional(&mut *conn).await? else { return Ok(Beat::Lost) };
        let job: Job = document(&row, 0)?;
        Ok(Beat::Yours { cancel: job.life.cancel })
    }

    async fn end(
        &self,
        id: &Id,
        epoch: u32,
        status: Status,
        ending: &Ending,
        retry: bool,
    ) -> Result<Option<Job>, StoreError> {
        let step = Step::End { status, ending: ending.clone(), retry };
        Ok(self.step(id, &step, |found, _| found.job.life.epoch == epoch).await?.done())
    }

    async fn release(&self, id: &Id, epoch: u32, why: &str) -> Result<Option<Job>, StoreError> {
        let step = Step::Release { why: why.to_owned() };
        Ok(self.step(id, &step, |found, _| found.job.life.epoch == epoch).await?.done())
    }

    async fn cancel(&self, id: &Id, cancelled: &Cancelled) -> Result<Option<Stopped>, StoreError> {
        Ok(match self.step(id, &Step::Cancel(cancelled.clone()), |_, _| true).await? {
            Stepped::Done(job) => Some(Stopped::Asked(job)),
            Stepped::Refused(job) => Some(Stopped::Ended(job)),
            Stepped::Missing => None,
        })
    }

    async fn reap(&self) -> Result<Vec<Job>, StoreError> {
        let lease_now = {
            let mut conn = self.read.acquire().await?;
            check_schema(&mut conn).await?;
            clock(&mut conn).await?.1
        };
        let over = "SELECT id FROM jobs WHERE status = 'running' AND (lease_until IS NULL OR lease_until < $1 OR lease_until > $1 + 2 * lease_ms)";
        let rows = sqlx::query(over).bind(lease_now).fetch_all(&self.read).await?;
        self.lose(ids(&rows)?, |found, now| found.lease.is_none_or(|lease| lease.is_over(now))).await
    }

    async fn bury(&self, worker: &str) -> Result<Vec<Job>, StoreError> {
        let of = "SELECT id FROM jobs WHERE status = 'running' AND worker = $1";
        let rows = sqlx::query(of).bind(worker).fetch_all(&self.read).await?;
        self.lose(ids(&rows)?, |found, _| found.job.life.worker.as_deref() == Some(worker)).await
    }

    async fn get(&self, id: &Id) -> Result<Option<Job>, StoreError> {
        let row =
            sqlx::query("SELECT doc FROM jobs WHERE id = $1").bind(id.as_str()).fetch_optional(&self.read).await?;
        row.map(|row| document(&row, 0)).transpose()
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Job>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT doc FROM jobs WHERE 1 = 1");
        let status = filter.status.map(|status| status.as_str().to_owned());
        let equals =
            [(" AND status = ", &status), (" AND repo = ", &filter.repo), (" AND job_type = ", &filter.job_type)];
        for (condition, value) in equals {
            if let Some(value) = value {
                query.push(condition).push_bind(value.clone());
            }
        }
        if let Some(before) = &filter.before {
            query.push(" AND id < ").push_bind(before.as_str().to_owned());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.most));
        let rows = query.build().fetch_all(&self.read).await?;
        rows.iter().map(|row| document(row, 0)).collect()
    }

    async fn events(&self, id: &Id) -> Result<Vec<Event>, StoreError> {
        let of = "SELECT doc FROM events WHERE job = $1 ORDER BY n";
        let rows = sqlx::query(of).bind(id.as_str()).fetch_all(&self.read).await?;
        rows.iter().map(|row| document(row, 0)).collect()
    }

    async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        let rows = sqlx::query(COUNTS).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                let count =
                    |at| -> Result<u64, StoreError> { Ok(u64::try_from(row.try_get::<i64, _>(at)?).unwrap_or(0)) };
                Ok(Count { repo: row.try_get(0)?, queued: count(1)?, running: count(2)? })
            })
            .collect()
    }

    async fn running(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        running(&mut *self.read.acquire().await?).await
    }

    async fn greet(&self, name: &str, info: &WorkerInfo) -> Result<bool, StoreError> {
        plain(&[name])?;
        let mut conn = self.writer().await?;
        let (now, _) = clock(&mut conn).await?;
        let greet = "INSERT INTO workers (name, seen_at, doc) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, doc = excluded.doc RETURNING draining";
        let row = sqlx::query(greet).bind(name).bind(now.as_millis()).bind(json(info)?).fetch_one(&mut *conn).await?;
        Ok(row.try_get::<i64, _>(0)? != 0)
    }

    async fn part(&self, name: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM workers WHERE name = $1").bind(name).execute(&self.write).await?;
        Ok(())
    }

    async fn drain(&self, name: &str, draining: bool) -> Result<bool, StoreError> {
        let mut conn = self.writer().await?;
        let drain = "UPDATE workers SET draining = $1 WHERE name = $2";
        let done = sqlx::query(drain).bind(i64::from(draining)).bind(name).execute(&mut *conn).await?;
        self.hints.give(Hint::Work);
        Ok(done.rows_affected() > 0)
    }

    async fn workers(&self) -> Result<Vec<KnownWorker>, StoreError> {
        let mut conn = self.read.acquire().await?;
        let (now, _) = clock(&mut conn).await?;
        let rows = sqlx::query("SELECT id, worker FROM jobs WHERE status = 'running' ORDER BY id")
            .fetch_all(&mut *conn)
            .await?;
        let mut running = BTreeMap::<String, Vec<Id>>::new();
        for row in &rows {
            running.entry(row.try_get::<Option<String>, _>(1)?.unwrap_or_default()).or_default().push(id_of(row)?);
        }
        let rows =
            sqlx::query("SELECT name, seen_at, draining, doc FROM workers ORDER BY name").fetch_all(&mut *conn).await?;
        rows.iter().map(|row| worker(row, now, 2 * self.lease_ms(), &mut running)).collect()
    }

    async fn put_token(&self, token: &Token) -> Result<(), StoreError> {
        plain(&[&token.hash, &token.name])?;
        let put = "INSERT INTO tokens (hash, name, expires_at, doc) VALUES ($1, $2, $3, $4)
            ON CONFLICT (hash) DO UPDATE SET name = excluded.name, expires_at = excluded.expires_at, doc = excluded.doc";
        let expires = token.expires_at.map(Time::as_millis);
        let put = sqlx::query(put).bind(&token.hash).bind(&token.name).bind(expires).bind(json(&token.scopes)?);
        let mut conn = self.writer().await?;
        put.execute(&mut *conn).await?;
        Ok(())
    }

    async fn token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        let mut conn = self.read.acquire().await?;
        let (now, _) = clock(&mut conn).await?;
        let one = "SELECT hash, name, expires_at, doc FROM tokens WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)";
        let row = sqlx::query(one).bind(hash).bind(now.as_millis()).fetch_optional(&mut *conn).await?;
        row.map(|row| token(&row)).transpose()
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let mut conn = self.read.acquire().await?;
        let (now, _) = clock(&mut conn).await?;
        let all = "SELECT hash, name, expires_at, doc FROM tokens WHERE expires_at IS NULL OR expires_at > $1 ORDER BY name, hash";
        let rows = sqlx::query(all).bind(now.as_millis()).fetch_all(&mut *conn).await?;
        rows.iter().map(token).collect()
    }

    async fn remove_tokens(&self, name: &str) -> Result<u64, StoreError> {
        let mut conn = self.writer().await?;
        let removed = sqlx::query("DELETE FROM tokens WHERE name = $1").bind(name).execute(&mut *conn).await?;
        Ok(removed.rows_affected())
    }

    async fn ended(&self, before: Time, after: Option<&Id>, most: u32) -> Result<Vec<Id>, StoreError> {
        // What was submitted later is not looked at.
        let ended = "SELECT id FROM jobs WHERE id > $1 AND id < $2 AND ended_at < $3 ORDER BY id LIMIT $4";
        let ended = sqlx::query(ended)
            .bind(after.map_or("", Id::as_str))
            .bind(String::from(Id::new(before, [0; 8])))
            .bind(before.as_millis())
            .bind(i64::from(most));
        ids(&ended.fetch_all(&self.read).await?)
    }

    async fn forget(&self, ids: &[Id]) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        check_schema(&mut tx).await?;
        let mut forgotten = 0;
        for id in ids {
            let forget = sqlx::query("DELETE FROM jobs WHERE id = $1 AND ended_at IS NOT NULL").bind(id.as_str());
            forgotten += forget.execute(&mut *tx).await?.rows_affected();
        }
        tx.commit().await?;
        Ok(forgotten)
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_schema(&mut tx).await?;
        let (now, _) = clock(&mut tx).await?;
        let tokens = "DELETE FROM tokens WHERE expires_at <= $1";
        sqlx::query(tokens).bind(now.as_millis()).execute(&mut *tx).await?;
        let workers = "DELETE FROM workers WHERE seen_at < $1";
        sqlx::query(workers).bind(now.as_millis() - FORGOTTEN_MS).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    async fn now(&self) -> Result<Time, StoreError> {
        let mut conn = self.read.acquire().await?;
        Ok(clock(&mut conn).await?.0)
    }

    fn hints(&self) -> &Hints {
        &self.hints
    }

    fn lease(&self) -> Duration {
        self.settings.lease
    }

    fn poll(&self) -> Duration {
        self.poll
    }
}

/// Brings the tables to this program's version.
pub(super) async fn migrate(pool: &Pool<Db>) -> Result<(), StoreError> {
    let migrations = MIGRATIONS.into_iter().map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // Programs that open a new database at once make its tables one after the other.
    let mut tx = pool.begin_with(BEGIN).await?;
    lock(&mut tx).await?;
    match migrator.set_locking(false).run_direct(None, &mut *tx, false).await {
        Err(error @ MigrateError::VersionMissing(_)) => {
            check_schema(&mut tx).await?;
            Err(StoreError::Migrate(error))
        }
        Err(MigrateError::Execute(error)) => Err(error.into()),
        Err(error) => Err(StoreError::Migrate(error)),
        Ok(()) => Ok(tx.commit().await?),
    }
}

const fn knows() -> i64 {
    MIGRATIONS[MIGRATIONS.len() - 1].0
}

async fn check_schema(conn: &mut Conn) -> Result<(), StoreError> {
    known_schema(sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(conn).await?)
}

/// A program that does not know what the tables mean now keeps its hands off them.
fn known_schema(is: i64) -> Result<(), StoreError> {
    if is == knows() { Ok(()) } else { Err(StoreError::Schema { is, knows: knows() }) }
}

/// Alone until the end of the transaction.
async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    if let Some(lock) = LOCK {
        sqlx::query(lock).execute(&mut **tx).await?;
    }
    Ok(())
}

/// What one engine cannot keep, none does.
fn plain(texts: &[impl AsRef<str>]) -> Result<(), StoreError> {
    let has_nul = texts.iter().any(|text| text.as_ref().contains('\0'));
    if has_nul { Err(StoreError::Text("it has a NUL character".into())) } else { Ok(()) }
}

async fn locked(tx: &mut Tx, id: &Id) -> Result<Option<Locked>, StoreError> {
    let Some(row) = sqlx::query(LOCKED).bind(id.as_str()).fetch_optional(&mut **tx).await? else { return Ok(None) };
    known_schema(row.try_get(3)?)?;
    let lease = match (row.try_get(1)?, row.try_get(2)?) {
        (Some(until), Some(length)) => Some(Lease { until, length }),
        _ => None,
    };
    Ok(Some(Locked { job: document(&row, 0)?, lease }))
}

/// Writes a new job. Returns the one that has its id or its key already, and the hash of what that was asked for with.
async fn insert(tx: &mut Tx, job: &Job, new: &NewJob) -> Result<Option<(Job, String)>, StoreError> {
    let insert = "INSERT INTO jobs (id, status, repo, job_type, priority, not_before, epoch, submitted_by, idempotency_key, request_hash, doc)
        VALUES ($1, 'queued', $2, $3, $4, $5, 0, $6, $7, $8, $9)
        ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(job.job_id.as_str())
        .bind(&job.request.repo_name)
        .bind(&job.request.job_type)
        .bind(i64::from(job.priority))
        .bind(job.life.not_before.as_millis())
        .bind(&job.submitted_by)
        .bind(&new.idempotency_key)
        .bind(&new.request_hash)
        .bind(json(job)?);
    if insert.execute(&mut **tx).await?.rows_affected() > 0 {
        return Ok(None);
    }
    let known = "SELECT doc, request_hash FROM jobs WHERE id = $1 OR (submitted_by = $2 AND idempotency_key = $3)";
    let known = sqlx::query(known).bind(job.job_id.as_str()).bind(&job.submitted_by).bind(&new.idempotency_key);
    let row = known.fetch_one(&mut **tx).await?;
    Ok(Some((document(&row, 0)?, row.try_get(1)?)))
}

async fn write(tx: &mut Tx, job: &Job, lease: Option<Lease>) -> Result<(), StoreError> {
    let write = "UPDATE jobs SET status = $1, not_before = $2, epoch = $3, worker = $4, lease_until = $5, lease_ms = $6, ended_at = $7,
        doc = $8 WHERE id = $9";
    let write = sqlx::query(write)
        .bind(job.life.status.as_str())
        .bind(job.life.not_before.as_millis())
        .bind(i64::from(job.life.epoch))
        .bind(&job.life.worker)
        .bind(lease.map(|lease| lease.until))
        .bind(lease.map(|lease| lease.length))
        .bind(job.life.finished_at.map(Time::as_millis))
        .bind(json(job)?)
        .bind(job.job_id.as_str());
    write.execute(&mut **tx).await?;
    Ok(())
}

async fn record(tx: &mut Tx, id: &Id, events: &[Event]) -> Result<(), StoreError> {
    for event in events {
        let insert = sqlx::query("INSERT INTO events (job, doc) VALUES ($1, $2)").bind(id.as_str()).bind(json(event)?);
        insert.execute(&mut **tx).await?;
    }
    Ok(())
}

/// How many jobs of each repository run.
async fn running(conn: &mut Conn) -> Result<BTreeMap<String, u64>, StoreError> {
    let rows = sqlx::query("SELECT repo, count(*) FROM jobs WHERE status = 'running' GROUP BY repo");
    let rows = rows.fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0)))).collect()
}

fn worker(
    row: &Row,
    now: Time,
    silence: i64,
    running: &mut BTreeMap<String, Vec<Id>>,
) -> Result<KnownWorker, StoreError> {
    let (name, seen_at): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(KnownWorker {
        running: running.remove(&name).unwrap_or_default(),
        info: document(row, 3)?,
        seen_at: time(seen_at)?,
        // One that is heard of only later was so by a clock that was put back.
        alive: i64::try_from(now.as_millis().abs_diff(seen_at)).is_ok_and(|silent| silent < silence),
        draining: row.try_get::<i64, _>(2)? != 0,
        name,
    })
}

fn token(row: &Row) -> Result<Token, StoreError> {
    let expires_at = row.try_get::<Option<i64>, _>(2)?.map(time).transpose()?;
    Ok(Token { hash: row.try_get(0)?, name: row.try_get(1)?, scopes: document(row, 3)?, expires_at })
}

fn ids(rows: &[Row]) -> Result<Vec<Id>, StoreError> {
    rows.iter().map(id_of).collect()
}

fn id_of(row: &Row) -> Result<Id, StoreError> {
    let id: String = row.try_get(0)?;
    id.parse().map_err(|error: job::id::NotAnId| StoreError::Corrupt(error.to_string()))
}

fn time(millis: i64) -> Result<Time, StoreError> {
    Time::from_millis(millis).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn document<T: DeserializeOwned>(row: &Row, at: usize) -> Result<T, StoreError> {
    let text: String = row.try_get(at)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
