"""Processes that nobody keeps any more, found by what their environment says they belong to."""

from __future__ import annotations

import os
import signal
import time

#: Looked again for so long, because they may fork between the look and the signal.
_WITHIN_S = 5.0
_LOOK_AGAIN_S = 0.02


def find_strays(variable: str, value: str) -> list[int]:
    """The processes that were started with ``variable`` set to ``value``; this one is none."""
    wanted = f"{variable}={value}".encode()
    found: list[int] = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue  # it ended while we looked, or is another user's
    return found


def end_strays(variable: str, value: str) -> None:
    """Kill what ``find_strays`` finds until it finds nothing; blocks, for some seconds at most.

    For what has lost the keeper that would have ended it.
    """
    deadline = time.monotonic() + _WITHIN_S
    while (pids := find_strays(variable, value)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue  # it ended meanwhile, or became another user's
        time.sleep(_LOOK_AGAIN_S)
