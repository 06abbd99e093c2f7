"""What a snapshot holds, what it refuses, and what of it travels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from dray.runtime import blob_batch
from dray.runtime.errors import InvalidInput, TooLarge
from dray.runtime.snapshots import decode_manifest, digest
from dray.sdk.capture import checkout, filehashes, snapshot
from tests.unit.sdk.repositories import Repository

MIB = 1 << 20


class Blobs:
    """A blob store in memory that remembers the order in which blobs came."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.n_batches = 0

    def missing_blobs(self, sha256: Iterable[str]) -> list[str]:
        return [name for name in sha256 if name not in self.held]

    def put_blob(self, source: Path | bytes, *, sha256: str = "") -> str:
        data = source if isinstance(source, bytes) else source.read_bytes()
        assert digest(data) == sha256
        self.held[sha256] = data
        return sha256

    def put_blobs(self, contents: Mapping[str, bytes]) -> None:
        self.n_batches += 1
        for sha256, data in contents.items():
            self.put_blob(data, sha256=sha256)


def taken(root: Path, limit_bytes: int = MIB) -> snapshot.Snapshot:
    return snapshot.take(root, checkout.files(root), limit_bytes)


def paths(found: snapshot.Snapshot) -> list[str]:
    return [entry.path for entry in decode_manifest(found.manifest)]


def test_untracked_files_travel_and_ignored_ones_do_not(repository: Repository) -> None:
    repository.write(untracked_py="", data__deep_py="")
    (repository.root / ".gitignore").write_text("*.log\n")
    (repository.root / "out.log").write_text("x")
    assert paths(taken(repository.root)) == [
        ".gitignore",
        "data/deep.py",
        "train.py",
        "untracked.py",
    ]


def test_a_deleted_tracked_file_is_not_part_of_the_code(repository: Repository) -> None:
    (repository.root / "train.py").unlink()
    assert paths(taken(repository.root)) == []


def test_odd_names_and_executables_are_kept(repository: Repository) -> None:
    odd = repository.root / "with space\tand 'quotes' é.sh"
    odd.write_text("#!/bin/sh\n")
    odd.chmod(0o755)
    entry = next(e for e in decode_manifest(taken(repository.root).manifest) if "é" in e.path)
    assert entry.path == odd.name
    assert entry.executable


def test_equal_trees_have_equal_names(repository: Repository, tmp_path: Path) -> None:
    twin = Repository(tmp_path / "twin").write(train_py="print('one')\n")
    assert taken(repository.root).sha256 == taken(twin.root).sha256
    twin.write(train_py="print('two')\n")
    assert taken(repository.root).sha256 != taken(twin.root).sha256


def test_links_inside_stay_links_and_links_outside_become_copies(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("from outside")
    (repository.root / "inside").symlink_to("train.py")
    (repository.root / "outside").symlink_to(tmp_path / "outside.txt")
    (repository.root / "broken").symlink_to(tmp_path / "nothing")
    found = taken(repository.root)
    by_path = {entry.path: entry for entry in decode_manifest(found.manifest)}
    assert by_path["inside"].link == "train.py"
    assert by_path["outside"].link == ""
    assert by_path["outside"].sha256 == digest(b"from outside")
    assert "broken" not in by_path
    assert found.left_out == ["broken: No such file or directory"]


def test_a_special_file_is_left_out_and_named(repository: Repository) -> None:
    os.mkfifo(repository.root / "pipe")
    found = snapshot.take(repository.root, ["train.py", "pipe"], MIB)
    assert paths(found) == ["train.py"]
    assert "pipe" in found.left_out[0]


def test_submodules_and_nested_repositories_travel_with_their_files(
    repository: Repository, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library").write(lib_py="")
    library.commit()
    repository.git(
        "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.root), "sub"
    )
    Repository(repository.root / "nested").write(inner_py="").commit()
    assert {"sub/lib.py", "nested/inner.py", "train.py"} <= set(paths(taken(repository.root)))


def test_over_the_limit_the_ten_largest_are_named_and_nothing_is_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (repository.root / f"big{number:02}.bin").write_bytes(b"x" * (1000 + number))
    monkeypatch.setattr(filehashes, "open", None, raising=False)
    with pytest.raises(TooLarge) as caught:
        taken(repository.root, limit_bytes=10_000)
    assert caught.value.details["largest"] == [f"big{n:02}.bin" for n in range(11, 1, -1)]
    assert "nothing was sent" in caught.value.message
    assert "DRAY_SNAPSHOT_LIMIT_BYTES" in caught.value.message


def test_a_name_that_is_not_text_is_refused_by_name(repository: Repository) -> None:
    (repository.root / os.fsdecode(b"bad\xff.txt")).write_text("x")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        taken(repository.root)


def test_only_blobs_the_server_lacks_travel_and_the_manifest_is_last(
    repository: Repository,
) -> None:
    store = Blobs()
    repository.write(copy_py="print('one')\n")
    first = taken(repository.root)
    assert snapshot.send(first, store).n_files == 1  # equal content travels once
    assert list(store.held)[-1] == first.sha256

    repository.write(new_py="new\n")
    second = taken(repository.root)
    assert snapshot.send(second, store) == snapshot.Sent(second.sha256, 1, 4)
    assert store.held[second.sha256] == second.manifest
    assert snapshot.send(second, store) == snapshot.Sent(second.sha256, 0, 0)


def test_many_small_files_travel_in_few_requests(repository: Repository) -> None:
    for number in range(1500):
        (repository.root / f"{number}.txt").write_text(f"{number}")
    store = Blobs()
    assert snapshot.send(taken(repository.root), store).n_files == 1501
    assert store.n_batches == 2


def test_a_file_saved_while_it_is_sent_goes_as_it_is_then(repository: Repository) -> None:
    repository.write(twin_py="print('one')\n", other_py="other\n")
    found = taken(repository.root)
    repository.write(twin_py="print('changed')\n")  # read for both, as they were equal
    store = Blobs()
    sent = snapshot.send(found, store)
    assert sent.changed == ["twin.py"]
    entries = {e.path: e for e in decode_manifest(store.held[sent.sha256])}
    assert store.held[entries["twin.py"].sha256] == b"print('changed')\n"
    assert store.held[entries["train.py"].sha256] == b"print('one')\n"
    assert all(entry.sha256 in store.held for entry in entries.values())


def test_a_large_file_saved_while_it_is_sent_is_sent_again(repository: Repository) -> None:
    (repository.root / "big.bin").write_bytes(b"1" * (blob_batch.BLOB_LIMIT_BYTES + 1))
    found = taken(repository.root, 4 * MIB)
    (repository.root / "big.bin").write_bytes(b"2" * (blob_batch.BLOB_LIMIT_BYTES + 2))

    class Checking(Blobs):
        def put_blob(self, source: Path | bytes, *, sha256: str = "") -> str:
            data = source if isinstance(source, bytes) else source.read_bytes()
            if digest(data) != sha256:
                raise InvalidInput("announced was another")
            return super().put_blob(data, sha256=sha256)

    store = Checking()
    sent = snapshot.send(found, store)
    assert sent.changed == ["big.bin"]
    (big, *_) = decode_manifest(store.held[sent.sha256])
    assert big.n_bytes == blob_batch.BLOB_LIMIT_BYTES + 2


def test_a_file_that_git_lfs_has_not_fetched_is_named(repository: Repository) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (repository.root / "weights.bin").write_text(pointer)
    assert taken(repository.root).pointers == ["weights.bin"]
