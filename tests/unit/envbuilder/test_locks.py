"""Locks between agents: shared by users, exclusive to makers, free after a death."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from dray.envbuilder.tools.locks import exclusive, try_lock


def test_users_share_and_a_maker_excludes(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one.lock"
    first, second = try_lock(path, shared=True), try_lock(path, shared=True)
    assert first is not None
    assert second is not None
    assert try_lock(path, shared=False) is None
    first.release()
    first.release()
    second.release()
    maker = try_lock(path, shared=False)
    assert maker is not None
    assert try_lock(path, shared=True) is None
    assert maker.share()
    assert try_lock(path, shared=True) is not None


def test_a_lock_that_nobody_refers_to_is_free(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    lock = try_lock(path, shared=False)
    del lock
    assert try_lock(path, shared=False) is not None


def test_the_lock_of_a_dead_process_is_free_though_its_child_lives(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    program = f"""
import os, subprocess, sys
from pathlib import Path
from dray.envbuilder.tools.locks import try_lock
lock = try_lock(Path({str(path)!r}), shared=False)
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
child = subprocess.Popen(["sleep", "60"], **quiet)
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    dead = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    try:
        assert dead.returncode == -9
        lock = try_lock(path, shared=False)
        assert lock is not None
    finally:
        subprocess.run(["kill", "-9", dead.stdout.strip()], check=True)


async def test_waiting_for_a_lock_is_told_once_and_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    told: list[str] = []
    waits = asyncio.Event()

    def tell() -> None:
        told.append("waiting")
        waits.set()

    async def take() -> None:
        async with exclusive(path, tell):
            told.append("taken")

    async with exclusive(path, tell):
        given_up = asyncio.create_task(take())
        await waits.wait()
        given_up.cancel()
        await asyncio.wait({given_up})
        waits.clear()
        waiting = asyncio.create_task(take())
        await waits.wait()
    await waiting
    assert told == ["waiting", "waiting", "taken"]
