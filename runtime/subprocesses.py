"""Child processes of an agent: forked by a small supervisor, streamed, ended with their whole tree.

An agent is heavy (Ray, threads, perhaps uvloop), so it never forks itself: it starts
``runtime/supervisor.py`` once and asks it for children. That page says who keeps which
process, and what happens when one of them dies.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from dray.runtime.cgroups import Cgroup
from dray.runtime.children import ChildProcess, ExitStatus
from dray.runtime.errors import DrayError
from dray.runtime.keepers import KeeperLink

__all__ = ["ChildProcess", "ExitStatus", "Supervisor"]

#: Where ``dray`` is imported from; the helper knows no other package.
_ROOT = Path(__file__).parents[2]
_HELPER = (
    f"import sys; sys.path.append({str(_ROOT)!r}); "
    "from dray.runtime.supervisor import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
#: Keepers kept for later children: forking one costs 2 ms, having one 2 MiB.
_MAX_IDLE_KEEPERS = 2


class Supervisor:
    """Starts children for this process, and ends them with it, however it ends.

    ``async with Supervisor.start() as supervisor: ...``, or ``await Supervisor.start()`` and
    ``await supervisor.close()``. When the helper process dies, children go on, and the next
    ``spawn`` starts another one.
    """

    def __init__(self) -> None:
        self._helper: _Helper | None = None
        self._starting = asyncio.Lock()
        self._keepers: set[KeeperLink] = set()
        self._idle: list[KeeperLink] = []
        self._is_closed = False

    @staticmethod
    def start() -> Starting:
        """The running supervisor, to be awaited or entered.

        Raises:
            DrayError: this is not Linux, or the helper process did not come up.
        """
        return Starting(Supervisor())

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        niceness: int = 0,
        cgroup: Cgroup | None = None,
        fence_at: float | None = None,
    ) -> ChildProcess:
        """Start a child in its own session, with no input; returns once it runs.

        Args:
            argv: program and arguments; the program is looked up on the ``PATH`` of ``env``.
            cwd: where it runs; by default where this process runs.
            env: its whole environment; by default that of this process.
            on_output: called with ``"stdout"`` or ``"stderr"`` and some bytes, in order for each
                of the two; must not block. What it raises comes out of ``ChildProcess.wait``.
            niceness: of the child; not lowered where the system does not allow it.
            cgroup: where it and all below it run, if the system lets it go there.
            fence_at: see ``ChildProcess.fence``; it falls already while the child is started.

        Raises:
            OSError: it cannot be started, the class ``subprocess.Popen`` would raise, or its
                fence has fallen (``ETIME``).
            DrayError: this supervisor is closed.
        """
        order: dict[str, Any] = {
            "argv": list(argv),
            "cwd": os.fspath(cwd or os.getcwd()),
            "env": dict(os.environ if env is None else env),
            "niceness": niceness,
            "cgroups": cgroup.procs_files if cgroup is not None else [],
            "is_limited": cgroup is not None and cgroup.is_limited,
            "fence": fence_at,
            "kill_file": cgroup.kill_file if cgroup is not None else "",
        }
        child = ChildProcess(on_output)
        try:
            await self._start(child, order)
        except BaseException:
            child.drop()
            raise
        return child

    async def close(self) -> None:
        """Kill every tree that still runs and end the helper process; harmless when repeated."""
        self._is_closed = True
        keepers = list(self._keepers)
        for keeper in keepers:
            keeper.let_go()
        await asyncio.gather(*(keeper.closed.wait() for keeper in keepers))
        await self._drop_helper(self._helper)

    async def ensure_started(self) -> _Helper:
        """The helper process, started if there is none."""
        async with self._starting:
            if self._is_closed:
                raise DrayError("this supervisor is closed: start another one for new children")
            if self._helper is None:
                self._helper = await _Helper.start()
            return self._helper

    async def _start(self, child: ChildProcess, order: dict[str, Any]) -> None:
        while True:
            keeper = self._idle.pop() if self._idle else await self._new_keeper()
            try:
                await child.start(keeper, order)
            except (BrokenPipeError, ConnectionResetError):
                self._forget(keeper)  # it died while it had no work
            else:
                return

    async def _new_keeper(self) -> KeeperLink:
        while True:
            helper = await self.ensure_started()
            keeper = KeeperLink(self._on_free)
            try:
                await helper.fork_keeper(keeper.keeper_end.fileno())
            except (BrokenPipeError, ConnectionResetError):
                keeper.close()
                await self._drop_helper(helper)
            except BaseException:
                keeper.close()
                raise
            else:
                keeper.keeper_end.close()
                self._keepers.add(keeper)
                return keeper

    def _on_free(self, keeper: KeeperLink) -> None:
        if keeper.closed.is_set() or self._is_closed or len(self._idle) >= _MAX_IDLE_KEEPERS:
            self._forget(keeper)
        else:
            self._idle.append(keeper)

    def _forget(self, keeper: KeeperLink) -> None:
        keeper.close()
        self._keepers.discard(keeper)
        if keeper in self._idle:
            self._idle.remove(keeper)

    async def _drop_helper(self, helper: _Helper | None) -> None:
        if helper is not None:
            if self._helper is helper:
                self._helper = None
            await helper.close()


class Starting:
    """A supervisor on its way: await it, or enter it as a context."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def __await__(self) -> Generator[Any, None, Supervisor]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Supervisor:
        await self._supervisor.ensure_started()
        return self._supervisor

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._supervisor.close()


class _Helper:
    """The helper process and the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control

    @staticmethod
    async def start() -> _Helper:
        if sys.platform != "linux":
            raise DrayError(
                f"children are supervised on Linux only and this is {sys.platform}: "
                "start agents on Linux machines",
                platform=sys.platform,
            )
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setblocking(False)
        with theirs:
            helper = _Helper(_launch(theirs.fileno()), control)
        try:
            hello = await asyncio.get_running_loop().sock_recv(control, 64)
        except BaseException:
            await helper.close()
            raise
        if not hello:
            await helper.close()
            raise DrayError(
                "the supervisor ended while it started; the error output of this process says why"
            )
        return helper

    async def fork_keeper(self, keeper_end: int) -> None:
        """Have it fork a keeper that talks to us through ``keeper_end``."""
        while True:
            try:
                socket.send_fds(self._control, [b"k"], [keeper_end])
            except BlockingIOError:  # hundreds of requests at once
                await self._until_writable()
            else:
                return

    async def close(self) -> None:
        """Let it end, which it does after its keepers, and bury it."""
        self._control.close()
        await asyncio.to_thread(self._process.wait)

    async def _until_writable(self) -> None:
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        loop.add_writer(self._control.fileno(), writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(self._control.fileno())


def _launch(control_fd: int) -> subprocess.Popen[bytes]:
    """Start the helper process, in its own session so that no Ctrl-C reaches it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _HELPER, str(control_fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[control_fd],
        start_new_session=True,
    )
