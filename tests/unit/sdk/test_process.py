"""A run in processes: beside a silent server, closed, moved, split, simulated, sent later."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime import aliases
from dray.runtime.models import Parameter, TaskType
from dray.runtime.spool import SpoolWriter
from dray.sdk.capture import code_beside
from dray.sdk.runs import ranks
from dray.sdk.tasks import parts as task_parts
from dray.sdk.tasks import start as task_start
from tests.unit.sdk.live import Live
from tests.unit.sdk.scripts import INIT, Machine, ended, parameters, read_records, task_of
from tests.waiting import wait_until


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class TestSilentServer:
    def test_the_run_begins_after_five_seconds_and_ends_at_once(self, machine: Machine) -> None:
        timed = (
            "import time; began = time.monotonic()\n" + INIT + "init = time.monotonic()\n"
            "task.get_logger().report_scalar('a', 'b', 1.0, 1)\ntask.close()\n"
            "print(init - began, time.monotonic() - init)\n"
        )
        with silent() as url:
            ran = machine.run(timed, DRAY_URL=url, DRAY_TOKEN="t")
        init, rest = map(float, ran.out.split())
        assert 4.9 < init < 15.0, ran.err  # 5, and what a busy machine adds
        assert rest < 1.0
        assert "sent as soon as the server answers" in ran.err
        assert ran.records("scalar")

    def test_a_deferred_run_does_not_wait_for_it(self, machine: Machine) -> None:
        began = time.monotonic()
        with silent() as url:
            ran = machine.run(INIT, DRAY_URL=url, DRAY_TOKEN="t", DRAY_DEFERRED_TASK_INIT="1")
        assert (ran.code, time.monotonic() - began < 4.9) == (0, True), ran.err


class TestClose:
    def test_who_asks_for_a_closed_task_finds_it_whole(self, laptop: Machine) -> None:
        ran = laptop.run(
            INIT + "task.get_logger().report_scalar('a', 'b', 1.5, 1)\nprint('hello')\n"
            "task.close()\nagain = Task.get_task(task.id)\n"
            "print(again.get_status(), task.get_status(), again.data['execution']['packages'])\n"
            "print(again.get_reported_scalars()['a']['b']['y'], again.get_progress())\n"
        )
        assert ran.out.splitlines()[1:] == ["completed completed []", "[1.5] 100.0"], ran.err

    def test_without_a_server_it_is_known_here_how_it_ended(self, machine: Machine) -> None:
        ran = machine.run(
            INIT + "print(task.status)\ntask.mark_failed()\ntask.close()\nprint(task.status)"
        )
        assert ran.out.split() == ["in_progress", "failed"], ran.err

    def test_runs_of_one_process_do_not_replace_each_other(self, laptop: Machine) -> None:
        ran = laptop.run(
            "from dray import Task\n"
            "for n in range(3):\n"
            "    task = Task.init('proj', 'looped')\n    print(task.id)\n    task.close()\n"
        )
        assert len(set(ran.out.split())) == 3, ran.err

    def test_a_deferred_run_arrives(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run("from dray import Task\nTask.init('proj', 'later', deferred_init=True)\n")
        assert ran.code == 0, ran.err
        wait_until(lambda: live.client.list_tasks(name_exact="later").items)
        assert str(ended(live, task_of(ran)).state) == "completed"


class TestCode:
    def test_it_is_captured_beside_the_run(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run("import psutil\n" + INIT)
        task = ended(live, task_of(ran))
        assert task.execution.diff.startswith("diff --git a/train.py b/train.py")
        assert [line.partition("==")[0] for line in task.execution.packages] == ["psutil"]

    def test_what_the_script_said_counts_before_and_after(self, tmp_path: Path) -> None:
        with SpoolWriter(tmp_path / "records.jsonl") as writer:
            writer.append("execution", values={"packages": ["mine"]})
            code_beside.say(writer, {"packages": ["found"], "commit": "c"}, {"commit": ""})
        said = [r["values"] for r in read_records(tmp_path, "execution")]
        assert said == [{"packages": ["mine"]}, {"commit": "c"}]

    def test_what_the_script_says_meanwhile_is_said_again(self, tmp_path: Path) -> None:
        class Late(SpoolWriter):
            def append(self, kind: str, **members: object) -> None:
                if members.get("by") and not self.n_lost:
                    self.n_lost = 1
                    super().append("execution", values={"packages": ["mine"]})
                super().append(kind, **members)

        with Late(tmp_path / "records.jsonl") as writer:
            code_beside.say(writer, {"packages": ["found"]}, {})
        said = [r["values"]["packages"] for r in read_records(tmp_path, "execution")]
        assert said == [["mine"], ["found"], ["mine"]]

    def test_variables_may_say_it_in_gits_place(self, machine: Machine) -> None:
        ran = machine.run(
            INIT, CLEARML_VCS_COMMIT_ID="c0ffee", DRAY_VCS_DIFF="ZGlmZg==", DRAY_VCS_BRANCH="main"
        )
        wait_until(lambda: ran.records("execution"))
        found = ran.records("execution")[0]["values"]
        assert (found["commit"], found["diff"], found["branch"]) == ("c0ffee", "diff", "main")


class TestMoving:
    def test_without_a_queue_a_draft_is_left(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run(
            INIT + "task.connect({'lr': 0.1})\ntask.execute_remotely()\nprint('never')"
        )
        assert (ran.code, ran.out) == (0, ""), ran.err
        task = live.client.get_task(task_of(ran))
        assert (str(task.state), task.parameters["General/lr"].value) == ("draft", "0.1")
        assert task.execution.snapshot

    def test_a_clone_ends_the_process_too(self, laptop: Machine) -> None:
        ran = laptop.run(INIT + "task.execute_remotely('gpu', clone=True)\nprint('never')")
        assert (ran.code, ran.out) == (0, ""), ran.err

    def test_a_run_the_server_was_slow_to_know_can_move(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run(INIT + "task.execute_remotely('gpu')", DRAY_DEFERRED_TASK_INIT="1")
        assert ran.code == 0, ran.err
        assert str(live.client.get_task(task_of(ran)).state) == "pending"


FUNCTION = INIT + (
    "def add(a, b=1, note=None):\n    print('sum', a + b)\n"
    "draft = task.create_function_task(add, a=2, b=3, note=object())\n"
    "print(draft and (draft.name, draft.parent == task.id))\n"
    "print(task.create_function_task(print, func_name='other', task_name='named'))\n"
)


MARKER = "Function/__func_readonly__"


class TestFunctions:
    def test_a_call_makes_a_draft_with_its_arguments(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run(FUNCTION)
        assert ran.out.splitlines()[0] == "('name <add>', True)", ran.err
        (task,) = live.client.list_tasks(name_exact="name <add>").items
        task = live.client.get_task(task.id)
        found = {k: p.value for k, p in task.parameters.items()}
        assert found == {"Function/__func_readonly__": "add", "Function/a": "2", "Function/b": "3"}
        assert (task.system_tags, bool(task.execution.snapshot)) == (["func"], True)

    def test_its_run_calls_the_function_and_ends(self, machine: Machine) -> None:
        stored = {MARKER: Parameter("add"), "Function/a": Parameter("5", "int")}
        ran = machine.run_under_agent(FUNCTION + "print('never')", parameters=stored)
        assert (ran.code, ran.out) == (0, "sum 8\n"), ran.err

    def test_the_run_of_another_function_passes_by(self, machine: Machine) -> None:
        stored = {MARKER: Parameter("other")}
        ran = machine.run_under_agent(FUNCTION, parameters=stored)
        assert (ran.code, ran.out) == (0, "None\n\n"), ran.err

    def test_a_name_is_used_once(self, laptop: Machine) -> None:
        ran = laptop.run(INIT + "for _ in 'ab': task.create_function_task(print)")
        assert "this task has a function 'print' already" in ran.err


class TestNodes:
    def test_by_hand_the_configuration_is_returned(self, machine: Machine) -> None:
        ran = machine.run(INIT + "print(task.launch_multi_node(3, port=1234, addr='10.0.0.1'))")
        expected = {
            "master_addr": "10.0.0.1",
            "master_port": 1234,
            "node_rank": 0,
            "wait": False,
            "devices": None,
            "total_num_nodes": 3,
            "queue": None,
        }
        assert ran.out == f"{expected}\n", ran.err

    def test_a_copy_knows_its_rank(self, machine: Machine) -> None:
        told = parameters(
            launch_multi_node__node_rank=("2", "int"),
            launch_multi_node__master_addr="10.0.0.9",
            launch_multi_node__master_port=("29500", "int"),
            launch_multi_node__wait=("False", "bool"),
        )
        ran = machine.run_under_agent(
            INIT + "import os\nconf = task.launch_multi_node(4, queue='gpu', devices=2)\n"
            "print(conf['node_rank'], *(os.environ[n] for n in "
            "('MASTER_ADDR', 'MASTER_PORT', 'RANK', 'NODE_RANK', 'WORLD_SIZE')))",
            parameters=told,
        )
        assert ran.out == "2 10.0.0.9 29500 4 2 8\n", ran.err

    def test_less_than_one_node_is_none(self, machine: Machine) -> None:
        assert "UsageError" in machine.run(INIT + "task.launch_multi_node(0)").err


class TestRanks:
    SCRIPT = (
        "import os, subprocess, sys\n"
        "if 'LOCAL_RANK' not in os.environ:\n"
        "    env = {**os.environ, 'TORCHELASTIC_RUN_ID': 'r', 'MASTER_PORT': '1'}\n"
        "    ranks = [subprocess.Popen([sys.executable, __file__], "
        "env={**env, 'LOCAL_RANK': str(n)}) for n in (1, 0)]\n"
        "    sys.exit(sum(p.wait() for p in ranks))\n"
        "from dray import Task\n"
        "task = Task.init('proj', 'ranks')\n"
        "task.get_logger().report_scalar('rank', os.environ['LOCAL_RANK'], 1.0, 0)\n"
        "if os.environ['LOCAL_RANK'] == '0': input_ = sys.stdin.read()\n"
    )

    def test_ranks_of_one_launch_share_a_task(self, machine: Machine) -> None:
        ran = machine.run(self.SCRIPT)
        assert ran.code == 0, ran.err
        (spool,) = (machine.home / "spools").iterdir()
        assert {r["series"] for r in read_records(spool, "scalar")} == {"0", "1"}

    def test_a_rank_does_not_wait_for_ever(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DRAY_HOME", str(tmp_path))
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        assert ranks.is_follower()
        assert ranks.follow(patience_s=0.01) is None


class TestSimulation:
    def test_stored_values_win_and_the_task_takes_the_run(
        self, laptop: Machine, live: Live
    ) -> None:
        stored = parameters(General__lr=("0.5", "float"))
        task = live.client.create_task("proj", "stored", parameters=stored)
        ran = laptop.run(
            f"from dray import Task\nTask.debug_simulate_remote_task('{task.id}')\n"
            "task = Task.init('other', 'names')\n"
            "print(task.id, task.connect({'lr': 0.1})['lr'], Task.running_remotely())\n"
            "task.execute_remotely('gpu')\n"
        )
        assert ran.out == f"{task.id} 0.5 True\n", ran.err
        assert str(ended(live, task.id).state) == "completed"
        again = laptop.run(
            f"from dray import Task\nTask.debug_simulate_remote_task('{task.id}')\n"
            "print(Task.init().id)"
        )
        assert again.out.strip() != task.id  # it is completed: a clone was run
        assert "a clone of it, is run" in again.err


OFFLINE = (
    "from dray import Task\nTask.set_offline(True)\ntask = Task.init('proj', 'away')\n"
    "print(Task.is_offline(), task.get_offline_mode_folder())\n"
    "task.get_logger().report_scalar('a', 'b', 1.0, 3)\ntask.close()\nTask.set_offline()\n"
)


class TestOffline:
    def test_a_session_is_imported_from_its_folder(self, laptop: Machine, live: Live) -> None:
        ran = laptop.run(
            OFFLINE + "print(Task.import_offline_session(task.get_offline_mode_folder()))"
        )
        first, task_id = ran.out.splitlines()
        assert first.startswith("True "), ran.err
        assert str(live.client.get_task(task_id).state) == "completed"

    def test_a_zip_goes_on_with_a_task_and_counts_on(self, laptop: Machine, live: Live) -> None:
        previous = live.client.create_task("proj", "before")
        folder = Path(laptop.run(OFFLINE).out.split()[1])
        archive = shutil.make_archive(str(laptop.root / "session"), "zip", folder)
        ran = laptop.run(
            "from dray import Task\n"
            f"print(Task.import_offline_session({archive!r}, {previous.id!r}, 100))\n"
            f"print(Task.get_task({previous.id!r}).get_reported_scalars()['a']['b']['x'])"
        )
        assert ran.out == f"{previous.id}\n[103]\n", ran.err

    def test_what_is_no_session_is_named(self, laptop: Machine) -> None:
        ran = laptop.run("from dray import Task\nTask.import_offline_session('train.py')")
        assert "train.py is neither the folder of a run nor a zip of one" in ran.err

    def test_going_online_amid_a_run_is_refused(self, machine: Machine) -> None:
        ran = machine.run(
            "from dray import Task\nTask.set_offline(True)\n" + INIT + "Task.set_offline()"
        )
        assert "UsageError" in ran.err

    def test_clearmls_variable_means_the_same(self, laptop: Machine) -> None:
        ran = laptop.run(INIT, CLEARML_OFFLINE_MODE="1")
        assert "offline mode is on" in ran.err


class TestSaidBefore:
    def test_nothing_is_seeded_unless_asked(self, machine: Machine) -> None:
        text = "import random\nrandom.seed(7)\n" + INIT + "print(random.random())"
        asked = (
            "from dray import Task\nTask.set_random_seed(7)\n"
            + INIT
            + (
                "import random, numpy\nprint(random.random(), numpy.random.rand())\n"
                "numpy.random.seed(7)\nprint(numpy.random.rand(), Task.get_random_seed())"
            )
        )
        first = machine.run(text).out.strip()
        second = machine.run(asked).out.split()
        assert second[0] == first
        assert second[1] == second[2]  # numpy was seeded when it was imported
        assert second[3] == "7"

    def test_a_scripts_credentials_give_way_to_what_is_configured(self, laptop: Machine) -> None:
        call = "from dray import Task\nTask.set_credentials(api_host='{}', key='k', secret='s')\n"
        ran = laptop.run(call.format("https://api.clear.ml") + INIT)
        assert (ran.code, "is not used" in ran.err) == (0, True), ran.err

    def test_credentials_count_where_nothing_is(self, machine: Machine) -> None:
        ran = machine.run(
            "from dray import Task\nTask.set_credentials('http://127.0.0.1:1', key='k')\n" + INIT
        )
        assert "no answer from http://127.0.0.1:1" in ran.err

    def test_always_a_new_task_when_the_variable_says_so(self, laptop: Machine) -> None:
        printing = INIT + "print(task.id)"
        ids = {laptop.run(printing, CLEARML_TASK_NO_REUSE="1").out for _ in range(2)}
        assert len(ids) == 2

    def test_a_task_travels_by_its_id(self, laptop: Machine) -> None:
        ran = laptop.run(
            INIT + "import pickle\nagain = pickle.loads(pickle.dumps(task))\n"
            "print(again == task, again.is_main_task())"
        )
        assert ran.out == "True True\n", ran.err


class TestUntouched:
    def test_a_script_that_names_its_task_names_the_recorded_run(self, machine: Machine) -> None:
        ran = machine.run(INIT + "print(task.name)", "-m", "dray", "train.py")
        assert (ran.code, ran.out) == (0, "name\n"), ran.err
        assert len(list((machine.home / "spools").iterdir())) == 1


def test_types_are_those_of_tasks() -> None:
    assert tuple(map(str, TaskType)) == task_start.TYPES


def test_aliases_are_looked_up_after_our_own_names() -> None:
    assert aliases.variable("TASK_NO_REUSE", {"TRAINS_TASK_NO_REUSE": "1"}) == "1"
    both = {"CLEARML_TASK_NO_REUSE": "1", "DRAY_TASK_NO_REUSE": "0"}
    assert aliases.variable("TASK_NO_REUSE", both) == "0"


def test_every_name_a_part_is_said_to_have_is_there() -> None:
    from importlib import import_module

    for name, part in task_parts._HOME_OF.items():
        kind = getattr(import_module(f"dray.sdk.tasks.{part}"), task_parts.PARTS[part])
        assert hasattr(kind, name), name


def test_a_run_leaves_nothing_in_the_environment(machine: Machine) -> None:
    ran = machine.run(
        INIT + "import json, os\ntask.close()\n"
        "print(json.dumps([n for n in os.environ if n.startswith('DRAY_')]))"
    )
    assert set(json.loads(ran.out)) <= set(machine.environment()), ran.err
    assert os.environ.get("DRAY_TASK_ID") is None
