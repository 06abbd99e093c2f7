"""The folder of an attempt: held by its agent, removed when that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dray.actors.orders import WorkOrder
from dray.actors.streams import AttemptSpool, remove_leftovers
from dray.runtime.models import Task
from dray.runtime.paths import NodePaths

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
