"""What goes wrong while uv builds is said in one line that names it, with uv's own words behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.builders.uv_words import explained
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.choice.choose import choose
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.indexes import Index, make_wheel, serve_index


@pytest.fixture(autouse=True)
def uv_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    needs = {"draysample-2.0.dist-info/METADATA": METADATA.format("draysample", "2.0")}
    make_wheel(folder, "draysample", "1.0")
    make_wheel(folder, "draysample", "2.0", needs)
    make_wheel(folder, "drayextra", "1.0")
    return folder


METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\nRequires-Dist: drayextra>=5\n"


@pytest.fixture
def index(wheels: Path) -> Iterator[Index]:
    with serve_index(wheels) as served:
        yield served


async def built(execution: Execution, code: Path, node: NodePaths, log: Log) -> Environment:
    return await ensure_environment(await choose(execution, code), node, log)


async def failure(execution: Execution, code: Path, node: NodePaths, log: Log) -> tuple[str, str]:
    """First line and evidence of what must fail."""
    with pytest.raises(PreparationFailed) as caught:
        await built(execution, code, node, log)
    assert caught.value.details["kind"] == "environment_failed"
    assert list(node.environments.iterdir()) == []
    return caught.value.message, caught.value.details["evidence"]


def texts_in(folder: Path) -> list[str]:
    return [p.read_text("utf-8", "replace") for p in folder.rglob("*") if p.is_file()]


async def test_a_conflict_is_told_with_the_solvers_own_explanation(
    index: Index, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    (tmp_path / "requirements.txt").write_text("draysample==2.0\ndrayextra<5\n")
    execution = Execution(index_urls=[index.url])
    message, evidence = await failure(execution, tmp_path, node, log)
    assert message.startswith("no set of packages is what requirements.txt asks for: Because ")
    assert "depends on drayextra>=5 and you require" in message
    assert "we can conclude that your requirements are unsatisfiable" in evidence


async def test_a_constraint_that_forbids_what_is_asked_for_is_in_the_explanation(
    index: Index, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    execution = Execution(
        packages=["draysample==2.0"], constraints=["draysample<2"], index_urls=[index.url]
    )
    message, _ = await failure(execution, tmp_path, node, log)
    assert "you require draysample==2.0 and draysample<2" in message


async def test_a_damaged_wheel_is_named(
    wheels: Path, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    damaged = make_wheel(wheels, "draybroken", "1.0")
    damaged.write_bytes(damaged.read_bytes()[:150])
    with serve_index(wheels) as index:
        execution = Execution(packages=["draybroken==1.0"], index_urls=[index.url])
        message, _ = await failure(execution, tmp_path, node, log)
    assert message.startswith("the wheel of draybroken 1.0 is damaged where it was taken from")


async def test_a_file_that_is_not_what_its_hash_says_is_refused(
    index: Index, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    line = f"draysample==1.0 --hash=sha256:{'0' * 64}"
    execution = Execution(packages=[line], index_urls=[index.url])
    message, evidence = await failure(execution, tmp_path, node, log)
    assert message.startswith("draysample==1.0 is not the file that the task names by its hash")
    assert "0" * 64 in evidence


async def test_an_index_that_nobody_serves_is_named(
    index: Index, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    dead = "http://127.0.0.1:9/simple"
    execution = Execution(packages=["draysample==1.0"], index_urls=[dead])
    message, _ = await failure(execution, tmp_path, node, log)
    assert message.startswith(
        "127.0.0.1:9 does not answer for http://127.0.0.1:9/simple/draysample"
    )


async def test_an_index_that_hangs_is_given_up_and_named(
    wheels: Path,
    tmp_path: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    with serve_index(wheels, hangs=True) as index:
        execution = Execution(packages=["draysample==1.0"], index_urls=[index.url])
        message, _ = await failure(execution, tmp_path, node, log)
    assert "does not answer" in message


async def test_a_private_index_without_credentials_names_the_variable_to_set(
    wheels: Path, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    with serve_index(wheels, login="robot:verysecret") as private:
        execution = Execution(packages=["draysample==1.0"], index_urls=[private.url])
        message, evidence = await failure(execution, tmp_path, node, log)
    assert message.startswith(f"the index {private.url} wants credentials")
    assert "http://user:${INDEX_TOKEN}@127.0.0.1" in message
    assert "set DRAY_SECRET_INDEX_TOKEN where the agent is started" in message
    assert "401 Unauthorized" in evidence


async def test_credentials_that_are_refused_name_the_variable_to_check(
    wheels: Path, tmp_path: Path, node: NodePaths, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_SECRET_CORP", "not-the-password")
    with serve_index(wheels, login="robot:verysecret") as private:
        url = private.url.replace("http://", "http://robot:${CORP}@")
        execution = Execution(packages=["draysample==1.0"], index_urls=[url])
        message, evidence = await failure(execution, tmp_path, node, log)
    assert "check DRAY_SECRET_CORP" in message
    assert "not-the-password" not in message + evidence + log.text


async def test_a_private_index_is_read_with_a_secret_that_is_nowhere_afterwards(
    wheels: Path, tmp_path: Path, node: NodePaths, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_SECRET_CORP", "very/secret@1")
    with serve_index(wheels, login="robot:very/secret@1") as private:
        url = private.url.replace("http://", "http://robot:${CORP}@")
        execution = Execution(packages=["draysample==1.0"], index_urls=[url])
        made = await built(execution, tmp_path, node, log)
    assert made.report.installed == ["draysample==1.0"]
    assert [text for text in texts_in(tmp_path) if "secret@1" in text or "secret%401" in text] == []
    assert "secret" not in log.text


async def test_a_secret_that_the_node_does_not_have_names_what_to_set(
    tmp_path: Path, node: NodePaths, log: Log
) -> None:
    execution = Execution(packages=["a"], index_urls=["https://me:${CORP}@packages.corp/simple"])
    with pytest.raises(PreparationFailed, match="variable DRAY_SECRET_CORP where its agent") as e:
        await built(execution, tmp_path, node, log)
    assert e.value.details["field"] == "DRAY_SECRET_CORP"


async def test_a_package_that_does_not_build_shows_its_builds_last_lines(
    index: Index, tmp_path: Path, node: NodePaths, log: Log
) -> None:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "backend.py").write_text("raise RuntimeError('no compiler here')\n")
    execution = Execution(packages=["./lib"], index_urls=[index.url])
    message, evidence = await failure(execution, tmp_path, node, log)
    assert message.startswith("mine @ ./lib is not to be had as a wheel and could not be built")
    assert "no compiler here" in evidence


def test_builds_of_pytorch_that_cannot_be_reached_name_the_way_out() -> None:
    tail = (
        "error: Request failed after 3 retries in 9.6s\n"
        "  cause: Failed to fetch: https://download.pytorch.org/whl/cpu/torch/\n"
        "  cause: dns error\n"
    )
    message = explained(tail, EnvironmentSpec(requirements=("torch",), torch_backend="cpu"))
    assert "builds of PyTorch for this node (cpu) are at download.pytorch.org" in message
    assert "DRAY_TORCH_BACKEND" in message


def test_what_nobody_foresaw_points_at_uvs_last_lines() -> None:
    spec = EnvironmentSpec(origin="uv.lock")
    assert explained("panicked at src/main.rs", spec) == (
        "uv could not install what uv.lock asks for; its last lines say why"
    )
