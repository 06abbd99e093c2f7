"""Rows to models and back: the only place that knows how a task is laid out in columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

from dray.runtime import codec
from dray.runtime.causes import Cause
from dray.runtime.errors import NotFound
from dray.runtime.execution import EnvironmentReport, Execution
from dray.runtime.machine import Head
from dray.runtime.models import (
    Artifact,
    Attempt,
    ConfigObject,
    ModelRef,
    Parameter,
    Policy,
    QueueEntry,
    StreamReceipt,
    Task,
    TaskType,
)
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State
from dray.runtime.store import database, task_models
from dray.runtime.store.session import Session

T = TypeVar("T")

_ENTRY = "SELECT * FROM queue_entries WHERE task_id = ?"
HEAD_COLUMNS = (
    "id, state, phase, phase_before, epoch, agent, claim_id, lease_expires_at, queue, cause, "
    "n_requeues, n_retries, lost_agents, not_before, policy"
)
_HEAD = f"SELECT {HEAD_COLUMNS} FROM tasks WHERE id = ?"  # noqa: S608  (a constant)

# {} takes one ? per id.
_TASKS = """
SELECT t.*, p.name AS project, d.execution, d.parameters, d.configuration, d.properties, d.runtime,
    d.labels
FROM tasks t JOIN projects p ON p.id = t.project_id JOIN documents d ON d.task_id = t.id
WHERE t.id IN ({})
"""
_TAGS = "SELECT task_id, tag, system FROM tags WHERE task_id IN ({}) ORDER BY rowid"
_ARTIFACTS = "SELECT task_id, document FROM artifacts WHERE task_id IN ({}) ORDER BY name"
_LATEST_ATTEMPTS = """
SELECT a.*, t.epoch AS task_epoch, t.phase AS task_phase, t.lease_expires_at
FROM attempts a JOIN tasks t ON t.id = a.task_id AND t.epoch = a.epoch
WHERE a.task_id IN ({})
"""


def dump(value: Any) -> str:
    """``value`` as the JSON text that is kept in a column."""
    return json.dumps(codec.to_json(value), separators=(",", ":"), ensure_ascii=False)


def load(kind: type[T], text: str) -> T:
    """A ``kind`` out of the JSON text of a column."""
    return codec.from_json(kind, json.loads(text))


def load_each(kind: type[T], text: str) -> dict[str, T]:
    """A mapping of name → ``kind`` out of the JSON text of a column."""
    return {name: codec.from_json(kind, value) for name, value in json.loads(text).items()}


def load_cause(text: str | None) -> Cause | None:
    """The cause in a column, if there is one."""
    return None if text is None else load(Cause, text)


def dump_cause(cause: Cause | None) -> str | None:
    """A cause for its column."""
    return None if cause is None else dump(cause)


async def read_head(connection: Session, task_id: str) -> Head:
    """What decides about a task's next step.

    Raises:
        NotFound: no such task.
    """
    row = await database.row(connection, _HEAD, (task_id,))
    if row is None:
        raise NotFound(f"there is no task {task_id}", id=task_id)
    return head_of(row)


def head_of(row: sqlite3.Row) -> Head:
    """The head in a row of ``HEAD_COLUMNS``."""
    return Head(
        task_id=row["id"],
        state=State(row["state"]),
        phase=_phase(row["phase"]),
        epoch=row["epoch"],
        agent=row["agent"],
        claim_id=row["claim_id"],
        lease_expires_at=row["lease_expires_at"],
        queue=row["queue"],
        cause=load_cause(row["cause"]),
        phase_before=_phase(row["phase_before"]),
        n_requeues=row["n_requeues"],
        n_retries=row["n_retries"],
        lost_agents=tuple(json.loads(row["lost_agents"])),
        not_before=row["not_before"],
        policy=load_policy(row["policy"]),
    )


async def read_entry(connection: Session, task_id: str) -> QueueEntry | None:
    """A task's place in its queue; None when it waits in none."""
    row = await database.row(connection, _ENTRY, (task_id,))
    return entry_of(row) if row is not None else None


def entry_of(row: sqlite3.Row) -> QueueEntry:
    """A row of ``queue_entries``."""
    return QueueEntry(
        task_id=row["task_id"],
        queue=row["queue"],
        priority=row["priority"],
        rank=row["rank"],
        enqueued_at=row["enqueued_at"],
        resources=codec.from_json(Resources, json.loads(row["resources"])),
        owner=row["owner"],
        not_before=row["not_before"],
    )


