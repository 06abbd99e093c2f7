"""What every environment builder must do, for each that there is."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.builders import BUILDERS, builder_of
from dray.envbuilder.builders.base import Builder
from dray.envbuilder.interpreters import own_interpreter
from dray.envbuilder.place import NODE
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.errors import PreparationFailed
from tests.unit.envbuilder.conftest import Log, cancelled, processes_at, until
from tests.unit.envbuilder.indexes import Index, make_wheel, serve_index


@pytest.fixture(params=sorted(BUILDERS))
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    return request.param


@pytest.fixture
def builder(manager: str) -> Builder:
    return builder_of(manager)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    wheels = tmp_path / "wheels"
    for version in ("1.0", "1.1"):
        make_wheel(wheels, "draysample", version)
    with serve_index(wheels) as served:
        yield served


def spec_of(manager: str, index: Index, *requirements: str) -> EnvironmentSpec:
    return EnvironmentSpec(manager=manager, requirements=requirements, index_urls=(index.url,))


async def build(builder: Builder, spec: EnvironmentSpec, folder: Path, log: Log) -> Path:
    folder.parent.mkdir(exist_ok=True)
    await builder.build(spec, own_interpreter(), folder, log, NODE)
    return folder / "bin" / "python"


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def test_no_requirements_make_a_bare_interpreter_of_the_exact_version(
    builder: Builder, manager: str, tmp_path: Path, log: Log
) -> None:
    python = await build(builder, EnvironmentSpec(manager=manager), tmp_path / "envs" / "one", log)
    assert output_of(python, "-V") == f"Python {own_interpreter().version}"
    assert output_of(python, "-c", "import sys; print(sys.prefix)") == str(python.parents[1])


async def test_what_was_asked_for_is_there_after_a_rename_scripts_included(
    builder: Builder, manager: str, index: Index, tmp_path: Path, log: Log
) -> None:
    spec = spec_of(manager, index, "draysample==1.0")
    await build(builder, spec, tmp_path / "envs" / ".aside", log)
    folder = (tmp_path / "envs" / ".aside").rename(tmp_path / "envs" / "final")
    assert output_of(folder / "bin" / "draysample") == "draysample 1.0"
    assert (
        output_of(folder / "bin" / "python", "-c", "import draysample; print(draysample.VERSION)")
        == "1.0"
    )


async def test_bytecode_is_left_for_later(
    builder: Builder, manager: str, index: Index, tmp_path: Path, log: Log
) -> None:
    folder = tmp_path / "envs" / "one"
    await build(builder, spec_of(manager, index, "draysample"), folder, log)
    assert list(folder.rglob("draysample.py"))
    assert not list(folder.rglob("draysample*.pyc"))


async def test_the_cache_alone_suffices_the_second_time(
    builder: Builder, manager: str, index: Index, tmp_path: Path, log: Log
) -> None:
    if manager == "pip":
        pytest.skip("pip asks the index for its page each time; only files come from its cache")
    spec = spec_of(manager, index, "draysample==1.1")
    await build(builder, spec, tmp_path / "envs" / "one", log)
    assert index.requests
    index.requests.clear()
    await build(builder, spec, tmp_path / "envs" / "two", log)
    assert index.requests == []


async def test_a_requirement_nobody_can_meet_fails_with_the_installers_words(
    builder: Builder, manager: str, index: Index, tmp_path: Path, log: Log
) -> None:
    spec = spec_of(manager, index, "draysample==9.9")
    with pytest.raises(PreparationFailed) as caught:
        await build(builder, spec, tmp_path / "envs" / "one", log)
    assert caught.value.details["kind"] == "environment_failed"
    assert "draysample==9.9" in caught.value.details["evidence"]
    assert "draysample==9.9" in log.text


async def test_credentials_of_an_index_are_in_no_message(
    builder: Builder, manager: str, index: Index, tmp_path: Path, log: Log
) -> None:
    secret = index.url.replace("http://", "http://me:verysecret@")
    spec = EnvironmentSpec(manager=manager, requirements=("draysample==9.9",), index_urls=(secret,))
    with pytest.raises(PreparationFailed) as caught:
        await build(builder, spec, tmp_path / "envs" / "one", log)
    assert index.requests
    assert "verysecret" not in log.text + str(caught.value) + caught.value.details["evidence"]


async def test_the_best_version_of_all_indexes_is_taken(
    builder: Builder, manager: str, index: Index, tmp_path: Path, log: Log
) -> None:
    make_wheel(tmp_path / "more", "draysample", "2.0")
    with serve_index(tmp_path / "more") as more:
        spec = EnvironmentSpec(
            manager=manager,
            requirements=("draysample==1.1",),
            index_urls=(index.url, more.url),
        )
        python = await build(builder, spec, tmp_path / "envs" / "one", log)
    assert output_of(python, "-c", "import draysample; print(draysample.VERSION)") == "1.1"


async def test_cancelling_stops_an_installer_that_waits_for_its_index(
    builder: Builder, manager: str, tmp_path: Path, log: Log
) -> None:
    wheels = tmp_path / "slow"
    make_wheel(wheels, "draysample", "1.0")
    folder = tmp_path / "envs" / "one"
    with serve_index(wheels, hangs=True) as index:
        spec = spec_of(manager, index, "draysample")
        building = asyncio.create_task(build(builder, spec, folder, log))
        await until(index.asked.is_set, "the installer at the index")
        assert processes_at(folder)
        await cancelled(building)
        assert not processes_at(folder)


def test_an_unknown_manager_is_refused_with_those_there_are() -> None:
    with pytest.raises(PreparationFailed, match=r"'pixi', which Dray does not know; it has: .*uv"):
        builder_of("pixi")
