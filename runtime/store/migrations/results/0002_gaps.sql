-- What processes wrote and nobody keeps: a flood beyond its bounds, output on a disk without room.

-- n_bytes counts all that was written; of these, n_missing are not stored.
ALTER TABLE offsets ADD COLUMN n_missing INTEGER NOT NULL DEFAULT 0;

-- missing: bytes right before offset that are not stored; a row of 0 bytes states them alone.
-- position: of the piece in its file, which has no holes; NULL: the same as offset.
ALTER TABLE console ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE console ADD COLUMN position INTEGER;
CREATE INDEX console_gaps ON console (task_id, epoch, stream, offset) WHERE missing > 0;
