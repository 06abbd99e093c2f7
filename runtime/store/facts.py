"""Write what records say about a task: the same records again change nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dray.runtime import codec
from dray.runtime.execution import Execution
from dray.runtime.store import artifacts, database, model_records, rows
from dray.runtime.store.record_lines import Facts
from dray.runtime.store.session import Session
from dray.runtime.store.task_edit import merged_execution

_DOCUMENTS = """
SELECT execution, parameters, configuration, properties, runtime
FROM documents WHERE task_id = ?
"""
_UPDATE = """
UPDATE documents
SET execution = ?, parameters = ?, configuration = ?, properties = ?, runtime = ?
WHERE task_id = ?
"""
_TASK = """
UPDATE tasks SET comment = coalesce(?, comment), progress = coalesce(?, progress), updated_at = ?
WHERE id = ?
"""
_LABELS = "UPDATE documents SET labels = ? WHERE task_id = ?"
_ADD_TAG = "INSERT OR IGNORE INTO tags (task_id, tag, system) VALUES (?, ?, 0)"
_DROP_TAG = "DELETE FROM tags WHERE task_id = ? AND tag = ? AND system = 0"


async def write(connection: Session, task_id: str, facts: Facts, now: float) -> None:
    """Apply ``facts`` in the caller's transaction."""
    if not facts:
        return
    for artifact in facts.artifacts.values():
        await artifacts.put(connection, task_id, artifact)
    await model_records.write(connection, task_id, facts.models, now)
    if facts.labels is not None:
        await connection.execute(_LABELS, (rows.dump(facts.labels), task_id))
    for tag, wanted in facts.tags.items():
        await connection.execute(_ADD_TAG if wanted else _DROP_TAG, (task_id, tag))
    await connection.execute(_TASK, (facts.comment, facts.progress, now, task_id))
    if facts.has_documents:
        await _write_documents(connection, task_id, facts)


async def _write_documents(connection: Session, task_id: str, facts: Facts) -> None:
    row = await database.row(connection, _DOCUMENTS, (task_id,))
    if row is None:
        raise LookupError(f"task {task_id} has no documents")
    execution = rows.load(Execution, row["execution"])
    if facts.execution:
        execution = merged_execution(execution, facts.execution)
    documents = (
        execution,
        _merged(row["parameters"], facts.parameters),
        _merged(row["configuration"], facts.configuration),
        _merged(row["properties"], facts.properties),
        _merged(row["runtime"], facts.runtime),
    )
    await connection.execute(_UPDATE, (*map(rows.dump, documents), task_id))


def _merged(standing: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON column with ``changes``; None takes an entry away."""
    merged = {**json.loads(standing), **codec.to_json(changes)}
    return {name: value for name, value in merged.items() if value is not None}
