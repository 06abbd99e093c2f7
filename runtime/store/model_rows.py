"""Models in columns and back: the only place that knows how one is laid out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from dray.runtime.registry import Metadatum, Model
from dray.runtime.store import database, projects, rows
from dray.runtime.store.session import Session

_PUT = """
INSERT INTO models (id, name, project_id, task_id, framework, uri, filename, sha256, n_bytes,
    comment, labels, config_text, config_type, metadata, iteration, published, owner, created_at,
    updated_at)
VALUES (:id, :name, :project_id, :task_id, :framework, :uri, :filename, :sha256, :n_bytes,
    :comment, :labels, :config_text, :config_type, :metadata, :iteration, :published, :owner,
    :created_at, :updated_at)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, project_id = excluded.project_id,
    task_id = excluded.task_id, framework = excluded.framework, uri = excluded.uri,
    filename = excluded.filename, sha256 = excluded.sha256, n_bytes = excluded.n_bytes,
    comment = excluded.comment, labels = excluded.labels, config_text = excluded.config_text,
    config_type = excluded.config_type, metadata = excluded.metadata,
    iteration = excluded.iteration, published = excluded.published,
    updated_at = excluded.updated_at
"""
_PLAIN = (
    "id",
    "name",
    "task_id",
    "framework",
    "uri",
    "filename",
    "sha256",
    "n_bytes",
    "comment",
    "config_text",
    "config_type",
    "iteration",
    "owner",
    "created_at",
    "updated_at",
)
# {} takes one ? per id.
_MODELS = """
SELECT m.*, p.name AS project FROM models m JOIN projects p ON p.id = m.project_id
WHERE m.id IN ({})
"""
_THERE = "SELECT id FROM models WHERE id IN ({})"
_TAGS = "SELECT model_id, tag, system FROM model_tags WHERE model_id IN ({}) ORDER BY rowid"
_DROP_TAGS = "DELETE FROM model_tags WHERE model_id = ?"
_ADD_TAG = "INSERT OR IGNORE INTO model_tags (model_id, tag, system) VALUES (?, ?, ?)"


async def load(connection: Session, ids: Iterable[str]) -> dict[str, Model]:
    """Models by id; ids that are gone are left out."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    holes = ",".join("?" * len(wanted))
    tags: dict[tuple[str, int], list[str]] = {}
    for row in await database.rows(connection, _TAGS.format(holes), wanted):
        tags.setdefault((row["model_id"], row["system"]), []).append(row["tag"])
    found = await database.rows(connection, _MODELS.format(holes), wanted)
    return {row["id"]: _model_of(row, tags) for row in found}


async def load_one(connection: Session, model_id: str) -> Model | None:
    """The model of that whole id; None when there is none."""
    return (await load(connection, [model_id])).get(model_id)


async def there(connection: Session, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are a model's."""
    wanted = list(ids)
    found = await database.rows(connection, _THERE.format(",".join("?" * len(wanted))), wanted)
    return {row["id"] for row in found}


async def put(connection: Session, model: Model, now: float) -> None:
    """Write a model as it is now."""
    members: dict[str, Any] = {name: getattr(model, name) for name in _PLAIN}
    members["project_id"] = await projects.ensure(connection, model.project, now)
    members["labels"], members["metadata"] = rows.dump(model.labels), rows.dump(model.metadata)
    members["published"] = int(model.published)
    await connection.execute(_PUT, members)
    await connection.execute(_DROP_TAGS, (model.id,))
    for system, tags in enumerate((model.tags, model.system_tags)):
        for tag in tags:
            await connection.execute(_ADD_TAG, (model.id, tag, system))


def _model_of(row: sqlite3.Row, tags: dict[tuple[str, int], list[str]]) -> Model:
    return Model(
        **{name: row[name] for name in _PLAIN},
        project=row["project"],
        tags=tags.get((row["id"], 0), []),
        system_tags=tags.get((row["id"], 1), []),
        labels=json.loads(row["labels"]),
        metadata=rows.load_each(Metadatum, row["metadata"]),
        published=bool(row["published"]),
    )
