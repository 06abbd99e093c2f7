"""Why an attempt ended: the first thing that explains it, and whose fault it was."""

from __future__ import annotations

import errno
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from dray.actors.ending import ProcessEnd, preparation_cause, process_cause, start_cause
from dray.runtime import causes
from dray.runtime.causes import CauseKind
from dray.runtime.errors import DrayError, NotFound, PreparationFailed
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import STDERR, encode_record
from dray.runtime.states import Event
from dray.runtime.subprocesses import ExitStatus

EXITED = ProcessEnd(ExitStatus(0, None))
FAILED = ProcessEnd(ExitStatus(1, None))
KILLED = ProcessEnd(ExitStatus(None, signal.SIGKILL))
STARVED = "oom_kill 1, peak 64.0 MiB, limit 64.0 MiB"


@pytest.fixture
def spool(tmp_path: Path) -> SpoolPaths:
    """The spool of a process that said something before it ended."""
    paths = SpoolPaths(tmp_path)
    paths.stream(STDERR).write_text("the last words\n")
    return paths


def test_exit_code_zero_needs_no_evidence(spool: SpoolPaths) -> None:
    assert process_cause(EXITED, spool) == causes.exited(0)


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        (FAILED, CauseKind.EXIT_CODE, "exited with code 1"),
        (KILLED, CauseKind.SIGNAL, "ended by SIGKILL"),
        (ProcessEnd(ExitStatus(None, signal.SIGSEGV)), CauseKind.SIGNAL, "ended by SIGSEGV"),
    ],
)
def test_a_failure_has_its_last_words_as_evidence(
    spool: SpoolPaths, end: ProcessEnd, kind: CauseKind, message: str
) -> None:
    cause = process_cause(end, spool)
    assert (cause.kind, cause.message, cause.evidence) == (kind, message, "the last words\n")


@pytest.mark.parametrize("end", [KILLED, FAILED])
def test_what_ran_out_of_memory_says_so_with_peak_and_limit(
    spool: SpoolPaths, end: ProcessEnd
) -> None:
    cause = process_cause(replace(end, starved=STARVED), spool)
    assert cause.kind is CauseKind.OUT_OF_MEMORY
    assert (cause.exit_code, cause.signal) == (end.status.exit_code, end.status.signal)
    assert cause.evidence == f"the last words\n\n{STARVED}"
    assert causes.may_be_retried(cause)


def test_what_came_through_all_the_same_is_completed(spool: SpoolPaths) -> None:
    assert process_cause(replace(EXITED, starved=STARVED), spool) == causes.exited(0)


def test_what_was_asked_for_comes_before_all_that_came_of_it(spool: SpoolPaths) -> None:
    end = replace(KILLED, asked=causes.aborted("ann"), steps=("SIGINT to 1 process",), fenced=True)
    cause = process_cause(end, spool)
    assert (cause.kind, cause.by, cause.evidence) == (
        CauseKind.ABORTED,
        "ann",
        "SIGINT to 1 process",
    )


def test_a_mark_comes_before_the_exit_code(spool: SpoolPaths) -> None:
    spool.stream("records").write_bytes(encode_record("final", 1.0, marked="complete", reason="ok"))
    cause = process_cause(FAILED, spool)
    assert (causes.end_event(cause), cause.message) == (Event.COMPLETE, "ok")


def test_the_fence_is_a_lost_worker_and_no_failure_of_the_task(spool: SpoolPaths) -> None:
    cause = process_cause(replace(KILLED, fenced=True, steps=("SIGKILL to 1 process",)), spool)
    assert (cause.kind, cause.by) == (CauseKind.WORKER_LOST, "fence")
    assert causes.is_infrastructure(cause)


def test_a_killed_keeper_is_a_lost_worker(spool: SpoolPaths) -> None:
    end = ProcessEnd(ExitStatus(None, None, lost=True))
    assert process_cause(end, spool).kind is CauseKind.WORKER_LOST


@pytest.mark.parametrize("end", [EXITED, FAILED, replace(KILLED, asked=causes.aborted("ann"))])
def test_what_outlived_being_killed_is_named(spool: SpoolPaths, end: ProcessEnd) -> None:
    without = process_cause(end, spool)
    cause = process_cause(replace(end, stuck_pids=(4242,)), spool)
    assert (cause.kind, cause.message) == (without.kind, without.message)
    assert (cause.evidence or "").endswith("hang in the kernel: 4242")


def failed_build(evidence: str = "") -> PreparationFailed:
    return PreparationFailed("no build", kind="environment_failed", evidence=evidence)


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO],
)
def test_what_the_machine_lacks_is_not_the_tasks_fault(number: int) -> None:
    trouble = OSError(number, "no")
    wrapped = failed_build()
    wrapped.__cause__ = trouble
    found = [preparation_cause(trouble), preparation_cause(wrapped), start_cause(trouble)]
    assert all(causes.is_infrastructure(cause) for cause in found)


def test_an_installer_that_found_the_disk_full_is_not_the_tasks_fault() -> None:
    cause = preparation_cause(failed_build("error: No space left on device (os error 28)"))
    assert cause.kind is CauseKind.WORKER_LOST
    assert "No space left on device" in cause.message
    assert "os error 28" in (cause.evidence or "")


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (preparation_cause(failed_build("no such package")), CauseKind.ENVIRONMENT_FAILED),
        (preparation_cause(NotFound("no such blob")), CauseKind.SOURCE_FAILED),
        (start_cause(FileNotFoundError(errno.ENOENT, "no")), CauseKind.ENVIRONMENT_FAILED),
        (start_cause(DrayError("the supervisor ended while it started")), CauseKind.WORKER_LOST),
    ],
)
def test_everything_else_is_told_apart(cause: causes.Cause, kind: CauseKind) -> None:
    assert cause.kind is kind
