"""What a task of the chaos does, run as an agent would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dray.selftest import script, sidelog
from dray.selftest.judge_outputs import written
from dray.selftest.liveness import Liveness
from dray.selftest.plans import Plan
from tests.disk import Disk
from tests.waiting import wait_until

TASK = "a" * 32
PLAN = Plan(0, "plain", seed=3, work_s=0.0, stdout=9, stderr=5)


def start(log: Path, plan: Plan, epoch: int = 1) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "DRAY_TASK_ID": TASK, "DRAY_EPOCH": str(epoch), "DRAY_AGENT": "here"}
    command = [sys.executable, script.__file__, str(log), json.dumps(plan.for_script())]
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def test_it_writes_what_the_judge_expects(tmp_path: Path) -> None:
    process = start(tmp_path / "log", PLAN)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (0, written(PLAN, 1, "stdout"))
    assert stderr == written(PLAN, 1, "stderr")
    assert stdout != written(PLAN, 2, "stdout")
    facts = sidelog.read(tmp_path / "log")
    assert [fact.what for fact in facts] == ["start", *["wrote"] * script.N_GOES, "end"]
    assert facts[-2].details["stdout"] == len(stdout)
    assert {(fact.key, fact.pid) for fact in facts} == {((TASK, 1), process.pid)}


def test_a_fact_is_on_the_disk_before_the_task_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, disk = script.SideLog(str(tmp_path / "log"), TASK, 1), Disk(tmp_path, monkeypatch)
    log.write("start")
    assert disk.has_bytes(tmp_path / "log")


def test_it_fails_as_often_as_it_is_told(tmp_path: Path) -> None:
    plan = replace(PLAN, fails=2)
    codes: list[int] = []
    for epoch in (1, 2, 3):
        process = start(tmp_path / "log", plan, epoch)
        process.communicate()
        codes.append(process.returncode)
    assert codes == [script.FAILED_CODE, script.FAILED_CODE, 0]


def test_an_attempt_sees_another_one_of_its_task_alive(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start(log, replace(PLAN, work_s=600.0, ignores_term=True))
    try:
        wait_until(lambda: [f.what for f in sidelog.read(log)], lambda seen: "start" in seen)
        start(log, PLAN, epoch=2).communicate()
        first.terminate()  # which it ignores
        assert Liveness(log).alive()[0].pid == first.pid
    finally:
        first.kill()
        first.communicate()
    (second,) = [f for f in sidelog.read(log) if f.what == "start" and f.epoch == 2]
    assert second.details["alive"] == [[1, first.pid]]
    assert Liveness(log).alive() == []
    start(log, PLAN, epoch=3).communicate()
    assert sidelog.read(log)[-1].epoch == 3
    (third,) = [f for f in sidelog.read(log) if f.what == "start" and f.epoch == 3]
    assert third.details["alive"] == []


def test_a_signal_leaves_no_traceback(tmp_path: Path) -> None:
    process = start(tmp_path / "log", replace(PLAN, work_s=600.0))
    wait_until(lambda: sidelog.read(tmp_path / "log"))
    process.send_signal(signal.SIGINT)
    assert process.communicate() == (b"", b"")
    assert process.returncode == -signal.SIGINT


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    log, path = sidelog.SideLog(tmp_path / "log"), tmp_path / "log"
    assert log.news() == []
    line = b'{"what": "start", "task": "a", "epoch": 1, "pid": 2, "at": 3.0}\n'
    path.write_bytes(line + line[:20])
    assert len(log.news()) == 1
    path.write_bytes(line + line)
    assert [fact.pid for fact in log.news()] == [2]
