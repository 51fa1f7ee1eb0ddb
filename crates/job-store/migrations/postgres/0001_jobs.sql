-- The job's document is `doc`; the other columns are what the queue decides and searches by.
CREATE TABLE jobs (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    status TEXT NOT NULL,
    repo TEXT COLLATE "C" NOT NULL,
    job_type TEXT NOT NULL,
    priority BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    worker TEXT,
    lease_until BIGINT,
    lease_ms BIGINT,
    ended_at BIGINT,
    submitted_by TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT NOT NULL,
    doc TEXT NOT NULL
);

CREATE INDEX jobs_waiting ON jobs (repo, priority DESC, seq) WHERE status = 'queued';
CREATE INDEX jobs_running ON jobs (repo) WHERE status = 'running';
CREATE UNIQUE INDEX jobs_once ON jobs (submitted_by, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_by_repo ON jobs (repo, id);
CREATE INDEX jobs_by_repo_status ON jobs (repo, status, id);
CREATE INDEX jobs_by_type ON jobs (job_type, id);
CREATE INDEX jobs_by_status ON jobs (status, id);

CREATE TABLE events (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job TEXT COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    doc TEXT NOT NULL
);

CREATE INDEX events_of ON events (job, n);

CREATE TABLE workers (
    name TEXT COLLATE "C" PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    draining BIGINT NOT NULL DEFAULT 0,
    doc TEXT NOT NULL
);

CREATE TABLE tokens (
    hash TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    doc TEXT NOT NULL
);

CREATE INDEX tokens_by_name ON tokens (name);
