-- The job's document is `doc`; the other columns are what the queue decides and searches by.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    repo TEXT NOT NULL,
    job_type TEXT NOT NULL,
    priority INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    worker TEXT,
    lease_until INTEGER,
    lease_ms INTEGER,
    ended_at INTEGER,
    submitted_by TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT NOT NULL,
    doc TEXT NOT NULL
) STRICT;

CREATE INDEX jobs_waiting ON jobs (repo, priority DESC, seq) WHERE status = 'queued';
CREATE INDEX jobs_running ON jobs (repo) WHERE status = 'running';
CREATE UNIQUE INDEX jobs_once ON jobs (submitted_by, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_by_repo ON jobs (repo, id);
CREATE INDEX jobs_by_repo_status ON jobs (repo, status, id);
CREATE INDEX jobs_by_type ON jobs (job_type, id);
CREATE INDEX jobs_by_status ON jobs (status, id);

CREATE TABLE events (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    doc TEXT NOT NULL
) STRICT;

CREATE INDEX events_of ON events (job, n);

CREATE TABLE workers (
    name TEXT PRIMARY KEY,
    seen_at INTEGER NOT NULL,
    draining INTEGER NOT NULL DEFAULT 0,
    doc TEXT NOT NULL
) STRICT;

CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    expires_at INTEGER,
    doc TEXT NOT NULL
) STRICT;

CREATE INDEX tokens_by_name ON tokens (name);
