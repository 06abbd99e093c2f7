"""A node's folders, a log that can be read, and a watch on started processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.paths import NodePaths


class Log:
    """A log that remembers."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes, /) -> int:
        self.data += data
        return len(data)

    @property
    def text(self) -> str:
        return self.data.decode()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def node(tmp_path: Path) -> NodePaths:
    return NodePaths(tmp_path / "node")


_SPAWNING = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec")
_watching: list[list[str]] = []
_hooks: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _SPAWNING:
        _watching[-1].append(f"{event}: {arguments[:2]}")


@pytest.fixture
def started_processes() -> Iterator[list[str]]:
    """What this process started since the test began, as the interpreter itself reports it."""
    if not _hooks:  # a hook stays for good, so there is one
        sys.addaudithook(_hook)
        _hooks.append(_hook)
    _watching.append([])
    yield _watching[-1]
    _watching.pop()


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fails with ``what`` after ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"not seen: {what}")


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel ``task`` and wait for its end, which must be the cancellation."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def processes_at(folder: Path) -> list[str]:
    """Command lines of living processes that name ``folder``."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if str(folder) in line:
            found.append(line)
    return found
