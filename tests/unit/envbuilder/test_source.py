"""Code from git: exact commit, uncommitted changes, one mirror for the node."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from dray.envbuilder.git.options import GitOptions
from dray.envbuilder.source.prepare import PreparedSource
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log, cancelled, processes_at, until
from tests.unit.envbuilder.repositories import Repository, fails, prepare


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path / "attempt" / "code"


async def test_the_exact_commit_is_laid_out_though_the_branch_went_on(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    first = repository.commit(train__py="print(1)\n")
    repository.commit(train__py="print(2)\n")
    execution = Execution(repository=repository.url, commit=first, branch="main")
    assert await prepare(execution, code, node, log) == PreparedSource("git", first)
    assert (code / "train.py").read_text() == "print(1)\n"


async def test_a_branch_means_its_head_at_the_time_and_the_commit_is_told(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    execution = Execution(repository=repository.url, branch="main")
    for text in ("one", "two"):
        head = repository.commit(note=text)
        assert (await prepare(execution, code, node, log)).commit == head
        assert (code / "note").read_text() == text


async def test_a_tag_a_short_hash_and_nothing_at_all_are_resolved(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    head = repository.commit(note="tagged")
    repository.git("tag", "v1")
    for named in ({"commit": "v1"}, {"branch": "v1"}, {"commit": head[:10]}, {}):
        execution = Execution(repository=repository.url, **named)
        assert (await prepare(execution, code, node, log)).commit == head


async def test_a_commit_that_is_here_is_not_fetched_again(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    head = repository.commit(note="kept")
    execution = Execution(repository=repository.url, commit=head)
    await prepare(execution, code, node, log)
    shutil.rmtree(repository.root)
    await prepare(execution, code, node, log)
    assert (code / "note").read_text() == "kept"
    assert log.text.count("fetching") == 1


async def test_a_commit_that_no_branch_leads_to_is_asked_for_by_itself(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(note="main")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.git("checkout", "--quiet", "--detach")
    lonely = repository.commit(note="of a pull request")
    repository.git("checkout", "--quiet", "main")
    await prepare(Execution(repository=repository.url, commit=lonely), code, node, log)
    assert (code / "note").read_text() == "of a pull request"


async def test_uncommitted_changes_are_applied(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    head = repository.commit(train__py="a\nb\nc\n", data=bytes(range(256)), old="x\n")
    repository.write(train__py="a\nB\nc\n", data=bytes(reversed(range(256))), new="n\n")
    (repository.root / "old").rename(repository.root / "renamed")
    (repository.root / "train.py").chmod(0o755)
    repository.git("add", "--all")
    diff = repository.git("diff", "--binary", "HEAD")
    await prepare(Execution(repository=repository.url, commit=head, diff=diff), code, node, log)
    assert (code / "train.py").read_text() == "a\nB\nc\n"
    assert os.access(code / "train.py", os.X_OK)
    assert (code / "data").read_bytes() == bytes(reversed(range(256)))
    assert (code / "new").read_text() == "n\n"
    assert not (code / "old").exists()
    assert (code / "renamed").exists()


@pytest.mark.parametrize("setting", ["diff.noprefix", "diff.mnemonicPrefix"])
async def test_odd_diff_settings_of_the_laptop_break_nothing(
    repository: Repository, code: Path, node: NodePaths, log: Log, setting: str
) -> None:
    head = repository.commit(train__py="1\n")
    repository.write(train__py="2\n")
    diff = repository.git("-c", f"{setting}=true", "diff")
    await prepare(Execution(repository=repository.url, commit=head, diff=diff), code, node, log)
    assert (code / "train.py").read_text() == "2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\r\nb\r\n", "a\r\nB\r\n"),
        ("a\nb", "a\nB"),
        ("trailing  \n", "trailing  \t\n"),
        (b"latin \xe9\n", b"latin \xe8\n"),
        ("größe\n", "Größe\n"),
    ],
)
async def test_every_byte_of_a_change_survives(
    repository: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    before: str | bytes,
    after: str | bytes,
) -> None:
    head = repository.commit(f=before)
    repository.write(f=after)
    diff = repository.git("diff").removesuffix("\n")  # as text fields lose it
    await prepare(Execution(repository=repository.url, commit=head, diff=diff), code, node, log)
    assert (code / "f").read_bytes() == (after.encode() if isinstance(after, str) else after)


async def test_a_change_that_does_not_fit_names_its_file(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    first = repository.commit(train__py="1\n", other__py="1\n")
    repository.write(train__py="2\n")
    diff = repository.git("diff")
    second = repository.commit(train__py="3\n")
    execution = Execution(repository=repository.url, commit=second, diff=diff)
    error = await fails(execution, code, node, log)
    assert "train.py" in str(error)
    assert error.details["files"] == ["train.py"]
    assert "patch does not apply" in error.details["evidence"]
    await prepare(replace(execution, commit=first), code, node, log)


ALONE = """diff --git a/train.py b/train.py
new file mode 100644
--- /dev/null
+++ b/train.py
@@ -0,0 +1 @@
+print('alone')
"""


async def test_code_in_no_repository_is_what_its_diff_adds(
    code: Path, node: NodePaths, log: Log
) -> None:
    source = await prepare(Execution(diff=ALONE, entry_point="train.py"), code, node, log)
    assert source.origin == "diff"
    assert (code / "train.py").read_text() == "print('alone')\n"


async def test_a_text_that_is_no_diff_is_the_script_itself(
    code: Path, node: NodePaths, log: Log
) -> None:
    text = "print('literally')\n"
    await prepare(Execution(diff=text, entry_point="jobs/train.py"), code, node, log)
    assert (code / "jobs" / "train.py").read_text() == text
    failure = await fails(Execution(diff=text, entry_point="../train.py"), code, node, log)
    assert "names no script" in str(failure)


async def test_changes_of_what_is_not_there_are_refused(
    code: Path, node: NodePaths, log: Log
) -> None:
    changed = ALONE.replace("new file mode 100644\n--- /dev/null", "--- a/train.py")
    execution = Execution(diff=changed.replace("-0,0", "-1"), entry_point="train.py")
    failure = await fails(execution, code, node, log)
    assert "do not fit an empty folder" in str(failure)


@pytest.mark.parametrize("named", [{"commit": "f" * 40}, {"branch": "gone"}])
async def test_what_was_never_pushed_is_named(
    repository: Repository, code: Path, node: NodePaths, log: Log, named: dict[str, str]
) -> None:
    repository.commit(note="")
    error = await fails(Execution(repository=repository.url, **named), code, node, log)
    (noun, value), *_ = named.items()
    assert f"{noun} {value} is not in {repository.url}" in str(error)
    assert error.details["field"] == f"execution.{noun}"


async def test_a_repository_that_is_not_there_fails_with_gits_words(
    code: Path, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    error = await fails(Execution(repository=f"file://{tmp_path}/gone"), code, node, log)
    assert "does not appear to be a git repository" in error.details["evidence"]
    assert "does not appear to be a git repository" in log.text


async def test_credentials_of_an_unreachable_repository_are_in_no_message(
    code: Path, node: NodePaths, log: Log
) -> None:
    url = "http://me:verysecret@127.0.0.1:9/x.git"
    error = await fails(Execution(repository=url, commit="f" * 40), code, node, log)
    assert "http://127.0.0.1:9/x.git" in str(error)
    assert error.details["evidence"]
    assert "verysecret" not in log.text + str(error) + error.details["evidence"]


@pytest.mark.parametrize("field", ["repository", "commit", "branch"])
async def test_a_name_that_git_would_take_for_an_option_is_refused(
    repository: Repository, code: Path, node: NodePaths, log: Log, field: str
) -> None:
    execution = replace(Execution(repository=repository.url), **{field: "--upload-pack=touch x"})
    error = await fails(execution, code, node, log)
    assert error.details["field"] == f"execution.{field}"


async def test_submodules_come_along(
    repository: Repository, code: Path, node: NodePaths, log: Log, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library")
    library.commit(lib__py="x = 1\n")
    repository.git("submodule", "--quiet", "add", library.url, "lib")
    head = repository.commit(train__py="")
    await prepare(Execution(repository=repository.url, commit=head), code, node, log)
    assert (code / "lib" / "lib.py").read_text() == "x = 1\n"


async def test_the_checkout_knows_where_it_came_from(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    head = repository.commit(note="")
    await prepare(Execution(repository=repository.url, commit=head), code, node, log)
    checkout = Repository.__new__(Repository)
    checkout.root = code
    assert checkout.git("rev-parse", "HEAD").strip() == head
    assert checkout.git("remote", "get-url", "origin").strip() == repository.url
    assert checkout.git("status", "--porcelain") == ""


async def test_several_agents_at_once_share_one_mirror(
    repository: Repository, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    head = repository.commit(note="shared")
    execution = Execution(repository=repository.url, commit=head)
    targets = [tmp_path / f"code{n}" for n in range(4)]
    await asyncio.gather(*(prepare(execution, target, node, log) for target in targets))
    assert [(target / "note").read_text() for target in targets] == ["shared"] * 4
    assert len(list(node.mirrors.iterdir())) == 1


async def test_locks_that_a_killed_git_left_in_the_mirror_do_not_stop_the_next(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(note="one")
    execution = Execution(repository=repository.url, branch="main")
    await prepare(execution, code, node, log)
    (mirror,) = node.mirrors.iterdir()
    for name in ("packed-refs.lock", "refs/heads/main.lock", "config.lock"):
        (mirror / name).touch()
    head = repository.commit(note="two")
    assert (await prepare(execution, code, node, log)).commit == head


async def test_a_cache_inside_another_repository_is_not_mistaken_for_it(
    repository: Repository, code: Path, log: Log, tmp_path: Path
) -> None:
    around = Repository(tmp_path / "around")
    head = around.commit(note="not ours")
    node = NodePaths(around.root / "cache")
    repository.commit(note="ours")
    error = await fails(Execution(repository=repository.url, commit=head), code, node, log)
    assert f"commit {head} is not in" in str(error)


@pytest.fixture
def silent_server() -> Iterator[tuple[str, Event]]:
    """A git server that takes a connection and never answers."""
    connected = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            try:
                accepted.append(listener.accept()[0])
                connected.set()
            except OSError:
                return  # closed by the test's end

        thread = Thread(target=accept)
        thread.start()
        yield f"git://127.0.0.1:{listener.getsockname()[1]}/x.git", connected
        listener.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            connection.close()
        thread.join()


async def test_a_fetch_over_its_limit_is_stopped(
    silent_server: tuple[str, Event], code: Path, node: NodePaths, log: Log
) -> None:
    url, connected = silent_server
    error = await fails(Execution(repository=url), code, node, log, GitOptions(limit_s=0.5))
    assert "was not there after" in str(error)
    assert connected.is_set()


async def test_a_cancelled_fetch_ends_git_and_frees_the_mirror(
    silent_server: tuple[str, Event], code: Path, node: NodePaths, log: Log
) -> None:
    url, connected = silent_server
    execution = Execution(repository=url, commit="f" * 40)
    preparing = asyncio.create_task(prepare(execution, code, node, log))
    await until(connected.is_set, "git at the server")
    await cancelled(preparing)
    (mirror,) = node.mirrors.iterdir()
    assert processes_at(mirror) == []
