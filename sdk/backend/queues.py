"""``client.queues``: lines of pending tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from dray.runtime.models import Queue
from dray.sdk.backend.entity import Answers, Entity, Struct
from dray.sdk.backend.service import Service, unknown


class Queues(Service):
    """Queues by name; where ClearML takes an id, the name will do too."""

    name, entity = "queues", "queue"

    def get_all(
        self,
        name: str | None = None,
        id: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        only_fields: Sequence[str] | None = None,
        order_by: Sequence[str] | None = None,
        page: int | None = None,
        page_size: int | None = None,
        **others: Any,
    ) -> Answers[Entity]:
        """Every queue whose name the regular expression ``name`` is found in."""
        del only_fields, order_by, page, page_size  # an answer of a few rows, whole and by name
        unknown("queues.get_all", {"tags": tags or None, **others})
        found = [
            queue
            for queue in self._client.list_queues()
            if (not name or re.search(name, queue.name)) and (not id or queue.id in id)
        ]
        return Answers([Entity(self, self._shape(queue)) for queue in found])

    def get_by_id(self, queue: str, **others: Any) -> Entity:
        """A queue by id or name."""
        unknown("queues.get_by_id", others)
        return Entity(self, self._shape(self._queue(queue)))

    def get_default(self) -> Entity:
        """The queue that is meant when none is named."""
        return self.get_by_id("default")

    def create(self, name: str, tags: Sequence[str] | None = None, **others: Any) -> Struct:
        """A new queue; agents are made for its tasks as needed."""
        unknown("queues.create", {"tags": tags or None, **others})
        return Struct({"id": self._client.create_queue(name).id})

    def delete(self, queue: str, force: bool = False) -> Struct:
        """Delete a queue; with ``force`` also one in which tasks wait."""
        self._client.delete_queue(self._queue(queue).name, force=force)
        return Struct({"deleted": 1})

    def get_num_entries(self, queue: str) -> Struct:
        """How many tasks wait in it."""
        return Struct({"num": self._queue(queue).n_pending})

    def add_task(self, queue: str, task: str) -> Struct:
        """Put a task in a queue."""
        self._client.enqueue(task, self._queue(queue).name)
        return Struct({"added": 1})

    def remove_task(self, queue: str, task: str) -> Struct:
        """Take a task out of its queue; it is a draft again."""
        del queue
        self._client.dequeue(task)
        return Struct({"removed": 1})

    def _queue(self, named: str) -> Queue:
        for queue in self._client.list_queues():
            if named in (queue.id, queue.name):
                return queue
        return self._client.get_queue(named)  # raises, and lists those there are

    def _shape(self, queue: Queue) -> dict[str, Any]:
        entries = self._client.queue_tasks(queue.name) if queue.n_pending else []
        return {
            "id": queue.id,
            "name": queue.name,
            "tags": [],
            "system_tags": ["default"] if queue.name == "default" else [],
            "created": when(queue.created_at),
            "entries": [{"task": e.task_id, "added": when(e.enqueued_at)} for e in entries],
        }


def when(at: float | None) -> str | None:
    """A time as ClearML writes it."""
    return None if at is None else datetime.fromtimestamp(at, timezone.utc).isoformat()
