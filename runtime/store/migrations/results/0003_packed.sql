-- Points in packed runs, a row for many instead of one for each; summaries say more; media.

-- Points of one series that arrived together, in order of arrival. The three columns of bytes
-- hold n_points numbers of 8 bytes each, little-endian: whole numbers, floats, floats.
CREATE TABLE chunks (
    id             INTEGER PRIMARY KEY,
    series_id      INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    epoch          INTEGER NOT NULL,
    n_points       INTEGER NOT NULL,
    last_iteration INTEGER NOT NULL,
    iterations     BLOB NOT NULL,
    vals           BLOB NOT NULL,
    times          BLOB NOT NULL
);
CREATE INDEX chunks_by_series ON chunks (series_id);

-- pack_integers and pack_floats are of runtime/store/series.py: the second argument of all rows,
-- in the order of the first.
INSERT INTO chunks (series_id, epoch, n_points, last_iteration, iterations, vals, times)
SELECT series_id, epoch, COUNT(*), MAX(iteration), pack_integers(n, iteration),
    pack_floats(n, value), pack_floats(n, at)
FROM (
    SELECT series_id, epoch, iteration, value, at,
        ROW_NUMBER() OVER (PARTITION BY series_id, epoch ORDER BY position) - 1 AS n
    FROM points
)
GROUP BY series_id, epoch, n / 8192
ORDER BY series_id, epoch, n / 8192;

-- Of the finite values, like the summary that was there before: first is NULL where it is not
-- known, total and n_finite make the mean.
ALTER TABLE series ADD COLUMN first REAL;
ALTER TABLE series ADD COLUMN min_iteration INTEGER;
ALTER TABLE series ADD COLUMN max_iteration INTEGER;
ALTER TABLE series ADD COLUMN total REAL NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN n_finite INTEGER NOT NULL DEFAULT 0;
UPDATE series SET
    first = (
        SELECT value FROM points WHERE series_id = series.id AND abs(value) < 9e999
        ORDER BY epoch, position LIMIT 1),
    min_iteration = (
        SELECT iteration FROM points WHERE series_id = series.id AND value = series.min LIMIT 1),
    max_iteration = (
        SELECT iteration FROM points WHERE series_id = series.id AND value = series.max LIMIT 1),
    total = (
        SELECT TOTAL(value) FROM points WHERE series_id = series.id AND abs(value) < 9e999),
    n_finite = (
        SELECT COUNT(*) FROM points WHERE series_id = series.id AND abs(value) < 9e999);

DROP TABLE points;

-- Debug samples: files beside iterations of a series. Their bytes are a blob, or lie at uri.
CREATE TABLE media (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id      TEXT NOT NULL,
    title        TEXT NOT NULL,
    series       TEXT NOT NULL,
    iteration    INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    filename     TEXT NOT NULL,
    content_type TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    n_bytes      INTEGER NOT NULL,
    uri          TEXT NOT NULL,
    at           REAL NOT NULL
);
CREATE UNIQUE INDEX media_of_series ON media (task_id, title, series, iteration);
CREATE INDEX media_by_iteration ON media (task_id, iteration, seq);
