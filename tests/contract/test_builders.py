"""What every environment builder must do, for each that there is."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.builders import builder_of, condatool
from dray.envbuilder.place import NODE
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.errors import PreparationFailed
from tests.contract.builder_kits import ALL, KITS, PASSWORD, SECRETS, SLOW, USER, Kit
from tests.unit.envbuilder.channels import PYTHON
from tests.unit.envbuilder.conftest import Log, cancelled
from tests.unit.envbuilder.indexes import Index

#: What is tried with slow installers in ``make test``, too.
_WITH_SLOW_ONES = (
    "test_what_was_asked_for_is_there_after_a_rename_scripts_included_bytecode_left_for_later",
    "test_a_login_reaches_the_installer_and_is_in_no_message_file_or_argument",
    "test_cancelling_stops_an_installer_that_waits_for_its_packages",
)


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.skipif(bool(why), reason=why))
        for name, (_, why) in KITS.items()
    ]
)
def kit(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kit:
    for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR", "CONDA_PKGS_DIRS", "RATTLER_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "caches" / name))
    if request.param != "uv":  # which needs it for nothing
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    if request.param == "rattler":
        for name in ("MAMBA_EXE", "CONDA_EXE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(condatool, "NAMES", ())
        monkeypatch.setattr(condatool, "_USUAL", ())
    if request.param in SLOW and not ALL and request.function.__name__ not in _WITH_SLOW_ONES:
        pytest.skip(f"{request.param} starts slowly: `make test-managers`")
    return KITS[request.param][0](request.param, tmp_path)


@pytest.fixture
def index(kit: Kit) -> Iterator[Index]:
    with kit.served() as served:
        yield served


@pytest.fixture
def log() -> Log:
    return Log()


async def build(spec: EnvironmentSpec, folder: Path, log: Log) -> Path:
    folder.parent.mkdir(exist_ok=True)
    builder = builder_of(spec.manager)
    interpreter = await builder.interpreter(spec, NODE)
    await builder.build(spec, interpreter, folder, log, NODE)
    return folder / "bin" / "python"


async def refused(spec: EnvironmentSpec, folder: Path, log: Log) -> PreparationFailed:
    with pytest.raises(PreparationFailed) as caught:
        await build(spec, folder, log)
    assert caught.value.details["kind"] == "environment_failed"
    return caught.value


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def busy_in(folder: Path) -> list[str]:
    """Living processes that name ``folder`` or work in it."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode("utf-8", "replace")
            where = os.readlink(process / "cwd")
        except OSError:
            continue  # it ended meanwhile
        if str(folder) in line or where.startswith(str(folder)):
            found.append(line)
    return found


async def test_nothing_asked_for_makes_a_bare_interpreter_of_the_exact_version(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    python = await build(kit.spec(), tmp_path / "envs" / "one", log)
    assert output_of(python, "-V") == f"Python {PYTHON}"
    assert output_of(python, "-c", "import sys; print(sys.prefix)") == str(python.parents[1])


async def test_what_was_asked_for_is_there_after_a_rename_scripts_included_bytecode_left_for_later(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    aside = tmp_path / "envs" / ".building-final-123"
    await build(kit.spec("1.0"), aside, log)
    folder = aside.rename(tmp_path / "envs" / "final")
    assert output_of(folder / "bin" / "draysample") == "draysample 1.0"
    shown = output_of(folder / "bin" / "python", "-B", "-c", "import draysample as d; print(d)")
    assert str(folder) in shown
    if kit.manager != "conda":  # conda itself compiles as it links
        assert not list(folder.rglob("draysample*.pyc"))
    assert os.listdir(tmp_path / "envs") == ["final"]


async def test_what_was_fetched_once_is_not_fetched_again(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    if kit.manager in ("pip", "poetry"):
        pytest.skip("it keeps what an index allows it to keep, and this one says nothing of it")
    spec = kit.spec("1.1")
    await build(spec, tmp_path / "envs" / "one", log)
    assert any(path.endswith(kit.package("1.1").name) for path in index.requests)
    index.requests.clear()
    await build(spec, tmp_path / "envs" / "two", log)
    assert not [path for path in index.requests if "draysample-" in path]
    if kit.manager == "uv":
        assert index.requests == []


async def test_a_requirement_nobody_can_meet_fails_with_the_installers_words(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    error = await refused(kit.spec("9.9"), tmp_path / "envs" / "one", log)
    assert "draysample" in error.details["evidence"]
    assert "9.9" in error.details["evidence"]
    assert "9.9" in log.text


async def test_a_package_that_is_not_what_was_locked_is_refused(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    error = await refused(kit.with_wrong_hash(), tmp_path / "envs" / "one", log)
    words = error.details["evidence"].lower()
    assert any(word in words for word in ("hash", "checksum", "md5"))


async def test_a_corrupted_package_is_refused_by_name(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    spec = kit.spec("1.0")
    package = kit.package("1.0")
    package.write_bytes(package.read_bytes()[:200])
    error = await refused(spec, tmp_path / "envs" / "one", log)
    assert "draysample" in error.details["evidence"]


async def test_a_login_reaches_the_installer_and_is_in_no_message_file_or_argument(
    kit: Kit, tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    arguments: list[str] = []
    with kit.served(login=f"{USER}:{PASSWORD}") as index:
        spec = kit.spec("1.0", login=f"{USER}:${{INDEX_PASSWORD}}")
        building = asyncio.create_task(build(spec, tmp_path / "envs" / "one", log))
        while not building.done():
            arguments += await asyncio.to_thread(busy_in, tmp_path)
            await asyncio.wait({building}, timeout=0.05)
        await building
    assert any(path.endswith(kit.package("1.0").name) for path in index.requests)
    assert PASSWORD not in repr(spec) + log.text + "".join(arguments)
    assert await asyncio.to_thread(containing, PASSWORD, tmp_path / "envs") == []


def containing(text: str, folder: Path) -> list[Path]:
    """Files below ``folder`` that have ``text`` in them."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if text.encode() in path.read_bytes()]


async def test_cancelling_stops_an_installer_that_waits_for_its_packages(
    kit: Kit, tmp_path: Path, log: Log
) -> None:
    folder = tmp_path / "envs" / "one"
    with kit.served(hangs=True) as index:
        index.answer.set()
        spec = kit.spec("1.0")  # which Poetry locks at the index
        index.answer.clear()
        index.asked.clear()
        building = asyncio.create_task(build(spec, folder, log))
        assert await asyncio.to_thread(index.asked.wait, 60), log.text
        assert busy_in(folder)
        await cancelled(building)
        assert not busy_in(folder)


async def test_a_python_that_is_not_there_is_never_replaced_by_another(
    kit: Kit, index: Index, tmp_path: Path, log: Log
) -> None:
    spec = kit.spec("1.0")
    other = EnvironmentSpec(**{**vars(spec), "python": "3.99"})
    error = await refused(other, tmp_path / "envs" / "one", log)
    assert "3.99" in str(error) + error.details["evidence"]


def test_an_unknown_manager_is_refused_with_those_there_are() -> None:
    known = "conda, pip, poetry, system, uv"
    with pytest.raises(
        PreparationFailed, match=f"'pixi', which Dray does not know; it has: {known}"
    ):
        builder_of("pixi")
