"""Waiting until the server has what a run told of its models."""

from __future__ import annotations

import time

from dray.runtime.errors import NotFound, ServerUnreachable
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.models import records as model_records

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

#: How long a question that the server answers waits for what was told just before.
A_MOMENT_S = 10.0
#: What shows that the server is up to date; the rest follows by the same record.
_COMPARED = ("name", "uri", "sha256", "filename", "published", "comment", "config_text", "labels")
_COMPARED_LISTS = ("tags", "system_tags")
#: Ids of models the server was seen to have, as they were told of then: id → time.
_settled: dict[str, float] = {}


def settle(attempt: Session, timeout_s: float, limit: int | None = None) -> bool:
    """Wait until the server has every model this process told of; False when it had not in time.

    Args:
        attempt: the run that told of them.
        timeout_s: longest wait.
        limit: wait for so many of them at most.
    """
    due = [
        model
        for model in model_records.told()
        if model_records.is_sure(model["id"]) and _settled.get(model["id"]) != model["updated_at"]
    ]
    if not due:
        return True
    if attempt.is_offline:
        return False
    deadline, pause_s = time.monotonic() + timeout_s, 0.02
    for model in due if limit is None else due[:limit]:
        while not _has(attempt, model):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause_s, left))
            pause_s = min(1.0, pause_s * 1.5)
    return True


def _has(attempt: Session, model: dict[str, Any]) -> bool:
    from dray.runtime.codec import to_json
    from dray.sdk.models.base import client_of

    told_at = float(model.get("updated_at") or 0.0)
    try:
        stored = to_json(client_of(attempt).get_model(model["id"]))
    except (NotFound, ServerUnreachable):
        return False  # it is still on the way, or no server answers now
    same = all((stored.get(name) or None) == (model.get(name) or None) for name in _COMPARED)
    for name in _COMPARED_LISTS:
        same = same and set(stored.get(name) or ()) == set(model.get(name) or ())
    facts: dict[str, Any] = model.get("metadata") or {}
    if same and stored.get("metadata") == facts:
        _settled[model["id"]] = told_at
        return True
    return False
