-- Separate budgets for the user's failures and for lost workers, delayed retries, and which
-- tasks end with their parent.

ALTER TABLE tasks ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';
UPDATE tasks SET policy = json_object('on_lost', on_lost, 'max_requeues', max_requeues);
ALTER TABLE tasks DROP COLUMN on_lost;
ALTER TABLE tasks DROP COLUMN max_requeues;

ALTER TABLE tasks ADD COLUMN n_retries INTEGER NOT NULL DEFAULT 0;
-- A JSON list: names of agents that died while they ran it.
ALTER TABLE tasks ADD COLUMN lost_agents TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tasks ADD COLUMN not_before REAL;
-- 0 where the parent is only where it was cloned from.
ALTER TABLE tasks ADD COLUMN follows_parent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN initial_iteration INTEGER NOT NULL DEFAULT 0;

ALTER TABLE queue_entries ADD COLUMN not_before REAL;
