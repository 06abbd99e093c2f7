"""Files that git LFS keeps: fetched once for a node, and never a pointer in their place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.git.options import GitOptions
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.gitservers import WebServer, web_server
from tests.unit.envbuilder.repositories import Repository, fails, prepare

TOKEN = "lfs-token-of-the-node"
needs_lfs = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="no git-lfs on this machine (apt-get install git-lfs)"
)
TRACKED = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    with web_server(tmp_path / "served") as server:
        yield server


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path / "attempt" / "code"


@pytest.fixture
def execution(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """Code of a private repository that LFS keeps two files of."""
    monkeypatch.setenv("DRAY_SECRET_GIT_127_0_0_1", TOKEN)
    web.logins["models"] = f"git:{TOKEN}"
    repository = Repository(web.root / "models")
    files = {"one__bin": web.keep(b"weights 1"), "two__bin": web.keep(b"weights 2")}
    head = repository.commit(train__py="", __gitattributes=TRACKED, **files)
    return Execution(repository=f"{web.url}/models", commit=head)


@needs_lfs
async def test_files_of_lfs_are_there_and_a_second_task_fetches_nothing(
    execution: Execution, web: WebServer, code: Path, node: NodePaths, log: Log
) -> None:
    await prepare(execution, code, node, log)
    assert (code / "one.bin").read_bytes() == b"weights 1"
    asked = web.n_fetches()
    (code / "one.bin").write_bytes(b"what a task writes stays its own")
    await prepare(execution, code, node, log)
    assert (code / "one.bin").read_bytes() == b"weights 1"
    assert web.n_fetches() == asked
    checkout = Repository.__new__(Repository)
    checkout.root = code
    assert checkout.git("status", "--porcelain") == ""
    assert TOKEN not in log.text


@needs_lfs
async def test_a_file_that_was_never_pushed_is_named(
    execution: Execution, web: WebServer, code: Path, node: NodePaths, log: Log
) -> None:
    web.objects.popitem()
    assert "two.bin" in str(await fails(execution, code, node, log))


async def test_without_lfs_on_the_node_pointers_are_named_and_nothing_runs_with_them(
    execution: Execution,
    code: Path,
    node: NodePaths,
    log: Log,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh"):
        (tools / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", os.fspath(tools))
    error = await fails(execution, code, node, log)
    assert "one.bin, two.bin; install git-lfs on the node" in str(error)
    await prepare(execution, code, node, log, GitOptions(lfs=False))
    assert (code / "one.bin").read_text().startswith("version https://git-lfs")
    assert "pointers of git LFS are left (git_lfs is off): one.bin, two.bin" in log.text