async def load_tasks(
    connection: Session, ids: Iterable[str], *, with_diff: bool = True
) -> dict[str, Task]:
    """Tasks by id, without what results.db holds; ids that are gone are left out."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    holes = ",".join("?" * len(wanted))

    async def ask(sql: str) -> list[sqlite3.Row]:
        return await database.rows(connection, sql.format(holes), wanted)

    tags: dict[tuple[str, int], list[str]] = {}
    for row in await ask(_TAGS):
        tags.setdefault((row["task_id"], row["system"]), []).append(row["tag"])
    artifacts: dict[str, list[Artifact]] = {}
    for row in await ask(_ARTIFACTS):
        artifacts.setdefault(row["task_id"], []).append(load(Artifact, row["document"]))
    models = await task_models.refs(connection, wanted)
    attempts = {row["task_id"]: attempt_of(row) for row in await ask(_LATEST_ATTEMPTS)}
    return {
        row["id"]: _task_of(
            row,
            tags,
            artifacts,
            attempts.get(row["id"]),
            models.get(row["id"], {}),
            with_diff=with_diff,
        )
        for row in await ask(_TASKS)
    }


def attempt_of(row: sqlite3.Row) -> Attempt:
    """The attempt in a row of ``attempts`` joined with its task's lease."""
    is_open = row["ended_at"] is None and row["task_epoch"] == row["epoch"]
    lease_expires_at = row["lease_expires_at"] if is_open else None
    is_unreachable = is_open and row["task_phase"] == Phase.UNREACHABLE.value
    environment = row["environment"]
    return Attempt(
        task_id=row["task_id"],
        epoch=row["epoch"],
        agent=row["agent"],
        node=row["node"],
        claimed_at=row["claimed_at"],
        lease_expires_at=lease_expires_at,
        unreachable_since=lease_expires_at if is_unreachable else None,
        executing_at=row["executing_at"],
        first_output_at=row["first_output_at"],
        ended_at=row["ended_at"],
        cause=load_cause(row["cause"]),
        environment=None if environment is None else load(EnvironmentReport, environment),
        receipt=load_each(StreamReceipt, row["receipt"]),
    )


def _task_of(
    row: sqlite3.Row,
    tags: dict[tuple[str, int], list[str]],
    artifacts: dict[str, list[Artifact]],
    attempt: Attempt | None,
    models: dict[str, list[ModelRef]],
    *,
    with_diff: bool,
) -> Task:
    execution = json.loads(row["execution"])
    if not with_diff:
        execution["diff"] = ""
    return Task(
        id=row["id"],
        name=row["name"],
        project=row["project"],
        type=TaskType(row["type"]),
        state=State(row["state"]),
        phase=_phase(row["phase"]),
        cause=load_cause(row["cause"]),
        tags=tags.get((row["id"], 0), []),
        system_tags=tags.get((row["id"], 1), []),
        comment=row["comment"],
        parent_id=row["parent_id"],
        owner=row["owner"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        enqueued_at=row["enqueued_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        queue=row["queue"],
        priority=row["priority"],
        policy=load_policy(row["policy"]),
        n_requeues=row["n_requeues"],
        n_retries=row["n_retries"],
        not_before=row["not_before"],
        initial_iteration=row["initial_iteration"],
        epoch=row["epoch"],
        project_id=row["project_id"],
        labels=json.loads(row["labels"]),
        publish_on_completion=bool(row["publish_on_completion"]),
        execution=codec.from_json(Execution, execution),
        parameters=load_each(Parameter, row["parameters"]),
        configuration=load_each(ConfigObject, row["configuration"]),
        properties=json.loads(row["properties"]),
        runtime=json.loads(row["runtime"]),
        progress=row["progress"],
        artifacts=artifacts.get(row["id"], []),
        models=models,
        attempt=attempt,
    )


def _phase(text: str | None) -> Phase | None:
    return None if text is None else Phase(text)


@lru_cache(maxsize=256)  # there are few different ones, and every step reads one
def load_policy(text: str) -> Policy:
    """The policy in a column."""
    return load(Policy, text)
