"""Tasks: made, found, edited, cloned, moved through their states, deleted."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace

from dray.runtime.causes import Cause
from dray.runtime.clock import Clock
from dray.runtime.errors import Conflict, InvalidInput, NotFound
from dray.runtime.execution import EnvironmentReport, Execution
from dray.runtime.ids import check_prefix, is_id, new_id, only_match
from dray.runtime.machine import Command, Enqueue, Head, RequestStop
from dray.runtime.models import Task
from dray.runtime.resolved import PACKAGES, as_resolved
from dray.runtime.states import State
from dray.runtime.store import (
    audit,
    cursors,
    database,
    models,
    projects,
    rows,
    task_edit,
    task_models,
    task_query,
    transitions,
)
from dray.runtime.store.contract import (
    By,
    Change,
    CloneRequest,
    Page,
    TaskEdit,
    TaskQuery,
)
from dray.runtime.store.database import Database
from dray.runtime.store.fencing import fenced
from dray.runtime.store.going_on import GoingOn
from dray.runtime.store.results import Results
from dray.runtime.store.session import Session

_INSERT = """
INSERT INTO tasks (id, name, project_id, type, state, queue, priority, policy, comment, parent_id,
    follows_parent, owner, created_at, updated_at, epoch, publish_on_completion)
