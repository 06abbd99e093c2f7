"""What records say about models, applied: the same records again change nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dray.runtime import codec
from dray.runtime.errors import InvalidInput, NotEditable
from dray.runtime.registry import ARCHIVED, Model
from dray.runtime.store import database, model_edit, model_rows, models, task_models
from dray.runtime.store.contract import By
from dray.runtime.store.model_edit import ModelEdit
from dray.runtime.store.projects import clean_name
from dray.runtime.store.session import Session

_TASK = """
SELECT t.name, t.owner, p.name AS project FROM tasks t JOIN projects p ON p.id = t.project_id
WHERE t.id = ?
"""
_BY_URI = """
SELECT m.id FROM models m WHERE m.uri = ? AND m.uri <> '' AND NOT EXISTS (
    SELECT 1 FROM model_tags g WHERE g.model_id = m.id AND g.tag = ? AND g.system)
ORDER BY m.created_at DESC, m.id LIMIT 1
"""


@dataclass(frozen=True)
class ModelNews:
    """What one record says about a model (see ``runtime.records``)."""

    id: str
    edit: ModelEdit
    is_new: bool = False
    is_own: bool = False
    may_be_known: bool = False
    is_published: bool = False
    link: tuple[str, str] | None = None
    unlink: str = ""


def parse(record: dict[str, Any], at: float) -> ModelNews:
    """What a record says, checked so that applying it cannot fail.

    Args:
        record: a record of kind ``model``.
        at: when it was written, in seconds since the epoch.

    Raises:
        InvalidInput: a value that cannot be a model's.
        ValueError: a member of another type.
    """
    edit = codec.from_json(ModelEdit, {k: v for k, v in record.items() if k != "task_id"})
    if edit.project is not None:
        edit = replace(edit, project=clean_name(edit.project))
    blank = Model(id=record["id"], name="model", project="p", created_at=at)
    model_edit.edited(blank, edit)
    link = None
    if record.get("as") is not None:
        link = (str(record["as"]), str(record["called"]))
        model_edit.check_link(*link)
    unlink = str(record.get("unlink") or "")
    if unlink:
        model_edit.check_link(unlink, "any")
    return ModelNews(
        id=blank.id,
        edit=edit,
        is_new=record.get("new") is True,
        is_own=record.get("own") is True,
        may_be_known=record.get("may_be_known") is True,
        is_published=record.get("published") is True,
        link=link,
        unlink=unlink,
    )


async def write(connection: Session, task_id: str, news: list[ModelNews], now: float) -> None:
    """Apply ``news`` in order, in the caller's transaction.

    What is said of a model that was deleted meanwhile is left out, and so is what a model that
    was published meanwhile keeps.
    """
    by = By(f"task:{task_id}")
    for one in news:
        model = await model_rows.load_one(connection, one.id)
        if model is None and one.is_new and one.may_be_known:
            model = await _known(connection, one.edit.uri or "")
        if model is None:
            if not one.is_new:
                continue
            model = await _made(connection, task_id, one, now)
            await models.note(connection, now, "create", model.id, by)
        elif model.id == one.id:
            model = await _changed(connection, task_id, model, one, now)
        if one.is_published and not model.published:
            await models.publish(connection, model, by, now)
        if one.unlink:
            await task_models.unlink(connection, task_id, one.unlink, model.id)
        if one.link is not None:
            await task_models.link(connection, task_id, *one.link, model.id)


async def _made(connection: Session, task_id: str, one: ModelNews, now: float) -> Model:
    task = await database.row(connection, _TASK, (task_id,))
    if task is None:
        raise InvalidInput(f"there is no task {task_id}", id=task_id)
    blank = Model(
        id=one.id,
        name=task["name"],
        project=task["project"],
        task_id=task_id if one.is_own else "",
        owner=task["owner"],
        created_at=now,
        updated_at=now,
    )
    model = model_edit.edited(blank, one.edit)
    await model_rows.put(connection, model, now)
    return model


async def _changed(
    connection: Session, task_id: str, model: Model, one: ModelNews, now: float
) -> Model:
    edit = replace(one.edit, task_id=task_id) if one.is_own else one.edit
    try:
        changed = model_edit.edited(model, edit)
    except NotEditable:
        return model
    if changed == model:
        return model
    changed = replace(changed, updated_at=now)
    await model_rows.put(connection, changed, now)
    return changed


async def _known(connection: Session, uri: str) -> Model | None:
    row = await database.row(connection, _BY_URI, (uri, ARCHIVED))
    return None if row is None else await model_rows.load_one(connection, row["id"])
