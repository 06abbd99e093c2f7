"""The part of ``Task`` that finds tasks, projects and how long queues are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase
from dray.sdk.tasks.handle import RunningHandle

if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

    from dray.sdk.tasks.records import Record


class TaskFound(TaskBase):
    """Other tasks than the one that runs here."""

    @classmethod
    def get_task(
        cls,
        task_id: str | None = None,
        project_name: str | None = None,
        task_name: str | None = None,
        tags: str | Iterable[str] | None = None,
        allow_archived: bool = True,
        task_filter: Mapping[str, Any] | None = None,
    ) -> Self | None:
        """A task by id, or by what it is called; None when no task fits.

        Of several that fit, the one that changed last; one that is not archived before others.

        Args:
            task_id: id or unique prefix; then nothing else matters.
            project_name: full name of its project (or its id), without sub-projects.
            task_name: its whole name.
            tags: see :meth:`get_tasks`.
            allow_archived: also among archived ones.
            task_filter: see :meth:`get_tasks`.

        Raises:
            UnknownTask: (a ``NotFound`` and a ``ValueError``) no task has the id.
            AmbiguousId: several begin with it.
            InvalidInput: nothing to find it by was given, or a filter that cannot be used.
        """
        from dray.sdk.tasks import find as task_find

        attempt = session.current()
        if attempt is not None and task_id == attempt.task_id:
            return cls(RunningHandle(attempt))
        if task_id:
            return cls(task_find.by_id(task_id))
        found = task_find.by_name(project_name, task_name, tags, allow_archived, task_filter)
        return None if found is None else cls(found)

    @classmethod
    def get_by_name(cls, task_name: str) -> Self | None:
        """The same as ``get_task(task_name=...)``."""
        return cls.get_task(task_name=task_name)

    @classmethod
    def get_tasks(
        cls,
        task_ids: str | Iterable[str] | None = None,
        project_name: str | Iterable[str] | None = None,
        task_name: str | None = None,
        tags: str | Iterable[str] | None = None,
        allow_archived: bool = True,
        task_filter: Mapping[str, Any] | None = None,
    ) -> list[Self]:
        """The tasks that fit, the last changed first; the first 500 of them.

        Args:
            task_ids: these and no others; nothing else matters then.
            project_name: full name of a project (or its id), or several.
            task_name: a regular expression that fits a part of the name.
            tags: any of them; ``-tag`` leaves tasks out; ``"__$all"`` and ``"__$any"`` hold for
                the tags after them, ``"__$not"`` for the next one.
            allow_archived: also archived ones.
            task_filter: ``status``, ``type``, ``parent``, ``user``, ``queue``, ``id``, ``tags``,
                ``system_tags``, ``search_text`` (a pattern in name, comment or id), ``_all_`` and
                ``_any_`` (``{"fields": [...], "pattern": "..."}``), ``order_by`` (names, ``-`` in
                front: descending), times such as ``created`` and ``last_update``
                (``[">=2024-01-01", "<2024-02-01"]``), ``page`` and ``page_size``,
                ``project_tree`` (a project and all below it).

        Raises:
            UnknownTask: ids that are unknown; all are listed.
            InvalidInput: a filter that cannot be used.
        """
        from dray.sdk.tasks import find as task_find

        if task_ids:
            return [cls(handle) for handle in task_find.these(task_ids)]
        asked = task_find.wish(project_name, task_name, tags, allow_archived, task_filter)
        return [cls(handle) for handle in task_find.many(asked)]

    @classmethod
    def query_tasks(
        cls,
        project_name: str | Iterable[str] | None = None,
        task_name: str | None = None,
        tags: str | Iterable[str] | None = None,
        additional_return_fields: Iterable[str] | None = None,
        task_filter: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Ids of all tasks that fit; with fields, a dict of each with its ``id`` and the fields.

        Args:
            project_name: see :meth:`get_tasks`, as for ``task_name``, ``tags``, ``task_filter``.
            task_name: a regular expression.
            tags: tags and operators.
            additional_return_fields: dotted names such as ``script.repository``, ``last_update``,
                ``hyperparams.Args.lr.value``; what a task lacks is None.
            task_filter: what else they must be.

        Raises:
            InvalidInput: a filter that cannot be used.
        """
        from dray.sdk.tasks import find as task_find

        asked = task_find.wish(project_name, task_name, tags, True, task_filter)
        return task_find.queried(asked, additional_return_fields)

    @classmethod
    def get_all(cls, session: object = None, log: object = None, **kwargs: Any) -> Record:
        """What a ``task_filter`` of ``kwargs`` finds, as ``result.response.tasks``.

        Args:
            session: not needed; there is one server.
            log: not needed.
            kwargs: see :meth:`get_tasks`.
        """
        from dray.runtime.codec import to_json
        from dray.sdk.tasks import find as task_find
        from dray.sdk.tasks.records import Record, data_of

        del session, log
        asked = task_find.wish(None, None, None, True, kwargs)
        tasks = [data_of(to_json(handle.data)) for handle in task_find.many(asked)]
        return Record({"response": {"tasks": tasks}})

    @classmethod
    def get_projects(cls, **kwargs: Any) -> list[Record]:
        """Projects, each with ``id``, ``name``, ``description``, ``created`` and ``n_tasks``.

        Args:
            kwargs: ``name`` (a regular expression), ``id`` (a list), ``order_by`` (``name``,
                ``created``; ``-`` in front: descending), ``page``, ``page_size``,
                ``search_hidden`` (nothing is hidden).

        Raises:
            InvalidInput: another name.
        """
        from dray.sdk.tasks import project_find

        return project_find.projects(kwargs)

    @classmethod
    def get_project_id(cls, project_name: str, search_hidden: bool = True) -> str | None:
        """Id of the project of that full name; None when there is none.

        Args:
            project_name: full name, nested by ``/``.
            search_hidden: not needed: nothing is hidden.
        """
        from dray.runtime.errors import NotFound
        from dray.sdk.tasks import find as task_find

        del search_hidden
        try:
            return task_find.client().get_project(project_name).id
        except NotFound:
            return None

    @classmethod
    def get_num_enqueued_tasks(
        cls, queue_name: str | None = None, queue_id: str | None = None
    ) -> int:
        """How many tasks wait in a queue.

        Raises:
            UnknownQueue: there is none; those there are, are listed.
            UsageError: name and id were given.
        """
        from dray.sdk.tasks import find as task_find

        return task_find.queue(task_find.client(), queue_name, queue_id).n_pending
