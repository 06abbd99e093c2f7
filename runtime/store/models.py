"""Models: made, found, edited, published, used by tasks, deleted."""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from dray.runtime.clock import Clock
from dray.runtime.errors import Conflict, NotFound
from dray.runtime.ids import check_prefix, new_id, only_match
from dray.runtime.models import ModelRef
from dray.runtime.registry import ARCHIVED, INPUT, OUTPUT, Model, ModelEvent
from dray.runtime.states import State
from dray.runtime.store import (
    cursors,
    database,
    model_edit,
    model_query,
    model_rows,
    rows,
    task_models,
)
from dray.runtime.store.contract import By, Page
from dray.runtime.store.database import Database
from dray.runtime.store.fencing import fenced
from dray.runtime.store.model_edit import ModelEdit
from dray.runtime.store.model_query import ModelQuery
from dray.runtime.store.session import Session

_BY_PREFIX = "SELECT id FROM models WHERE id >= ? AND id < ? ORDER BY id LIMIT 11"
_DELETE = "DELETE FROM models WHERE id = ?"
_USED_BY = """
SELECT t.id, t.name, t.state, l.kind FROM task_models l JOIN tasks t ON t.id = l.task_id
WHERE l.model_id = ? ORDER BY l.rank
"""
_NOTE = """
INSERT INTO model_events (at, model_id, event, by, request_id, details) VALUES (?, ?, ?, ?, ?, ?)
"""
_EVENTS = "SELECT * FROM model_events WHERE model_id = ? AND seq > ? ORDER BY seq LIMIT ?"
# Those a task made and published or others use stay; its other ones go with it.
_OUTPUTS = """
DELETE FROM models WHERE task_id = ? AND task_id <> '' AND NOT published
    AND NOT EXISTS (SELECT 1 FROM task_models l WHERE l.model_id = models.id AND l.task_id <> ?)
RETURNING id
"""
_TO_PURGE = "INSERT OR IGNORE INTO purges (task_id, epoch) VALUES (?, 0)"
_UNLINK_OUTPUTS = "DELETE FROM task_models WHERE task_id = ? AND kind = 'output'"


async def note(
    connection: Session,
    now: float,
    event: str,
    model_id: str,
    by: By,
    details: dict[str, Any] | None = None,
) -> None:
    """Write down what happened to a model, in the transaction of what it tells about."""
    told = (now, model_id, event, by.who, by.request_id, json.dumps(details or {}))
    await connection.execute(_NOTE, told)


async def forget_outputs(connection: Session, task_id: str, by: By, now: float) -> None:
    """Drop the models a task made, in the transaction that resets or deletes it.

    A published one, and one another task has, stays.
    """
    await connection.execute(_UNLINK_OUTPUTS, (task_id,))
    for row in await database.rows(connection, _OUTPUTS, (task_id, task_id)):
        await connection.execute(_TO_PURGE, (row["id"],))
        await note(connection, now, "delete", row["id"], by, {"with_task": task_id})


