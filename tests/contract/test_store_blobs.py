"""Blobs: kept once under their hash, never half, never wrong."""

from __future__ import annotations

import hashlib

import pytest

from dray.runtime.errors import InvalidInput, NotFound
from dray.runtime.snapshots import digest
from dray.runtime.store import Store
from tests.contract.conftest import World

DATA = b"weights" * 1000
SHA256 = digest(DATA)


async def test_a_blob_written_in_pieces_is_there_under_its_hash(world: World) -> None:
    blobs = world.store.blobs
    assert not await blobs.has(SHA256)
    async with blobs.writer(SHA256) as writer:
        for at in range(0, len(DATA), 999):
            await writer.write(DATA[at : at + 999])
        assert not await blobs.has(SHA256), "it appears when it is whole"
    assert writer.n_bytes == len(DATA)
    assert await blobs.read(SHA256) == DATA
    assert (await blobs.path(SHA256)).name == SHA256


async def test_a_blob_with_another_hash_is_refused_and_not_kept(world: World) -> None:
    blobs = world.store.blobs
    with pytest.raises(InvalidInput, match="send it again"):
        async with blobs.writer(SHA256) as writer:
            await writer.write(DATA[:-1])
    assert not await blobs.has(SHA256)
    assert [p for p in world.home.blobs.rglob("*") if p.is_file()] == []


async def test_an_upload_that_breaks_off_leaves_nothing(world: World) -> None:
    async def upload() -> None:
        async with world.store.blobs.writer(SHA256) as writer:
            await writer.write(DATA[:10])
            raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError, match="went away"):
        await upload()
    assert [p for p in world.home.blobs.rglob("*") if p.is_file()] == []


async def test_equal_bytes_are_kept_once(world: World) -> None:
    assert await world.store.blobs.put(DATA) == await world.store.blobs.put(DATA) == SHA256
    assert len([p for p in world.home.blobs.rglob("*") if p.is_file()]) == 1


async def test_what_is_missing_is_told_once_each_in_order(world: World) -> None:
    await world.store.blobs.put(DATA)
    other, third = (hashlib.sha256(x).hexdigest() for x in (b"1", b"2"))
    assert await world.store.blobs.missing([other, SHA256, third, other]) == [other, third]


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, SHA256 + "0"])
async def test_only_a_sha256_is_an_address(world: World, name: str) -> None:
    with pytest.raises(InvalidInput):
        await world.store.blobs.path(name)
    with pytest.raises(InvalidInput):
        await world.store.blobs.missing([name])


async def test_a_blob_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.store.blobs.read(SHA256)


async def test_what_a_crash_left_half_written_is_cleared_at_the_next_start(world: World) -> None:
    left = world.home.blobs / "incoming" / "left"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    await world.store.close()
    async with await Store.open(world.home, world.clock):
        assert not left.exists()
