"""Exactly the Python that was asked for, or a clear error."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from dray.envbuilder.tools import interpreters
from dray.envbuilder.tools.interpreters import (
    Interpreter,
    describe,
    find_interpreter,
    matches,
    own_interpreter,
)
from dray.runtime.errors import PreparationFailed

OWN = platform.python_version()


@pytest.mark.parametrize(
    ("version", "request_", "expected"),
    [
        ("3.11.7", "", True),
        ("3.11.7", "3.11", True),
        ("3.11.7", "3.11.7", True),
        ("3.11.7", "3.1", False),
        ("3.11.7", "3.12", False),
        ("3.11.17", "3.11.1", False),
        ("3.14.0rc1", "3.14", True),
    ],
)
def test_which_version_answers_which_request(version: str, request_: str, expected: bool) -> None:
    assert matches(version, request_) is expected


@pytest.mark.parametrize("request_", ["", OWN, ".".join(OWN.split(".")[:2])])
async def test_the_agents_own_python_is_found_without_asking_anyone(
    request_: str, started_processes: list[str]
) -> None:
    found = await find_interpreter(request_)
    assert found.version == OWN
    assert started_processes == []


async def test_the_agents_own_python_is_the_base_and_not_its_environment() -> None:
    own = own_interpreter()
    assert Path(sys.prefix) not in own.path.parents or sys.prefix == sys.base_prefix
    assert await describe(own.path) == own


def other_python() -> str:
    """The version of some Python here that is not the agent's minor version."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    here = [path.name for path in root.glob("3.1?.*") if (path / "bin" / "python").exists()]
    others = sorted(v for v in here if v.split(".")[1] != OWN.split(".")[1])
    if not others:
        pytest.skip("this machine has only one Python")
    return others[-1]


async def test_another_version_is_found_and_remembered(started_processes: list[str]) -> None:
    version = other_python()
    found = await find_interpreter(version)
    assert (await describe(found.path)).version == version
    assert found.cache_tag == f"cpython-3{version.split('.')[1]}"

    started_processes.clear()
    assert await find_interpreter(version) == found
    assert started_processes == []


async def test_a_version_that_is_not_here_names_what_is() -> None:
    with pytest.raises(PreparationFailed, match=r"Python 3\.11\.99 was asked for") as caught:
        await find_interpreter("3.11.99")
    assert OWN in str(caught.value)
    assert "uv python install 3.11.99" in str(caught.value)
    assert caught.value.details["kind"] == "environment_failed"
    assert OWN in caught.value.details["found"]


@pytest.mark.parametrize(
    "request_", ["3", "latest", ">=3.11", "3.11; rm", "--help", "/usr/bin/python"]
)
async def test_what_is_not_a_version_is_refused(request_: str) -> None:
    with pytest.raises(PreparationFailed, match="give a version such as"):
        await find_interpreter(request_)


async def test_a_python_too_old_for_dray_is_refused() -> None:
    with pytest.raises(PreparationFailed, match=r"3\.10 and newer"):
        await find_interpreter("3.9")


async def test_an_interpreter_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho libpython is missing >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(PreparationFailed, match="does not start") as caught:
        await describe(broken)
    assert caught.value.details["evidence"] == "libpython is missing"


async def test_pythons_that_uv_manages_are_found_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = other_python()
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions" / version
    managed = tmp_path / "managed" / f"cpython-{version}-linux-x86_64-gnu"
    (managed / "bin").mkdir(parents=True)
    minor = ".".join(version.split(".")[:2])
    (managed / "bin" / f"python{minor}").symlink_to(root / "bin" / f"python{minor}")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(managed.parent))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(interpreters, "_found", dict[str, Interpreter]())
    assert (await find_interpreter(minor)).version == version
    absent = f"{minor}.99"
    with pytest.raises(PreparationFailed, match=f"Python {absent} was asked for") as caught:
        await find_interpreter(absent)
    assert version in caught.value.details["found"]