class Models:
    """Every model, by id.

    Args:
        state: where they are kept.
        clock: the time of what happens.
        purge: deletes the reports that a committed transaction gave up.
    """

    def __init__(self, state: Database, clock: Clock, purge: Callable[[], Awaitable[None]]) -> None:
        self._state = state
        self._clock = clock
        self._purge = purge

    async def create(self, model: Model, by: By) -> Model:
        """Store a model; an empty id is filled in.

        Raises:
            InvalidInput: a value that cannot be used.
            Conflict: there is another model by that id.
        """
        now = self._clock.now()
        made = model_edit.checked(
            replace(
                model,
                id=model.id or new_id(),
                owner=model.owner or by.who,
                created_at=now,
                updated_at=now,
            )
        )

        async def unit(connection: Session) -> None:
            if await model_rows.load_one(connection, made.id) is not None:
                raise Conflict(f"there is a model {made.id} already", id=made.id)
            await model_rows.put(connection, made, now)
            await note(connection, now, "create", made.id, by)

        await self._state.write(fenced(by, unit))
        return await self.get(made.id)

    async def get(self, model_id: str) -> Model:
        """A model by its whole id.

        Raises:
            NotFound: there is none.
        """
        return await self._state.read(lambda session: _get(session, model_id))

    async def resolve(self, text: str) -> str:
        """The whole id that an id or a unique prefix stands for.

        Raises:
            InvalidInput: not hexadecimal digits.
            NotFound: nothing fits.
            AmbiguousId: several fit.
        """
        prefix = check_prefix(text, "model")
        found = await self._state.rows(_BY_PREFIX, (prefix, f"{prefix}g"))
        return only_match(prefix, [row["id"] for row in found], "model")

    async def list(self, query: ModelQuery) -> Page[Model]:
        """One page of models."""
        sql, parameters = model_query.build(query)
        limit = model_query.limit_of(query)

        async def look(session: Session) -> tuple[builtins.list[sqlite3.Row], dict[str, Model]]:
            keys = await database.rows(session, sql, parameters)
            return keys, await model_rows.load(session, [row["id"] for row in keys[:limit]])

        keys, found = await self._state.read(look)
        cursor = None
        if len(keys) > limit:
            last = keys[limit - 1]
            cursor = cursors.encode(query.order, last["key"], last["id"])
        return Page([found[row["id"]] for row in keys[:limit]], cursor)

    async def edit(self, model_id: str, edit: ModelEdit, by: By) -> Model:
        """Change a model as far as it may be changed; the same again changes nothing.

        Raises:
            NotFound: no such model.
            NotEditable: it is published, and this member is what it is.
            InvalidInput: a value that cannot be used.
        """

        async def unit(connection: Session) -> None:
            model = await _get(connection, model_id)
            changed = model_edit.edited(model, edit)
            if changed != model:
                names = [n for n in vars(model) if getattr(changed, n) != getattr(model, n)]
                now = self._clock.now()
                await model_rows.put(connection, replace(changed, updated_at=now), now)
                await note(connection, now, "edit", model_id, by, {"fields": names})

        await self._state.write(fenced(by, unit))
        return await self.get(model_id)

    async def publish(self, model_id: str, by: By) -> Model:
        """Make a model read-only for ever; one that is stays as it is.

        Raises:
            NotFound: no such model.
        """

        async def unit(connection: Session) -> None:
            model = await _get(connection, model_id)
            if not model.published:
                await publish(connection, model, by, self._clock.now())

        await self._state.write(fenced(by, unit))
        return await self.get(model_id)

    async def archive(self, model_id: str, by: By, *, archived: bool = True) -> Model:
        """Hide a model from lists, or show it again.

        Raises:
            NotFound: no such model.
        """

        async def unit(connection: Session) -> None:
            model = await _get(connection, model_id)
            if (ARCHIVED in model.system_tags) is archived:
                return
            others = [tag for tag in model.system_tags if tag != ARCHIVED]
            now, tags = self._clock.now(), [*others, ARCHIVED] if archived else others
            changed = replace(model, system_tags=tags, updated_at=now)
            await model_rows.put(connection, changed, now)
            await note(connection, now, "archive" if archived else "unarchive", model_id, by)

        await self._state.write(fenced(by, unit))
        return await self.get(model_id)

    async def delete(self, model_id: str, by: By, *, force: bool = False) -> Model:
        """Remove a model and what tasks call it; returns what it was.

        Raises:
            NotFound: no such model.
            Conflict: it is published, or a task needs it, and ``force`` was not given.
        """

        async def unit(connection: Session) -> Model:
            model = await _get(connection, model_id)
            if not force:
                await _refuse_needed(connection, model)
            await connection.execute(_DELETE, (model_id,))
            await connection.execute(_TO_PURGE, (model_id,))
            await note(connection, self._clock.now(), "delete", model_id, by)
            return model

        model = await self._state.write(fenced(by, unit))
        await self._purge()
        return model

    async def of_task(self, task_id: str) -> dict[str, builtins.list[ModelRef]]:
        """What a task calls its models, by ``input`` and ``output``, oldest first."""
        found = await self._state.read(lambda session: task_models.refs(session, [task_id]))
        return found.get(task_id, {})

    async def link(self, task_id: str, kind: str, name: str, model_id: str, by: By) -> None:
        """Have a task call a model by a name; the last model of a name stays.

        Raises:
            NotFound: no such task or model.
            Conflict: the task is published.
            InvalidInput: neither input nor output, or no name.
        """
        model_edit.check_link(kind, name)

        async def unit(connection: Session) -> None:
            await _check_open(connection, task_id)
            await _get(connection, model_id)
            await task_models.link(connection, task_id, kind, name, model_id)

        await self._state.write(fenced(by, unit))

    async def unlink(self, task_id: str, kind: str, model_id: str, by: By) -> None:
        """Take a model off a task; the model itself stays.

        Raises:
            NotFound: no such task.
            Conflict: the task is published.
        """

        async def unit(connection: Session) -> None:
            await _check_open(connection, task_id)
            await task_models.unlink(connection, task_id, kind, model_id)

        await self._state.write(fenced(by, unit))

    async def history(
        self, model_id: str, after: int = 0, limit: int = 100
    ) -> builtins.list[ModelEvent]:
        """What happened to a model after an event's ``seq``, oldest first."""
        return [
            ModelEvent(
                seq=row["seq"],
                at=row["at"],
                model_id=row["model_id"],
                event=row["event"],
                by=row["by"],
                request_id=row["request_id"],
                details=json.loads(row["details"]),
            )
            for row in await self._state.rows(_EVENTS, (model_id, after, limit))
        ]


async def publish(connection: Session, model: Model, by: By, now: float) -> None:
    """Make a model read-only, in the caller's transaction."""
    await model_rows.put(connection, replace(model, published=True, updated_at=now), now)
    await note(connection, now, "publish", model.id, by)


async def publish_last(connection: Session, task_id: str, by: By, now: float) -> None:
    """Publish the last model a task made, in the transaction that publishes the task."""
    outputs = (await task_models.refs(connection, [task_id])).get(task_id, {}).get(OUTPUT)
    model = await model_rows.load_one(connection, outputs[-1].id) if outputs else None
    if model is not None and not model.published:
        await publish(connection, model, by, now)


async def _get(connection: Session, model_id: str) -> Model:
    model = await model_rows.load_one(connection, model_id)
    if model is None:
        raise NotFound(f"there is no model {model_id}", id=model_id)
    return model


async def _check_open(connection: Session, task_id: str) -> None:
    head = await rows.read_head(connection, task_id)
    if head.state is State.PUBLISHED:
        raise Conflict(
            f"task {task_id[:8]} is published, so its models stay as they are; clone it",
            task_id=task_id,
            state=str(head.state),
        )


async def _refuse_needed(connection: Session, model: Model) -> None:
    """Refuse to delete what is published, or what a task needs."""
    reason = "is published" if model.published else ""
    for row in await database.rows(connection, _USED_BY, (model.id,)):
        is_input = row["kind"] == INPUT and row["id"] != model.task_id
        if not reason and row["state"] == str(State.PUBLISHED):
            reason = f"belongs to the published task {row['id'][:8]} ({row['name']})"
        elif not reason and is_input:
            reason = f"is an input of task {row['id'][:8]} ({row['name']})"
    if reason:
        raise Conflict(
            f"model {model.id[:8]} ({model.name}) {reason}; archive it to hide it, or use force "
            "to delete it all the same",
            model_id=model.id,
        )
