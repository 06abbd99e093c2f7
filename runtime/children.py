"""One child process as its agent sees it: output, end, stop; its keeper does the work."""

from __future__ import annotations

import asyncio
import errno
import signal as signals
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dray.runtime.keepers import KeeperLink
from dray.runtime.pipes import OutputPipe


@dataclass(frozen=True)
class ExitStatus:
    """How a child ended.

    Attributes:
        exit_code: when it exited by itself.
        signal: number of the signal that ended it.
        max_rss_bytes: largest resident set, of the child or of a descendant it waited for;
            never less than the few MiB of the process it was forked from.
        cpu_s: user and system time of the child and of descendants it waited for.
        lost: its keeper was killed and the child with it, so nobody saw how it ended; exit
            code and signal are None then.
    """

    exit_code: int | None
    signal: int | None
    max_rss_bytes: int = 0
    cpu_s: float = 0.0
    lost: bool = False


class ChildProcess:
    """A child in its own session, with everything below it; made by ``Supervisor.spawn``.

    Attributes:
        pid: of the child, which is also the id of its session.
        status: how it ended, once it did; output may still be on its way then (see ``wait``).
        steps: which signals the supervisor sent to how many processes of the tree.
        tree_gone: set when nothing of its tree is left.
        stuck_pids: processes that outlived KILL (they hang in the kernel); usually empty.
        fenced: whether its keeper killed it because ``fence`` was not called in time.
    """

    def __init__(self, on_output: Callable[[str, bytes], None] | None) -> None:
        self.pid = 0
        self.status: ExitStatus | None = None
        self.steps: list[str] = []
        self.tree_gone = asyncio.Event()
        self.stuck_pids: list[int] = []
        self.fenced = False
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = loop.create_future()
        self._over: asyncio.Future[ExitStatus] = loop.create_future()
        self._settled = asyncio.Event()
        self._keeper: KeeperLink | None = None
        self._pipes = [
            OutputPipe(stream, on_output, self._advance) for stream in ("stdout", "stderr")
        ]

    async def wait(self) -> ExitStatus:
        """How the child ended, once it did and all its output went to the callback.

        A descendant that keeps the output open is ended first. Safe to cancel and to repeat.

        Raises:
            Exception: what the output callback raised, if it did; ``status`` tells the end.
        """
        status = await asyncio.shield(self._over)
        for pipe in self._pipes:
            if pipe.fault is not None:
                raise pipe.fault
        return status

    async def stop(self, grace_s: float, first_signal: int = signals.SIGINT) -> list[str]:
        """End the whole tree: ``first_signal``, ``grace_s``, TERM, at most a second, KILL.

        Returns when nothing of the tree is left, or when KILL did not help (``stuck_pids``).
        Called again meanwhile, it only shortens the grace. Safe to cancel: the ladder goes on.

        Returns:
            ``steps``: which signals went to how many processes.
        """
        self._order("stop", grace_s=grace_s, first_signal=int(first_signal))
        await self._settled.wait()
        return list(self.steps)

    def send_signal(self, number: int) -> None:
        """Signal the child alone, not what is below it."""
        self._order("signal", number=int(number))

    def fence(self, at: float) -> None:
        """Have the tree killed at this time unless this is called again before.

        The keeper holds the clock, so it happens even when this process hangs. The time is of
        ``time.monotonic()``, which all processes of a Linux machine share: however long an
        order is on its way, the fence stays where it is.
        """
        self._order("fence", at=at)

    def pause_output(self) -> None:
        """Read no output until ``resume_output``; the child blocks once its pipes are full."""
        for pipe in self._pipes:
            pipe.pause()

    def resume_output(self) -> None:
        """Go on reading output."""
        for pipe in self._pipes:
            pipe.resume()

    async def start(self, keeper: KeeperLink, order: dict[str, Any]) -> None:
        """Have ``keeper`` start it; returns once the child runs.

        Raises:
            BrokenPipeError: the keeper has ended; try another one.
            OSError: the child could not be started.
        """
        self._keeper = keeper
        await keeper.start(self, order, [pipe.write_fd for pipe in self._pipes])
        for pipe in self._pipes:
            pipe.start()
        self.pid = await self._started

    def drop(self) -> None:
        """Give everything back now; what may run is killed."""
        self._started.cancel()
        if self._keeper is not None:
            self._keeper.let_go()
        for pipe in self._pipes:
            pipe.close()

    def on_event(self, event: str, facts: dict[str, Any]) -> None:
        """What the keeper says."""
        if event == "started":
            self._end_start(pid=facts["pid"])
        elif event == "failed":
            self._end_start(OSError(facts["errno"], facts["message"], facts["path"]))
            self._keeper = None
        elif event == "step":
            self.steps.append(in_words(signals.Signals(facts["signal"]).name, len(facts["pids"])))
        elif event == "fenced":
            self.fenced = True
        elif event == "exited":
            self.status = ExitStatus(**facts)
            self._advance()
        elif event == "stuck":
            self._settle(facts["stuck_pids"])
        elif event == "tree_gone":
            self._settle([])

    def on_lost(self) -> None:
        """The keeper was killed, or let go; its child and all orphans are dead too."""
        text = "the supervisor ended before it started the child: spawn it again"
        self._end_start(ChildProcessError(errno.ECHILD, text))
        self._settle(self.stuck_pids)

    def _end_start(self, problem: OSError | None = None, *, pid: int = 0) -> None:
        if self._started.done():
            return
        if problem is None:
            self._started.set_result(pid)
        else:
            self._started.set_exception(problem)

    def _settle(self, stuck_pids: list[int]) -> None:
        """Nothing of the tree is left, or nothing more can be done about it."""
        self.stuck_pids = stuck_pids
        if not stuck_pids:
            self._keeper = None
            self.tree_gone.set()
        if self.status is None:
            self.status = ExitStatus(None, None, lost=True)
        self._settled.set()
        for pipe in self._pipes:
            pipe.finish()
        self._advance()

    def _advance(self) -> None:
        """See whether it is over."""
        is_read = all(pipe.is_closed for pipe in self._pipes)
        if is_read and self.status is not None and not self._over.done():
            self._over.set_result(self.status)

    def _order(self, op: str, **facts: Any) -> None:
        if self._keeper is not None:
            self._keeper.order(op, **facts)


def in_words(signal: str, n_processes: int) -> str:
    """One step of a ladder, as people read it: ``SIGTERM to 2 processes``."""
    return f"{signal} to {n_processes} process{'' if n_processes == 1 else 'es'}"
