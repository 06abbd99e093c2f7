"""Ship a spool later: a run recorded offline, or what was left when its server went away."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from dray.runtime.errors import Conflict, InvalidInput, NotFound, StaleEpoch
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths, SpoolPaths
from dray.runtime.states import State
from dray.sdk.client import Client
from dray.sdk.runs.endings import ending
from dray.sdk.ship.parcels import News, ParcelService, send_all
from dray.sdk.ship.shipped import Shipped, load_shipped, save_shipped

#: As ``sdk/runs/local_run.py`` has it: the run is over though its process may go on.
OVER_FILE = "over"


@dataclass(frozen=True)
class SyncReport:
    """What one ``sync`` did.

    Attributes:
        epoch: of the attempt at the server.
        n_bytes: bytes the server took this time.
        state: of the task afterwards.
        closed: the attempt has ended there; there is nothing left to ship.
        note: a sentence for people when something is not as expected; else empty.
    """

    task_id: str
    epoch: int
    n_bytes: int
    state: State
    closed: bool
    note: str = ""


def find_spools(home: HomePaths) -> list[Path]:
    """Spools of runs started here that no server has whole, oldest first."""
    if not home.spools.is_dir():
        return []
    unshipped = [
        folder
        for folder in home.spools.iterdir()
        if SpoolPaths(folder).task.is_file() and not _is_closed(SpoolPaths(folder))
    ]
    return sorted(unshipped, key=lambda folder: SpoolPaths(folder).task.stat().st_mtime)


def sync(folder: Path, client: Client) -> SyncReport:
    """Bring the server up to what the spool holds; as often as one likes.

    The task and its attempt are made where the server lacks them. A run that has ended is
    closed with its cause; of one that still goes on, what is there is sent.

    Raises:
        InvalidInput: the folder is no spool.
        IllegalTransition: the server's task of that id is not this run: it waits in a queue, or
            ran again since.
        ServerUnreachable: try again later; what was taken is not sent again.
    """
    spool = SpoolPaths(folder)
    task_id = str(read_json(spool.task)["id"])
    task = _find(client, task_id)
    if task is None:  # so whatever it had is gone too
        save_shipped(spool, Shipped(client.url))
    known = load_shipped(spool, client.url)
    if task is not None and known.closed:
        return SyncReport(task_id, known.epoch, 0, task.state, closed=True)
    epoch = open_attempt(spool, client, task)
    parcels = ParcelService(spool, task_id, epoch, client)
    before = sum(parcels.offsets.values())
    try:
        reply = send_all(parcels, News(cause=ending(spool) if is_over(spool) else None))
    except StaleEpoch as exc:
        save_shipped(spool, replace(known, epoch=epoch, closed=True))
        state = client.get_task(task_id).state
        return SyncReport(task_id, epoch, 0, state, closed=True, note=exc.message)
    parcels.save()
    return SyncReport(
        task_id,
        epoch,
        n_bytes=sum(parcels.offsets.values()) - before,
        state=client.get_task(task_id).state if reply is None else reply.state,
        closed=parcels.is_closed,
    )


def open_attempt(spool: SpoolPaths, client: Client, task: Task | None) -> int:
    """The run's epoch at the server; task and attempt are made where they are lacking.

    ``task`` is the server's, or None when it has none. The number is kept in ``shipped.json``;
    it need not be the spool's own.
    """
    attempt = read_json(spool.attempt)
    known = load_shipped(spool, client.url)
    epoch = known.epoch
    if not epoch and str(attempt.get("url") or "").rstrip("/") == client.url:
        epoch = int(attempt.get("epoch") or 0)
    if task is not None and epoch and task.epoch == epoch:
        return epoch
    if task is None:
        _create(spool, client)
    node = str(attempt.get("node") or socket.gethostname())
    started = client.start(
        str(attempt["task_id"]),
        agent=str(attempt.get("agent") or f"local:{node}"),
        node=node,
        claim_id=str(attempt["claim_id"]),
    )
    if started.epoch != known.epoch:
        save_shipped(spool, Shipped(client.url, started.epoch))
    return started.epoch


def is_over(spool: SpoolPaths) -> bool:
    """Whether the run has ended: closed, its process not there, or of another machine."""
    if (spool.root / OVER_FILE).exists():
        return True
    attempt = read_json(spool.attempt)
    pid = int(attempt.get("pid") or 0)
    if not pid or attempt.get("node") not in (None, "", socket.gethostname()):
        return True
    import psutil

    try:
        # The process was there before the file was written; a later one has its number only.
        born = psutil.Process(pid).create_time()
        return born > spool.attempt.stat().st_mtime + 1.0
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:  # somebody else's, so not the run we recorded
        return True


def read_json(path: Path) -> dict[str, Any]:
    """One of a spool's files.

    Raises:
        InvalidInput: it is not there, or no JSON object.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise InvalidInput(
            f"{path} is not there: {path.parent} is no spool of a run", field="folder"
        ) from exc
    except ValueError as exc:
        raise InvalidInput(f"{path} cannot be read: {exc}", field="folder") from exc
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} holds no JSON object", field="folder")
    return cast("dict[str, Any]", document)


def _find(client: Client, task_id: str) -> Task | None:
    try:
        return client.get_task(task_id)
    except NotFound:
        return None


def _create(spool: SpoolPaths, client: Client) -> None:
    task = read_json(spool.task)
    name, project = str(task.pop("name")), str(task.pop("project"))
    try:
        client.create_task(project, name, **task)
    except Conflict:
        return  # a second sync was faster


def _is_closed(spool: SpoolPaths) -> bool:
    try:
        shipped = json.loads(spool.shipped.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(shipped, dict) and bool(cast("dict[str, Any]", shipped).get("closed"))
