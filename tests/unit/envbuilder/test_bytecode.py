"""Bytecode is compiled once, after an environment is in use."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.bytecode import YIELD, compile_bytecode
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.process import run_tool
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.indexes import make_wheel

AUTOGROUP = Path("/proc/self/autogroup")


@pytest.fixture
async def environment(node: NodePaths, log: Log, tmp_path: Path) -> AsyncIterator[Environment]:
    wheel = make_wheel(tmp_path / "wheels", "draysample", "1.0")
    spec = EnvironmentSpec(requirements=(f"draysample @ file://{wheel}",))
    with await ensure_environment(spec, node, log) as made:
        yield made


async def test_packages_are_compiled_once(
    environment: Environment, started_processes: list[str]
) -> None:
    assert await compile_bytecode(environment) is True
    (compiled,) = environment.folder.rglob("draysample.*.pyc")
    assert environment.cache_tag in compiled.name
    started_processes.clear()
    assert await compile_bytecode(environment) is False
    assert started_processes == []


async def test_two_at_once_compile_once(environment: Environment) -> None:
    done = await asyncio.gather(compile_bytecode(environment), compile_bytecode(environment))
    assert sorted(done) == [False, True]


async def test_a_file_that_cannot_be_compiled_spoils_nothing(environment: Environment) -> None:
    (module,) = environment.folder.rglob("draysample.py")
    (module.parent / "template.py").write_text("class {{ name }}: pass\n")
    assert await compile_bytecode(environment) is True
    assert list(environment.folder.rglob("draysample.*.pyc"))


async def test_the_bytecode_is_what_an_import_uses(environment: Environment) -> None:
    await compile_bytecode(environment)
    command = [environment.python, "-v", "-c", "import draysample"]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert "draysample." + environment.cache_tag + ".pyc matches" in ran.stderr


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="processes are not grouped by session here")
async def test_the_compiler_yields_to_other_sessions_too() -> None:
    code = YIELD + f"print(os.nice(0), open({str(AUTOGROUP)!r}).read())"
    told = await run_tool([sys.executable, "-c", code], env={}, keep_stdout=True)
    priority, *_, session = told.stdout.split()
    assert (priority, session) == ("19", "19")
