"""``client.tasks``: find, edit and move tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dray.runtime.codec import to_json
from dray.runtime.errors import DrayError
from dray.runtime.models import Task as TaskModel
from dray.sdk.backend.entity import Answers, Entity, Struct
from dray.sdk.backend.service import Service, unknown
from dray.sdk.task import Task
from dray.sdk.tasks.export import described

#: How many tasks are answered when no page is asked for, as ClearML does.
_PAGE_SIZE = 500
_ARCHIVED = "archived"


class Tasks(Service):
    """Tasks by id, with the members that ``Task.export_task`` has."""

    name, entity = "tasks", "task"

    def get_all(
        self,
        only_fields: Sequence[str] | None = None,
        page: int | None = None,
        page_size: int | None = None,
        search_hidden: bool = False,
        **task_filter: Any,
    ) -> Answers[Entity]:
        """Every task that fits, up to 500 unless ``page_size`` says otherwise.

        ``task_filter`` is what ``Task.query_tasks`` takes: ``id``, ``name``, ``project``,
        ``status``, ``type``, ``tags``, ``system_tags``, ``parent``, ``search_text``,
        ``order_by``, time ranges …
        """
        del only_fields, search_hidden  # whole tasks; none hide
        wanted = page_size or _PAGE_SIZE
        begin = (page or 0) * wanted
        given = {name: value for name, value in task_filter.items() if value is not None}
        found, cursor = list[TaskModel](), None
        while len(found) < begin + wanted:
            answer = self._client.search_tasks(given, include="tasks", cursor=cursor)
            found += answer.items
            cursor = answer.next_cursor
            if cursor is None:
                break
        return Answers([self._entity(task) for task in found[begin : begin + wanted]])

    def get_by_id(self, task: str, **others: Any) -> Entity:
        """One task, with its metrics."""
        unknown("tasks.get_by_id", others)
        return self._entity(self._client.get_task(task))

    def create(self, name: str, project: str, type: str = "training", **members: Any) -> Struct:
        """A new draft; ``project`` is an id or a full name."""
        made = Task.create(self._project(project), name, type)
        if members:
            made.update_task(members)
        return Struct({"id": made.id})

    def edit(self, task: str, force: bool = False, **changes: Any) -> Struct:
        """Change members of a draft; of any task those that say how it is found."""
        del force
        given = {name: value for name, value in changes.items() if value is not None}
        _task(task).update_task(given)
        return Struct({"updated": 1, "fields": given})

    update = edit

    def clone(
        self,
        task: str,
        new_task_name: str | None = None,
        new_task_comment: str | None = None,
        new_task_tags: Sequence[str] | None = None,
        new_task_parent: str | None = None,
        new_task_project: str | None = None,
        **others: Any,
    ) -> Struct:
        """A draft with the code and parameters of a task."""
        unknown("tasks.clone", others)
        project = None if new_task_project is None else self._project(new_task_project)
        made = Task.clone(task, new_task_name, new_task_comment, new_task_parent, project)
        if new_task_tags is not None:
            made.set_tags(list(new_task_tags))
        return Struct({"id": made.id, "new_project": None})

    def enqueue(
        self,
        task: str,
        queue: str | None = None,
        queue_name: str | None = None,
        force: bool = False,
        **others: Any,
    ) -> Struct:
        """Put a task in a queue, by the queue's id or name."""
        unknown("tasks.enqueue", others)
        Task.enqueue(task, queue_name=queue_name, queue_id=queue, force=force)
        return Struct({"queued": 1, "updated": 1, "fields": {"status": "queued"}})

    def dequeue(self, task: str, **others: Any) -> Struct:
        """Take a task out of its queue."""
        unknown("tasks.dequeue", others)
        self._client.dequeue(task)
        return Struct({"dequeued": 1, "updated": 1})

    def stop(
        self, task: str, status_reason: str = "", force: bool = False, **others: Any
    ) -> Struct:
        """End a task: a pending one at once, a running one by signal."""
        del force
        unknown("tasks.stop", {k: v for k, v in others.items() if k != "status_message"})
        self._client.abort(task, reason=status_reason or str(others.get("status_message") or ""))
        return Struct({"updated": 1})

    def stopped(self, task: str, **others: Any) -> Struct:
        """State that a task was stopped."""
        _task(task).mark_stopped(**_message(others))
        return Struct({"updated": 1})

    def completed(self, task: str, **others: Any) -> Struct:
        """State that a task is done."""
        _task(task).mark_completed(**_message(others))
        return Struct({"updated": 1})

    def failed(self, task: str, **others: Any) -> Struct:
        """State that a task failed."""
        _task(task).mark_failed(status_reason=others.get("status_reason"), **_message(others))
        return Struct({"updated": 1})

    def started(self, task: str, **others: Any) -> Struct:
        """State that a task runs."""
        _task(task).mark_started(force=bool(others.get("force")))
        return Struct({"updated": 1, "started": 1})

    def reset(self, task: str, force: bool = False, **others: Any) -> Struct:
        """Make it a draft again; its outputs are deleted."""
        del others
        _task(task).reset(force=force)
        return Struct({"updated": 1})

    def publish(self, task: str, **others: Any) -> Struct:
        """Make it read-only for ever."""
        del others
        self._client.publish(task)
        return Struct({"updated": 1})

    def delete(self, task: str, force: bool = False, **others: Any) -> Struct:
        """Delete a task and its outputs; a running one only with ``force``."""
        del others
        self._client.delete_task(task, force=force)
        return Struct({"deleted": True})

    def archive(self, tasks: Iterable[str]) -> Struct:
        """Leave tasks out of lists."""
        return self._each(tasks, lambda each: _task(each).set_archived(True))

    def unarchive(self, tasks: Iterable[str]) -> Struct:
        """Show archived tasks again."""
        return self._each(tasks, lambda each: _task(each).set_archived(False))

    def archive_many(self, ids: Iterable[str]) -> Struct:
        """The same as :meth:`archive`."""
        return self.archive(ids)

    def unarchive_many(self, ids: Iterable[str]) -> Struct:
        """The same as :meth:`unarchive`."""
        return self.unarchive(ids)

    def enqueue_many(
        self, ids: Iterable[str], queue: str | None = None, queue_name: str | None = None
    ) -> Struct:
        """Put tasks in a queue."""
        return self._each(ids, lambda i: self.enqueue(i, queue=queue, queue_name=queue_name))

    def stop_many(self, ids: Iterable[str], **others: Any) -> Struct:
        """End tasks."""
        return self._each(ids, lambda each: self.stop(each, **others))

    def reset_many(self, ids: Iterable[str], **others: Any) -> Struct:
        """Make tasks drafts again."""
        return self._each(ids, lambda each: self.reset(each, **others))

    def publish_many(self, ids: Iterable[str], **others: Any) -> Struct:
        """Make tasks read-only."""
        return self._each(ids, lambda each: self.publish(each, **others))

    def delete_many(self, ids: Iterable[str], force: bool = False, **others: Any) -> Struct:
        """Delete tasks."""
        return self._each(ids, lambda each: self.delete(each, force=force, **others))

    def _each(self, ids: Iterable[str], act: Callable[[str], Any]) -> Struct:
        succeeded, failed = list[dict[str, str]](), list[dict[str, Any]]()
        for each in ids:
            try:
                act(each)
                succeeded.append({"id": each})
            except DrayError as exc:
                failed.append({"id": each, "error": {"msg": exc.message}})
        return Struct({"succeeded": succeeded, "failed": failed})

    def _entity(self, task: TaskModel) -> Entity:
        return Entity(self, described(to_json(task)))

    def _project(self, named: str) -> str:
        """Full name of a project that may be named by its id."""
        known = {project.id: project.name for project in self._client.list_projects()}
        return known.get(named, named)


def _task(task_id: str) -> Task:
    found = Task.get_task(task_id=task_id)
    assert found is not None, "an id is found or raises"  # noqa: S101
    return found


def _message(given: dict[str, Any]) -> dict[str, Any]:
    return {"status_message": given.get("status_message") or given.get("status_reason")}
