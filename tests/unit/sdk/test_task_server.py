"""Runs started by hand that a server knows of: recorded, used again, moved to a queue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.sdk.live import Live
from tests.unit.sdk.repositories import Repository
from tests.unit.sdk.scripts import INIT, Machine, ended, task_of
from tests.waiting import wait_until

REMOTE = INIT + "task.connect({'lr': 0.1})\nprint('before')\n"


class TestWithServer:
    def test_a_run_is_a_task_from_start_to_end(self, laptop: Machine, live: Live) -> None:
        Repository(laptop.code).write(train_py="").commit()
        ran = laptop.run(
            INIT + "task.connect({'lr': 0.1})\ntask.logger.report_scalar('loss', 'train', 2.0, 1)\n"
            "task.upload_artifact('table', {'a': [1, 2]})\nprint('hello')\n",
            "train.py",
            "--epochs",
            "3",
        )
        task_id = task_of(ran)
        assert ran.err.splitlines()[-1] == (
            f"dray: recording task {task_id[:8]} · {live.url}/#/tasks/{task_id}"
        )
        task = ended(live, task_id)
        assert (str(task.state), task.project, task.name) == ("completed", "proj", "name")
        assert task.execution.arguments == ["--epochs", "3"]
        assert task.execution.entry_point == "train.py"
        assert task.parameters["General/lr"].value == "0.1"
        assert task.metrics["loss"]["train"].last == 2.0
        assert [a.name for a in task.artifacts] == ["table"]
        assert live.client.artifact_content(task_id, "table")
        pieces = live.client.console(task_id, stream="stdout").pieces
        assert "".join(piece.text for piece in pieces) == "hello\n"

    def test_a_failed_run_has_its_reason(self, laptop: Machine, live: Live) -> None:
        task = ended(live, task_of(laptop.run(INIT + "raise ValueError('diverged')")))
        assert (str(task.state), task.cause.message) == ("failed", "ValueError: diverged")

    def test_the_last_task_of_a_name_is_used_again(self, laptop: Machine, live: Live) -> None:
        first = task_of(laptop.run(INIT + "task.set_parameter('old', 1)"))
        ended(live, first)
        second = laptop.run(INIT + "task.set_parameter('new', 2)")
        assert task_of(second) == first
        task = ended(live, first)
        assert (task.epoch, set(task.parameters)) == (2, {"General/new"})

    @pytest.mark.parametrize(
        ("script", "again"),
        [
            (INIT + "task.upload_artifact('model', {'a': 1})", INIT),
            (INIT, INIT.replace("'name')", "'name', reuse_last_task_id=False)")),
            (INIT, INIT.replace("'name'", "'other'")),
            (INIT, INIT.replace("'name')", "'name', 'testing')")),
        ],
        ids=["artifacts", "told not to", "name", "type"],
    )
    def test_some_tasks_are_not_used_again(
        self, laptop: Machine, live: Live, script: str, again: str
    ) -> None:
        first = task_of(laptop.run(script))
        ended(live, first)
        assert task_of(laptop.run(again)) != first

    def test_a_published_task_is_not_used_again(self, laptop: Machine, live: Live) -> None:
        first = task_of(laptop.run(INIT))
        ended(live, first)
        live.client.publish(first)
        assert task_of(laptop.run(INIT)) != first

    def test_close_ends_the_task_while_the_process_goes_on(
        self, laptop: Machine, live: Live
    ) -> None:
        ran = laptop.run(INIT + "print('in')\ntask.close()\nprint(task.get_status())\n")
        assert ran.out == "in\ncompleted\n", ran.err
        assert str(live.client.get_task(task_of(ran)).state) == "completed"

    def test_an_unknown_token_is_said_at_once(self, tmp_path: Path, live: Live) -> None:
        ran = Machine(tmp_path, live.url, "wrong").run(INIT)
        assert "Unauthorized" in ran.err
        assert ran.code == 1


class TestExecuteRemotely:
    def test_the_run_moves_with_its_code_and_the_process_ends(
        self, laptop: Machine, live: Live
    ) -> None:
        Repository(laptop.code).write(train_py="").commit()
        (laptop.code / "untracked.txt").write_text("data")
        ran = laptop.run(
            REMOTE + "task.set_resources(gpus=1, memory_gib=0.5)\n"
            "task.set_packages(['numpy==2'])\n"
            "task.execute_remotely('gpu')\nprint('never')\n"
        )
        assert (ran.code, ran.out) == (0, "before\n"), ran.err
        assert "waits in queue gpu" in ran.err
        task = live.client.get_task(task_of(ran))
        assert (str(task.state), task.queue) == ("pending", "gpu")
        assert task.parameters["General/lr"].value == "0.1"
        manifest = json.loads(live.client.read_blob(task.execution.snapshot))
        assert [entry[0] for entry in manifest["files"]] == ["train.py", "untracked.txt"]
        assert live.client.read_blob(manifest["files"][1][1]) == b"data"
        assert task.execution.commit
        assert task.execution.packages == ["numpy==2"]
        wanted = task.execution.resources
        assert (wanted.cpus, wanted.gpus, wanted.memory_bytes) == (1.0, 1.0, 2**29)
        pieces = live.client.console(task.id, stream="stdout").pieces
        assert "".join(piece.text for piece in pieces) == "before\n"

    def test_outside_git_the_script_goes_with_what_lies_beside_it(
        self, laptop: Machine, live: Live
    ) -> None:
        (laptop.code / "local.py").write_text("X = 1\n")
        (laptop.code / "config.yaml").write_text("lr: 1")
        (laptop.code / ".env").write_text("SECRET=1")
        ran = laptop.run("import local\n" + REMOTE + "task.execute_remotely('gpu')\n")
        task = live.client.get_task(task_of(ran))
        manifest = json.loads(live.client.read_blob(task.execution.snapshot))
        assert [entry[0] for entry in manifest["files"]] == ["config.yaml", "local.py", "train.py"]

    def test_an_unknown_queue_costs_nothing(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run(
            REMOTE + "try:\n    task.execute_remotely('gpus')\n"
            "except Exception as exc:\n    print(exc)\nprint('goes on')\n"
        )
        assert "no queue is called 'gpus'; there are: default, gpu." in ran.out
        assert ran.out.endswith("goes on\n")
        assert str(ended(live, task_of(ran)).state) == "completed"

    def test_code_over_the_limit_is_named_and_the_run_goes_on(
        self, laptop: Machine, live: Live
    ) -> None:
        Repository(laptop.code)
        (laptop.code / "weights.bin").write_bytes(bytes(2048))
        laptop.extra["DRAY_SNAPSHOT_LIMIT_BYTES"] = "1024"
        ran = laptop.run(REMOTE + "task.execute_remotely('gpu')\n")
        assert "TooLarge" in ran.err
        assert "weights.bin" in ran.err
        assert str(ended(live, task_of(ran)).state) == "failed"

    def test_a_clone_goes_and_the_run_stays(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run(
            REMOTE + "other = task.execute_remotely('default', clone=True, exit_process=False)\n"
            "print(other.id, other.get_parameter('General/lr'))\n"
        )
        clone_id, value = ran.out.splitlines()[-1].split()
        clone = live.client.get_task(clone_id)
        assert (str(clone.state), clone.queue, value) == ("pending", "default", "0.1")
        assert clone.execution.snapshot
        assert clone.parent_id == task_of(ran)
        assert str(ended(live, task_of(ran)).state) == "completed"

    def test_the_process_may_stay(self, laptop: Machine) -> None:
        ran = laptop.run(
            REMOTE + "moved = task.execute_remotely('gpu', exit_process=False)\n"
            "print(moved.get_status(), Task.current_task())\n"
        )
        assert ran.out.splitlines()[-1] == "queued None", ran.err


def test_the_shipper_goes_when_the_run_has_moved(laptop: Machine, live: Live) -> None:
    ran = laptop.run(REMOTE + "task.execute_remotely('gpu')\n")
    assert ran.spool is not None
    log = ran.spool / "shipper.log"
    wait_until(lambda: log.read_text() if log.exists() else "", lambda text: "is over" in text)
