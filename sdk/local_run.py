"""A run started by hand: make or take up its task, lay out its spool, put the shipper beside it.

When no server answers, everything but the task itself happens all the same.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dray.runtime import config, ids
from dray.runtime.answers import Started
from dray.runtime.codec import to_json
from dray.runtime.config import Settings
from dray.runtime.errors import (
    IllegalTransition,
    InvalidInput,
    NotFound,
    ServerUnreachable,
    StoreUnusable,
)
from dray.runtime.models import Execution, Task, TaskType
from dray.runtime.paths import HomePaths, SpoolPaths
from dray.sdk import continuing, session, whoami
from dray.sdk.capture import Captured, Entry, Wishes, capture, entry_of_process
from dray.sdk.client import Client, find_server
from dray.sdk.exits import ExitWatch
from dray.sdk.reuse import LastTasks, Name, take_up
from dray.sdk.session import Session
from dray.sdk.streams import Tees

_OFFLINE = "offline mode is on (DRAY_OFFLINE)"
#: Repeats of a request while the script waits to begin; then it is recorded without a server.
RETRIES = 1


@dataclass(frozen=True)
class Request:
    """What ``Task.init`` was asked for.

    Attributes:
        reuse: whether the last task of the same name may be taken up; or the id of one.
        going_on: the failed or aborted task to continue, which no reuse resets.
        streams: which of ``stdout`` and ``stderr`` are kept.
        entry: how the script was started, when the interpreter cannot tell.
        bootstrap: the script does not call ``Task.init``; ``dray run`` does for it.
    """

    project: str | None = None
    name: str | None = None
    type: str = "training"
    tags: tuple[str, ...] = ()
    reuse: bool | str = True
    going_on: continuing.Wanted | None = None
    output_uri: str = ""
    streams: tuple[str, ...] = ("stdout", "stderr")
    entry: Entry | None = None
    bootstrap: bool = False
    wishes: Wishes = field(default_factory=Wishes)


@dataclass
class LocalRun:
    """What a run started by hand holds besides its session.

    Attributes:
        captured: the code, for a snapshot later on.
        settings: as they were when it began.
        url: of the server; empty when there is none.
    """

    attempt: Session
    request: Request
    captured: Captured
    settings: Settings
    url: str
    tees: Tees
    watch: ExitWatch

    def let_go(self) -> None:
        """Give the process back as it was: streams, hooks, environment."""
        self.watch.remove()
        self.tees.restore()
        session.leave()


@dataclass(frozen=True)
class _Begun:
    """Where the run is recorded.

    Attributes:
        started: None without a server.
        url: of the server it is to be sent to; empty when none is known.
        goes_on: whether it continues a task that had ended.
        why_offline: a sentence, when there is no server.
    """

    task: Task
    claim_id: str
    started: Started | None = None
    url: str = ""
    goes_on: bool = False
    why_offline: str = ""


def begin(request: Request) -> LocalRun:
    """Begin a run of this process, as ``request`` describes it.

    Raises:
        InvalidInput: a value that cannot be used.
        Unauthorized: the server does not know the token.
        IllegalTransition: the task that is to be continued cannot be.
        ServerUnreachable: one is to be continued and there is no server.
        StoreUnusable: the data folder cannot be written.
    """
    loaded = config.load()
    entry = request.entry or entry_of_process()
    captured = capture(entry, Path.cwd(), request.wishes)
    for warning in (*loaded.warnings, *captured.warnings):
        session.say(f"warning: {warning}")
    draft = _draft(request, captured, entry)
    begun = _begin_at_server(draft, request, loaded.settings)
    spool = _lay_out(begun, HomePaths(loaded.settings.home))
    attempt = Session(str(spool.root), os.getpid())
    attempt.record("runtime", values=_facts())
    if begun.goes_on:
        continuing.tell(attempt, draft)
    _put_shipper_beside(spool, begun, loaded.settings)
    session.adopt(attempt)
    attempt.export()
    _announce(begun, spool)
    watch = ExitWatch(attempt, lambda end: _finish(attempt, end))
    run = LocalRun(
        attempt,
        request,
        captured,
        loaded.settings,
        begun.url,
        Tees(str(spool.root), request.streams),
        watch,
    )
    watch.install()
    return run


def _draft(request: Request, captured: Captured, entry: Entry) -> Task:
    try:
        kind = TaskType(request.type)
    except ValueError as exc:
        known = ", ".join(str(kind) for kind in TaskType)
        raise InvalidInput(
            f"task_type {request.type!r} is none of {known}", field="task_type"
        ) from exc
    script = entry.script.name if entry.script else "interactive"
    execution = Execution(
        **captured.execution, bootstrap=request.bootstrap, output_uri=request.output_uri
    )
    return Task(
        id=ids.new_id(),
        name=request.name or entry.module or Path(script).stem,
        project=request.project or captured.project or "Untitled",
        type=kind,
        tags=list(request.tags),
        owner=whoami.user(),
        execution=execution,
    )


def _begin_at_server(draft: Task, request: Request, settings: Settings) -> _Begun:
    claim_id = ids.new_id()
    if settings.offline:
        return _offline(request, _Begun(draft, claim_id, why_offline=_OFFLINE))
    try:
        url, token = find_server(settings)
    except ServerUnreachable as exc:
        return _offline(request, _Begun(draft, claim_id, why_offline=exc.message))
    name = Name(url, draft.project, draft.name, str(draft.type))
    last = LastTasks(settings)
    try:
        with Client(url, token, retries=RETRIES) as client:
            begun = _going_on(client, draft, request, claim_id) or _start(
                client, draft, request, _candidate(request, last, name), name, claim_id
            )
    except ServerUnreachable as exc:
        return _offline(request, _Begun(draft, claim_id, url=url, why_offline=exc.message))
    task = begun.task  # one that goes on by its id keeps its own name
    last.remember(Name(url, task.project, task.name, str(task.type)), task.id)
    return replace(begun, url=url)


def _offline(request: Request, begun: _Begun) -> _Begun:
    """Recorded without a server; a task that is to go on cannot be."""
    if request.going_on is not None:
        raise continuing.without_server(begun.why_offline)
    return begun


def _going_on(client: Client, draft: Task, request: Request, claim_id: str) -> _Begun | None:
    """The task that is to be continued, started again; None where there is none."""
    if request.going_on is None:
        return None
    node = socket.gethostname()
    claimant = continuing.Claimant(f"local:{node}", node, claim_id)
    started = continuing.go_on(client, request.going_on, draft, claimant)
    if started is None:
        session.say("continue_last_task: there is no earlier task of this name, so one begins")
        return None
    return _Begun(started.task, claim_id, started, goes_on=True)


def _candidate(request: Request, last: LastTasks, name: Name) -> str:
    if request.going_on is not None:
        return ""  # there is none to go on with; nothing is to be reset instead
    if isinstance(request.reuse, str):
        return request.reuse
    return last.find(name) if request.reuse else ""


def _start(
    client: Client, draft: Task, request: Request, candidate: str, name: Name, claim_id: str
) -> _Begun:
    node = socket.gethostname()
    if candidate:
        task = take_up(client, candidate, name, draft)
        if task is not None:
            try:
                started = client.start(task.id, agent=f"local:{node}", node=node, claim_id=claim_id)
            except (IllegalTransition, NotFound):
                pass  # another terminal was faster; this run gets a task of its own
            else:
                return _Begun(started.task, claim_id, started)
    members: Mapping[str, Any] = {
        name: getattr(draft, name)
        for name in ("id", "type", "tags", "owner", "execution", "comment")
    }
    client.create_task(draft.project, draft.name, **members)
    count_from = request.going_on.initial_iteration if request.going_on is not None else None
    started = client.start(
        draft.id,
        agent=f"local:{node}",
        node=node,
        claim_id=claim_id,
        initial_iteration=count_from,
    )
    return _Begun(started.task, claim_id, started)


def _lay_out(begun: _Begun, home: HomePaths) -> SpoolPaths:
    epoch = begun.started.epoch if begun.started else 0
    name = begun.task.id if epoch <= 1 else f"{begun.task.id}.{epoch}"
    spool = SpoolPaths(home.spools / name)
    node = socket.gethostname()
    attempt = {
        "task_id": begun.task.id,
        "epoch": epoch,
        "claim_id": begun.claim_id,
        "url": begun.url,
        "origin": session.LOCAL,
        "pid": os.getpid(),
        "agent": f"local:{node}",
        "node": node,
    }
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        spool.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        session.write_file(str(spool.task), to_json(begun.task))
        session.write_file(str(spool.attempt), attempt)
    except OSError as exc:
        raise StoreUnusable(
            f"{spool.root} cannot be written ({exc.strerror}); set DRAY_HOME to a folder that can"
        ) from exc
    return spool


def _put_shipper_beside(spool: SpoolPaths, begun: _Begun, settings: Settings) -> None:
    token = begun.started.token if begun.started else settings.token
    told = replace(settings, url=begun.url, token=token)
    environment = {
        **os.environ,
        **{f"DRAY_{f.name.upper()}": str(getattr(told, f.name)) for f in fields(told)},
    }
    # The package's own place, in case the script found it by a path of its own. And the spool
    # as working directory: the user's may hold a queue.py that would shadow Python's.
    roots = (environment.get("PYTHONPATH"), _import_root())
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, roots))
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "dray.sdk.shipper", str(spool.root), "--pid", str(os.getpid())],
            cwd=spool.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as exc:
        session.say(f"warning: nothing ships this run ({exc}); use: dray sync {spool.root}")
        return
    # It outlives this process on purpose: nobody here waits for it, and that is no leak.
    process.returncode = 0


def _import_root() -> str:
    file = getattr(sys.modules.get("dray"), "__file__", None)
    return str(Path(file).absolute().parents[1]) if file else ""


def _facts() -> dict[str, str]:
    from dray import __version__

    return {
        "dray": __version__,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "user": whoami.user(),
    }


def _announce(begun: _Begun, spool: SpoolPaths) -> None:
    short = begun.task.id[:8]
    if begun.started is not None:
        what = continuing.announced(begun.started) if begun.goes_on else f"recording task {short}"
        session.say(f"{what} · {page(begun.url, begun.task.id)}")
        return
    later = "; it is sent as soon as the server answers" if begun.url else ""
    session.say(
        f"recording task {short} without a server: {begun.why_offline}{later}. "
        f"To send it later: dray sync {spool.root}"
    )


def page(url: str, task_id: str) -> str:
    """Address of a task's page."""
    return f"{url}/#/tasks/{task_id}"


def _finish(attempt: Session, end: dict[str, Any]) -> None:
    if not attempt.marked:
        attempt.record("final", **end)
