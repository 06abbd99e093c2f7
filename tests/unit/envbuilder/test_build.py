"""One finished environment per key: found at once, or built by exactly one and renamed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from dray.envbuilder.builders.uv import UvBuilder
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import (
    BUILDING,
    Environment,
    folder_of,
    lock_of,
    marker_of,
    python_of,
)
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec, environment_key
from dray.envbuilder.tools.interpreters import Interpreter, own_interpreter
from dray.envbuilder.tools.locks import try_lock
from dray.envbuilder.tools.log import LogWriter
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log, cancelled, until
from tests.unit.envbuilder.indexes import make_wheel

BARE = EnvironmentSpec()
KEY = environment_key(BARE, own_interpreter())


class CountingBuilder(UvBuilder):
    """uv, counted; ``gate`` holds a build back until it is set."""

    def __init__(self) -> None:
        self.n_builds = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def build(
        self,
        spec: EnvironmentSpec,
        interpreter: Interpreter,
        folder: Path,
        log: LogWriter,
        place: Place,
    ) -> None:
        self.n_builds += 1
        await super().build(spec, interpreter, folder, log, place)
        self.started.set()
        await self.gate.wait()


class NoBuilder(UvBuilder):
    """For what must be found and not built."""

    async def build(self, *_: object, **__: object) -> None:
        raise AssertionError("the environment was built although it is ready")


async def test_packages_are_installed_and_what_is_there_is_reported(
    node: NodePaths, log: Log
) -> None:
    # pytest brings iniconfig, so uv's cache has the wheel of this very version.
    line = f"iniconfig=={importlib.metadata.version('iniconfig')}"
    made = await ensure_environment(EnvironmentSpec(requirements=(line,)), node, log)
    assert made.reused is False
    assert made.report.key == made.key
    assert made.report.python == platform.python_version()
    assert made.report.installed == [line]
    assert made.report.seconds == made.seconds > 0
    command = [made.python, "-c", "import iniconfig"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    assert list(node.environments.iterdir()) == [made.folder]
    assert "building environment" in log.text


async def test_a_ready_environment_is_found_without_starting_a_process(
    node: NodePaths, log: Log, started_processes: list[str]
) -> None:
    built = await ensure_environment(BARE, node, log)
    started_processes.clear()
    found = await ensure_environment(BARE, node, log, builder=NoBuilder())
    assert found.reused is True
    assert (found.key, found.python, found.cache_tag) == (built.key, built.python, built.cache_tag)
    assert found.report.installed == built.report.installed
    assert started_processes == []


async def test_a_warm_hit_costs_well_below_five_milliseconds(node: NodePaths, log: Log) -> None:
    (await ensure_environment(BARE, node, log)).release()
    costs: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        found = await ensure_environment(BARE, node, log, builder=NoBuilder())
        costs.append(time.perf_counter() - began)
        found.release()
    assert min(costs) < 0.001
    assert sorted(costs)[10] < 0.005


async def test_two_at_once_build_once(node: NodePaths, log: Log) -> None:
    builder = CountingBuilder()
    builder.gate.clear()
    first = asyncio.create_task(ensure_environment(BARE, node, log, builder=builder))
    await builder.started.wait()
    waiting_log = Log()
    second = asyncio.create_task(ensure_environment(BARE, node, waiting_log, builder=builder))
    await until(lambda: "another task is building" in waiting_log.text, "the waiting message")
    builder.gate.set()
    made, found = await first, await second
    assert builder.n_builds == 1
    assert (made.reused, found.reused) == (False, True)
    assert made.folder == found.folder
    assert waiting_log.text.count("another task is building") == 1


async def test_whoever_waits_builds_when_the_builder_fails(node: NodePaths, log: Log) -> None:
    class FailingBuilder(CountingBuilder):
        async def build(
            self,
            spec: EnvironmentSpec,
            interpreter: Interpreter,
            folder: Path,
            log: LogWriter,
            place: Place,
        ) -> None:
            await super().build(spec, interpreter, folder, log, place)
            raise environment_failed("the disk is full")

    failing = FailingBuilder()
    failing.gate.clear()
    first = asyncio.create_task(ensure_environment(BARE, node, log, builder=failing))
    await failing.started.wait()
    waiting_log = Log()
    second = asyncio.create_task(ensure_environment(BARE, node, waiting_log))
    await until(lambda: "another task is building" in waiting_log.text, "the waiting message")
    failing.gate.set()
    with pytest.raises(PreparationFailed, match="the disk is full"):
        await first
    assert (await second).reused is False


async def test_a_cancelled_build_leaves_nothing_and_the_next_one_works(
    node: NodePaths, log: Log
) -> None:
    builder = CountingBuilder()
    builder.gate.clear()
    building = asyncio.create_task(ensure_environment(BARE, node, log, builder=builder))
    await builder.started.wait()
    inside = {path.name for path in node.environments.iterdir()}
    assert inside == {f"{BUILDING}{KEY}-{os.getpid()}", f"{BUILDING}{KEY}.log"}
    await cancelled(building)
    assert list(node.environments.iterdir()) == []
    assert (await ensure_environment(BARE, node, log)).reused is False


async def test_a_waiting_task_can_be_cancelled_without_disturbing_the_builder(
    node: NodePaths, log: Log
) -> None:
    builder = CountingBuilder()
    builder.gate.clear()
    first = asyncio.create_task(ensure_environment(BARE, node, log, builder=builder))
    await builder.started.wait()
    waiting_log = Log()
    second = asyncio.create_task(ensure_environment(BARE, node, waiting_log, builder=builder))
    await until(lambda: bool(waiting_log.text), "the waiting message")
    await cancelled(second)
    builder.gate.set()
    assert (await first).reused is False


async def test_a_build_over_its_limit_is_stopped_and_named(node: NodePaths, log: Log) -> None:
    builder = CountingBuilder()
    builder.gate.clear()
    with pytest.raises(PreparationFailed, match=r"was not ready after 0\.5 s") as caught:
        await ensure_environment(BARE, node, log, builder=builder, limits=CacheLimits(build_s=0.5))
    assert caught.value.details["kind"] == "environment_failed"
    assert list(node.environments.iterdir()) == []
    assert try_lock(lock_of(node, KEY), shared=False) is not None


async def test_what_a_build_said_last_is_the_evidence_of_its_time_limit(
    node: NodePaths, log: Log
) -> None:
    class Hanging(UvBuilder):
        async def build(self, *given: Any, **_: Any) -> None:
            given[3].write(b"compiling a kernel\n")
            await asyncio.Event().wait()

    with pytest.raises(PreparationFailed, match=r"environment_build_limit_s") as caught:
        await ensure_environment(
            BARE, node, log, builder=Hanging(), limits=CacheLimits(build_s=0.2)
        )
    assert caught.value.details["evidence"].endswith("compiling a kernel")


async def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(
    node: NodePaths, log: Log
) -> None:
    own, others, living = (
        node.environments / f"{BUILDING}{key}-999999" for key in (KEY, "a" * 32, "b" * 32)
    )
    for folder in (own, others, living):
        (folder / "bin").mkdir(parents=True)
    builds_now = try_lock(lock_of(node, "b" * 32), shared=False)
    assert builds_now is not None
    made = await ensure_environment(BARE, node, log)
    assert sorted(node.environments.iterdir()) == sorted([made.folder, living])


async def test_an_environment_without_its_marker_is_built_again(node: NodePaths, log: Log) -> None:
    made = await ensure_environment(BARE, node, log)
    made.release()
    marker_of(made.folder).write_text("{ half a mark")
    assert (await ensure_environment(BARE, node, log)).reused is False


async def test_an_environment_whose_base_python_is_gone_is_built_again(
    node: NodePaths, log: Log
) -> None:
    made = await ensure_environment(BARE, node, log)
    made.release()
    made.python.unlink()
    made.python.symlink_to("/nowhere/bin/python")
    assert (await ensure_environment(BARE, node, log)).reused is False


async def test_a_builder_that_takes_another_python_is_caught(node: NodePaths, log: Log) -> None:
    class WrongBuilder(UvBuilder):
        async def build(self, *given: Any, **_: Any) -> None:
            folder: Path = given[2]
            python = python_of(folder)
            python.parent.mkdir(parents=True)
            facts: dict[str, Any] = {
                "path": str(python),
                "version": "3.99.0",
                "implementation": "cpython",
                "cache_tag": "cpython-399",
                "abi": "",
                "platform": "linux",
                "installed": [],
                "folders": [],
            }
            python.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
            python.chmod(0o755)

    with pytest.raises(PreparationFailed, match=r"Python 3\.99\.0 where"):
        await ensure_environment(BARE, node, log, builder=WrongBuilder())
    assert list(node.environments.iterdir()) == []


async def test_a_node_that_cannot_be_written_to_is_a_failed_preparation(
    tmp_path: Path, log: Log
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreparationFailed, match="Not a directory") as caught:
        await ensure_environment(BARE, NodePaths(tmp_path / "file" / "node"), log)
    assert caught.value.details["kind"] == "environment_failed"


async def test_the_console_scripts_of_a_finished_environment_run(
    node: NodePaths, log: Log, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path / "wheels", "draysample", "1.0")
    spec = EnvironmentSpec(requirements=(f"draysample @ file://{wheel}",))
    made = await ensure_environment(spec, node, log)
    script = folder_of(node, made.key) / "bin" / "draysample"
    ran = await asyncio.to_thread(subprocess.run, [script], capture_output=True, text=True)
    assert ran.stdout == "draysample 1.0\n"


async def test_release_is_harmless_twice_and_at_the_end_of_a_with(
    node: NodePaths, log: Log
) -> None:
    made: Environment = await ensure_environment(BARE, node, log)
    with made:
        assert try_lock(lock_of(node, KEY), shared=False) is None
    made.release()
    assert try_lock(lock_of(node, KEY), shared=False) is not None
