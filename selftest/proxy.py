"""The network between agents and gateway, which can be slow, cut, deaf, or lose replies."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import zlib
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass

_TASK_IN_PATH = re.compile(rb"/tasks/([0-9a-f]{32})/")
_BLOCK_BYTES = 1 << 16
#: How a reply begins that refuses what an attempt of old sent.
_REFUSED = b"HTTP/1.1 409"


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the network, for a share of the tasks.

    Attributes:
        kind: ``delay``, ``cut`` (connections break and new ones are refused), ``silence``
            (connections stand, nothing passes) or ``lost replies`` (what agents say arrives,
            what they are answered does not).
        share: of the tasks that have it, 1.0: all, and requests that are about no task.
        salt: which tasks.
    """

    kind: str
    share: float = 1.0
    salt: int = 0
    delay_s: float = 0.0

    def hits(self, task_id: bytes) -> bool:
        """Whether a connection that speaks of this task has the trouble."""
        return zlib.crc32(task_id, self.salt) / 2**32 < self.share


class Proxy:
    """Runs in a thread of its own, from ``start`` to ``stop``.

    Attributes:
        n_hit: how many connections each kind of trouble has touched.
        n_refused: replies that told an old attempt that it is over.
    """

    def __init__(self, port: int, gateway_port: int) -> None:
        self._port, self._gateway_port = port, gateway_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._is_up = threading.Event()
        self._trouble: Trouble | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._problem: OSError | None = None
        self.n_hit: Counter[str] = Counter()
        self.n_refused = 0

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._thread.start()
        self._is_up.wait()
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """Hang up on everybody; harmless when repeated."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def set(self, trouble: Trouble | None) -> None:
        """From now on there is this trouble, or none."""
        self._loop.call_soon_threadsafe(self._set, trouble)

    def _set(self, trouble: Trouble | None) -> None:
        self._trouble = trouble
        self._changed.set()
        self._changed = asyncio.Event()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            listening = asyncio.start_server(self._on_connect, "127.0.0.1", self._port)
            server = self._loop.run_until_complete(listening)
        except OSError as exc:
            self._problem = exc
            return
        finally:
            self._is_up.set()
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    def _on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._pass_on(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(self)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), _closing(writer):
            if self._trouble is not None and self._trouble.kind == "cut" and line.is_hit():
                self._note(self._trouble)
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._gateway_port)
            with _closing(back):
                ways = {
                    asyncio.ensure_future(self._copy(reader, back, line, is_reply=False)),
                    asyncio.ensure_future(self._copy(there, writer, line, is_reply=True)),
                    asyncio.ensure_future(self._watch_for_cut(line)),
                }
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _copy(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        line: _Line,
        *,
        is_reply: bool,
    ) -> None:
        while data := await source.read(_BLOCK_BYTES):
            if is_reply:
                self.n_refused += data.startswith(_REFUSED)
            else:
                line.hear(data)
            await self._suffer(line, is_reply=is_reply)
            sink.write(data)
            await sink.drain()

    async def _suffer(self, line: _Line, *, is_reply: bool) -> None:
        """Hold the bytes back for as long as the trouble wants it."""
        while (trouble := self._trouble) is not None and line.is_hit():
            if trouble.kind == "delay":
                self._note(trouble)
                await asyncio.sleep(trouble.delay_s)
                return
            if trouble.kind == "cut" or (trouble.kind == "lost replies" and is_reply):
                self._note(trouble)
                raise ConnectionResetError
            if trouble.kind != "silence":
                return
            self._note(trouble)
            await self._changed.wait()

    async def _watch_for_cut(self, line: _Line) -> None:
        """Return when the connection is cut."""
        while True:
            if self._trouble is not None and self._trouble.kind == "cut" and line.is_hit():
                self._note(self._trouble)
                return
            heard = asyncio.ensure_future(line.changed.wait())
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({heard, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                heard.cancel()
                changed.cancel()
            line.changed.clear()

    def _note(self, trouble: Trouble) -> None:
        self.n_hit[trouble.kind] += 1

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong now."""
        return self._trouble


class _Line:
    """One connection, and which task it is about as far as it has said."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._task_id = b""
        self.changed = asyncio.Event()

    def hear(self, data: bytes) -> None:
        """Note the task of a request that begins with these bytes."""
        found = _TASK_IN_PATH.search(data, 0, 512)
        if found is not None and found[1] != self._task_id:
            self._task_id = found[1]
            self.changed.set()

    def is_hit(self) -> bool:
        """Whether the trouble of the moment is this connection's."""
        trouble = self._proxy.trouble
        if trouble is None:
            return False
        return trouble.share >= 1 or (self._task_id != b"" and trouble.hits(self._task_id))


@contextlib.contextmanager
def _closing(writer: asyncio.StreamWriter) -> Generator[None]:
    try:
        yield
    finally:
        writer.close()
