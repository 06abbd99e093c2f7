"""What surrounds a task's process reaches it under an agent, and again where it is reproduced."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from dray.runtime.causes import CauseKind
from dray.runtime.models import Parameter
from dray.runtime.states import State
from tests.integration.conftest import Cluster

SOURCE = """\
import argparse, os, sys
from dray import Task
task = Task.init("tests", "main.py")
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
print(parser.parse_args().lr, os.environ["A"], os.environ["B"], sys.version_info[:2])
"""


def test_a_task_that_ran_is_reproduced_and_prints_the_same(
    cluster: Cluster, tmp_path: Path
) -> None:
    task = cluster.submit(
        SOURCE,
        parameters={"Args/lr": Parameter("0.5", "float")},
        variables={"A": "a task's own"},
        setup_script="echo setting up\nexport B=$A",
    )
    ended = cluster.finished(task)
    assert ended.state is State.COMPLETED, ended.cause
    assert cluster.console(task).startswith("0.5 a task's own a task's own (3, ")
    assert "setting up\n" in cluster.console(task, "prepare")
    assert ended.attempt is not None
    report = ended.attempt.environment
    assert report is not None
    assert (report.manager, report.platform.partition("-")[0]) == ("uv", "linux")
    made = cluster.dray("task", "reproduce", task.id, str(tmp_path / "again"), "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["packages"] == "resolved"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    by_hand = subprocess.run([told["run"]], env=env, capture_output=True, text=True, check=True)
    assert by_hand.stdout == cluster.console(task)


def test_a_setup_script_that_fails_is_the_cause_of_the_end(cluster: Cluster) -> None:
    ended = cluster.finished(cluster.submit("print('never')", setup_script="echo why; exit 3"))
    assert ended.state is State.FAILED
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert ended.cause.message == "its setup script failed with exit code 3"
    assert ended.cause.evidence == "why"
    assert cluster.console(ended) == ""
