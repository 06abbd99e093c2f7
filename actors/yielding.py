"""Work that yields to tasks: low priority for the processor and the disks, and back again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.place import Place
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished

#: The niceness of whatever yields: of a processor that tasks want whole it gets a tenth. At 19 it
#: would be a hundredth, and a typo would be found after minutes and not seconds.
NICENESS = 10
#: ioprio_set(2), which the C library has no function for.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "ppc64le": 273, "riscv64": 30}
_WHO_PROCESS = 1
_IDLE = 3 << 13
_BY_NICENESS = 0
#: A tool runs in a session of its own, and where Linux shares the processor among sessions first,
#: it is the session that has to yield.
_IN_A_NICE_SESSION = f'{{ echo {NICENESS} > /proc/self/autogroup; }} 2>/dev/null; exec "$@"'


def yield_to_tasks() -> None:
    """Lower this thread, and whatever it starts from now on, below tasks."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    _set_io(0, _IDLE)
    _set_session(os.getpid(), NICENESS)


def stop_yielding(pids: Iterable[int]) -> None:
    """Have processes run as tasks do, as far as the system lets us: somebody waits for them."""
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile, or this needs a right
            for thread in os.listdir(f"/proc/{pid}/task"):
                _set_io(int(thread), _BY_NICENESS)
                os.setpriority(os.PRIO_PROCESS, int(thread), 0)
        _set_session(pid, 0)


def _set_io(thread: int, priority: int) -> None:
    """Where there is no such call, the disks are shared by niceness, which is set as well."""
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, thread, priority)


def _set_session(pid: int, niceness: int) -> None:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as session:
        session.write(str(niceness))


@dataclass(frozen=True)
class YieldingPlace:
    """A place on this node whose tools yield."""

    place: Place

    @property
    def mark(self) -> str:
        """See :class:`Place`."""
        return self.place.mark

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: LogWriter | None = None,
        keep_stdout: bool = False,
    ) -> Finished:
        """See :class:`Place`."""
        program = str(argv[0])
        if shutil.which(program, path=env.get("PATH", os.defpath)) is None:
            raise FileNotFoundError(2, os.strerror(2), program)
        command = ["/bin/sh", "-c", _IN_A_NICE_SESSION, "sh", *argv]
        return await self.place.run(command, env=env, cwd=cwd, log=log, keep_stdout=keep_stdout)

    async def find_interpreter(self, request: str) -> Interpreter:
        """See :class:`Place`."""
        return await self.place.find_interpreter(request)

    def launch(self, plan: LaunchPlan) -> LaunchPlan:
        """See :class:`Place`."""
        return self.place.launch(plan)
