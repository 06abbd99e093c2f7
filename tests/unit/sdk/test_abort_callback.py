"""Abort callbacks: what a run does before it is stopped, and whoever stops it waits for."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime.abort_pipe import pipe_path, run_callbacks, terms_path
from dray.runtime.errors import InvalidInput
from dray.sdk.task import Task
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import INIT, TASK_ID, Machine, agent_spool, read_records
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")

CAUSE = {"kind": "aborted", "message": "enough", "by": "user"}
#: Ends when its stdin does, so that no test leaves one behind.
WAITS = "\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()\n"


@contextlib.contextmanager
def run_of(machine: Machine, text: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A run of ``text`` under an agent, once it has said ``ready``; and its spool."""
    spool = agent_spool(machine.root / "spool")
    (machine.code / "train.py").write_text(INIT + text)
    environment = {**machine.environment(), "DRAY_TASK_ID": TASK_ID, "DRAY_SPOOL": str(spool)}
    with subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=machine.code,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process, spool
        finally:
            process.kill()


def test_whoever_stops_a_run_waits_for_its_callback_and_no_longer(machine: Machine) -> None:
    text = "task.register_abort_callback(lambda: task.logger.report_single_value('saved', 7), 600)"
    with run_of(machine, text + WAITS) as (process, spool):
        (outcome,) = run_callbacks(spool, CAUSE)
        assert outcome.startswith(f"abort callback of process {process.pid}: over after")
        (record,) = read_records(spool, "single")
        assert record["v"] == 7
        assert process.poll() is None
        assert run_callbacks(spool, CAUSE) == [], "it is called once"


def test_a_callback_has_its_time_and_no_more(machine: Machine) -> None:
    text = "import time\ntask.register_abort_callback(lambda: time.sleep(600), 0.2)"
    with run_of(machine, text + WAITS) as (process, spool):
        outcome = f"abort callback of process {process.pid}: not done after 0.2 s"
        assert run_callbacks(spool, CAUSE) == [outcome]


def test_a_callback_that_raises_is_shown_and_holds_up_nothing(machine: Machine) -> None:
    text = "task.register_abort_callback(lambda: 1 / 0, callback_execution_timeout=600)"
    with run_of(machine, text + WAITS) as (process, spool):
        assert len(run_callbacks(spool, CAUSE)) == 1
        _, err = process.communicate(timeout=30)
        assert b"ZeroDivisionError" in err
        assert b"the abort callback raised" in err


def test_nobody_is_waited_for_without_a_callback(machine: Machine) -> None:
    text = "task.register_abort_callback(print)\ntask.register_abort_callback(None)"
    with run_of(machine, text + WAITS) as (_, spool):
        assert run_callbacks(spool, CAUSE) == []
        assert list(spool.glob("abort.*")) == []


def test_a_callback_set_again_replaces_the_one_before(machine: Machine) -> None:
    text = """
def say(word): return lambda: print(word, flush=True)
for word in ("one", "two"): task.register_abort_callback(say(word))
task.register_abort_callback(None)
task.register_abort_callback(say("three"))
"""
    with run_of(machine, text + WAITS) as (process, spool):
        assert len(run_callbacks(spool, CAUSE)) == 1
        assert process.communicate(timeout=30)[0] == b"three\n"


def test_a_process_that_was_killed_is_not_waited_for(machine: Machine) -> None:
    with run_of(machine, "task.register_abort_callback(print)" + WAITS) as (process, spool):
        process.kill()
        process.wait()
        assert len(list(spool.glob("abort.*"))) == 2
        assert run_callbacks(spool, CAUSE) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that fork")
def test_each_process_of_a_run_has_a_callback_of_its_own(machine: Machine) -> None:
    """And one that was only forked holds up nothing, though it has copies of all descriptors."""
    text = """
import os, sys
def save(): print(os.getpid(), flush=True)
task.register_abort_callback(save, 600)
for registers in (True, False):
    read, write = os.pipe()
    if os.fork() == 0:
        if registers: task.register_abort_callback(save, 600)
        os.close(write if registers else read)
        sys.stdin.read() if registers else os.close(write)
        if registers: os._exit(0)
        sys.stdin.read()
        os._exit(0)
    os.close(write)
    if not registers: os.read(read, 1)
"""
    with run_of(machine, text + WAITS) as (process, spool):
        wait_until(lambda: len(list(spool.glob("abort.*.json"))), lambda n: n == 2)
        assert len(run_callbacks(spool, CAUSE)) == 2
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        pids = {int(line) for line in process.stdout.read().splitlines()}
        assert len(pids) == 2
        assert process.pid in pids


def test_a_script_that_ends_meanwhile_lets_its_callback_finish(machine: Machine) -> None:
    text = """
import os, time
def save():
    print("begun", flush=True)
    os.read(int(os.environ["GATE"]), 1)
    print("saved", flush=True)
task.register_abort_callback(save, 30)
"""
    gate, key = os.pipe()
    machine.extra["GATE"] = str(gate)
    spool = agent_spool(machine.root / "spool")
    (machine.code / "train.py").write_text(INIT + text + WAITS)
    environment = {**machine.environment(), "DRAY_TASK_ID": TASK_ID, "DRAY_SPOOL": str(spool)}
    with subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=machine.code,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[gate],
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        teller = os.open(pipe_path(str(spool), process.pid), os.O_WRONLY)
        os.write(teller, b"{}\n")
        assert process.stdout.readline() == b"begun\n"
        process.stdin.close()
        os.write(key, b"k")
        assert process.stdout.read() == b"saved\n"
    for fd in (gate, key, teller):
        os.close(fd)


def test_what_only_looks_like_a_callback_is_passed_over(tmp_path: Path) -> None:
    """The run's own processes write into the spool, so anything may lie there."""
    (tmp_path / "abort.1.json").write_text("[" * 9999)
    (tmp_path / "abort.2.json").write_text('{"pid": "x"}')
    target = tmp_path / "mine"
    target.write_text("untouched")
    for pid, make in ((3, os.symlink), (4, lambda _, path: Path(path).write_text("untouched"))):
        Path(terms_path(str(tmp_path), pid)).write_text(json.dumps({"pid": pid, "timeout_s": 9}))
        make(str(target), pipe_path(str(tmp_path), pid))
    assert run_callbacks(tmp_path, CAUSE) == []
    assert target.read_text() == "untouched"


@pytest.mark.parametrize(
    ("function", "timeout_s", "field"),
    [
        ("save", 30.0, "callback_function"),
        (print, 0, "callback_execution_timeout"),
        (print, 1e9, "callback_execution_timeout"),
    ],
)
def test_what_cannot_be_used_is_refused(
    begin: Begin, function: object, timeout_s: float, field: str
) -> None:
    begin()
    task = Task.current_task()
    assert task is not None
    with pytest.raises(InvalidInput) as refused:
        task.register_abort_callback(function, timeout_s)  # pyright: ignore[reportArgumentType]
    assert refused.value.details["field"] == field


def test_elsewhere_than_on_posix_it_says_so(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin()
    monkeypatch.delattr(os, "mkfifo")
    task = Task.current_task()
    assert task is not None
    task.register_abort_callback(print)
    assert "not supported" in capsys.readouterr().err
