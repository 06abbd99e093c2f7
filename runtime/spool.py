"""Append records to a spool, one ``write`` each: the only thing a training process does for Dray.

It runs inside the user's process, so it imports little and never waits: no network, no
``fsync``, no lock. A full disk costs records, which are counted and told about, never the run.
"""

from __future__ import annotations

import json
import os
import sys
import time

from dray.runtime.errors import InvalidInput, TooLarge, WrongType

TYPE_CHECKING = False  # type checkers take it for true; the import is dear in a child
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

#: A record must fit in one frame (``Settings.frame_limit_bytes``) with room to spare.
RECORD_LIMIT_BYTES = 8 << 20
#: Title and series pairs whose escaped text is remembered; a run with more has them made anew.
_REMEMBERED_SERIES = 65536
_FLAGS = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)

_escape = json.encoder.encode_basestring_ascii
_float_repr = float.__repr__


class SpoolWriter:
    """Appends to ``records.jsonl``; threads and forked children may share it.

    A forked child inherits the descriptor and a spawned one opens the file anew: with
    ``O_APPEND`` the kernel puts each line at the end, whoever writes it.

    Args:
        path: of the records file; it is made when it is not there.

    Attributes:
        n_lost: records that could not be written, for want of disk space for example.
        text_of_not_finite: how NaN and infinities are written; the logger replaces it for a
            script that wants another number instead.
    """

    text_of_not_finite: ClassVar[Callable[[float], str]] = staticmethod(json.dumps)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.n_lost = 0
        self._n_untold = 0
        self._fd = os.open(self.path, _FLAGS, 0o600)
        self._torn = False
        #: {(title, series): the line up to its iteration}
        self._prefixes: dict[tuple[str, str], str] = {}

    def scalar(self, title: str, series: str, iteration: int | None, value: float) -> None:
        """Append one point; NaN and infinities are kept as such. Iteration None is 0.

        Raises:
            WrongType: title or series is no text, iteration or value no number.
            InvalidInput: the iteration is not a whole one.
        """
        try:
            # Plain `float` of whatever has one: numpy's and torch's scalars print otherwise.
            number, step = float(value), int(iteration or 0)
            prefix = self._prefixes.get((title, series)) or self._remember(title, series)
        except (TypeError, ValueError, OverflowError, RuntimeError) as exc:
            raise _no_scalar(title, series, iteration, value) from exc
        if step != iteration and not _is_same(step, iteration):
            raise _no_scalar(title, series, iteration, value)
        text = (
            _float_repr(number)
            if number - number == 0.0
            else SpoolWriter.text_of_not_finite(number)
        )
        self._write(f'{prefix}{step},"v":{text},"t":{time.time():.6f}}}\n'.encode())

    def append(self, kind: str, **members: Any) -> None:
        """Append one record of any kind (see ``runtime.records``).

        Raises:
            InvalidInput: a member JSON cannot hold.
            TooLarge: the record is over 8 MiB; such a thing is an artifact.
        """
        try:
            text = json.dumps({"k": kind, "t": time.time(), **members}, separators=(",", ":"))
        except (TypeError, ValueError) as exc:
            raise InvalidInput(f"a {kind} record cannot hold this: {exc}", field=kind) from exc
        if len(text) > RECORD_LIMIT_BYTES:
            raise TooLarge(
                f"a {kind} record of {len(text)} bytes is over the limit of "
                f"{RECORD_LIMIT_BYTES}; upload it as an artifact",
                limit_bytes=RECORD_LIMIT_BYTES,
            )
        self._write(text.encode() + b"\n")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> SpoolWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remember(self, title: str, series: str) -> str:
        prefix = f'{{"k":"scalar","title":{_escape(title)},"series":{_escape(series)},"i":'
        if len(self._prefixes) < _REMEMBERED_SERIES:
            self._prefixes[title, series] = prefix
        return prefix

    def _write(self, line: bytes) -> None:
        if self._n_untold:
            line = self._tell_losses() + line
        try:
            written = os.write(self._fd, line)
        except OSError as exc:
            self._lose(str(exc))
            return
        if written < len(line):  # a disk that fills up takes a part
            self._torn = True
            self._lose("the disk is full")
        elif self._n_untold:
            self._torn, self._n_untold = False, 0

    def _tell_losses(self) -> bytes:
        """The line that goes before the first record after some were lost."""
        message = f"{self._n_untold} records were lost: the spool could not be written"
        told = {"k": "text", "t": time.time(), "level": "warning", "message": message}
        start = b"\n" if self._torn else b""
        return start + json.dumps(told, separators=(",", ":")).encode() + b"\n"

    def _lose(self, why: str) -> None:
        self.n_lost += 1
        self._n_untold += 1
        if self.n_lost == 1 and sys.stderr is not None:
            print(f"dray: records cannot be written to {self.path}: {why}", file=sys.stderr)


def _is_same(step: int, iteration: Any) -> bool:
    """Whether nothing was cut off, of what does not compare as a number."""
    return iteration is None or float(iteration) == step


def _no_scalar(title: object, series: object, iteration: object, value: object) -> InvalidInput:
    """The error about whichever of them is wrong."""
    where = f"scalar {title!r}/{series!r}"
    for name, given in (("title", title), ("series", series)):
        if not isinstance(given, str):
            return WrongType(f"{where}: {name} must be text, got {_shown(given)}", field=name)
    for name, given, wanted in (
        ("value", value, "number"),
        ("iteration", iteration, "whole number"),
    ):
        message = f"{where}: {name} must be a {wanted}, got {_shown(given)}"
        try:
            is_whole = float(given) % 1 == 0.0  # type: ignore[arg-type]
        except TypeError:
            return WrongType(message, field=name)
        except (ValueError, OverflowError, RuntimeError):
            return InvalidInput(message, field=name)
        if name == "iteration" and not is_whole:
            return InvalidInput(message, field=name)
    return InvalidInput(f"{where}: iteration {iteration!r} and value {value!r} cannot be kept")


def _shown(given: object) -> str:
    return f"{given!r:.100} ({type(given).__name__})"
