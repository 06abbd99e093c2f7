"""Blobs in pieces: what has arrived stays, each byte once, and only the right whole is kept."""

from __future__ import annotations

import asyncio
import os

import pytest

from dray.runtime.errors import InvalidInput, OffsetMismatch
from dray.runtime.snapshots import digest
from dray.runtime.store import Store
from dray.runtime.store.partial_blobs import ABANDONED_AFTER_S
from tests.contract.conftest import World

DATA = os.urandom(3000)
SHA256 = digest(DATA)


async def send(store: Store, at: int, data: bytes) -> int:
    async with store.partial_blobs.part(SHA256, at) as writer:
        await writer.write(data)
    return writer.at


async def test_pieces_become_a_blob_when_they_are_whole(world: World) -> None:
    parts = world.store.partial_blobs
    assert await parts.n_bytes(SHA256) == 0
    assert await send(world.store, 0, DATA[:1000]) == await parts.n_bytes(SHA256) == 1000
    with pytest.raises(OffsetMismatch):
        await parts.settle(SHA256, len(DATA))
    await send(world.store, 1000, DATA[1000:])
    assert not await world.store.blobs.has(SHA256)
    await parts.settle(SHA256, len(DATA))
    assert await world.store.blobs.read(SHA256) == DATA
    assert await parts.n_bytes(SHA256) == 0


async def test_what_has_arrived_outlives_its_connection_and_the_server(world: World) -> None:
    async def break_off() -> None:
        async with world.store.partial_blobs.part(SHA256, 0) as writer:
            await writer.write(DATA[:1000])
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await break_off()
    await world.store.close()
    async with await Store.open(world.home, world.clock) as store:
        assert await store.partial_blobs.n_bytes(SHA256) == 1000
        await send(store, 1000, DATA[1000:])
        await store.partial_blobs.settle(SHA256, len(DATA))
        assert await store.blobs.read(SHA256) == DATA


async def test_a_piece_that_belongs_elsewhere_is_told_where(world: World) -> None:
    await send(world.store, 0, DATA[:1000])
    with pytest.raises(OffsetMismatch) as caught:
        await send(world.store, 500, DATA[500:])
    assert caught.value.details["expected"] == 1000


async def test_two_that_send_the_same_write_each_byte_once(world: World) -> None:
    parts = world.store.partial_blobs
    async with parts.part(SHA256, 0) as first, parts.part(SHA256, 0) as second:
        await first.write(DATA[:1000])
        with pytest.raises(OffsetMismatch):
            await second.write(DATA[:1000])
        await first.write(DATA[1000:])
    await asyncio.gather(*(parts.settle(SHA256, len(DATA)) for _ in range(3)))
    assert await world.store.blobs.read(SHA256) == DATA


async def test_a_whole_with_another_hash_is_forgotten(world: World) -> None:
    await send(world.store, 0, b"x" * len(DATA))
    with pytest.raises(InvalidInput, match="send it again"):
        await world.store.partial_blobs.settle(SHA256, len(DATA))
    assert await world.store.partial_blobs.n_bytes(SHA256) == 0
    assert not await world.store.blobs.has(SHA256)


async def test_what_nobody_goes_on_with_is_swept(world: World) -> None:
    await send(world.store, 0, DATA[:1000])
    path = next((world.home.blobs / "partial").iterdir())
    os.utime(path, (0, world.clock.now() - ABANDONED_AFTER_S + 60))
    world.store.partial_blobs.sweep()
    assert path.exists()
    os.utime(path, (0, world.clock.now() - ABANDONED_AFTER_S - 60))
    await world.store.close()
    async with await Store.open(world.home, world.clock):
        assert not path.exists()
