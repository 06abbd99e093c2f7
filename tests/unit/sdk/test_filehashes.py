"""What did not change since it was hashed is not read again, and what did always is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dray.runtime.snapshots import digest
from dray.sdk.capture import filehashes
from dray.sdk.capture.filehashes import FileHashes


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).write_text(name)
    return root


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once, as if somebody had waited before hashing them."""
    monkeypatch.setattr(filehashes, "RACY_NS", -60_000_000_000)


def hashed(kept: Path, root: Path) -> tuple[dict[str, str], int]:
    """The hashes of all files, and how many were read for it."""
    hashes = FileHashes(kept, root)
    found = {p.name: hashes.of(p.name, p.lstat()).sha256 for p in sorted(root.iterdir())}
    hashes.save()
    return found, hashes.n_read


@pytest.mark.usefixtures("settled")
def test_a_second_look_reads_nothing(tree: Path, tmp_path: Path) -> None:
    first, n_read = hashed(tmp_path / "kept", tree)
    assert (first, n_read) == ({"a": digest(b"a"), "b": digest(b"b")}, 2)
    assert hashed(tmp_path / "kept", tree) == (first, 0)


@pytest.mark.usefixtures("settled")
def test_what_was_changed_is_read_again_though_size_and_time_are_the_same(
    tree: Path, tmp_path: Path
) -> None:
    hashed(tmp_path / "kept", tree)
    info = (tree / "a").stat()
    (tree / "a").write_text("A")
    os.utime(tree / "a", ns=(info.st_atime_ns, info.st_mtime_ns))
    found, n_read = hashed(tmp_path / "kept", tree)
    assert (found["a"], n_read) == (digest(b"A"), 1)


@pytest.mark.usefixtures("settled")
def test_another_file_put_in_its_place_is_read(tree: Path, tmp_path: Path) -> None:
    hashed(tmp_path / "kept", tree)
    (tmp_path / "other").write_text("x")
    os.replace(tmp_path / "other", tree / "a")
    assert hashed(tmp_path / "kept", tree)[0]["a"] == digest(b"x")


def test_what_was_saved_just_before_it_was_hashed_is_not_trusted(
    tree: Path, tmp_path: Path
) -> None:
    old = time.time() - 60
    os.utime(tree / "b", (old, old))  # its mtime is old, its ctime is not: it was just changed
    assert hashed(tmp_path / "kept", tree)[1] == 2
    assert hashed(tmp_path / "kept", tree)[1] == 2


@pytest.mark.usefixtures("settled")
def test_the_executable_bit_is_noticed(tree: Path, tmp_path: Path) -> None:
    hashed(tmp_path / "kept", tree)
    (tree / "a").chmod(0o755)
    hashes = FileHashes(tmp_path / "kept", tree)
    assert hashes.of("a", (tree / "a").lstat()).executable


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", ["", "{", '{"format": 0}', "[]", '{"format":1,"root":"/"}'])
def test_a_damaged_file_only_costs_time(tree: Path, tmp_path: Path, content: str) -> None:
    kept = tmp_path / "kept"
    first, _ = hashed(kept, tree)
    (file,) = kept.iterdir()
    file.write_text(content)
    assert hashed(kept, tree) == (first, 2)
    assert hashed(kept, tree) == (first, 0)


@pytest.mark.usefixtures("settled")
def test_two_processes_at_once_leave_one_whole_file(tree: Path, tmp_path: Path) -> None:
    one, two = FileHashes(tmp_path / "kept", tree), FileHashes(tmp_path / "kept", tree)
    one.of("a", (tree / "a").lstat())
    two.of("b", (tree / "b").lstat())
    one.save()
    two.save()
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert hashed(tmp_path / "kept", tree)[1] == 1


def test_a_folder_that_cannot_be_written_is_no_harm(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    assert hashed(tmp_path / "kept", tree)[0]["a"] == digest(b"a")
