"""How a run started by hand ended: from its own last record, or from the lack of one."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from dray.runtime import causes
from dray.runtime.causes import EVIDENCE_LIMIT_BYTES, Cause, CauseKind
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import STDERR, STDOUT
from dray.runtime.spool_reader import final_record
from dray.runtime.states import Event

VANISHED = "vanished without a word: it was killed, or the machine stopped"
STARVED = "vanished without a word when the kernel ran out of memory"


def ending(spool: SpoolPaths, starved: str | None = None) -> Cause:
    """The cause of a run that is over: its ``final`` record, else that it vanished.

    Args:
        starved: what the kernel did for want of memory while it ran; it explains a silent end.
    """
    record = _with_exit_status(final_record(spool), spool)
    if record is not None:
        cause = cause_of(record)
    elif starved is not None:
        cause = Cause(CauseKind.OUT_OF_MEMORY, f"{STARVED} ({starved})")
    else:
        cause = Cause(CauseKind.VANISHED, VANISHED)
    if cause.evidence is None and causes.end_event(cause) is Event.FAIL:
        cause = cause.with_evidence(last_words(spool))
    return cause


def cause_of(record: dict[str, Any]) -> Cause:
    """The cause that a ``final`` record states; one that makes no sense counts as vanished."""
    reason, exception = record.get("reason"), record.get("exception")
    try:
        if record.get("marked"):
            return causes.marked(Event(record["marked"]), "user", reason or None)
        if record.get("signal"):
            cause = causes.killed(int(record["signal"]))
        else:
            cause = causes.exited(int(record["exit_code"]))
    except (KeyError, TypeError, ValueError) as exc:
        return Cause(CauseKind.VANISHED, f"its last record cannot be read ({exc!r})")
    if reason:
        cause = replace(cause, message=str(reason))
    return cause.with_evidence(str(exception)) if exception else cause


def _with_exit_status(record: dict[str, Any] | None, spool: SpoolPaths) -> dict[str, Any] | None:
    """``record`` with the status the process gave the system, where it says otherwise.

    The interpreter does not tell Python code of ``raise SystemExit(3)``; the system knows.
    """
    try:
        status = spool.exit_status.read_bytes()[-1:]
    except FileNotFoundError:
        return record
    if not status or (record is not None and record.get("exit_code", status[0]) == status[0]):
        return record
    return {"k": "final", "exit_code": status[0]}


def last_words(spool: SpoolPaths) -> str:
    """The end of what the run wrote to stderr, else to stdout."""
    for stream in (STDERR, STDOUT):
        try:
            with spool.stream(stream).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - EVIDENCE_LIMIT_BYTES))
                data = file.read(EVIDENCE_LIMIT_BYTES)
        except FileNotFoundError:
            continue
        if data.strip():
            return data.decode("utf-8", "replace")
    return ""
