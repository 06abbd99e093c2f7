"""Compile the packages of an environment in the background, once, at the lowest priority."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.tools.locks import try_lock
from dray.envbuilder.tools.process import Finished, run_tool
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables

#: The process lowers its own priority, because an agent cannot fork with `preexec_fn` cheaply.
#: Where Linux shares the processor among sessions first, it is its session that has to yield.
YIELD = """
import contextlib, os
os.nice(19)
with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as session:
    session.write("19")
"""
#: Timestamps, as an ordinary import would write: an edited file is compiled again.
_COMPILE = f"""{YIELD}
import compileall, py_compile, sysconfig
compileall.compile_dir(
    sysconfig.get_path("purelib"), quiet=2, workers=1,
    invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP,
)
"""


async def compile_bytecode(
    environment: Environment, run: Callable[..., Awaitable[Finished]] = run_tool
) -> bool:
    """Compile what is installed in ``environment``; True when this call did it.

    Idempotent: a marker is left, and a second caller meanwhile returns at once. The environment
    must stay referenced; cancelling stops the compiler, and the next call does the rest.

    Args:
        run: as ``run_tool``, where its interpreter is.
    """
    marker = environment.folder / "compiled"
    if marker.exists():
        return False
    lock = try_lock(environment.folder / ".compiling", shared=False)
    if lock is None:
        return False
    try:
        finished = await run(
            [environment.python, "-I", "-c", _COMPILE], env=installer_variables(agent_variables())
        )
        if finished.code == 0:  # files that no Python can compile are skipped, as pip does
            await asyncio.to_thread(marker.touch)
        return finished.code == 0
    finally:
        lock.release()
