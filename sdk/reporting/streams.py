"""Standard output and error of a run started by hand: passed through, and kept in the spool.

No pipe, no thread: each write goes to the stream it was meant for and, in the same bytes, to a
file of the spool. What a child process or C code writes past Python is not seen here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dray.sdk.reporting.log_capture import LogStream

_FLAGS = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)


class Copy:
    """Appends bytes to one stream file; gives up, saying so once, when the disk is full."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, _FLAGS, 0o600)
        self._failed = False

    def add(self, data: bytes) -> None:
        """Append ``data``."""
        if self._failed or not data:
            return
        try:
            os.write(self._fd, data)
        except OSError as exc:
            self._failed = True
            if sys.__stderr__ is not None:
                sys.__stderr__.write(f"dray: console is no longer kept in {self.path}: {exc}\n")

    def close(self) -> None:
        """Close the file; later bytes are dropped."""
        self._failed = True
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class TeeBuffer:
    """The binary layer of a stream, copied to the spool; everything else is the stream's own."""

    def __init__(self, stream: Any, copy: Copy) -> None:
        self._stream = stream
        self._copy = copy

    def write(self, data: Any) -> int:
        """Write bytes to the stream and to the spool."""
        written: int = self._stream.write(data)
        self._copy.add(bytes(data))
        return written

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write several pieces of bytes."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Tee:
    """A text stream, copied to the spool; everything else is the stream's own."""

    def __init__(self, stream: Any, copy: Copy) -> None:
        self._stream = stream
        self._copy = copy

    def write(self, text: str) -> int:
        """Write text to the stream and, in the stream's encoding, to the spool."""
        written: int = self._stream.write(text)
        self._copy.add(self._bytes(text))
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several pieces of text."""
        for line in lines:
            self.write(line)

    def keep(self, text: str) -> None:
        """Write text to the spool alone."""
        self._copy.add(self._bytes(text))

    @property
    def buffer(self) -> Any:
        """The binary layer; what is written to it is kept too."""
        return TeeBuffer(self._stream.buffer, self._copy)

    def _bytes(self, text: str) -> bytes:
        if os.linesep != "\n":  # Windows: the stream itself writes them so
            text = text.replace("\n", os.linesep)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return text.encode(encoding, getattr(self._stream, "errors", None) or "strict")

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __enter__(self) -> Tee:
        self._stream.__enter__()
        return self

    def __exit__(self, *details: Any) -> Any:
        return self._stream.__exit__(*details)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __repr__(self) -> str:
        return f"<dray copy of {self._stream!r}>"


class Tees:
    """Streams of this process, kept until :meth:`restore`.

    Args:
        folder: of the spool.
        names: which of ``stdout``, ``stderr`` and ``logging``. The last one is what the
            ``logging`` module says and no kept stream hears; it becomes lines of ``stderr``.
    """

    def __init__(self, folder: str, names: Iterable[str] = ("stdout", "stderr")) -> None:
        self._wrapped: dict[str, tuple[Any, Tee]] = {}
        self._copies: list[Copy] = []
        self._log: LogStream | None = None
        wanted = tuple(names)
        for name in ("stdout", "stderr"):
            stream: Any = getattr(sys, name)
            if name not in wanted or stream is None or isinstance(stream, Tee):
                continue
            tee = Tee(stream, self._copy(folder, name))
            self._wrapped[name] = (stream, tee)
            setattr(sys, name, tee)
            _redirect_loggers(stream, tee)
        if "logging" in wanted:
            from dray.sdk.reporting.log_capture import LogStream

            self._log = LogStream(self._copy(folder, "stderr").add)

    def restore(self) -> None:
        """Put the streams back where nobody else replaced them meanwhile."""
        if self._log is not None:
            self._log.close()
        for name, (stream, tee) in self._wrapped.items():
            if getattr(sys, name) is tee:
                setattr(sys, name, stream)
            _redirect_loggers(tee, stream)
        for copy in self._copies:
            copy.close()
        self._wrapped.clear()

    def _copy(self, folder: str, name: str) -> Copy:
        copy = Copy(os.path.join(folder, f"{name}.log"))
        self._copies.append(copy)
        return copy


def keep(text: str) -> bool:
    """Keep text as if it had been printed, without showing it; whether anything keeps it."""
    stream: Any = sys.stdout
    if isinstance(stream, Tee):
        stream.keep(text)
        return True
    return False


def _redirect_loggers(old: Any, new: Any) -> None:
    """Let what was told to write to ``old`` before write to ``new``."""
    logging = sys.modules.get("logging")
    handlers: list[Any] = [reference() for reference in getattr(logging, "_handlerList", ())]
    for handler in handlers:
        if getattr(handler, "stream", None) is old:
            handler.setStream(new)
    if "loguru" in sys.modules:
        _redirect_loguru(old, new)


def _redirect_loguru(old: Any, new: Any) -> None:
    """The same for loguru, whose handlers hold a sink that holds the stream."""
    core = getattr(getattr(sys.modules["loguru"], "logger", None), "_core", None)
    handlers: Any = getattr(core, "handlers", None)
    if not isinstance(handlers, dict):
        return  # another version
    for handler in list(cast("dict[Any, Any]", handlers).values()):
        sink: Any = getattr(handler, "_sink", None)
        if getattr(sink, "_stream", None) is old:
            sink._stream = new
