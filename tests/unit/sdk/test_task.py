"""``Task`` as scripts use it: under an agent, by hand without a server, and with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dray.runtime.paths import SpoolPaths
from dray.sdk import session
from dray.sdk.runs import exits
from tests.unit.sdk.live import Live
from tests.unit.sdk.repositories import Repository
from tests.unit.sdk.scripts import INIT, NOWHERE, TASK_ID, Machine, agent_spool, final, parameters
from tests.waiting import wait_until


class TestImport:
    PROBE = """
import sys
import dray
assert not [m for m in sys.modules if m.startswith("dray.")], "import dray loads its rooms"
from dray import Task, Logger
Task.init("p", "n")
known = sys.stdlib_module_names | {"dray", "__main__"}
strange = {m for m in sys.modules if m.split(".")[0] not in known}
heavy = {"asyncio", "urllib", "http", "socket", "threading", "dataclasses", "inspect", "pathlib",
         "subprocess", "hashlib", "logging", "typing", "argparse", "dray.runtime.models"}
heavy &= set(sys.modules)
print(sorted(strange), sorted(heavy))
"""

    def test_a_child_holds_the_standard_library_and_dray_only(self, machine: Machine) -> None:
        # -S: no site-packages, as in an environment that has no dray.
        spool = self.spool(machine)
        (machine.code / "probe.py").write_text(self.PROBE)
        ran = machine.run("", "-S", "probe.py", DRAY_TASK_ID=TASK_ID, DRAY_SPOOL=str(spool))
        assert (ran.out.strip(), ran.err) == ("[] []", "")

    def spool(self, machine: Machine) -> Path:
        return agent_spool(machine.root / "spool")

    def test_the_names_of_the_spool_are_those_of_the_paths(self, tmp_path: Path) -> None:
        spool = SpoolPaths(tmp_path)
        assert spool.task.name == session.TASK_FILE
        assert spool.attempt.name == session.ATTEMPT_FILE
        assert spool.stream("records").name == session.RECORDS_FILE
        assert spool.blobs.name == session.BLOBS_FOLDER
        assert spool.exit_status.name == exits.EXIT_STATUS_FILE


class TestUnderAnAgent:
    def test_init_joins_the_task_whatever_it_is_told(self, machine: Machine) -> None:
        ran = machine.run_under_agent(
            "from dray import Task\n"
            "task = Task.init('other', 'thing', task_type='nonsense', continue_last_task=True)\n"
            "print(task.id, task.project, task.name)\n"
            "print(Task.running_remotely(), task.is_main_task())\n"
            "print(Task.current_task() == task, Task.get_task(task.id) == task)\n"
            "task.execute_remotely('anywhere'); task.close(); task.reset()\n"
        )
        assert ran.out == f"{TASK_ID} demo train\nTrue True\nTrue True\n"
        assert ran.code == 0

    def test_the_end_is_the_agents_to_tell(self, machine: Machine) -> None:
        assert machine.run_under_agent(INIT + "raise SystemExit(3)").records() == []

    def test_the_console_is_not_kept_twice(self, machine: Machine) -> None:
        ran = machine.run_under_agent(INIT + "print('hello')")
        assert ran.spool is not None
        assert not (ran.spool / "stdout.log").exists()

    def test_a_mark_is_recorded(self, machine: Machine) -> None:
        ran = machine.run_under_agent(INIT + "task.mark_failed(status_reason='diverged')")
        assert final(ran) == {"marked": "fail", "reason": "diverged"}

    def test_argparse_may_be_imported_after_dray(self, machine: Machine) -> None:
        ran = machine.run_under_agent(
            "from dray import Task\nimport argparse\n"
            "p = argparse.ArgumentParser()\np.add_argument('--lr', type=float, required=True)\n"
            "print(p.parse_args().lr, argparse.__loader__ is argparse.__spec__.loader)\n"
            "Task.init()\n",
            parameters=parameters(Args__lr="0.5"),
        )
        assert ran.out == "0.5 True\n", ran.err

    def test_a_spool_of_another_task_is_refused(self, machine: Machine) -> None:
        spool = agent_spool(machine.root / "spool")
        ran = machine.run(INIT, DRAY_TASK_ID="cd" * 16, DRAY_SPOOL=str(spool))
        assert "InvalidInput: DRAY_TASK_ID is" in ran.err

    def test_every_change_is_one_record(self, machine: Machine) -> None:
        ran = machine.run_under_agent(
            INIT
            + "task.set_parameter('lr', 0.1, 'rate')\n"
            + "task.update_parameters({'opt': {'name': 'adam'}})\n"
            + "task.set_user_properties(team='vision', rank={'value': 3})\n"
            + "task.add_tags('a b'); task.remove_tags(['b']); task.set_tags(['c'])\n"
            + "task.comment = 'good'\ntask.set_progress(50)\n"
            + "task.set_packages(['numpy==2'])\n"
            + "task.set_configuration_object('net', 'layers: 3', config_type='yaml')\n"
            + "print(task.get_parameters(), task.get_tags(), task.comment, task.get_progress())\n"
            + "print(task.get_parameters_as_dict(cast=True), task.get_user_properties(True))\n"
        )
        said = [{k: v for k, v in r.items() if k != "t"} for r in ran.records()]
        rate = {"value": "0.1", "type": "float", "description": "rate"}
        assert said == [
            {"k": "parameters", "values": {"General/lr": rate}},
            {
                "k": "parameters",
                "values": {"opt/name": {"value": "adam", "type": "str", "description": ""}},
            },
            {"k": "properties", "values": {"team": "vision", "rank": "3"}},
            {"k": "tags", "add": ["a", "b"], "remove": []},
            {"k": "tags", "add": [], "remove": ["b"]},
            {"k": "tags", "add": ["c"], "remove": ["a"]},
            {"k": "comment", "text": "good"},
            {"k": "progress", "v": 50.0},
            {"k": "execution", "values": {"packages": ["numpy==2"], "packages_from": "task"}},
            {
                "k": "configuration",
                "values": {"net": {"text": "layers: 3", "type": "yaml", "description": ""}},
            },
        ]
        assert ran.out.splitlines() == [
            "{'General/lr': '0.1', 'opt/name': 'adam'} ['c'] good 50.0",
            "{'General': {'lr': 0.1}, 'opt': {'name': 'adam'}} {'team': 'vision', 'rank': '3'}",
        ]

    def test_children_of_every_kind_report_to_the_same_task(self, machine: Machine) -> None:
        ran = machine.run_under_agent(
            "import multiprocessing, os, subprocess, sys\n"
            + INIT
            + "def work(n):\n"
            + "    Task.current_task().logger.report_scalar('child', 'x', n, n)\n"
            + "if __name__ == '__main__':\n"
            + "    pid = os.fork()\n"
            + "    if pid == 0:\n"
            + "        Logger.current_logger().report_scalar('child', 'x', 1, 1); os._exit(0)\n"
            + "    os.waitpid(pid, 0)\n"
            + "    process = multiprocessing.get_context('spawn').Process(target=work, args=(2,))\n"
            + "    process.start(); process.join()\n"
            + "    code = 'from dray import Task; Task.init().logger.report_scalar"
            + '("child", "x", 3, 3)\'\n'
            + "    subprocess.run([sys.executable, '-c', code], check=True)\n"
        )
        assert [record["v"] for record in ran.records("scalar")] == [1.0, 2.0, 3.0], ran.err

    def test_what_a_process_prints_is_kept_once_it_has_asked_for_the_logger(
        self, machine: Machine
    ) -> None:
        ran = machine.run(
            "import multiprocessing\n"
            + "from dray import Logger, Task\n"
            + "def work():\n"
            + "    Logger.current_logger().report_scalar('child', 'x', 1, 1)\n"
            + "    print('said by the child')\n"
            + "if __name__ == '__main__':\n"
            + "    Task.init('p', 'n')\n"
            + "    process = multiprocessing.get_context('spawn').Process(target=work)\n"
            + "    process.start(); process.join()\n"
        )
        assert ran.stream("stdout") == "said by the child\n", ran.err


class TestOffline:
    def test_a_run_without_a_server_is_recorded_and_says_how_to_send_it(
        self, machine: Machine
    ) -> None:
        ran = machine.run(INIT + "task.logger.report_scalar('a', 'b', 1.5, 2)\nprint(task.status)")
        assert ran.out == "in_progress\n"
        (line,) = ran.err.splitlines()
        assert line.startswith("dray: recording task ")
        assert line.endswith(f"To send it later: dray sync {ran.spool}")
        assert "no server is configured" in line
        (scalar,) = ran.records("scalar")
        assert (scalar["title"], scalar["series"], scalar["i"], scalar["v"]) == ("a", "b", 2, 1.5)

    def test_a_server_that_does_not_answer_is_no_reason_to_stop(self, tmp_path: Path) -> None:
        ran = Machine(tmp_path, NOWHERE, "t").run(INIT + "print('done')")
        assert (ran.code, ran.out) == (0, "done\n")
        assert "it is sent as soon as the server answers" in ran.err

    def test_offline_mode_asks_no_server(self, laptop: Machine, live: Live) -> None:
        before = live.client.list_tasks(limit=200).items
        ran = laptop.run("from dray import Task\nTask.set_offline(True)\n" + INIT)
        assert "offline mode is on" in ran.err
        assert live.client.list_tasks(limit=200).items == before

    def test_execute_remotely_keeps_the_record_and_names_the_way_out(
        self, machine: Machine
    ) -> None:
        ran = machine.run(
            INIT + "try:\n    task.execute_remotely('gpu')\n"
            "except Exception as exc:\n    print(type(exc).__name__, exc)\nprint('goes on')\n"
        )
        assert ran.out.startswith("ServerUnreachable this run is recorded without a server")
        assert f"dray sync {ran.spool}" in ran.out
        assert ran.out.endswith("goes on\n")
        assert final(ran) == {"exit_code": 0}

    def test_the_code_is_captured(self, machine: Machine) -> None:
        repository = Repository(machine.code).write(train_py="").git("status")
        assert repository is not None
        ran = machine.run(INIT, "train.py", "--flag", "x")
        assert ran.spool is not None
        execution = json.loads((ran.spool / "task.json").read_text())["execution"]
        assert execution["entry_point"] == "train.py"
        assert execution["arguments"] == ["--flag", "x"]
        assert execution["bootstrap"] is False

    def test_a_data_folder_that_cannot_be_written_is_said_so(self, machine: Machine) -> None:
        (machine.root / "home").write_text("a file")
        ran = machine.run(INIT)
        assert "StoreUnusable" in ran.err
        assert "set DRAY_HOME" in ran.err


class TestInit:
    def test_a_second_call_returns_the_same_task(self, machine: Machine) -> None:
        ran = machine.run(
            INIT + "assert Task.init('proj', 'name') == task == Task.init() == Task.current_task()"
        )
        assert ran.code == 0, ran.err

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            ("task.id and Task.init('proj', 'other')", "task_name='name'"),
            ("task.id and Task.init('other', 'name')", "project_name='proj'"),
            ("task.id and Task.init('proj', 'name', 'testing')", "task_type='training'"),
        ],
    )
    def test_another_name_while_one_runs_is_refused(
        self, machine: Machine, call: str, said: str
    ) -> None:
        ran = machine.run(INIT + call)
        assert said in ran.err
        assert "Call task.close() first" in ran.err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("task_type='cooking'", "is none of training, testing"),
            ("continue_last_task=''", "continue_last_task is empty: give the id of a task"),
        ],
    )
    def test_what_cannot_be_done_is_refused(
        self, machine: Machine, arguments: str, said: str
    ) -> None:
        ran = machine.run(f"from dray import Task\nTask.init('p', 'n', {arguments})")
        assert (ran.code, said in ran.err) == (1, True), ran.err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("auto_resource_monitoring=dict", "cannot sample in another process"),
            ("auto_resource_monitoring={'sample_rate': 2}", "sample_rate mean nothing here"),
        ],
    )
    def test_what_is_not_honoured_is_said(
        self, machine: Machine, arguments: str, said: str
    ) -> None:
        ran = machine.run(f"from dray import Task\nTask.init('p', 'n', {arguments})")
        assert (ran.code, said in ran.err) == (0, True), ran.err

    def test_names_come_from_the_code_unless_given(self, machine: Machine) -> None:
        repository = Repository(machine.code)
        repository.git("remote", "add", "origin", "git@example.org:team/vision.git")
        ran = machine.run("from dray import Task\nt = Task.init()\nprint(t.project, t.name)")
        assert ran.out == "vision train\n"

    def test_no_task_means_none(self, machine: Machine) -> None:
        ran = machine.run(
            "from dray import Task, Logger\n"
            "print(Task.current_task(), Logger.current_logger(), Task.running_locally())"
        )
        assert ran.out == "None None True\n"

    def test_a_second_run_may_follow_in_one_process(self, machine: Machine) -> None:
        ran = machine.run(
            INIT + "task.close()\nassert Task.current_task() is None\n"
            "other = Task.init('proj', 'second')\nassert other != task\nprint('second')"
        )
        assert ran.code == 0, ran.err
        spools = list((machine.home / "spools").iterdir())
        kept = [(folder / "stdout.log").read_text() for folder in spools]
        assert sorted(kept) == ["", "second\n"]


def test_requirements_said_before_init_are_kept(machine: Machine) -> None:
    ran = machine.run(
        "from dray import Task\nTask.add_requirements('extra', '>=1')\n"
        "Task.ignore_requirements('psutil')\nimport psutil\nTask.init('p', 'n')\n"
    )
    wait_until(lambda: ran.records("execution"))
    assert ran.records("execution")[0]["values"]["packages"] == ["extra>=1"]
