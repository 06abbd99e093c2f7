"""What the ``logging`` module says, kept as texts of a task or in a stream of its console."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from dray.sdk import session

_FORMATTER = logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")


class _Keeper(logging.Handler):
    """Gives each message on; what it sees depends on no other handler."""

    def __init__(self, keep: Callable[[logging.LogRecord, str], Any]) -> None:
        super().__init__()
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message; never lets the script see an error of its own."""
        # Before anything is said: a handler at the root silences the last resort of a script
        # that has set up none.
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and not _handlers_of(record):
            last.handle(record)
        try:
            self._keep(record, self.format(record))
        except Exception:
            self.handleError(record)


class LogCapture:
    """A context in which messages of ``logging`` become text records, and lines of the console.

    Args:
        record: appends a record: its kind, then its members by name.
        write: keeps a line of the console, where no stream that is kept has shown it.
    """

    def __init__(self, record: Callable[..., None], write: Callable[[str], Any]) -> None:
        self._record, self._write = record, write
        self._keeper: _Keeper | None = None

    def __enter__(self) -> LogCapture:
        if self._keeper is None:
            self._keeper = _Keeper(self._keep)
            logging.getLogger().addHandler(self._keeper)
        return self

    def __exit__(self, *_: object) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            logging.getLogger().removeHandler(keeper)

    def _keep(self, record: logging.LogRecord, message: str) -> None:
        self._record("text", level=record.levelname.lower(), message=message)
        if not is_heard(record):
            self._write(f"{_FORMATTER.format(record)}\n")


class LogStream:
    """Messages of ``logging`` as lines of a stream, until :meth:`close`.

    Args:
        write: takes the bytes of a line.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._keeper = _Keeper(self._keep)
        self._keeper.setFormatter(_FORMATTER)
        logging.getLogger().addHandler(self._keeper)

    def close(self) -> None:
        """Let ``logging`` be as it was."""
        logging.getLogger().removeHandler(self._keeper)

    def _keep(self, record: logging.LogRecord, line: str) -> None:
        if not is_heard(record):
            self._write(f"{line}\n".encode("utf-8", "replace"))


def is_heard(record: logging.LogRecord) -> bool:
    """Whether a stream of the process that is kept is shown ``record`` by another handler."""
    handlers = _handlers_of(record)
    last = logging.lastResort
    if not handlers and last is not None and record.levelno >= last.level:
        handlers = [last]
    return any(
        record.levelno >= handler.level and _is_kept(getattr(handler, "stream", None))
        for handler in handlers
    )


def _is_kept(stream: Any) -> bool:
    """An agent keeps both streams of a process; a run by hand those it has wrapped."""
    from dray.sdk.reporting.streams import Tee

    attempt = session.current()
    is_ours = attempt is not None and attempt.is_remote and stream in (sys.stdout, sys.stderr)
    return isinstance(stream, Tee) or is_ours


def _handlers_of(record: logging.LogRecord) -> list[logging.Handler]:
    """Everybody else a message is given to."""
    found: list[logging.Handler] = []
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        found += [handler for handler in logger.handlers if not isinstance(handler, _Keeper)]
        logger = logger.parent if logger.propagate else None
    return found
