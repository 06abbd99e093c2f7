"""What is not a committed script runs on the cluster as it ran here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.conftest import Cluster

_RUN = """\
from dray import Task
import helper
Task.init(project_name="anything", task_name="unpushed")
print(helper.WORD, open("data.txt").read())
"""


def here(cluster: Cluster, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in ``folder`` against this cluster."""
    return subprocess.run(
        arguments, cwd=folder, env=cluster.environ, capture_output=True, text=True, timeout=120
    )


def stdout_of(cluster: Cluster, task_id: str) -> str:
    return b"".join(cluster.client.console_raw(task_id)).decode()


def queued(cluster: Cluster, folder: Path, *arguments: str) -> str:
    """Run something in the default queue to its good end; what it printed."""
    dray = [sys.executable, "-m", "dray", "run", "--queue", "default", "--wait"]
    done = here(cluster, folder, *dray, *arguments)
    assert done.returncode == 0, done.stderr
    return stdout_of(cluster, done.stdout.split()[0])


def test_a_script_and_a_notebook_outside_git_run_with_their_folder(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("lr: 1\n")
    (tmp_path / "train.py").write_text(
        "import sys\nprint(open('config.yaml').read(), sys.argv[1:])\n"
    )
    assert queued(cluster, tmp_path, "train.py", "--", "--x", "1") == "lr: 1\n ['--x', '1']\n"

    cells: list[Any] = [{"cell_type": "code", "source": "!cat config.yaml", "metadata": {}}]
    (tmp_path / "nb.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    assert queued(cluster, tmp_path, "nb.ipynb") == "lr: 1\n"


def test_a_clone_of_a_run_that_no_remote_has_can_be_enqueued(
    cluster: Cluster, tmp_path: Path
) -> None:
    for name, text in (("helper.py", "WORD = 'it is'"), ("data.txt", "here"), ("train.py", _RUN)):
        (tmp_path / name).write_text(text)
    for command in (
        ["init", "-q"],
        ["add", "train.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert here(cluster, tmp_path, sys.executable, "train.py").returncode == 0
    (task,) = cluster.client.list_tasks(project="anything").items
    cluster.client.wait(task.id, timeout=60)
    (tmp_path / "data.txt").write_text("changed since")
    copy = cluster.client.clone_task(task.id)
    cluster.client.enqueue(copy.id, "default")
    assert cluster.client.wait(copy.id, timeout=60).state == "completed"
    assert stdout_of(cluster, copy.id) == "it is here\n"
