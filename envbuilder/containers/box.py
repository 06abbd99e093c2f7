"""The container of one attempt: asked how it ended, and removed, by whoever runs the attempt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.containers.bench import remove_quietly
from dray.envbuilder.containers.engine import Engine
from dray.runtime.cgroups import in_mib
from dray.runtime.errors import DrayError


@dataclass(frozen=True)
class BoxEnd:
    """How a container ended, as far as its engine can tell.

    Attributes:
        is_started: it came to the task's script; what it exited with is then the task's own.
        out_of_memory: the kernel killed something in it for want of memory.
        engine_gone: why the engine could not be asked; empty: it was.
        limit_bytes: of its memory; 0: none.
        engine: its name.
    """

    engine: str
    is_started: bool = True
    out_of_memory: bool = False
    engine_gone: str = ""
    limit_bytes: int = 0

    def starved(self) -> str | None:
        """What the kernel did for want of memory, in words; None: nothing that is known."""
        if not self.out_of_memory:
            return None
        limit = in_mib(self.limit_bytes) if self.limit_bytes else "the machine's"
        return f"{self.engine} saw the kernel end a process in its container, limit {limit}"


@dataclass(frozen=True)
class Box:
    """A container that is named before it is there.

    Attributes:
        marker: file that is there once the container has come to its script.
    """

    engine: Engine
    name: str
    marker: Path
    limit_bytes: int = 0

    async def end(self) -> BoxEnd:
        """How it ended; ask before it is removed."""
        is_started = await asyncio.to_thread(self.marker.exists)
        out_of_memory, gone = False, ""
        try:
            state = await self.engine.state(self.name)
            out_of_memory = state is not None and state.out_of_memory
        except (DrayError, OSError) as exc:
            gone = str(exc)
        return BoxEnd(self.engine.name, is_started, out_of_memory, gone, self.limit_bytes)

    async def pid(self) -> int:
        """Of its first process on the node; 0 where that cannot be told."""
        try:
            state = await self.engine.state(self.name)
        except (DrayError, OSError):
            return 0
        return state.pid if state is not None else 0

    async def remove(self) -> bool:
        """Kill and remove it, if it is still there; False where the engine did not answer."""
        return await remove_quietly(self.engine, self.name)
