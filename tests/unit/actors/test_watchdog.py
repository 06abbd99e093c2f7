"""Coordinators that hang are ended; those that are slow to start, or gone, are left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dray.actors import watchdog
from dray.actors.orders import Health
from dray.actors.watchdog import Watchdog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clusters run on Linux")


class Coordinator:
    """An actor whose process can be real, and which answers or hangs."""

    def __init__(self, pid: int) -> None:
        self.pid, self.hangs = pid, False
        self.alive: Any = self

    async def remote(self) -> Health:
        if self.hangs:
            await asyncio.Event().wait()
        return Health(self.pid, restarted=False, node_id="head")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as running:
        yield running
        running.kill()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "SHORTEST_HANG_S", 0.05)


async def test_one_that_hangs_is_ended(process: subprocess.Popen[bytes]) -> None:
    actor: Any = Coordinator(process.pid)
    dog = Watchdog("gateway", lambda: actor, lease_ttl_s=0.0)
    await dog.look()
    actor.hangs = True
    await dog.look()
    assert process.wait(10) == -9


async def test_one_that_has_not_answered_yet_is_left_to_start(
    process: subprocess.Popen[bytes],
) -> None:
    actor: Any = Coordinator(process.pid)
    actor.hangs = True
    dog = Watchdog("gateway", lambda: actor, lease_ttl_s=0.0)
    for _ in range(3):
        await dog.look()
    assert process.poll() is None


async def test_one_that_has_ended_is_not_looked_for_under_its_old_pid(
    process: subprocess.Popen[bytes],
) -> None:
    actor: Any = Coordinator(process.pid)
    dog = Watchdog("gateway", lambda: actor, lease_ttl_s=0.0)
    await dog.look()
    process.kill()
    process.wait()
    actor.hangs = True
    await dog.look()
    actor.hangs = False
    with subprocess.Popen(["sleep", "600"]) as successor:  # noqa: ASYNC220  (for a moment)
        actor.pid = successor.pid
        await dog.look()
        assert successor.poll() is None
        successor.kill()


async def test_where_there_is_none_nothing_happens() -> None:
    await Watchdog("queue:gone", lambda: None, lease_ttl_s=0.0).look()
