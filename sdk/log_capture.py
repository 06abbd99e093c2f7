"""What the ``logging`` module says, kept as texts of a task or in a stream of its console."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


class _Keeper(logging.Handler):
    """Gives each message on; what it sees depends on no other handler."""

    def __init__(self, keep: Callable[[logging.LogRecord, str], Any]) -> None:
        super().__init__()
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message; never lets the script see an error of its own."""
        try:
            self._keep(record, self.format(record))
        except Exception:
            self.handleError(record)
        # A handler at the root silences the last resort of a script that has set up none.
        last, handlers = logging.lastResort, logging.getLogger().handlers
        is_alone = all(isinstance(handler, _Keeper) for handler in handlers)
        if is_alone and last is not None and record.levelno >= last.level:
            last.handle(record)


class LogCapture:
    """A context in which messages of ``logging`` become text records.

    Args:
        record: appends a record: its kind, then its members by name.
    """

    def __init__(self, record: Callable[..., None]) -> None:
        self._record = record
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


class LogStream:
    """Messages of ``logging`` as lines of a stream, until :meth:`close`.

    Args:
        write: takes the bytes of a line.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._keeper = _Keeper(lambda _, line: write(f"{line}\n".encode("utf-8", "replace")))
        self._keeper.setFormatter(logging.Formatter(_FORMAT))
        logging.getLogger().addHandler(self._keeper)

    def close(self) -> None:
        """Let ``logging`` be as it was."""
        logging.getLogger().removeHandler(self._keeper)
