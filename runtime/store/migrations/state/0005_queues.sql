-- How a queue's tasks run that do not say it themselves.

ALTER TABLE queues ADD COLUMN defaults TEXT NOT NULL DEFAULT '{}';
