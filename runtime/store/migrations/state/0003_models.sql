-- Models as things of their own, what happened to them, and the names tasks have for them.

-- No foreign key to tasks: a model outlives the task that made it.
CREATE TABLE models (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    project_id  TEXT NOT NULL REFERENCES projects (id),
    task_id     TEXT NOT NULL DEFAULT '',
    framework   TEXT NOT NULL DEFAULT '',
    uri         TEXT NOT NULL DEFAULT '',
    filename    TEXT NOT NULL DEFAULT '',
    sha256      TEXT NOT NULL DEFAULT '',
    n_bytes     INTEGER NOT NULL DEFAULT 0,
    comment     TEXT NOT NULL DEFAULT '',
    labels      TEXT NOT NULL DEFAULT '{}',
    config_text TEXT NOT NULL DEFAULT '',
    config_type TEXT NOT NULL DEFAULT '',
    metadata    TEXT NOT NULL DEFAULT '{}',
    iteration   INTEGER,
    published   INTEGER NOT NULL DEFAULT 0,
    owner       TEXT NOT NULL DEFAULT '',
    created_at  REAL NOT NULL,
    updated_at  REAL NOT NULL
);
CREATE INDEX models_by_creation ON models (created_at, id);
CREATE INDEX models_by_update ON models (updated_at, id);
CREATE INDEX models_by_name ON models (name, id);
CREATE INDEX models_by_project ON models (project_id, created_at, id);
-- A query uses these three only when it repeats their condition.
CREATE INDEX models_by_task ON models (task_id, created_at, id) WHERE task_id <> '';
CREATE INDEX models_by_uri ON models (uri, created_at, id) WHERE uri <> '';
CREATE INDEX models_by_content ON models (sha256) WHERE sha256 <> '';

CREATE TABLE model_tags (
    model_id TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    tag      TEXT NOT NULL,
    system   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (model_id, tag, system)
);

-- Rank is the order in which a task came by its models; a name that is given anew keeps its own.
CREATE TABLE task_models (
    rank     INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id  TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    kind     TEXT NOT NULL CHECK (kind IN ('input', 'output')),
    name     TEXT NOT NULL,
    model_id TEXT NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    UNIQUE (task_id, kind, name)
);
CREATE INDEX task_models_by_model ON task_models (model_id);

-- No foreign key: that a model was deleted stays known.
CREATE TABLE model_events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         REAL NOT NULL,
    model_id   TEXT NOT NULL,
    event      TEXT NOT NULL,
    by         TEXT NOT NULL,
    request_id TEXT NOT NULL,
    details    TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX model_events_by_model ON model_events (model_id, seq);
