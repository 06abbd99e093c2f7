"""How a run started by hand ends: the ``final`` record, written by the process itself.

An uncaught exception, an exit code, SIGINT and SIGTERM are told apart here. A process that is
killed says nothing; its shipper then says what it saw.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn, cast

from dray.sdk.session import Session

#: Text of an exception kept in the record; all of it is in the console.
EXCEPTION_LIMIT = 4096
#: As ``runtime.paths.SpoolPaths.exit_status`` has it.
EXIT_STATUS_FILE = "exit-status"


class ExitWatch:
    """Watches the end of this process from :meth:`install` to :meth:`remove`.

    Attributes:
        finish: called once with the members of the ``final`` record.
    """

    def __init__(self, attempt: Session, finish: Callable[[dict[str, Any]], None]) -> None:
        self._attempt = attempt
        self.finish = finish
        self._pid = os.getpid()
        self._end: dict[str, Any] = {}
        self._is_done = False
        self._excepthook: Any = None
        self._exit: Any = None
        self._term: Any = None

    def install(self) -> None:
        """Take over the hooks; what was there before is still called."""
        self._excepthook, sys.excepthook = sys.excepthook, self._on_exception
        self._exit = sys.exit
        sys.exit = cast("Any", self._on_sys_exit)
        atexit.register(self._on_exit)
        _let_system_tell(os.path.join(self._attempt.spool, EXIT_STATUS_FILE))
        try:
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._term = signal.signal(signal.SIGTERM, self._on_terminate)
        except ValueError:
            self._term = None  # not the main thread: SIGTERM stays as it is

    def remove(self) -> None:
        """Put back what was there, where nobody else has replaced it meanwhile."""
        atexit.unregister(self._on_exit)
        if sys.excepthook == self._on_exception:
            sys.excepthook = self._excepthook
        if sys.exit == self._on_sys_exit:
            sys.exit = self._exit
        if self._term is not None and signal.getsignal(signal.SIGTERM) == self._on_terminate:
            signal.signal(signal.SIGTERM, self._term)

    def _on_exception(
        self, kind: type[BaseException], exc: BaseException, trace: TracebackType | None
    ) -> None:
        self._excepthook(kind, exc, trace)
        if issubclass(kind, KeyboardInterrupt):
            self._end = {"signal": int(signal.SIGINT), "reason": "interrupted (SIGINT)"}
            return
        import traceback

        text = "".join(traceback.format_exception(kind, exc, trace))[-EXCEPTION_LIMIT:]
        reason = traceback.format_exception_only(kind, exc)[-1].strip()
        self._end = {"exit_code": 1, "reason": reason, "exception": text}

    def _on_sys_exit(self, status: object = None, /) -> NoReturn:
        # A SystemExit that is caught is no exit: only the one that is never handled counts, and
        # that is known when the object is let go with no Python code running any more.
        raise _Exit(self, status)

    def exited(self, status: object) -> None:
        """The interpreter ends because of ``SystemExit(status)``."""
        code = exit_code(status)
        self._end = {"exit_code": code}
        if code and not isinstance(status, int):
            self._end["reason"] = str(status)

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._write({"signal": number, "reason": f"ended by {signal.Signals(number).name}"})
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _on_exit(self) -> None:
        self._write(self._end or {"exit_code": 0})

    def _write(self, end: dict[str, Any]) -> None:
        if self._is_done or os.getpid() != self._pid:
            return
        self._is_done = True
        self.finish(end)


class _Exit(SystemExit):
    """A ``SystemExit`` that tells the watch when it was the last thing to happen."""

    def __init__(self, watch: ExitWatch, status: object) -> None:
        super().__init__(*(() if status is None else (status,)))
        self._watch = watch

    def __reduce__(self) -> tuple[type[SystemExit], tuple[object, ...]]:
        return SystemExit, self.args

    def __del__(self) -> None:
        try:
            caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        except (ValueError, AttributeError):
            caller = None
        if caller is None:
            self._watch.exited(self.code)


def _let_system_tell(path: str) -> None:
    """Have the C library write the exit status, which Python never learns, into a file.

    ``raise SystemExit(3)`` runs no code of ours. glibc's ``on_exit`` calls a C function with
    the status and a pointer; ``fputc`` is one that fits. Other systems go without.
    """
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        on_exit, fopen, fileno = libc.on_exit, libc.fopen, libc.fileno
    except (ImportError, OSError, TypeError, AttributeError):
        return
    fopen.restype, fopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p)
    fileno.argtypes = (ctypes.c_void_p,)
    file = fopen(os.fsencode(path), b"ab")
    if not file:
        return
    os.set_inheritable(fileno(file), False)
    on_exit(ctypes.cast(libc.fputc, ctypes.c_void_p), ctypes.c_void_p(file))

    def silence_child() -> None:
        # A forked child inherits the call; its own end is not the run's.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, fileno(file))
        os.close(nowhere)

    os.register_at_fork(after_in_child=silence_child)


def exit_code(status: object) -> int:
    """The exit code that ``sys.exit(status)`` gives the process."""
    if status is None:
        return 0
    return int(status) & 0xFF if isinstance(status, int) else 1
