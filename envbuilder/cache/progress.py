"""The log of a build, followed by all who wait for it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from dray.envbuilder.tools.log import LogWriter
from dray.runtime.causes import EVIDENCE_LIMIT_BYTES

_PIECE_BYTES = 64 << 10


class RememberingLog:
    """Passes everything on and remembers the end of it, as evidence of what took too long."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._tail = b""

    def write(self, data: bytes, /) -> object:
        """See :class:`dray.envbuilder.tools.log.LogWriter`."""
        self._tail = (self._tail + data)[-EVIDENCE_LIMIT_BYTES:]
        return self._log.write(data)

    @property
    def tail(self) -> str:
        """The last lines."""
        return self._tail.decode("utf-8", "replace")


class SharedLog:
    """A builder's log that is a file for others, too, until :meth:`close`.

    A disk that is full takes nothing of it away from the builder's own log.
    """

    def __init__(self, log: LogWriter, path: Path) -> None:
        self._log = log
        self._path = path
        path.unlink(missing_ok=True)  # of a builder that died; its readers know this one is new
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, data: bytes, /) -> object:
        """See :class:`dray.envbuilder.tools.log.LogWriter`."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, data)
        return self._log.write(data)

    def close(self) -> None:
        """Nobody can begin to follow it any more; who has it open can read it to its end."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            self._path.unlink(missing_ok=True)


class Follower:
    """What others write to a shared log, copied to one's own."""

    def __init__(self, path: Path, log: LogWriter) -> None:
        self._path = path
        self._log = log
        self._descriptor = -1

    def look(self) -> None:
        """Copy what is new; a log that another builder began is read from its start."""
        self._copy()
        try:
            facts = os.stat(self._path)
        except OSError:
            return  # no build at this moment
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_ino == facts.st_ino:
            return
        self.close()
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._copy()

    def close(self) -> None:
        """Copy the rest and look no more."""
        self._copy()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _copy(self) -> None:
        while self._descriptor >= 0 and (data := os.read(self._descriptor, _PIECE_BYTES)):
            self._log.write(data)
