"""A snapshot's files come out as they went in, from blobs that are fetched once and checked."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from dray.envbuilder.git.options import GitOptions
from dray.envbuilder.source.blobs import blob_path
from dray.envbuilder.source.prepare import prepare_source
from dray.runtime.errors import NotFound, PreparationFailed, ServerUnreachable
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from dray.runtime.snapshots import FileEntry, digest, encode_manifest
from tests.unit.envbuilder.conftest import Log, cancelled


class Blobs:
    """A server's blobs in memory; counts what is fetched."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.n_batches = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    def put(self, content: bytes) -> str:
        self.content[digest(content)] = content
        return digest(content)

    async def fetch(self, sha256: str, to: Path) -> None:
        self.asked.set()
        to.write_bytes(b"half")  # noqa: ASYNC240
        await self.gate.wait()
        self.fetched.append(sha256)
        if sha256 not in self.content:
            raise NotFound(f"no blob {sha256[:12]}")
        to.write_bytes(self.content[sha256])  # noqa: ASYNC240

    async def read_many(self, sha256s: list[str]) -> dict[str, bytes]:
        self.asked.set()
        self.n_batches += 1
        await self.gate.wait()
        if missing := [sha256 for sha256 in sha256s if sha256 not in self.content]:
            raise NotFound(f"there is no blob {missing[0]}")
        self.fetched += sha256s
        return {sha256: self.content[sha256] for sha256 in sha256s}


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def snapshot_of(blobs: Blobs, *entries: FileEntry) -> Execution:
    return Execution(snapshot=blobs.put(encode_manifest(list(entries))), commit="c" * 40)


def file(blobs: Blobs, path: str, content: bytes, *, executable: bool = False) -> FileEntry:
    return FileEntry(path, blobs.put(content), len(content), executable)


def link(path: str, to: str) -> FileEntry:
    return FileEntry(path, digest(to.encode()), len(to), link=to)


