"""Ranks of one machine that a launcher such as torchrun started: they share the task of rank 0.

Rank 0 leaves an anchor file that names its run; the others wait for it. A launcher that is itself
the run, or that an agent started, needs none of this: its children inherit the run.
"""

from __future__ import annotations

import json
import os
import time

from dray.sdk import session
from dray.sdk.session import Session

#: How long ranks wait for rank 0; then each is recorded as a run of its own.
PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.05
#: Anchors older than this are of launches that are over.
_FORGOTTEN_S = 86400.0


def is_follower() -> bool:
    """Whether another rank of this launch is to begin the run."""
    return _rank() > 0 and _launch() != ""


def follow(patience_s: float = PATIENCE_S) -> Session | None:
    """Join the run of rank 0; None when it began none within ``patience_s``."""
    path = _anchor()
    deadline = time.monotonic() + patience_s
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            session.say(
                f"warning: rank 0 began no task within {patience_s:g} s, so this rank "
                f"({_rank()}) is recorded as a task of its own"
            )
            return None
        time.sleep(_LOOK_EVERY_S)
    with open(path, encoding="utf-8") as file:
        os.environ.update(json.load(file))
    return session.attach()


def lead(attempt: Session) -> None:
    """Tell the other ranks of this launch which run they belong to."""
    if _rank() != 0 or not _launch():
        return
    path = _anchor()
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    _forget_old(folder)
    session.write_file(path, attempt.variables())


def _rank() -> int:
    text = os.environ.get("LOCAL_RANK", "")
    return int(text) if text.isdigit() else -1


def _launch() -> str:
    """Names one launch; empty where nobody launched several ranks."""
    port = os.environ.get("MASTER_PORT")
    if "TORCHELASTIC_RUN_ID" not in os.environ and port is None:
        return ""
    parent = os.getppid()
    parts = (
        os.environ.get("TORCHELASTIC_RUN_ID", ""),
        os.environ.get("TORCHELASTIC_RESTART_COUNT", ""),
        port or "",
        str(parent),
        _born(parent),
    )
    return "-".join(part.replace(os.sep, "_") for part in parts if part)


def _born(pid: int) -> str:
    """When a process was born, in ticks; a number used again is not the same process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""  # no Linux


def _anchor() -> str:
    from dray.runtime import config

    return os.path.join(config.load().settings.home, "ranks", f"{_launch()}.json")


def _forget_old(folder: str) -> None:
    for entry in os.scandir(folder):
        try:
            if time.time() - entry.stat().st_mtime > _FORGOTTEN_S:
                os.unlink(entry.path)
        except FileNotFoundError:  # another launch was faster
            continue
