"""One output stream of a child process, read as it comes without ever blocking the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

#: Read per wake-up: other work gets its turn between two reads of a flood.
READ_BYTES = 64 * 1024


class OutputPipe:
    """A pipe whose write end a child holds; what it writes goes to a callback, in order.

    Attributes:
        write_fd: for the child; closed here as soon as the child has its own copy.
        is_closed: whether everything was read.
        fault: what the callback raised; from then on output is read and thrown away.
    """

    def __init__(
        self,
        stream: str,
        on_output: Callable[[str, bytes], None] | None,
        on_closed: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._on_output = on_output
        self._on_closed = on_closed
        self._is_paused = False
        self._has_no_writer = False
        self.is_closed = False
        self.fault: Exception | None = None

    def start(self) -> None:
        """Read from now on; the child has the write end."""
        self.close_write_end()
        self._loop.add_reader(self._read_fd, self._read)

    def close_write_end(self) -> None:
        """Let the child be the only one that holds the pipe open."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def pause(self) -> None:
        """Read nothing until ``resume``: the child blocks once the pipe is full."""
        if not self._is_paused and not self.is_closed:
            self._is_paused = True
            self._loop.remove_reader(self._read_fd)

    def resume(self) -> None:
        """Go on reading."""
        if self._is_paused and not self.is_closed:
            self._is_paused = False
            self._loop.add_reader(self._read_fd, self._read)
            if self._has_no_writer:
                self._loop.call_soon(self._read)

    def finish(self) -> None:
        """Nobody of the tree writes any more: take what is in the pipe, then close.

        A process outside the tree may still hold the write end, so end of file may never come.
        """
        self._has_no_writer = True
        self._loop.call_soon(self._read)

    def close(self) -> None:
        """Stop reading and give the descriptors back; harmless when done before."""
        self.close_write_end()
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._on_closed()

    def _read(self) -> None:
        if self._is_paused or self.is_closed:
            return
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            data = None
        if data:
            self._deliver(data)
            if self._has_no_writer:
                self._loop.call_soon(self._read)
        elif data == b"" or self._has_no_writer:
            self.close()

    def _deliver(self, data: bytes) -> None:
        if self._on_output is None or self.fault is not None:
            return
        try:
            self._on_output(self._stream, data)
        except Exception as exc:  # kept for wait(): the child must not block on a full pipe
            self.fault = exc
