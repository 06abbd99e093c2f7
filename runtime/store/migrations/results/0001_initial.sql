-- Scalars, plots, texts and the index of the console: much of it, written often.

PRAGMA application_id = 1146241369;  -- "DRAY"

-- How far each stream of an attempt has been accepted. tail holds the beginning of a record
-- whose end has not arrived; its bytes count as accepted.
CREATE TABLE offsets (
    task_id     TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    stream      TEXT NOT NULL,
    n_bytes     INTEGER NOT NULL,
    tail        BLOB NOT NULL DEFAULT x'',
    n_malformed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, epoch, stream)
) WITHOUT ROWID;

-- One scalar series with the summary that tables of tasks show. The summary is of finite
-- values; last is NULL until there is one.
CREATE TABLE series (
    id             INTEGER PRIMARY KEY,
    task_id        TEXT NOT NULL,
    title          TEXT NOT NULL,
    name           TEXT NOT NULL,
    last           REAL,
    last_iteration INTEGER,
    min            REAL,
    max            REAL,
    n_points       INTEGER NOT NULL DEFAULT 0,
    UNIQUE (task_id, title, name)
);

-- position is the byte at which the record begins in its stream: a record that comes again
-- is the same row.
CREATE TABLE points (
    series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    iteration INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    value     REAL,
    at        REAL NOT NULL,
    PRIMARY KEY (series_id, iteration, epoch, position)
) WITHOUT ROWID;

CREATE TABLE singles (
    task_id TEXT NOT NULL,
    name    TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    value   REAL,
    at      REAL NOT NULL,
    PRIMARY KEY (task_id, name)
) WITHOUT ROWID;

CREATE TABLE plots (
    task_id   TEXT NOT NULL,
    title     TEXT NOT NULL,
    series    TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    type      TEXT NOT NULL,
    data      TEXT NOT NULL,
    at        REAL NOT NULL,
    PRIMARY KEY (task_id, title, series, iteration)
);

CREATE TABLE texts (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id  TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at       REAL NOT NULL,
    level    TEXT NOT NULL,
    message  TEXT NOT NULL,
    UNIQUE (task_id, epoch, position)
);

-- Which bytes of which stream arrived when; the bytes are in files.
CREATE TABLE console (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    stream  TEXT NOT NULL,
    offset  INTEGER NOT NULL,
    n_bytes INTEGER NOT NULL,
    at      REAL NOT NULL
);
CREATE INDEX console_by_task ON console (task_id, seq);