VALUES (?, ?, ?, ?, 'draft', '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# A deleted task may be made again; what its old attempts still send must not pass for the new.
_EPOCH_BEFORE = """
SELECT COALESCE(MAX(epoch), 0) AS epoch FROM audit WHERE task_id = ? AND event = 'delete'
"""
_INSERT_DOCUMENTS = """
INSERT INTO documents (task_id, execution, parameters, configuration, properties, runtime,
    labels)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE = """
UPDATE tasks SET name = ?, project_id = ?, type = ?, comment = ?, priority = ?, policy = ?,
    parent_id = ?, follows_parent = ?, publish_on_completion = ?, updated_at = ?
WHERE id = ?
"""
_UPDATE_DOCUMENTS = """
UPDATE documents SET execution = ?, parameters = ?, configuration = ?, properties = ?,
    labels = ?
WHERE task_id = ?
"""
_ADD_TAG = "INSERT OR IGNORE INTO tags (task_id, tag, system) VALUES (?, ?, ?)"
_DROP_TAGS = "DELETE FROM tags WHERE task_id = ?"
_LAST_ENVIRONMENT = """
SELECT environment FROM attempts WHERE task_id = ? AND environment IS NOT NULL
ORDER BY epoch DESC LIMIT 1
"""
_FOLLOWS = "SELECT follows_parent FROM tasks WHERE id = ?"
_MADE_BY = "SELECT by FROM audit WHERE task_id = ? AND event = 'create' ORDER BY seq DESC LIMIT 1"
_PARENT = "SELECT parent_id FROM tasks WHERE id = ?"
_BY_PREFIX = "SELECT id FROM tasks WHERE id >= ? AND id < ? ORDER BY id LIMIT 11"
_HEADS = f"SELECT {rows.HEAD_COLUMNS} FROM tasks WHERE id IN ({{}})"  # noqa: S608
_DELETE = "DELETE FROM tasks WHERE id = ?"
# UNION, not UNION ALL: tasks may be each other's parents by mistake.
_FOLLOWERS = """
WITH RECURSIVE followers (id) AS (
    SELECT id FROM tasks WHERE parent_id = ? AND parent_id <> '' AND follows_parent
    UNION
    SELECT t.id FROM tasks t JOIN followers f ON t.parent_id = f.id
    WHERE t.parent_id <> '' AND t.follows_parent
)
SELECT f.id FROM followers f JOIN tasks t ON t.id = f.id WHERE t.state IN ('pending', 'running')
"""


class Tasks:
    """Every task, by id.

    Args:
        state: where they are kept.
        results: where their metrics are.
        clock: the time of what happens.
        going_on: enqueues a task that has ended, so that it counts its iterations further.
        purge: deletes the outputs that a committed transaction gave up.
    """

    def __init__(
        self,
        state: Database,
        results: Results,
        clock: Clock,
        going_on: GoingOn,
        purge: Callable[[], Awaitable[None]],
    ) -> None:
        self._state = state
        self._results = results
        self._clock = clock
        self._going_on = going_on
        self._purge = purge

    async def create(self, task: Task, by: By, *, follows_parent: bool = True) -> Task:
        """Store a draft made of what a user may set in ``task``; an empty id is filled in.

        Args:
            task: the draft.
            by: who asked.
            follows_parent: whether aborting its parent, if it has one, aborts it.

        Raises:
            InvalidInput: a value that cannot be used.
            Conflict: there is a task by that id.
        """
        draft = replace(task, id=task.id or new_id(), owner=task.owner or by.who)
        if not is_id(draft.id):
            raise InvalidInput(
                f"id {draft.id!r} is not 32 hexadecimal digits", field="id", value=draft.id
            )
        task_edit.checked(draft)
        task_edit.check_parent(draft)

        async def unit(connection: Session) -> None:
            await self._insert(connection, draft, by, follows_parent and bool(draft.parent_id))

        await self._state.write(fenced(by, unit))
        return await self.get(draft.id)

    async def get(self, task_id: str) -> Task:
        """A task with everything but its high-rate results; ``task_id`` is a whole id.

        Raises:
            NotFound: no such task.
        """
        found = await self._state.read(lambda session: rows.load_tasks(session, [task_id]))
        if task_id not in found:
            raise NotFound(f"there is no task {task_id}", id=task_id)
        return replace(
            found[task_id],
            metrics=await self._results.metrics(task_id),
            single_values=await self._results.single_values(task_id),
        )

    async def resolve(self, text: str) -> str:
        """The whole id that an id or a unique prefix stands for.

        Raises:
            InvalidInput: not hexadecimal digits.
            NotFound: nothing fits.
            AmbiguousId: several fit.
        """
        prefix = check_prefix(text, "task")
        found = await self._state.rows(_BY_PREFIX, (prefix, f"{prefix}g"))
        return only_match(prefix, [row["id"] for row in found], "task")

    async def list(self, query: TaskQuery) -> Page[Task]:
        """One page of tasks, without metrics, single values and the text of diffs."""
        sql, parameters = task_query.build(query)
        limit = task_query.limit_of(query)

        async def look(session: Session) -> tuple[builtins.list[sqlite3.Row], dict[str, Task]]:
            keys = await database.rows(session, sql, parameters)
            shown = [row["id"] for row in keys[:limit]]
            return keys, await rows.load_tasks(session, shown, with_diff=False)

        keys, found = await self._state.read(look)
        ids = [row["id"] for row in keys[:limit]]
        cursor = None
        if len(keys) > limit:
            last = keys[limit - 1]
            cursor = cursors.encode(query.order, last["key"], last["id"])
        return Page([found[task_id] for task_id in ids if task_id in found], cursor)

    async def is_of(self, task_id: str, maker_id: str) -> bool:
        """Whether a task was made by the task ``maker_id``, or has it as its parent.

        Raises:
            NotFound: no such task.
        """
        found = await self._state.row(_PARENT, (task_id,))
        if found is None:
            raise NotFound(f"there is no task {task_id}", id=task_id)
        if found["parent_id"] == maker_id:
            return True
        made = await self._state.row(_MADE_BY, (task_id,))
        return made is not None and made["by"] == f"task:{maker_id}"

    async def head(self, task_id: str) -> Head:
        """What decides about a task's next step.

        Raises:
            NotFound: no such task.
        """
        return await self._state.read(lambda session: rows.read_head(session, task_id))

    async def heads(self, ids: builtins.list[str]) -> dict[str, Head]:
        """What decides about each task's next step; ids that are gone are left out."""
        if not ids:
            return {}
        sql = _HEADS.format(",".join("?" * len(ids)))
        return {row["id"]: rows.head_of(row) for row in await self._state.rows(sql, ids)}

    async def edit(self, task_id: str, edit: TaskEdit, by: By) -> Task:
        """Change a task as far as its state lets it be changed.

        Raises:
            NotFound: no such task.
            NotEditable: a member that only a draft lets change.
            InvalidInput: a value that cannot be used.
        """

        async def unit(connection: Session) -> None:
            head = await rows.read_head(connection, task_id)
            task = (await rows.load_tasks(connection, [task_id]))[task_id]
            changed = task_edit.edited(task, edit)
            if changed.project != task.project:
                named = await projects.name_of(connection, changed.project)
                changed = replace(changed, project=named)
            if changed == task:
                return
            now = self._clock.now()
            await self._update(connection, task, changed, now)
            names = [
                name
                for name in task.__dataclass_fields__
                if getattr(changed, name) != getattr(task, name)
            ]
            await audit.record(connection, now, "edit", head, head, by, details={"fields": names})

        await self._state.write(fenced(by, unit))
        return await self.get(task_id)

    async def clone(self, task_id: str, request: CloneRequest, by: By) -> Task:
        """A new draft with the inputs of a task.

        It follows its parent only where one was given: what a task was cloned from says where
        it comes from, not whose work it is part of.

        Raises:
            NotFound: no such task.
            Conflict: there is a task by the id asked for.
            InvalidInput: its packages are to be those that were built for a task of which
                none were.
        """
        source = await self.get(task_id)
        if request.packages == "resolved":
            source = replace(source, execution=await self._resolved(source))
        elif request.packages not in PACKAGES:
            raise InvalidInput(
                f"packages {request.packages!r} is neither requested nor resolved",
                field="packages",
                value=request.packages,
            )
        clone = task_edit.cloned(source, request, new_id(), by.who)
        return await self.create(clone, by, follows_parent=request.parent_id is not None)

    async def _resolved(self, task: Task) -> Execution:
        """What a task ran with when an agent last prepared an attempt of it."""
        row = await self._state.row(_LAST_ENVIRONMENT, (task.id,))
        if row is None:
            raise InvalidInput(
                f"task {task.id[:8]} was never prepared by an agent, so there are no packages as "
                "resolved; clone it with packages as requested",
                field="packages",
                task_id=task.id,
            )
        return as_resolved(task.execution, rows.load(EnvironmentReport, row["environment"]))

    async def apply(
        self, task_id: str, command: Command, by: By, *, priority: int | None = None
    ) -> Change:
        """Take one step of a task's life; commands that open attempts are ``store.attempts``'.

        Args:
            task_id: whole id.
            command: what is to happen.
            by: who asked.
            priority: with :class:`Enqueue`: the priority to wait with.

        Raises:
            NotFound: no such task, or no such queue.
            IllegalTransition: its state does not allow it.
            StaleEpoch: the command speaks for an attempt that is over.
        """
        if priority is not None and isinstance(command, Enqueue):
            task_edit.check_priority(priority)

        async def unit(connection: Session) -> Change:
            now = self._clock.now()
            return await transitions.apply(connection, now, task_id, command, by, priority=priority)

        if isinstance(command, Enqueue):
            return await self._going_on.step(task_id, fenced(by, unit))
        change = await self._state.write(fenced(by, unit))
        if change.after.state is State.DRAFT:
            await self._purge()
        return change

    async def stop(self, task_id: str, cause: Cause, by: By) -> Change:
        """Ask a task to end, and every pending or running task that follows it.

        All in one transaction: pending ones are aborted, running ones are stopping.

        Raises:
            NotFound: no such task.
            IllegalTransition: the task has ended; its followers are left alone then.
        """

        async def unit(connection: Session) -> Change:
            now = self._clock.now()
            change = await transitions.apply(connection, now, task_id, RequestStop(cause), by)
            for row in await database.rows(connection, _FOLLOWERS, (task_id,)):
                follows = replace(cause, message=f"its parent {task_id[:8]} was stopped")
                command = RequestStop(follows)
                await transitions.apply(connection, now, row["id"], command, by)
            return change

        return await self._state.write(fenced(by, unit))

    async def delete(
        self, task_id: str, by: By, *, force: bool = False, keep_models: bool = False
    ) -> None:
        """Remove a task with everything it put out; one line of audit stays.

        Listeners are told of a change to a draft that never ran.

        Args:
            task_id: whole id.
            by: who asked.
            force: also when it is running or published.
            keep_models: leave the models it made; otherwise those that are published, or that
                another task has, stay alone.

        Raises:
            NotFound: no such task.
            Conflict: it is running or published and ``force`` was not given.
        """

        async def unit(connection: Session) -> None:
            head = await rows.read_head(connection, task_id)
            if head.state in (State.RUNNING, State.PUBLISHED) and not force:
                raise Conflict(
                    f"task {task_id[:8]} is {head.state}; use force to delete it all the same",
                    task_id=task_id,
                    state=str(head.state),
                )
            now = self._clock.now()
            if not keep_models:
                await models.forget_outputs(connection, task_id, by, now)
            await transitions.forget_outputs(connection, task_id, head.epoch)
            await audit.forget(connection, task_id)
            await connection.execute(_DELETE, (task_id,))
            await audit.record(connection, now, "delete", head, head, by)
            database.announce(Change(head, Head(task_id, State.DRAFT)))

        await self._state.write(fenced(by, unit))
        await self._purge()

    async def _insert(self, connection: Session, task: Task, by: By, follows_parent: bool) -> None:
        now = self._clock.now()
        project_id = await projects.ensure(connection, task.project, now)
        before = await database.rows(connection, _EPOCH_BEFORE, (task.id,))
        head = Head(task.id, State.DRAFT, epoch=before[0]["epoch"])
        try:
            await connection.execute(
                _INSERT,
                (
                    task.id,
                    task.name,
                    project_id,
                    str(task.type),
                    task.priority,
                    rows.dump(task.policy),
                    task.comment,
                    task.parent_id,
                    follows_parent,
                    task.owner,
                    now,
                    now,
                    head.epoch,
                    task.publish_on_completion,
                ),
            )
        except sqlite3.IntegrityError as exc:
            raise Conflict(f"there is a task {task.id} already", id=task.id) from exc
        documents = (task.execution, task.parameters, task.configuration, task.properties)
        await connection.execute(
            _INSERT_DOCUMENTS,
            (task.id, *map(rows.dump, documents), rows.dump(task.runtime), rows.dump(task.labels)),
        )
        for system, tags in enumerate((task.tags, task.system_tags)):
            for tag in tags:
                await connection.execute(_ADD_TAG, (task.id, tag, system))
        await task_models.link_those_there(connection, task.id, task.models)
        await audit.record(connection, now, "create", head, head, by)

    async def _update(self, connection: Session, before: Task, task: Task, now: float) -> None:
        project_id = await projects.ensure(connection, task.project, now)
        follows_parent = bool(task.parent_id)
        if task.parent_id == before.parent_id:
            found = await database.rows(connection, _FOLLOWS, (task.id,))
            follows_parent = bool(found[0]["follows_parent"])
        await connection.execute(
            _UPDATE,
            (
                task.name,
                project_id,
                str(task.type),
                task.comment,
                task.priority,
                rows.dump(task.policy),
                task.parent_id,
                follows_parent,
                task.publish_on_completion,
                now,
                task.id,
            ),
        )
        documents = (
            task.execution,
            task.parameters,
            task.configuration,
            task.properties,
            task.labels,
        )
        await connection.execute(_UPDATE_DOCUMENTS, (*map(rows.dump, documents), task.id))
        await connection.execute(_DROP_TAGS, (task.id,))
        for system, tags in enumerate((task.tags, task.system_tags)):
            for tag in tags:
                await connection.execute(_ADD_TAG, (task.id, tag, system))
