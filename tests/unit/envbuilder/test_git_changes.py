"""Uncommitted changes on a base that moved, and diffs that lost something on their way."""

from __future__ import annotations

from pathlib import Path

import pytest

from dray.envbuilder.source.patch import read_patch
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.repositories import Repository, fails, prepare

LINES = [f"line {n}\n" for n in range(1, 41)]


def text(**changed: str) -> str:
    """Forty lines, some of them others: ``text(line3="x")``."""
    return "".join(changed.get(f"line{n}", line) for n, line in enumerate(LINES, 1))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path / "attempt" / "code"


async def test_changes_are_merged_where_the_branch_went_on(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    """Two lines away, so that the change's own context is gone."""
    repository.commit(train__py=text())
    repository.write(train__py=text(line10="mine\n"))
    diff = repository.git("diff")
    repository.commit(train__py=text(line12="theirs\n", line30="theirs\n"))
    execution = Execution(repository=repository.url, branch="main", diff=diff)
    await prepare(execution, code, node, log)
    expected = text(line10="mine\n", line12="theirs\n", line30="theirs\n")
    assert (code / "train.py").read_text() == expected
    assert "git merged them" in log.text


async def test_a_conflict_names_file_and_hunk_and_nothing_is_left(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(train__py=text(), fine__py=text())
    repository.write(
        train__py=text(line3="mine\n", line20="mine\n"), fine__py=text(line10="mine\n")
    )
    diff = repository.git("diff")
    repository.commit(train__py=text(line20="theirs\n"), fine__py=text(line12="theirs\n"))
    execution = Execution(repository=repository.url, branch="main", diff=diff)
    error = await fails(execution, code, node, log)
    assert "train.py (hunk 2 of 2: @@ -17,7 +17,7 @@)" in str(error)
    assert error.details["files"] == ["train.py"]


async def test_a_diff_against_a_commit_that_was_never_pushed_says_so(
    repository: Repository, code: Path, node: NodePaths, log: Log, tmp_path: Path
) -> None:
    laptop = Repository(tmp_path / "laptop")
    laptop.commit(train__py=text(line10="unpushed\n"))
    laptop.write(train__py=text(line10="mine\n"))
    repository.commit(train__py=text())
    execution = Execution(repository=repository.url, branch="main", diff=laptop.git("diff"))
    assert "was never pushed" in str(await fails(execution, code, node, log))


async def test_a_binary_change_without_its_bytes_is_told_from_a_conflict(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(data=b"\0\1")
    repository.write(data=b"\0\2")
    execution = Execution(repository=repository.url, diff=repository.git("diff"))
    error = await fails(execution, code, node, log)
    assert "git diff --binary HEAD" in str(error)
    assert error.details["files"] == ["data"]


async def test_a_rename_without_prefixes_is_applied(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(old=text())
    repository.git("mv", "old", "new")
    diff = repository.git("-c", "diff.noprefix=true", "diff", "HEAD")
    await prepare(Execution(repository=repository.url, diff=diff), code, node, log)
    assert (code / "new").read_text() == text()
    assert not (code / "old").exists()


async def test_changes_without_context_find_their_line(
    repository: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    repository.commit(train__py=text())
    repository.write(train__py=text(line10="", line20="mine\n"))
    diff = repository.git("diff", "--unified=0")
    await prepare(Execution(repository=repository.url, diff=diff), code, node, log)
    assert (code / "train.py").read_text() == text(line10="", line20="mine\n")


@pytest.mark.parametrize("loss", ["line ends", "its headers too", "blank end"])
async def test_what_a_text_field_took_away_is_put_back(
    repository: Repository, code: Path, node: NodePaths, log: Log, loss: str
) -> None:
    if loss == "line ends":
        repository.commit(f="a\r\nb\r\nc\r\n")
        repository.write(f="a\r\nB\r\nc\r\n")
        diff, expected = repository.git("diff").replace("\r", ""), b"a\r\nB\r\nc\r\n"
    elif loss == "its headers too":
        repository.commit(f="a\nb\nc\n")
        repository.write(f="a\nB\nc\n")
        diff, expected = repository.git("diff").replace("\n", "\r\n"), b"a\nB\nc\n"
    else:
        repository.commit(f="a\nb\n\n\n")
        repository.write(f="a\nB\n\n\n")
        diff, expected = repository.git("diff").strip(), b"a\nB\n\n\n"
    await prepare(Execution(repository=repository.url, diff=diff), code, node, log)
    assert (code / "f").read_bytes() == expected


async def test_a_submodule_that_was_moved_to_another_commit_is_there(
    repository: Repository, code: Path, node: NodePaths, log: Log, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library")
    first = library.commit(lib__py="1\n")
    second = library.commit(lib__py="2\n")
    repository.add_submodule(library.url, "lib", first)
    diff = (
        f"diff --git a/lib b/lib\nindex {first[:7]}..{second[:7]} 160000\n--- a/lib\n+++ b/lib\n"
        f"@@ -1 +1 @@\n-Subproject commit {first}\n+Subproject commit {second}-dirty\n"
    )
    await prepare(Execution(repository=repository.url, diff=diff), code, node, log)
    assert (code / "lib" / "lib.py").read_text() == "2\n"


def test_a_hunk_that_looks_like_a_header_is_no_header() -> None:
    diff = (
        "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n--- a/g\n+++ b/h\n c\n d\n"
        "@@ -10 +10 @@\n-x\n+y\n"
    )
    patch = read_patch(diff)
    assert [(file.path, [line for line, _ in file.hunks]) for file in patch.files] == [
        ("f", [1, 10])
    ]
