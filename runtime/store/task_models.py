"""What tasks call their models: the names in their documents, and nothing of the models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.models import ModelRef
from dray.runtime.store import database
from dray.runtime.store.session import Session

_REFS = "SELECT task_id, kind, name, model_id FROM task_models WHERE task_id IN ({}) ORDER BY rank"
_LINK = """
INSERT INTO task_models (task_id, kind, name, model_id) VALUES (?, ?, ?, ?)
ON CONFLICT (task_id, kind, name) DO UPDATE SET model_id = excluded.model_id
"""
_UNLINK = "DELETE FROM task_models WHERE task_id = ? AND kind = ? AND model_id = ?"
_LINK_IF_THERE = """
INSERT OR IGNORE INTO task_models (task_id, kind, name, model_id)
SELECT ?, ?, ?, id FROM models WHERE id = ?
"""


async def refs(
    connection: Session, task_ids: Iterable[str]
) -> dict[str, dict[str, list[ModelRef]]]:
    """What tasks call their models: task → kind → names, oldest first."""
    wanted = list(dict.fromkeys(task_ids))
    found: dict[str, dict[str, list[ModelRef]]] = {}
    if not wanted:
        return found
    for row in await database.rows(connection, _REFS.format(",".join("?" * len(wanted))), wanted):
        kinds = found.setdefault(row["task_id"], {})
        kinds.setdefault(row["kind"], []).append(ModelRef(row["model_id"], row["name"]))
    return found


async def link(connection: Session, task_id: str, kind: str, name: str, model_id: str) -> None:
    """Have a task call a model by a name; the last model of a name stays."""
    await connection.execute(_LINK, (task_id, kind, name, model_id))


async def unlink(connection: Session, task_id: str, kind: str, model_id: str) -> None:
    """Take a model off a task, whatever it calls it."""
    await connection.execute(_UNLINK, (task_id, kind, model_id))


async def link_those_there(
    connection: Session, task_id: str, models: Mapping[str, Iterable[ModelRef]]
) -> None:
    """Have a new task call models as its source does; those that are gone are left out."""
    for kind, named in models.items():
        for ref in named:
            await connection.execute(_LINK_IF_THERE, (task_id, kind, ref.name, ref.id))
