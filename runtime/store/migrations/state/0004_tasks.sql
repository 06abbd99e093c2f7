-- Which tasks are published as soon as they are completed, and the numbers of their classes.

ALTER TABLE tasks ADD COLUMN publish_on_completion INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
-- Searches ask for tasks by when they began and ended.
CREATE INDEX tasks_by_start ON tasks (started_at, id) WHERE started_at IS NOT NULL;
