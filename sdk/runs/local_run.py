"""A run started by hand: its spool, its task at the server, and the companion beside it.

When no server answers, everything but the task itself happens all the same. What takes long is
left to the companion: reading the code, and a server that does not answer in time.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dray.runtime import config, ids
from dray.runtime.config import Settings
from dray.runtime.errors import ServerUnreachable, StoreUnusable
from dray.runtime.paths import HomePaths, SpoolPaths
from dray.sdk import session
from dray.sdk.capture.code import Code, place, project_of, top_of
from dray.sdk.capture.entry import Entry, Wishes, entry_of_process
from dray.sdk.http.server_address import find_server
from dray.sdk.reporting.streams import Tees
from dray.sdk.runs import companion, whoami
from dray.sdk.runs.companion import Companion
from dray.sdk.runs.exits import ExitWatch
from dray.sdk.session import Session

#: What a ``mark_*`` call states → the state it leads to.
_STATES = {"complete": "completed", "fail": "failed", "abort": "aborted"}
#: Names below the spool's folder: the run is over though its process may go on.
OVER_FILE = "over"


@dataclass(frozen=True)
class Request:
    """What ``Task.init`` was asked for.

    Attributes:
        reuse: whether the last task of the same name may be taken up; or the id of one.
        going_on: the failed or aborted task to continue, which no reuse resets.
        streams: which of ``stdout`` and ``stderr`` are kept.
        monitoring: whether the machine is sampled, and how; as ``sdk/monitoring.py`` reads it.
        entry: how the script was started, when the interpreter cannot tell.
        bootstrap: the script does not call ``Task.init``; ``dray run`` does for it.
        deferred: leave the server to the companion.
        simulated: id of the task to run as an agent would; empty for a run of its own.
    """

    project: str | None = None
    name: str | None = None
    type: str = "training"
    tags: tuple[str, ...] = ()
    reuse: bool | str = True
    going_on: Any = None
    output_uri: str = ""
    streams: tuple[str, ...] = ("stdout", "stderr")
    monitoring: dict[str, Any] = field(default_factory=dict[str, Any])
    entry: Entry | None = None
    bootstrap: bool = False
    deferred: bool = False
    simulated: str = ""
    wishes: Wishes = field(default_factory=Wishes)


@dataclass
class LocalRun:
    """What a run started by hand holds besides its session.

    Attributes:
        code: what it runs, for a snapshot later on.
        settings: as they were when it began.
        url: of the server; empty when there is none.
        companion: ships the spool; None when it could not be started.
    """

    attempt: Session
    request: Request
    code: Code
    settings: Settings
    url: str
    tees: Tees
    watch: ExitWatch
    companion: Companion | None

    def let_go(self) -> None:
        """Give the process back as it was: streams, hooks, environment."""
        self.watch.remove()
        self.tees.restore()
        session.leave()

    def close(self) -> None:
        """End as completed, or as it was marked, while the process goes on.

        The companion sends the rest: nothing here waits for the network. Without a companion,
        this process tries once.
        """
        if "dray.sdk.capture.notebook" in sys.modules:
            from dray.sdk.capture import notebook

            notebook.leave()  # it keeps the notebook as it is now
        if "dray.sdk.artifacts.registered" in sys.modules:
            from dray.sdk.artifacts import registered

            registered.sync_all(self.attempt)
        if not self.attempt.marked:
            self.attempt.record("final", exit_code=0)
        self.attempt.ended = _STATES[self.attempt.marked or "complete"]
        self.let_go()
        with open(os.path.join(self.attempt.spool, OVER_FILE), "wb"):
            companion.note_closed(self.attempt.task_id)
        is_told = self.companion is not None and self.companion.tell_over()
        if not is_told and not self.attempt.is_offline:
            from dray.sdk.runs import hand_over

            hand_over.tell_end(self)


@dataclass(frozen=True)
class Begun:
    """Where the run is recorded.

    Attributes:
        task: JSON of its ``models.Task``.
        epoch: of its attempt; 0 as long as no server knows of it.
        url: of the server it is to be sent to; empty when none is known.
        goes_on: how it is announced when it continues a task that had ended; else empty.
        why_offline: a sentence, when there is no server.
    """

    task: dict[str, Any]
    claim_id: str
    epoch: int = 0
    token: str = ""
    url: str = ""
    goes_on: str = ""
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
    companion.reap()
    loaded = config.load()
    for warning in loaded.warnings:
        session.say(f"warning: {warning}")
    code = Code.of_process(request.entry or entry_of_process(), request.wishes)
    draft = _draft(request, code.entry)
    begun = _begin_at_server(draft, request, loaded.settings)
    spool = _lay_out(begun, request, HomePaths(loaded.settings.home))
    attempt = Session(str(spool.root), os.getpid())
    attempt.record("runtime", values=_facts(code.entry))
    if begun.goes_on:
        from dray.sdk.runs import continuing

        continuing.tell(attempt, draft)
    if not request.simulated:  # its code is what was stored, whatever stands here
        attempt.capture = lambda: code.captured.execution
        code.write(attempt.spool)
    beside = _put_companion_beside(spool, begun, loaded.settings)
    session.adopt(attempt)
    attempt.export()
    _announce(begun, request, spool)
    watch = ExitWatch(attempt, lambda end: _finish(attempt, end))
    tees = Tees(str(spool.root), request.streams)
    run = LocalRun(attempt, request, code, loaded.settings, begun.url, tees, watch, beside)
    watch.install()
    return run


def _draft(request: Request, entry: Entry) -> dict[str, Any]:
    """The task as far as it is known before anybody was asked, as JSON of ``models.Task``."""
    script = entry.script.name if entry.script else "interactive"
    return {
        "id": ids.new_id(),
        "name": request.name or entry.module or Path(script).stem,
        "project": request.project or project_of(entry.script),
        "type": request.type,
        "tags": list(request.tags),
        "owner": whoami.user(),
        "execution": {
            "arguments": list(entry.arguments),
            "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
            "bootstrap": request.bootstrap,
            "output_uri": request.output_uri,
            **place(entry, Path.cwd(), top_of(entry.script)),
        },
    }


def _begin_at_server(draft: dict[str, Any], request: Request, settings: Settings) -> Begun:
    begun = Begun(draft, ids.new_id())
    why = ""
    if settings.offline:
        why = "offline mode is on (DRAY_OFFLINE)"
    else:
        try:
            url, token = find_server(settings)
        except ServerUnreachable as exc:
            why = exc.message
        else:
            begun = replace(begun, url=url)
            if request.deferred and request.going_on is None and not request.simulated:
                return begun
            from dray.sdk.tasks import server_run

            try:
                return server_run.begin(begun, request, settings, token)
            except ServerUnreachable as exc:
                why = exc.message
    if request.going_on is not None or request.simulated:
        from dray.sdk.runs import continuing

        raise continuing.without_server(why)
    return replace(begun, why_offline=why)


def _lay_out(begun: Begun, request: Request, home: HomePaths) -> SpoolPaths:
    task_id = str(begun.task["id"])
    spool = SpoolPaths(home.spools / (task_id if begun.epoch <= 1 else f"{task_id}.{begun.epoch}"))
    node = socket.gethostname()
    attempt = {
        "task_id": task_id,
        "epoch": begun.epoch,
        "claim_id": begun.claim_id,
        "url": begun.url,
        "origin": session.SIMULATED if request.simulated else session.LOCAL,
        "pid": os.getpid(),
        "agent": f"local:{node}",
        "node": node,
        "monitoring": request.monitoring,
        "streams": list(request.streams),
    }
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        spool.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (spool.root / OVER_FILE).unlink(missing_ok=True)
        session.write_file(str(spool.task), begun.task)
        session.write_file(str(spool.attempt), attempt)
    except OSError as exc:
        raise StoreUnusable(
            f"{spool.root} cannot be written ({exc.strerror}); set DRAY_HOME to a folder that can"
        ) from exc
    return spool


def _put_companion_beside(spool: SpoolPaths, begun: Begun, settings: Settings) -> Companion | None:
    told = replace(settings, url=begun.url, token=begun.token or settings.token)
    environment = {
        **os.environ,
        **{f"DRAY_{f.name.upper()}": str(getattr(told, f.name)) for f in fields(told)},
    }
    # The package's own place, in case the script found it by a path of its own.
    roots = (environment.get("PYTHONPATH"), _import_root())
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, roots))
    environment.pop("DRAY_AUTO_INIT", None)  # it is nobody's run
    try:
        return Companion(str(begun.task["id"]), str(spool.root), environment)
    except OSError as exc:
        session.say(f"warning: nothing ships this run ({exc}); use: dray sync {spool.root}")
        return None


def _import_root() -> str:
    file = getattr(sys.modules.get("dray"), "__file__", None)
    return str(Path(file).absolute().parents[1]) if file else ""


def _facts(entry: Entry) -> dict[str, str]:
    from dray import __version__

    return {
        "dray": __version__,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "user": whoami.user(),
        "command": str(entry.script or "") or "interactive",
    }


def _announce(begun: Begun, request: Request, spool: SpoolPaths) -> None:
    short = str(begun.task["id"])[:8]
    where = page(begun.url, str(begun.task["id"]))
    if request.simulated:
        session.say(f"running task {short} as an agent would · {where}")
    elif begun.why_offline:
        later = "; it is sent as soon as the server answers" if begun.url else ""
        session.say(
            f"recording task {short} without a server: {begun.why_offline}{later}. "
            f"To send it later: dray sync {spool.root}"
        )
    else:
        session.say(f"{begun.goes_on or f'recording task {short}'} · {where}")


def page(url: str, task_id: str) -> str:
    """Address of a task's page."""
    return f"{url}/#/tasks/{task_id}"


def _finish(attempt: Session, end: dict[str, Any]) -> None:
    if not attempt.marked:
        attempt.record("final", **end)
