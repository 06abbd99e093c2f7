"""Two processes want one environment: one builds, the other reads along, or takes over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import BUILDING
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log, until

BARE = EnvironmentSpec()
#: Builds as an agent does, says so, and is not done before the file ``go`` is there.
_OTHER = """
import asyncio, json, pathlib, sys
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.builders.uv import UvBuilder
from dray.envbuilder.tools.log import NoLog, say
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.paths import NodePaths

node, go = NodePaths(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])

class Slow(UvBuilder):
    async def build(self, spec, interpreter, folder, log, place):
        await super().build(spec, interpreter, folder, log, place)
        say(log, "half of it is there")
        while not go.exists():
            await asyncio.sleep(0.01)
        say(log, "all of it is there")

made = asyncio.run(ensure_environment(EnvironmentSpec(), node, NoLog(), builder=Slow()))
print(json.dumps({"key": made.key, "reused": made.reused}))
"""


@contextlib.asynccontextmanager
async def another_process(node: NodePaths, go: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    command = [sys.executable, "-c", _OTHER, str(node.root), str(go)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def half_built(node: NodePaths) -> bool:
    logs = node.environments.glob(f"{BUILDING}*.log")
    return any("half of it" in log.read_text() for log in logs)


async def test_whoever_waits_reads_what_the_builder_says(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    async with another_process(node, tmp_path / "go") as other:
        await until(lambda: half_built(node), "the other's build")
        waiting = asyncio.create_task(ensure_environment(BARE, node, log))
        await until(lambda: "half of it is there" in log.text, "the other's words in our log")
        assert "another task is building this environment" in log.text
        (tmp_path / "go").touch()
        found = await waiting
        output, _ = await other.communicate()
    assert json.loads(output) == {"key": found.key, "reused": False}
    assert found.reused is True
    assert log.text.count("building environment") == 1, "built once"
    assert log.text.index("all of it is there") < log.text.index("is built (")
    assert list(node.environments.iterdir()) == [found.folder], "its log is gone with the build"


async def test_a_builder_killed_in_the_middle_leaves_no_half_environment(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    async with another_process(node, tmp_path / "never") as other:
        await until(lambda: half_built(node), "the other's build")
        waiting = asyncio.create_task(ensure_environment(BARE, node, log))
        await until(lambda: "half of it is there" in log.text, "the other's words in our log")
        os.kill(other.pid, signal.SIGKILL)
        made = await waiting
    assert made.reused is False
    assert list(node.environments.iterdir()) == [made.folder]
    assert (await ensure_environment(BARE, node, log)).reused is True


async def test_the_dead_builders_leftovers_do_not_speak_for_the_next_one(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    async with another_process(node, tmp_path / "never") as other:
        await until(lambda: half_built(node), "the other's build")
        os.kill(other.pid, signal.SIGKILL)
        await other.wait()
    assert half_built(node), "what it left"
    assert (await ensure_environment(BARE, node, log)).reused is False
    assert "half of it is there" not in log.text
