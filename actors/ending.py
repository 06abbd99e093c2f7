"""Why an attempt ended: from what was asked, what the process did and what it said itself."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dray.envbuilder.containers.box import BoxEnd
from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import SpoolPaths
from dray.runtime.spool_reader import final_record
from dray.runtime.states import Event
from dray.runtime.subprocesses import ExitStatus
from dray.sdk.runs.endings import cause_of, last_words

#: What a machine runs out of, or suffers from; no task can help it.
_MACHINE_ERRORS = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
    )
)


@dataclass(frozen=True)
class ProcessEnd:
    """How the process of an attempt ended, and what was done to it.

    Attributes:
        asked: why it was asked to end, if it was.
        steps: what was done to end it, in words.
        fenced: its keeper ended it because the lease could not be renewed.
        starved: what the kernel did for want of memory, in words; None: nothing.
        stuck_pids: processes that outlived KILL.
        setup_failed: the last lines of its setup scripts, when it ended in one of them; None: it
            did not.
        container: how its container ended, of which ``status`` is the client's; None: it had none.
    """

    status: ExitStatus
    asked: Cause | None = None
    steps: tuple[str, ...] = ()
    fenced: bool = False
    starved: str | None = None
    stuck_pids: tuple[int, ...] = ()
    setup_failed: str | None = None
    container: BoxEnd | None = None


def preparation_cause(exc: Exception) -> Cause:
    """The cause of an attempt that could not be prepared: the task's fault, or the machine's."""
    if isinstance(exc, PreparationFailed):
        evidence = str(exc.details.get("evidence", ""))
        if trouble := _machine_trouble(exc, evidence):
            return _not_prepared(trouble, evidence or exc.message)
        return Cause(CauseKind(exc.details["kind"]), exc.message).with_evidence(evidence)
    if trouble := _machine_trouble(exc, ""):
        return _not_prepared(trouble, repr(exc))
    if isinstance(exc, OSError):
        return Cause(CauseKind.ENVIRONMENT_FAILED, f"it could not be prepared: {exc}")
    return Cause(CauseKind.SOURCE_FAILED, str(exc))


def start_cause(exc: Exception) -> Cause:
    """The cause of an attempt whose process could not be started."""
    if isinstance(exc, OSError) and exc.errno == errno.ETIME:
        return _fenced(repr(exc))
    if isinstance(exc, OSError) and not _machine_trouble(exc, ""):
        return Cause(CauseKind.ENVIRONMENT_FAILED, f"its process could not be started: {exc}")
    message = f"its agent could not start a process: {exc}"
    return causes.worker_lost(repr(exc), message)


def setup_took_too_long(limit_s: float, evidence: str) -> Cause:
    """The cause of an attempt whose setup scripts did not come to their end."""
    message = (
        f"its setup script was not done after {limit_s:g} s; make it quicker, or raise "
        "setup_limit_s where its agents are started"
    )
    return Cause(CauseKind.ENVIRONMENT_FAILED, message).with_evidence(evidence)


def process_cause(end: ProcessEnd, spool: SpoolPaths) -> Cause:
    """The cause of an attempt whose process has ended; reads its spool, so it may block."""
    cause = _cause_of(end, spool)
    if not end.stuck_pids:
        return cause
    pids = ", ".join(map(str, end.stuck_pids))
    stuck = f"these processes outlived SIGKILL and hang in the kernel: {pids}"
    return cause.with_evidence(f"{cause.evidence}\n{stuck}" if cause.evidence else stuck)


def _fenced(evidence: str) -> Cause:
    message = "it lost contact with the server and ended itself before its lease ran out"
    return replace(causes.worker_lost(evidence, message), by="fence")


def _cause_of(end: ProcessEnd, spool: SpoolPaths) -> Cause:
    status = end.status
    if end.asked is not None:
        asked = end.asked.evidence
        return end.asked.with_evidence("\n".join([*([asked] if asked else []), *end.steps]))
    if end.fenced:
        return _fenced("\n".join(end.steps))
    if status.lost:
        return causes.worker_lost("the process that kept it was killed")
    if end.container is not None and (trouble := _container_trouble(end.container, spool)):
        return trouble
    if end.setup_failed is not None and end.starved is None:
        return _setup_failed(status, end.setup_failed)
    stated = final_record(spool)
    if stated is not None and "marked" in stated:
        return cause_of(stated)
    number = (status.exit_code or 0) - 128 if end.container is not None else 0
    if number in tuple(signal.Signals):  # so the engine tells of a signal
        cause = causes.killed(number)
    elif status.exit_code is not None:
        cause = causes.exited(status.exit_code)
    else:
        cause = causes.killed(status.signal or 0)
    if causes.end_event(cause) is Event.COMPLETE:
        return cause
    words = last_words(spool)
    if end.starved is None:
        return cause.with_evidence(words)
    message = f"{cause.message} after the kernel ran out of memory for it ({end.starved})"
    starved = replace(cause, kind=CauseKind.OUT_OF_MEMORY, message=message)
    # The figures last: evidence that is too long loses its beginning.
    return starved.with_evidence(f"{words}\n{end.starved}" if words else end.starved)


def _container_trouble(container: BoxEnd, spool: SpoolPaths) -> Cause | None:
    """Why it was not the task that ended, but its container; None: it was the task."""
    engine = container.engine
    if container.engine_gone:
        message = f"the container engine of its node ({engine}) stopped answering"
        return causes.worker_lost("", message).with_evidence(container.engine_gone)
    if container.is_started:
        return None
    words = last_words(spool)
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    what = next((line for line in lines if "rror" in line), lines[-1] if lines else "")
    message = f"{engine} could not start its container: {what or 'it did not say why'}"
    return Cause(CauseKind.ENVIRONMENT_FAILED, message).with_evidence(words)


def _setup_failed(status: ExitStatus, evidence: str) -> Cause:
    """Its own way of ending, told as a preparation's: the task itself never began."""
    if status.exit_code == 0:
        how = "called exit, so that the task could not begin; leave it out at its end"
    elif status.exit_code is not None:
        how = f"failed with exit code {status.exit_code}"
    else:
        how = f"was {causes.killed(status.signal or 0).message}"
    message = f"its setup script {how}"
    return Cause(CauseKind.ENVIRONMENT_FAILED, message).with_evidence(evidence)


def _not_prepared(trouble: str, evidence: str) -> Cause:
    message = f"its node could not prepare it: {trouble}"
    return causes.worker_lost("", message).with_evidence(evidence)


def _machine_trouble(exc: BaseException, evidence: str) -> str:
    """What the machine lacked, in the system's words; empty when it is not the machine."""
    for each in _chain(exc):
        if isinstance(each, OSError) and each.errno in _MACHINE_ERRORS:
            return os.strerror(each.errno)
    words = map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM))
    return next((each for each in words if each in evidence), "")


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
