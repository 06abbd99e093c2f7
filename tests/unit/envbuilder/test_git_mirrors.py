"""A node's mirrors of git repositories: shared, waited for, made again, kept within limits."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.cache.eviction import prune
from dray.envbuilder.git.credentials import Access
from dray.envbuilder.git.mirror import ABOUT, Mirror
from dray.envbuilder.git.mirrors import list_mirrors, prune_mirrors
from dray.envbuilder.git.options import GitOptions, MirrorLimits
from dray.envbuilder.git.remotes import read_remote
from dray.envbuilder.tools.log import say
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log, until
from tests.unit.envbuilder.gitservers import WebServer, web_server
from tests.unit.envbuilder.repositories import Repository, prepare


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    with web_server(tmp_path) as server:
        yield server


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path / "attempt" / "code"


def checkout_at(folder: Path) -> Repository:
    checkout = Repository.__new__(Repository)
    checkout.root = folder
    return checkout


@pytest.mark.parametrize(
    "named",
    [
        {"commit": "v1"},
        {"branch": "v1"},
        {"branch": "refs/tags/v1"},
        {"branch": "origin/old"},
        {"branch": "pull/7/head"},
        {"commit": "refs/pull/7/head"},
        {"commit": "20240101"},
    ],
)
async def test_whatever_names_a_commit_finds_it(
    repository: Repository, code: Path, node: NodePaths, log: Log, named: dict[str, str]
) -> None:
    """An annotated tag, a remote's branch, a pull request, a tag that looks like a hash."""
    head = repository.commit(note="meant")
    repository.git("tag", "--annotate", "--message", "first", "v1")
    repository.git("tag", "20240101")
    repository.git("branch", "old")
    repository.git("update-ref", "refs/pull/7/head", head)
    repository.commit(note="newer")
    execution = Execution(repository=repository.url, **named)  # pyright: ignore
    assert (await prepare(execution, code, node, log)).commit == head


