"""Captures the code of a run while the run goes on, in a process of its own.

``python -m dray.sdk.capture.code_beside SPOOL`` is how it is started.

What was found becomes one ``execution`` record, as if the script had said it itself; where the
script says otherwise, before or after, the script is right.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from dray.runtime.spool import SpoolWriter
from dray.sdk.capture.code import CAPTURED_FILE, Code
from dray.sdk.session import RECORDS_FILE, TASK_FILE, write_file

#: Marks our records in the spool, to tell them from the script's own.
_BY = "capture"
#: What is found anew in each run; a task that goes on must not keep it from the last one.
_EMPTY: dict[str, Any] = {
    "repository": "",
    "commit": "",
    "branch": "",
    "diff": "",
    "working_dir": ".",
    "entry_point": "",
    "packages": [],
}

#: Imported before the user's folders are on the path.
_NEEDED = (
    "csv",
    "email.message",
    "importlib.metadata",
    "tempfile",
    "zipfile",
    "dray.sdk.capture.captured",
)


def main(argv: list[str] | None = None) -> int:
    """Capture what the spool asks for."""
    (spool,) = sys.argv[1:] if argv is None else argv
    code = Code.read(spool)
    _import_all()
    sys.path[:] = code.path  # distributions are looked up where the script would find them
    captured = code.captured
    write_file(os.path.join(spool, CAPTURED_FILE), captured.execution)
    with SpoolWriter(os.path.join(spool, RECORDS_FILE)) as writer:
        say(writer, {**_EMPTY, **captured.execution}, _standing(spool))
        for warning in captured.warnings:
            writer.append("text", level="WARNING", message=f"dray: {warning}")
    return 0


def say(writer: SpoolWriter, found: dict[str, Any], standing: dict[str, Any]) -> None:
    """Record ``found`` where it differs from what stands, and where the script says nothing."""
    said = {name: value for name, value, is_ours in _said(writer.path) if not is_ours}
    news = {k: v for k, v in found.items() if k not in said and v != standing.get(k)}
    while news:
        writer.append("execution", values=news, by=_BY)
        news = _overridden(writer.path, news)


def _overridden(path: str, ours: dict[str, Any]) -> dict[str, Any]:
    """What the script said just before our record, which would hide it: to be said again."""
    scripts: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for name, value, is_ours in _said(path):
        last[name] = value
        if not is_ours:
            scripts[name] = value
    return {k: v for k, v in scripts.items() if k in ours and last[k] != v}


def _said(path: str) -> list[tuple[str, Any, bool]]:
    """Each member said in an ``execution`` record so far, and whether by us."""
    found: list[tuple[str, Any, bool]] = []
    with open(path, "rb") as file:
        for line in file:
            if not line.startswith(b'{"k":"execution"') or not line.endswith(b"\n"):
                continue
            record: dict[str, Any] = json.loads(line)
            is_ours = record.get("by") == _BY
            found += [(name, value, is_ours) for name, value in record["values"].items()]
    return found


def _standing(spool: str) -> dict[str, Any]:
    with open(os.path.join(spool, TASK_FILE), encoding="utf-8") as file:
        task: dict[str, Any] = json.load(file)
    return task.get("execution") or {}


def _import_all() -> None:
    """Import what a capture needs before the user's folders are on the path.

    One of them may hold an ``email.py``; here it must not be taken for Python's.
    """
    for name in _NEEDED:
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
