"""What Dray costs a child before the user's first line: its import, and ``Task.init``."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.measure import Reading, Sample, in_turns, in_words
from benchmarks.stand import Stand
from benchmarks.starts import child_environment, start_to_first_line
from dray.runtime.codec import to_json
from dray.runtime.ids import new_id
from dray.runtime.models import Task
from dray.runtime.paths import SpoolPaths

N_ROUNDS = 60
_IMPORT = """\
import dray
from dray import Task
import time
print(time.time_ns(), flush=True)
"""
_INIT = """\
from dray import Task
task = Task.init(project_name="bench", task_name="child")
import time
print(time.time_ns(), flush=True)
"""


def measure(stand: Stand) -> list[Reading]:
    """Start children with and without Dray, in turns."""
    python, variables = str(stand.environment.python), attached(stand)
    importing = [python, str(stand.script("importing.py", _IMPORT))]
    beginning = [python, str(stand.script("beginning.py", _INIT))]
    bare, imported, begun = in_turns(
        N_ROUNDS,
        stand.bare_start(),
        lambda: start_to_first_line(importing, variables),
        lambda: start_to_first_line(beginning, variables),
    )
    return [
        _added("import-dray", imported, bare),
        _added("task-init-in-child", begun, bare),
    ]


def attached(stand: Stand) -> dict[str, str]:
    """The variables of a child that an agent started, with a spool laid out by hand."""
    task = Task(id=new_id(), name="child", project="bench")
    spool = SpoolPaths(stand.folder / "spools" / task.id)
    lay_out(spool, task)
    return child_environment(
        PYTHONPATH=str(stand.child_code),
        PYTHONUNBUFFERED="1",
        DRAY_TASK_ID=task.id,
        DRAY_EPOCH="1",
        DRAY_SPOOL=str(spool.root),
        DRAY_URL="http://127.0.0.1:9",
        DRAY_TOKEN="none",  # noqa: S106
    )


def lay_out(spool: SpoolPaths, task: Task) -> None:
    """Make a spool as an agent does."""
    spool.root.mkdir(parents=True)
    identity = {"task_id": task.id, "epoch": 1, "claim_id": "c", "origin": "agent", "url": ""}
    _write(spool.task, to_json(task))
    _write(spool.attempt, identity)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), "utf-8")


def _added(name: str, started: Sample, bare: Sample) -> Reading:
    added = started.minus(bare)
    against = f"bare start {in_words(bare.median)} ms"
    return Reading(name, added, against, ratio=added.median / bare.median)
