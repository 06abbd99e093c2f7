"""A child gets dray without site packages, compiled, from a folder that is made once."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from dray.envbuilder.launch.child_code import child_code
from dray.envbuilder.tools.interpreters import own_interpreter
from dray.runtime.paths import NodePaths

PYTHON, TAG = own_interpreter().path, own_interpreter().cache_tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once for the tests that only look at it."""
    node = NodePaths(tmp_path_factory.mktemp("node"))
    return asyncio.run(child_code(node, PYTHON, TAG))


def run_child(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run ``program`` without site packages, as in an environment that has no dray."""
    return subprocess.run(
        [PYTHON, "-S", "-c", program],
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def test_a_child_imports_dray_from_the_folder_and_with_its_bytecode(folder: Path) -> None:
    program = "import dray.runtime.models as m; print(m.__file__); print(m.__cached__)"
    ran = run_child(folder, program)
    file, cached = ran.stdout.split()
    package = folder / "dray" / "runtime"
    assert file == str(package / "models.py")
    assert cached == str(package / "__pycache__" / f"models.{TAG}.pyc")
    assert (package / "__pycache__" / f"models.{TAG}.pyc").is_file()


def test_what_only_the_cluster_needs_stays_behind(folder: Path) -> None:
    inside = {path.relative_to(folder / "dray").as_posix() for path in folder.rglob("*.py")}
    assert {"__init__.py", "runtime/__init__.py", "sdk/__init__.py"} <= inside
    assert not [
        p for p in inside if p.startswith(("runtime/store/", "sdk/cli/", "api/", "actors/"))
    ]


def test_a_child_finds_every_name_that_scripts_of_clearml_import(folder: Path) -> None:
    names = (
        "automation automation.job backend_api.session.client binding.frameworks config errors "
        "logger model storage.manager task task_parameters utilities.plotly_reporter"
    )
    program = "".join(f"import dray.{name}\n" for name in names.split())
    assert run_child(folder, program).stderr == ""


def test_tracebacks_name_files_that_exist(folder: Path) -> None:
    program = "import dray.runtime.ids as ids; ids.check_prefix('!', 'task')"
    ran = run_child(folder, program)
    assert str(folder / "dray" / "runtime" / "ids.py") in ran.stderr


async def test_it_is_made_once_and_then_found_without_a_process(
    node: NodePaths, started_processes: list[str]
) -> None:
    folder = await child_code(node, PYTHON, TAG)
    started_processes.clear()
    costs: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        assert await child_code(node, PYTHON, TAG) == folder
        costs.append(time.perf_counter() - began)
    assert min(costs) < 0.001
    assert started_processes == []
    assert list(node.childcode.iterdir()) == [folder]


async def test_several_agents_at_once_get_the_same_folder(node: NodePaths) -> None:
    made = await asyncio.gather(*(child_code(node, PYTHON, TAG) for _ in range(3)))
    assert len(set(made)) == 1
    assert list(node.childcode.iterdir()) == [made[0]]


async def test_another_interpreter_gets_its_own_bytecode(node: NodePaths) -> None:
    one, other = await child_code(node, PYTHON, TAG), await child_code(node, PYTHON, "other-1")
    assert one != other
