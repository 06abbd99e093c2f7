"""Spools as a run started by hand leaves them."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from dray.runtime import ids
from dray.runtime.codec import to_json
from dray.runtime.execution import Execution
from dray.runtime.models import Task
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, STDOUT, encode_record
from dray.sdk.client import Client
from tests.unit.sdk.sink import append

#: No process has it.
DEAD_PID = 2**22 + 1


def make_spool(root: Path, *, pid: int = DEAD_PID, **attempt: Any) -> SpoolPaths:
    """The spool of a run no server knows of."""
    task = Task(ids.new_id(), "train", "demo", execution=Execution(entry_point="train.py"))
    spool = SpoolPaths(root / task.id)
    spool.root.mkdir(parents=True)
    spool.task.write_text(json.dumps(to_json(task)))
    identity = {
        "task_id": task.id,
        "epoch": 0,
        "claim_id": ids.new_id(),
        "url": "",
        "origin": "local",
        "pid": pid,
        "agent": "local:here",
        "node": socket.gethostname(),
    }
    spool.attempt.write_text(json.dumps({**identity, **attempt}))
    return spool


def started_spool(root: Path, client: Client, *, pid: int = DEAD_PID) -> tuple[SpoolPaths, str]:
    """The spool of a run that ``client``'s server has started, and its token."""
    spool = make_spool(root, pid=pid)
    identity = json.loads(spool.attempt.read_text())
    client.create_task("demo", "train", id=identity["task_id"])
    started = client.start(
        identity["task_id"], agent="local:here", node="here", claim_id=identity["claim_id"]
    )
    identity.update(url=client.url, epoch=started.epoch)
    spool.attempt.write_text(json.dumps(identity))
    return spool, started.token


def task_id(spool: SpoolPaths) -> str:
    """Whose spool it is."""
    return spool.root.name


def record(spool: SpoolPaths, kind: str, **members: Any) -> None:
    """Append one record."""
    append(spool.stream(RECORDS), encode_record(kind, 1.0, **members))


def fill(spool: SpoolPaths) -> None:
    """Some output of each sort."""
    append(spool.stream(STDOUT), b"epoch 1\nepoch 2\n")
    for i in range(3):
        record(spool, "scalar", title="loss", series="train", i=i, v=1.0 / (i + 1))


def still_there(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
