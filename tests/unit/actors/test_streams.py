"""The folder of an attempt: held by its agent, removed when that is gone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from dray.actors.orders import WorkOrder
from dray.actors.streams import AttemptSpool, remove_leftovers
from dray.runtime.models import Task
from dray.runtime.paths import NodePaths
from dray.runtime.records import STDOUT
from dray.runtime.spool_console import ConsoleBounds

ORDER = WorkOrder(Task(id="ab" * 16, name="t", project="p"), 1, "c", "t", "http://h", 30.0)


def age(folder: Path) -> None:
    os.utime(folder, (0, 0))


def test_the_folder_of_a_running_attempt_stays(tmp_path: Path) -> None:
    node = NodePaths(tmp_path)
    attempt = node.attempt(ORDER.task.id, ORDER.epoch)
    spool = AttemptSpool(attempt)
    spool.open(ORDER, agent="a", node="n")
    with spool:
        age(attempt.root)
        assert remove_leftovers(node) == []
        assert attempt.spool.task.is_file()
    age(attempt.root)
    assert remove_leftovers(node) == [attempt.root.name]
    assert not attempt.root.exists()


def test_what_a_killed_agent_left_is_removed(tmp_path: Path) -> None:
    node = NodePaths(tmp_path)
    attempt = node.attempt(ORDER.task.id, ORDER.epoch)
    dies = (
        "import os, pathlib, sys\n"
        "from tests.unit.actors.test_streams import ORDER, AttemptSpool, NodePaths\n"
        "attempt = NodePaths(pathlib.Path(sys.argv[1])).attempt(ORDER.task.id, ORDER.epoch)\n"
        "AttemptSpool(attempt).open(ORDER, agent='a', node='n')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", dies, str(tmp_path)], cwd=root, check=False)
    assert attempt.spool.task.is_file()
    age(attempt.root)
    assert remove_leftovers(node) == [attempt.root.name]


def test_a_folder_that_has_just_been_made_stays(tmp_path: Path) -> None:
    node = NodePaths(tmp_path)
    node.attempt(ORDER.task.id, 1).root.mkdir(parents=True)
    assert remove_leftovers(node) == []
    assert remove_leftovers(NodePaths(tmp_path / "nothing")) == []


async def test_the_end_of_a_flood_shows_up_though_nothing_more_is_written(tmp_path: Path) -> None:
    """A progress bar gone wild, then hours of silence: its last words are not held back."""
    bounds = ConsoleBounds(burst_bytes=100, rate_bytes_s=1000, resume_bytes=20, tail_bytes=8)
    spool = AttemptSpool(NodePaths(tmp_path).attempt(ORDER.task.id, 1), bounds)
    spool.open(ORDER, agent="a", node="n")
    told: asyncio.Queue[str] = asyncio.Queue()
    spool.on_append = told.put_nowait
    with spool:
        spool.append(STDOUT, b"x" * 192 + b"the end.")
        assert [await asyncio.wait_for(told.get(), 10) for _ in range(2)] == [STDOUT, STDOUT]
        assert spool.paths.stream(STDOUT).read_bytes() == b"x" * 100 + b"the end."
        spool.append(STDOUT, b"more")
    assert spool.paths.stream(STDOUT).read_bytes().endswith(b"the end.more")
    lines = [json.loads(line) for line in spool.paths.gaps(STDOUT).read_text().splitlines()]
    assert lines[0] == {"position": 100, "offset": 100, "n_bytes": 92}
    assert lines[1]["n_written"] == 204


async def test_output_that_is_no_flood_leaves_its_bytes_and_nothing_else(tmp_path: Path) -> None:
    spool = AttemptSpool(NodePaths(tmp_path).attempt(ORDER.task.id, 1))
    spool.open(ORDER, agent="a", node="n")
    with spool:
        spool.append(STDOUT, b"\xff\x00hello\n")
        spool.end_output()
    assert spool.paths.stream(STDOUT).read_bytes() == b"\xff\x00hello\n"
    assert not spool.paths.gaps(STDOUT).exists()
