"""Tools stream into the log, and end with their whole group when they are not wanted."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dray.envbuilder.tools.process import finish_in_thread, run_tool, within
from tests.unit.envbuilder.conftest import Log, cancelled, processes_at, until

ENV = {"PATH": os.environ["PATH"]}


async def test_both_streams_reach_the_log_without_credentials(log: Log) -> None:
    program = "echo out https://a:secret@h/; echo err >&2; printf unfinished; exit 3"
    finished = await run_tool(["sh", "-c", program], env=ENV, log=log)
    assert finished.code == 3
    assert sorted(log.text.splitlines()) == ["err", "out https://***@h/", "unfinished"]
    assert finished.tail == log.text


async def test_stdout_that_is_wanted_back_is_not_logged(log: Log) -> None:
    finished = await run_tool(
        ["sh", "-c", "echo answer; echo note >&2"], env=ENV, log=log, keep_stdout=True
    )
    assert (finished.stdout, log.text) == ("answer\n", "note\n")


async def test_the_tail_is_the_end_of_long_output() -> None:
    finished = await run_tool(["seq", "100000"], env=ENV)
    assert finished.tail.endswith("99999\n100000\n")
    assert len(finished.tail) <= 4096


async def test_a_line_without_end_does_not_fill_the_memory(log: Log) -> None:
    program = "import sys; sys.stdout.write('x' * 3_000_000)"
    finished = await run_tool([sys.executable, "-c", program], env=ENV, log=log)
    assert finished.code == 0
    assert log.data.count(b"x") == 3_000_000


async def test_a_daemon_left_behind_does_not_hold_the_caller_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    finished = await run_tool(["sh", "-c", f"sleep 60 & echo $! > {pid}"], env=ENV)
    assert finished.code == 0
    os.kill(int(pid.read_text()), 9)


async def test_cancelling_ends_the_whole_group_even_one_that_ignores_term(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    stubborn = f"trap '' TERM; sleep 60 & echo $! > {pid}.new; mv {pid}.new {pid}; wait"
    running = asyncio.create_task(run_tool(["sh", "-c", stubborn], env=ENV))
    await until(pid.exists, "the grandchild's pid")
    await cancelled(running)
    await until(lambda: not _lives(int(pid.read_text())), "the end of the grandchild")


async def test_cancelling_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    marker = f"sleep 60 # {tmp_path}"
    running = asyncio.create_task(run_tool(["sh", "-c", marker], env=ENV))
    await asyncio.sleep(0)  # it has begun to start, and cannot have finished that
    await cancelled(running)
    assert processes_at(tmp_path) == []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_work_over_its_limit_is_cancelled_and_has_cleaned_up() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("yes")

    with pytest.raises(TimeoutError, match="longer than"):
        await within(0.01, work())
    assert cleaned == ["yes"]


async def test_a_failure_while_being_stopped_is_not_hidden() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("clean-up failed")

    with pytest.raises(ValueError, match="clean-up failed"):
        await within(0.01, work())


async def test_a_cancellation_waits_for_the_thread_it_cannot_stop() -> None:
    release, entered = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    ended: list[str] = []

    def work() -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        ended.append("yes")

    running = asyncio.create_task(finish_in_thread(asyncio.to_thread(work)))
    await entered.wait()
    running.cancel()
    loop.call_soon(release.set)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["yes"]