async def test_content_modes_and_links_come_back(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    execution = snapshot_of(
        blobs,
        file(blobs, "train.py", b"print(1)\n"),
        file(blobs, "deep/er/data.bin", bytes(range(256))),
        file(blobs, "run me.sh", b"#!/bin/sh\n", executable=True),
        file(blobs, "empty", b""),
        link("latest", "deep/er"),
        link("deep/up", "../train.py"),
    )
    code = tmp_path / "attempt" / "code"
    made = await prepare_source(execution, code, node, blobs, log)
    assert (made.origin, made.commit) == ("snapshot", "c" * 40)
    assert (code / "train.py").read_bytes() == b"print(1)\n"
    assert (code / "latest" / "data.bin").read_bytes() == bytes(range(256))
    assert (code / "deep" / "up").read_bytes() == b"print(1)\n"
    assert os.readlink(code / "latest") == "deep/er"
    assert os.access(code / "run me.sh", os.X_OK)
    assert not os.access(code / "empty", os.X_OK)
    assert "6 files" in log.text


async def test_each_blob_is_fetched_once_for_the_node(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    execution = snapshot_of(
        blobs, file(blobs, "a", b"same"), file(blobs, "b", b"same"), file(blobs, "c", b"other")
    )
    await prepare_source(execution, tmp_path / "one", node, blobs, log)
    assert sorted(blobs.fetched) == sorted(blobs.content)
    blobs.fetched.clear()
    await prepare_source(execution, tmp_path / "two", node, blobs, log)
    assert blobs.fetched == [], "not even the manifest is asked for again"


async def test_many_small_files_come_in_few_requests(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    execution = snapshot_of(blobs, *(file(blobs, f"{n}", b"%d" % n) for n in range(450)))
    await prepare_source(execution, tmp_path / "code", node, blobs, log)
    assert len(list((tmp_path / "code").iterdir())) == 450
    assert blobs.n_batches == 3
    assert sorted(blobs.fetched) == sorted(blobs.content)


async def test_what_was_damaged_on_the_nodes_disk_is_fetched_again(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    entry = file(blobs, "train.py", b"print(1)")
    execution = snapshot_of(blobs, entry, file(blobs, "other.py", b""))
    await prepare_source(execution, tmp_path / "one", node, blobs, log)
    blob_path(node, entry.sha256).write_bytes(b"print(2)")
    await prepare_source(execution, tmp_path / "two", node, blobs, log)
    assert (tmp_path / "two" / "train.py").read_bytes() == b"print(1)"
    assert "damaged" in log.text
    await prepare_source(execution, tmp_path / "three", node, blobs, log)


async def test_what_a_task_writes_into_its_code_does_not_reach_the_cache(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    execution = snapshot_of(blobs, file(blobs, "a", b"as captured"))
    await prepare_source(execution, tmp_path / "one", node, blobs, log)
    (tmp_path / "one" / "a").write_bytes(b"overwritten")
    await prepare_source(execution, tmp_path / "two", node, blobs, log)
    assert (tmp_path / "two" / "a").read_bytes() == b"as captured"


async def test_what_lay_in_the_target_before_is_gone(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "leftover.py").touch()
    execution = snapshot_of(blobs, file(blobs, "a", b""))
    await prepare_source(execution, tmp_path / "code", node, blobs, log)
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["a"]


async def fails(execution: Execution, blobs: Blobs, node: NodePaths, target: Path) -> str:
    """The message of a preparation that must fail and leave nothing."""
    with pytest.raises(PreparationFailed) as caught:
        await prepare_source(execution, target, node, blobs, Log())
    assert caught.value.details["kind"] == "source_failed"
    assert not target.exists()  # noqa: ASYNC240
    assert not list(node.blobs.rglob(".part-*"))
    return str(caught.value)


async def test_a_blob_that_is_missing_is_named_by_its_path(
    blobs: Blobs, node: NodePaths, tmp_path: Path
) -> None:
    gone = file(blobs, "src/model.py", b"gone")
    del blobs.content[gone.sha256]
    execution = snapshot_of(blobs, file(blobs, "a", b"a"), gone)
    message = await fails(execution, blobs, node, tmp_path / "code")
    assert "src/model.py" in message
    assert gone.sha256[:12] in message


async def test_a_damaged_blob_is_refused_and_not_kept(
    blobs: Blobs, node: NodePaths, tmp_path: Path
) -> None:
    entry = file(blobs, "weights.bin", b"good")
    blobs.content[entry.sha256] = b"bad!"
    message = await fails(snapshot_of(blobs, entry), blobs, node, tmp_path / "code")
    assert "weights.bin" in message
    assert not blob_path(node, entry.sha256).exists()


async def test_a_damaged_manifest_is_refused(blobs: Blobs, node: NodePaths, tmp_path: Path) -> None:
    execution = snapshot_of(blobs)
    blobs.content[execution.snapshot] = b"{}"
    assert "manifest" in await fails(execution, blobs, node, tmp_path / "code")


async def test_a_server_that_is_away_is_told(blobs: Blobs, node: NodePaths, tmp_path: Path) -> None:
    class Away(Blobs):
        async def fetch(self, sha256: str, to: Path) -> None:
            raise ServerUnreachable(f"no server answers, wanted {sha256} for {to}")

    message = await fails(Execution(snapshot="a" * 64), Away(), node, tmp_path / "code")
    assert "no server answers" in message


@pytest.mark.parametrize(
    ("path", "to"),
    [("../out", ""), ("/etc/out", ""), ("a/../../out", ""), ("up", "../out"), ("up", "/etc")],
)
async def test_an_entry_that_leaves_the_root_is_refused(
    blobs: Blobs, node: NodePaths, tmp_path: Path, path: str, to: str
) -> None:
    entry = [path, blobs.put(b""), 0, 0, to]
    manifest = blobs.put(json.dumps({"format": 1, "files": [entry]}).encode())
    message = await fails(Execution(snapshot=manifest), blobs, node, tmp_path / "code")
    assert "leaves the root" in message
    assert not (tmp_path / "out").exists()


async def test_nothing_is_written_through_a_link(
    blobs: Blobs, node: NodePaths, tmp_path: Path
) -> None:
    # Each link stays inside by its text; followed one after the other they would not.
    execution = snapshot_of(
        blobs, link("d/up", ".."), link("d/up/over", "../x"), file(blobs, "d/up/over/evil", b"")
    )
    assert "below the file" in await fails(execution, blobs, node, tmp_path / "code")


async def test_a_path_that_occurs_twice_is_refused(
    blobs: Blobs, node: NodePaths, tmp_path: Path
) -> None:
    execution = snapshot_of(blobs, file(blobs, "a", b"1"), file(blobs, "./a", b"2"))
    assert "twice" in await fails(execution, blobs, node, tmp_path / "code")


async def test_cancelling_while_blobs_travel_leaves_nothing_half_written(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    execution = snapshot_of(blobs, *(file(blobs, f"{n}", b"%d" % n) for n in range(40)))
    blobs.gate.clear()
    code = tmp_path / "code"
    preparing = asyncio.create_task(prepare_source(execution, code, node, blobs, log))
    await blobs.asked.wait()
    await cancelled(preparing)
    assert not code.exists()
    assert not [path for path in node.blobs.rglob("*") if path.is_file()]
    blobs.gate.set()
    await prepare_source(execution, code, node, blobs, log)
    assert len(list(code.iterdir())) == 40


async def test_a_preparation_over_its_limit_says_so(
    blobs: Blobs, node: NodePaths, tmp_path: Path, log: Log
) -> None:
    execution = snapshot_of(blobs, file(blobs, "a", b"a"))
    blobs.gate.clear()
    with pytest.raises(PreparationFailed, match="was not there after"):
        await prepare_source(
            execution, tmp_path / "code", node, blobs, log, git=GitOptions(limit_s=0.05)
        )


async def test_a_task_without_code_says_what_to_do(
    blobs: Blobs, node: NodePaths, tmp_path: Path
) -> None:
    message = await fails(Execution(entry_point="train.py"), blobs, node, tmp_path / "code")
    assert "neither a snapshot nor a repository" in message