async def test_a_branch_that_did_not_move_is_not_fetched_again(
    repository: Repository, web: WebServer, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(note="")
    execution = Execution(repository=f"{web.url}/repository", branch="main")
    await prepare(execution, code, node, log)
    await prepare(execution, code, node, log)
    assert log.text.count("fetching") == 1


async def test_code_outlives_its_mirror(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    """A container that does not see the mirror, a node that is short of disk, a reproduction."""
    first = repository.commit(note="one")
    head = repository.commit(note="two")
    await prepare(Execution(repository=repository.url, commit=head), code, node, log)
    await prune_mirrors(node, MirrorLimits(size_bytes=0))
    assert await list_mirrors(node) == []
    checkout = checkout_at(code)
    checkout.git("fsck", "--full")
    assert checkout.git("rev-list", "HEAD").split() == [head, first]


async def test_a_commit_that_a_force_push_removed_is_still_here(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    lost = repository.commit(note="lost")
    execution = Execution(repository=repository.url, branch="main")
    await prepare(execution, code, node, log)
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.git("branch", "--delete", "--force", "main")
    repository.git("branch", "--move", "main")
    repository.commit(note="new")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    await prepare(execution, code, node, log)
    await prepare(Execution(repository=repository.url, commit=lost), code, node, log)
    assert (code / "note").read_text() == "lost"


async def test_who_waits_reads_whose_fetch_it_is_and_how_far(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    head = repository.commit(note="")
    access = Access(read_remote(repository.url))
    other = Mirror(access, node, Log(), history=True, whose="task 0192")
    async with other.writing():
        say(other.log, "fetching for task 0192")
        execution = Execution(repository=repository.url, commit=head)
        waiting = asyncio.create_task(prepare(execution, code, node, log))
        await until(lambda: "fetching for task 0192" in log.text, "whose fetch it is")
        say(other.log, "half of it is here")
        await until(lambda: "half of it is here" in log.text, "how far it is")
    await waiting
    assert log.text.index("another task is fetching") < log.text.index("half of it")


@pytest.mark.parametrize("damage", ["empty pack", "no config", "lost pack", "cut pack"])
async def test_a_damaged_mirror_is_made_again(
    repository: Repository, code: Path, node: NodePaths, log: Log, damage: str
) -> None:
    repository.commit(note="one", big=os.urandom(5000))
    execution = Execution(repository=repository.url, branch="main")
    await prepare(execution, code, node, log)
    (mirror,) = node.mirrors.glob("*.git")
    (pack,) = mirror.glob("objects/pack/*.pack")
    shutil.rmtree(code)  # it shares the pack's bytes
    pack.chmod(0o644)
    if damage == "no config":
        (mirror / "HEAD").write_bytes(b"")
    elif damage == "lost pack":
        pack.unlink()
    else:
        os.truncate(pack, 0 if damage == "empty pack" else 3000)
    head = repository.commit(note="two")
    assert (await prepare(execution, code, node, log)).commit == head
    checkout_at(code).git("fsck", "--full")


async def test_variables_of_the_agent_lead_git_nowhere_else(
    repository: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = repository.commit(note="")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"):
        monkeypatch.setenv(name, str(code.parent / "nowhere"))
    for _ in range(2):
        await prepare(Execution(repository=repository.url, commit=head[:9]), code, node, log)
    assert log.text.count("fetching") == 1


async def test_many_fetches_leave_few_packs(
    repository: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dray.envbuilder.git.mirror._MOST_PACKS", 2)
    execution = Execution(repository=repository.url, branch="main")
    commits: list[str] = []
    for n in range(4):
        commits.append(repository.commit(note=str(n)))
        await prepare(execution, code, node, log)
    assert len(list(node.mirrors.glob("*/objects/pack/*.pack"))) <= 2
    assert checkout_at(code).git("rev-list", "HEAD").split() == commits[::-1]


async def test_the_longest_unused_mirrors_go_and_those_in_use_stay(
    tmp_path: Path, node: NodePaths, log: Log
) -> None:
    now = time.time()
    urls: list[str] = []
    for n in range(3):
        repository = Repository(tmp_path / f"repository{n}")
        repository.commit(data=os.urandom(50_000))
        urls.append(repository.url)
        await prepare(Execution(repository=repository.url), tmp_path / f"code{n}", node, log)
    for mirror in await list_mirrors(node):
        age = 1000 * (3 - urls.index(mirror.url))
        os.utime(node.mirrors / f"{mirror.name}.git" / ABOUT, (now - age, now - age))
    used = Mirror(Access(read_remote(urls[0])), node, log, history=True, whose="")
    limits = MirrorLimits(size_bytes=150_000)
    async with used.in_use():
        assert [m.url for m in await prune_mirrors(node, limits, dry_run=True)] == [urls[0]]
        assert await prune_mirrors(node, limits) == []
    assert [m.url for m in await prune_mirrors(node, limits)] == [urls[0]]
    assert [m.url for m in await prune_mirrors(node, MirrorLimits(max_age_s=1500))] == [urls[1]]
    assert [m.url for m in await list_mirrors(node)] == [urls[2]]
    assert (await prune(node, unused_for_s=3600)).mirrors == []
    assert (await prune(node)).mirrors == [urls[2]]


async def test_a_commit_without_its_past_is_quick_to_get(
    repository: Repository, web: WebServer, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(big=os.urandom(200_000))
    middle = repository.commit(big=b"small")
    repository.commit(big=b"newer")
    options = GitOptions(history=False)
    for commit in (middle, "main"):
        execution = Execution(repository=f"{web.url}/repository", commit=commit)
        await prepare(execution, code, node, log, options)
        assert checkout_at(code).git("rev-list", "--count", "HEAD") == "1\n"
    (mirror,) = await list_mirrors(node)
    assert mirror.n_bytes < 100_000
