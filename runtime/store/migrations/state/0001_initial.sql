-- Tasks, attempts, queues, agents, projects and the audit: what must never be lost.

PRAGMA application_id = 1146241369;  -- "DRAY"

CREATE TABLE projects (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    created_at  REAL NOT NULL,
    description TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Kept narrow, because claims and lease renewals rewrite it; the long texts are in documents.
CREATE TABLE tasks (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    project_id       TEXT NOT NULL REFERENCES projects (id),
    type             TEXT NOT NULL,
    state            TEXT NOT NULL,
    phase            TEXT,
    phase_before     TEXT,
    epoch            INTEGER NOT NULL DEFAULT 0,
    agent            TEXT NOT NULL DEFAULT '',
    claim_id         TEXT NOT NULL DEFAULT '',
    lease_expires_at REAL,
    queue            TEXT NOT NULL DEFAULT '',
    priority         INTEGER NOT NULL DEFAULT 0,
    n_requeues       INTEGER NOT NULL DEFAULT 0,
    on_lost          TEXT NOT NULL,
    max_requeues     INTEGER NOT NULL,
    cause            TEXT,
    comment          TEXT NOT NULL DEFAULT '',
    parent_id        TEXT NOT NULL DEFAULT '',
    owner            TEXT NOT NULL DEFAULT '',
    created_at       REAL NOT NULL,
    updated_at       REAL NOT NULL,
    enqueued_at      REAL,
    started_at       REAL,
    ended_at         REAL,
    progress         REAL
);

CREATE INDEX tasks_by_creation ON tasks (created_at, id);
CREATE INDEX tasks_by_update ON tasks (updated_at, id);
CREATE INDEX tasks_by_name ON tasks (name, id);
CREATE INDEX tasks_by_project ON tasks (project_id, created_at, id);
CREATE INDEX tasks_by_state ON tasks (state, created_at, id);
CREATE INDEX tasks_by_owner ON tasks (owner, created_at, id);
-- A query uses these two only when it repeats their condition.
CREATE INDEX tasks_by_parent ON tasks (parent_id, created_at, id) WHERE parent_id <> '';
CREATE INDEX tasks_by_queue ON tasks (queue, created_at, id) WHERE queue <> '';
-- What runs, and on which agent: as long as the cluster is wide, not as long as its history.
CREATE INDEX tasks_running ON tasks (agent) WHERE state = 'running';

CREATE TABLE documents (
    task_id       TEXT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    execution     TEXT NOT NULL,
    parameters    TEXT NOT NULL DEFAULT '{}',
    configuration TEXT NOT NULL DEFAULT '{}',
    properties    TEXT NOT NULL DEFAULT '{}',
    runtime       TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE tags (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    tag     TEXT NOT NULL,
    system  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (task_id, tag, system)
);

CREATE TABLE attempts (
    task_id         TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    epoch           INTEGER NOT NULL,
    agent           TEXT NOT NULL,
    node            TEXT NOT NULL,
    kind            TEXT NOT NULL,
    claim_id        TEXT NOT NULL,
    lease_ttl_s     REAL NOT NULL,
    claimed_at      REAL NOT NULL,
    executing_at    REAL,
    first_output_at REAL,
    ended_at        REAL,
    cause           TEXT,
    environment     TEXT,
    receipt         TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (task_id, epoch)
) WITHOUT ROWID;

CREATE TABLE queues (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    elastic    INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

-- All and only pending tasks; rank is the order of arrival.
CREATE TABLE queue_entries (
    rank        INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id     TEXT NOT NULL UNIQUE REFERENCES tasks (id) ON DELETE CASCADE,
    queue       TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    enqueued_at REAL NOT NULL,
    resources   TEXT NOT NULL,
    owner       TEXT NOT NULL
);
CREATE INDEX queue_entries_in_claim_order ON queue_entries (queue, priority DESC, rank);

CREATE TABLE agents (
    name   TEXT PRIMARY KEY,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE artifacts (
    task_id  TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (task_id, name)
) WITHOUT ROWID;
CREATE INDEX artifacts_by_content ON artifacts (sha256) WHERE sha256 <> '';

-- No foreign key: that a task was deleted stays known.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         REAL NOT NULL,
    task_id    TEXT NOT NULL,
    event      TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    by         TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    cause      TEXT,
    details    TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_by_task ON audit (task_id, seq);

CREATE TABLE idempotency (
    key         TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status      INTEGER NOT NULL,
    body        TEXT NOT NULL,
    created_at  REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Outputs that are deleted by a transaction that has committed here, and that may still
-- exist in results.db and as files: epochs up to and including this one.
CREATE TABLE purges (
    task_id TEXT PRIMARY KEY,
    epoch   INTEGER NOT NULL
) WITHOUT ROWID;
