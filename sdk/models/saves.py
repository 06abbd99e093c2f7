"""Model files that frameworks save and load, as models of the run; called by the hooks.

The same path saved again is the same model. Without an ``output_uri`` the model keeps the path as
a ``file://`` link, as ClearML does: copying every checkpoint of a training is the user's choice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dray.runtime.registry import INPUT, OUTPUT, PACKAGE
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.models import records as model_records
from dray.sdk.models.found import InputModel, import_id
from dray.sdk.models.frameworks import framework_of
from dray.sdk.models.output import OutputModel

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

    Json = dict[str, Any]

#: Models by the path they were saved to: (task, path) → id.
_by_path: dict[tuple[str, str], str] = {}


def saved(
    attempt: Session,
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    framework: str,
    name: str | None = None,
    iteration: int | None = None,
) -> OutputModel:
    """Record that a model was saved; returns it.

    Args:
        attempt: the run.
        path: of the file, of a folder, or of several files, which become one package.
        framework: such as ``PyTorch``.
        name: what the task calls it; the file's name without its ending unless given.
        iteration: of the script, where it is known.

    Raises:
        InvalidInput: nothing is there, or it cannot be read.
    """
    files = [os.path.abspath(one) for one in _paths(path)]
    first = files[0]
    called = name or os.path.splitext(os.path.basename(first.rstrip(os.sep)))[0]
    model = _model_of(attempt, first, called, framework)
    destination = model_records.destination(attempt)
    if destination is None:
        is_package = len(files) > 1 or os.path.isdir(first)
        model.update_weights(
            register_uri=first,
            target_filename=called,
            iteration=iteration,
            update_comment=False,
            is_package=is_package,
        )
    elif len(files) > 1:
        model.update_weights_package(
            weights_filenames=files, auto_delete_file=False, iteration=iteration
        )
    else:
        model.update_weights(
            weights_filename=first,
            auto_delete_file=False,
            iteration=iteration,
            update_comment=False,
        )
    return model


def loaded(attempt: Session, path: str | os.PathLike[str], framework: str) -> InputModel:
    """Record that a model was loaded from a file; returns it.

    One that this run saved is its own input then. Any other is an imported one: the same file is
    the same model for whoever loads it.

    Args:
        attempt: the run.
        path: of the file.
        framework: such as ``PyTorch``.
    """
    full = os.path.abspath(path)
    called = os.path.splitext(os.path.basename(full.rstrip(os.sep)))[0]
    known = _by_path.get((attempt.task_id, full))
    if known is None:
        uri = model_records.file_address(full)
        known = import_id(uri)
        members: Json = {
            "name": called,
            "uri": uri,
            "filename": os.path.basename(full),
            "framework": framework or framework_of(full),
            "system_tags": [PACKAGE] if Path(full).is_dir() else [],
        }
        if model_records.document(known) is None:
            link = {"as": INPUT, "called": called}
            model_records.make(attempt, known, own=False, may_be_known=True, **members, **link)
            return InputModel(known)
    model_records.link(attempt, INPUT, called, known)
    return InputModel(known)


def _model_of(attempt: Session, path: str, called: str, framework: str) -> OutputModel:
    """The model of a path: the one it was saved as before, by this run or this task's last."""
    known = _by_path.get((attempt.task_id, path)) or model_records.id_of(
        attempt.task, OUTPUT, called
    )
    model = OutputModel(
        name=f"{attempt.task.get('name') or 'task'} - {called}", framework=framework or None
    )
    if known:
        model.be(known)
    model.call(called)
    _by_path[attempt.task_id, path] = model.id
    return model


def _paths(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> list[str | os.PathLike[str]]:
    return [path] if isinstance(path, (str, os.PathLike)) else list(path)
