"""A run that was recorded without a server, sent later: from its folder or a zip of it.

Without a change it is ``sync``; as the next attempt of another task, or with other iterations, a
copy of the folder is made first: the original stays as it was recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from dray.runtime import config
from dray.runtime.errors import IllegalTransition, InvalidInput
from dray.runtime.paths import SpoolPaths
from dray.runtime.states import State
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.runs.local_run import OVER_FILE, page
from dray.sdk.session import write_file
from dray.sdk.ship.sync import SyncReport, read_json, sync

#: Kinds of records that have an iteration, in the member ``i``.
_COUNTED = ("scalar", "plot", "media")
#: States in which a task takes another attempt.
_GOES_ON = (State.DRAFT, State.FAILED, State.ABORTED)


def send(source: str | os.PathLike[str], previous_task_id: str = "", offset: int = 0) -> str:
    """Send a run; the id of its task.

    Args:
        source: its folder, or a zip of it.
        previous_task_id: task to go on with; empty: the one it was recorded as.
        offset: added to its iterations.

    Raises:
        InvalidInput: no folder or zip of a run.
        IllegalTransition: the previous task takes no further attempt.
        ServerUnreachable: try again later.
    """
    with Client.from_settings(config.load().settings) as client, opened(Path(source)) as folder:
        if not previous_task_id and not offset:
            return _told(sync(folder, client), client)
        with tempfile.TemporaryDirectory(prefix="dray-session-") as beside:
            copy = Path(beside) / "spool"
            shutil.copytree(folder, copy)
            _rewrite(SpoolPaths(copy), client, previous_task_id, offset)
            return _told(sync(copy, client), client)


def _told(report: SyncReport, client: Client) -> str:
    if report.note:
        session.say(f"warning: {report.note}")
    session.say(f"sent task {report.task_id[:8]} · {page(client.url, report.task_id)}")
    return report.task_id


@contextlib.contextmanager
def opened(source: Path) -> Generator[Path]:
    """The folder of a run, which ``source`` is or holds as a zip.

    Raises:
        InvalidInput: it is neither.
    """
    if source.is_dir():
        yield source
        return
    if not zipfile.is_zipfile(source):
        raise InvalidInput(
            f"{source} is neither the folder of a run nor a zip of one",
            field="session_folder_zip",
            value=str(source),
        )
    with tempfile.TemporaryDirectory(prefix="dray-session-") as beside:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(beside)  # zipfile leaves ".." and absolute names inside
        yield _spool_in(Path(beside), source)


def _spool_in(folder: Path, source: Path) -> Path:
    """The run in an unpacked zip: at its top, or in the one folder it has."""
    for place in (folder, *sorted(folder.iterdir())):
        if (place / "task.json").is_file():
            return place
    raise InvalidInput(f"{source} holds no run: task.json is not in it", field="session_folder_zip")


def _rewrite(spool: SpoolPaths, client: Client, previous_task_id: str, offset: int) -> None:
    """Make a copy of a run one of ``previous_task_id``, its iterations moved on."""
    spool.shipped.unlink(missing_ok=True)
    (spool.root / OVER_FILE).touch()
    _move_iterations(spool.root / "records.jsonl", offset)
    attempt, task = read_json(spool.attempt), read_json(spool.task)
    # The same import again is the same attempt, which the server answers again.
    told = f"{attempt['claim_id']} {previous_task_id} {offset}"
    attempt["claim_id"] = hashlib.sha256(told.encode()).hexdigest()[:32]
    attempt.update(url="", epoch=0, node=socket.gethostname(), pid=0)
    if previous_task_id:
        previous = client.get_task(previous_task_id)
        task["id"] = attempt["task_id"] = previous.id
        if previous.state not in _GOES_ON:
            raise IllegalTransition(
                f"task {previous.id[:8]} is {previous.state}, so no run can go on with it: leave "
                "previous_task_id out to have a task of its own, or reset the previous one",
                task_id=previous.id,
                state=str(previous.state),
                event="start",
            )
    write_file(str(spool.task), task)
    write_file(str(spool.attempt), attempt)


def _move_iterations(records: Path, offset: int) -> None:
    if not offset or not records.exists():
        return
    lines: list[bytes] = []
    for line in records.read_bytes().splitlines(keepends=True):
        record = _counted(line)
        if record is not None:
            record["i"] = int(record["i"]) + offset
            line = json.dumps(record, separators=(",", ":")).encode() + b"\n"  # noqa: PLW2901
        lines.append(line)
    records.write_bytes(b"".join(lines))


def _counted(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(tuple(f'{{"k":"{kind}"'.encode() for kind in _COUNTED)):
        return None
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:  # torn by a full disk
        return None
    is_sampled = str(record.get("title", "")).startswith(":monitor:")
    return record if "i" in record and not is_sampled else None
