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
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.session import ATTEMPT_FILE, RECORDS_FILE, TASK_FILE, write_file

if TYPE_CHECKING:
    from dray.sdk.capture.captured import Captured

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
    "snapshot": "",
}
#: Who says one of these means other code than what lies here.
_CODE = frozenset({"repository", "commit", "branch", "diff", "snapshot"})

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
    own_path = list(sys.path)
    sys.path[:] = code.path  # distributions are looked up where the script would find them
    captured = code.captured
    write_file(os.path.join(spool, CAPTURED_FILE), captured.execution)
    with SpoolWriter(os.path.join(spool, RECORDS_FILE)) as writer:
        say(writer, {**_EMPTY, **captured.execution}, _standing(spool))
        for warning in captured.warnings:
            writer.append("text", level="WARNING", message=f"dray: {warning}")
        sys.path[:] = own_path
        sha256, warning = _snapshot(captured, spool)
        if warning:
            writer.append("text", level="WARNING", message=f"dray: {warning}")
        if sha256 and not any(
            name in _CODE for name, _, is_ours in _said(writer.path) if not is_ours
        ):
            say(writer, {"snapshot": sha256}, {})
    return 0


def _snapshot(captured: Captured, spool: str) -> tuple[str, str]:
    """The snapshot of code that no repository has, once it is sent; or why it is not.

    So a run of a checkout without a remote, or of a commit that was never pushed, can be cloned and
    enqueued like any other.
    """
    from dray.runtime import config
    from dray.runtime.errors import DrayError, TooLarge

    with open(os.path.join(spool, ATTEMPT_FILE), encoding="utf-8") as file:
        url = json.load(file).get("url")
    settings = config.load({"url": url or None}).settings
    if not url or settings.local_snapshot_limit_bytes <= 0:
        return "", ""
    from dray.sdk.capture import code_files, snapshot
    from dray.sdk.client import Client

    try:
        if code_files.is_recorded(captured):
            return "", ""
        taken = code_files.snapshot_of(captured, settings, settings.local_snapshot_limit_bytes)
        with Client.from_settings(settings, retries=1) as client:
            return snapshot.send(taken, client).sha256, ""
    except TooLarge as exc:
        limit = exc.details.get("limit_bytes", 0) >> 20
        return "", (
            f"no repository has this code, and at over {limit} MiB it is not sent with each run: "
            "to run it in a queue, use dray run or execute_remotely"
        )
    except (DrayError, OSError) as exc:
        return "", f"no repository has this code, and it could not be sent: {exc}"


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
