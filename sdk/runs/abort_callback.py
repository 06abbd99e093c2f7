"""What this process does when its run is stopped: a thread that waits at a pipe for the cause.

See ``runtime/abort_pipe.py`` for who writes into it. Imported when a callback is registered.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable

from dray.runtime.abort_pipe import LONGEST_S, pipe_path, terms_path
from dray.runtime.errors import InvalidInput
from dray.sdk import session
from dray.sdk.session import Session

#: Of this process; a forked child has none until it registers its own.
_callback: AbortCallback | None = None


def register(attempt: Session, function: Callable[[], object] | None, timeout_s: float) -> None:
    """Have ``function`` called when the run of this process is stopped; None: nothing any more.

    Raises:
        InvalidInput: it cannot be called, or the time is not one.
    """
    global _callback
    _check(function, timeout_s)
    if not hasattr(os, "mkfifo"):
        session.say(
            f"warning: abort callbacks are not supported on {sys.platform}: this one is called "
            "when an agent runs the task, but not when the run on this machine is stopped"
        )
        return
    if _callback is None:
        if function is None:
            return
        _callback = AbortCallback(attempt.spool)
    _callback.set(function, timeout_s)
    if function is None:
        _callback = None


def _check(function: object, timeout_s: object) -> None:
    if function is not None and not callable(function):
        raise InvalidInput(
            f"callback_function is {function!r}: give a function without arguments, or None",
            field="callback_function",
        )
    if not isinstance(timeout_s, (int, float)) or not 0 < timeout_s <= LONGEST_S:
        raise InvalidInput(
            f"callback_execution_timeout is {timeout_s!r}: give seconds, at most {LONGEST_S:g}",
            field="callback_execution_timeout",
            value=str(timeout_s),
        )


class AbortCallback:
    """The callback of this process and its pipe, until it is set to None."""

    def __init__(self, spool: str) -> None:
        self._spool = spool
        self._pid = os.getpid()
        self._function: Callable[[], object] | None = None
        self._timeout_s = 0.0
        pipe = pipe_path(spool, self._pid)
        with contextlib.suppress(FileNotFoundError):  # of a process that had this pid before
            os.unlink(pipe)
        os.mkfifo(pipe, 0o600)
        # Both ends, so that neither opening nor reading ends because nobody writes yet.
        self._fd = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="dray-abort", daemon=True)
        self._thread.start()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._finish)

    def set(self, function: Callable[[], object] | None, timeout_s: float) -> None:
        """Replace what is called, or end it all."""
        self._function, self._timeout_s = function, timeout_s
        if function is not None:
            terms = {"pid": self._pid, "timeout_s": timeout_s}
            session.write_file(terms_path(self._spool, self._pid), terms)
        elif self._fd >= 0:
            self._withdraw()
            os.write(self._fd, b"\n")  # the thread reads it, finds nothing to call, and ends

    def _wait(self) -> None:
        os.read(self._fd, 4096)
        function = self._function
        try:
            if function is not None:
                self._is_running.set()
                function()
        except Exception:
            traceback.print_exc()
            session.say("the abort callback raised; the task is stopped all the same")
        finally:
            self._close()

    def _close(self) -> None:
        """Tell whoever waits at the other end that the callback is done."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _forget(self) -> None:
        """In a forked child: its copy must not make the callback look as if it went on."""
        global _callback
        _callback = None
        self._function = None
        atexit.unregister(self._finish)
        self._close()

    def _finish(self) -> None:
        """The interpreter ends: a callback that is at work has the rest of its time."""
        if self._is_running.is_set():
            self._thread.join(self._timeout_s)
        self._withdraw()

    def _withdraw(self) -> None:
        for path in (terms_path(self._spool, self._pid), pipe_path(self._spool, self._pid)):
            with contextlib.suppress(OSError):  # the spool may be gone by now
                os.unlink(path)
