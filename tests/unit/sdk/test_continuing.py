"""``continue_last_task``: a failed or aborted task goes on, in one process after another."""

from __future__ import annotations

import os
import pwd

import pytest

from dray.runtime import causes
from dray.runtime.codec import to_json
from dray.runtime.errors import InvalidInput
from dray.runtime.records import Chunk, Frame, encode_record
from dray.runtime.states import State
from dray.sdk.runs import continuing
from dray.sdk.runs.continuing import Wanted
from tests.unit.sdk.live import Live
from tests.unit.sdk.scripts import INIT, Machine, ended, task_of

LOSS = {"title": "loss", "series": "train"}
#: Goes on with whatever ``HOW`` says and tells where it counts from.
GOES_ON = (
    "from dray import Task\n"
    "task = Task.init('proj', 'name', continue_last_task=HOW)\n"
    "print(task.get_initial_iteration(), task.get_last_iteration())\n"
    "task.logger.report_scalar('loss', 'train', 0.1, 0)\n"
    "print(task.get_last_iteration())\n"
)


def going_on(how: object) -> str:
    return GOES_ON.replace("HOW", repr(how))


@pytest.fixture
def failed(live: Live) -> str:
    """This user's task that failed after it had reported iterations 0, 1 and 2."""
    user = pwd.getpwuid(os.getuid()).pw_name
    task_id = live.client.create_task("proj", "name", owner=user).id
    live.client.start(task_id, agent="local:here", node="here", claim_id="first")
    points = [encode_record("scalar", 1.0, **LOSS, i=i, v=1.0) for i in range(3)]
    chunks = [Chunk("records", 0, b"".join(points)), Chunk("stdout", 0, b"first\n")]
    live.client.send_frame(task_id, 1, Frame(chunks, executing=True))
    live.client.send_frame(task_id, 1, Frame(finish={"cause": to_json(causes.exited(1))}))
    assert live.client.get_task(task_id).state is State.FAILED
    return task_id


class TestOnThisMachine:
    def test_the_last_task_goes_on_with_its_outputs_and_its_count(
        self, laptop: Machine, live: Live, failed: str
    ) -> None:
        ran = laptop.run(going_on(True))
        assert task_of(ran) == failed, ran.err
        assert ran.out == "3 2\n3\n"
        assert f"continuing task {failed[:8]} (proj/name) as attempt 2 from iteration 3" in ran.err
        task = ended(live, failed)
        assert (task.state, task.epoch, task.initial_iteration) == (State.COMPLETED, 2, 3)
        points = live.client.scalars(failed)["loss"]["train"]
        assert points.iterations == [0, 1, 2, 3]
        pieces = live.client.console(failed, stream="stdout").pieces
        assert [(p.epoch, p.text) for p in pieces] == [(1, "first\n"), (2, "3 2\n3\n")]

    def test_it_goes_on_however_old_it_is(self, laptop: Machine, failed: str) -> None:
        assert task_of(laptop.run(going_on(True), DRAY_REUSE_WINDOW_H="0")) == failed

    def test_a_task_may_be_named_by_its_id(self, laptop: Machine, failed: str) -> None:
        other = going_on(failed[:10]).replace("'proj', 'name'", "'elsewhere', 'other'")
        ran = laptop.run(other)
        assert task_of(ran) == failed, ran.err
        assert "(proj/name) as attempt 2" in ran.err

    def test_reuse_last_task_id_may_name_it(self, laptop: Machine, failed: str) -> None:
        by_reuse = going_on(True).replace("continue_", f"reuse_last_task_id='{failed}', continue_")
        assert task_of(laptop.run(by_reuse)) == failed

    @pytest.mark.parametrize(("offset", "iterations"), [(0, [0, 0, 1, 2]), (100, [0, 1, 2, 100])])
    def test_a_number_is_where_to_count_from(
        self, laptop: Machine, live: Live, failed: str, offset: int, iterations: list[int]
    ) -> None:
        ran = laptop.run(going_on(offset))
        assert ran.out.startswith(f"{offset} 2\n"), ran.err
        ended(live, failed)
        assert live.client.scalars(failed)["loss"]["train"].iterations == iterations

    def test_without_an_earlier_task_one_begins(self, laptop: Machine) -> None:
        ran = laptop.run(going_on(True).replace("'name'", "'of its own'"))
        assert ran.out == "0 0\n0\n"
        assert "there is no earlier task of this name" in ran.err

    def test_a_draft_just_starts(self, laptop: Machine, live: Live) -> None:
        draft = live.client.create_task("proj", "draft")
        ran = laptop.run(going_on(draft.id))
        assert task_of(ran) == draft.id, ran.err
        assert ended(live, draft.id).epoch == 1

    def test_the_task_says_what_code_went_on(
        self, laptop: Machine, live: Live, failed: str
    ) -> None:
        diff = live.client.get_task(failed).execution.diff
        assert "continue_last_task" not in diff
        laptop.run(going_on(True).replace("HOW", "True, tags=['again']"))
        assert "continue_last_task" in ended(live, failed).execution.diff

    def test_without_being_told_to_go_on_reuse_resets_as_ever(
        self, laptop: Machine, live: Live, failed: str
    ) -> None:
        laptop.run(going_on(True).replace("print(task", "raise SystemExit(2)\nprint(task", 1))
        assert ended(live, failed).initial_iteration == 3
        ran = laptop.run(INIT + "print(task.get_initial_iteration())")
        assert (task_of(ran), ran.out) == (failed, "0\n"), ran.err
        assert live.client.scalars(failed) == {}


class TestRefusals:
    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ("completed", ["is completed, which is final", "dray task clone", "dray task reset"]),
            ("published", ["is published", "dray task clone"]),
            ("pending", ["waits in queue 'gpu'", "dray task dequeue"]),
            ("running", ["still runs on local:here", "dray task abort", "dray task mark"]),
        ],
    )
    def test_a_task_that_cannot_go_on_is_refused_with_the_ways_out(
        self, laptop: Machine, live: Live, how: str, words: list[str]
    ) -> None:
        client = live.client
        task_id = client.create_task("proj", how).id
        if how == "pending":
            client.enqueue(task_id, "gpu")
        else:
            client.start(task_id, agent="local:here", node="here", claim_id="a")
        if how in ("completed", "published"):
            client.mark(task_id, "completed")
        if how == "published":
            client.publish(task_id)
        ran = laptop.run(going_on(task_id))
        assert ran.code == 1
        assert [word for word in words if word not in ran.err] == []
        assert client.get_task(task_id).epoch == (0 if how == "pending" else 1)

    def test_the_last_one_being_completed_is_no_reason_to_overwrite_it(
        self, laptop: Machine, live: Live
    ) -> None:
        first = task_of(laptop.run(INIT.replace("'name'", "'done'")))
        ended(live, first)
        ran = laptop.run(going_on(True).replace("'name'", "'done'"))
        assert (ran.code, "is completed" in ran.err) == (1, True), ran.err
        assert live.client.get_task(first).state is State.COMPLETED

    def test_an_unknown_id_is_no_task(self, laptop: Machine) -> None:
        assert "NotFound" in laptop.run(going_on("0" * 32)).err

    def test_offline_there_is_nobody_to_ask(self, machine: Machine) -> None:
        ran = machine.run(going_on(True), DRAY_OFFLINE="1")
        assert ran.code == 1
        assert "continue_last_task needs the server" in ran.err
        assert "leave continue_last_task out" in ran.err
        assert ran.spool is None

    @pytest.mark.parametrize("value", ["", -1, 1.5, None])
    def test_what_is_neither_switch_id_nor_iteration(self, value: object) -> None:
        with pytest.raises(InvalidInput, match="continue_last_task"):
            continuing.wanted(value, True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("continue_last_task", "reuse", "meant"),
    [
        (False, "ab", None),
        (True, True, Wanted()),
        (True, "ab", Wanted("ab")),
        ("cd", "ab", Wanted("cd")),
        (0, True, Wanted("", 0)),
        (7, "ab", Wanted("ab", 7)),
    ],
)
def test_what_the_arguments_mean(
    continue_last_task: bool | int | str, reuse: bool | str, meant: Wanted | None
) -> None:
    assert continuing.wanted(continue_last_task, reuse) == meant


class TestUnderAnAgent:
    def test_reports_count_from_the_tasks_initial_iteration(self, machine: Machine) -> None:
        ran = machine.run_under_agent(
            INIT + "task.logger.report_scalar('loss', 'train', 1.0, 4)\n"
            "task.logger.report_scalar('loss', 'train', 1.0, '5')\n"
            "task.logger.report_table('t', 's', 6, [['a'], [1]])\n"
            "task.logger.report_single_value('best', 1)\n"
            "print(task.get_initial_iteration(), task.get_last_iteration())\n",
            initial_iteration=100,
        )
        assert ran.out == "100 105\n", ran.err
        assert [record["i"] for record in ran.records("scalar")] == [104, 105]
        assert [record["i"] for record in ran.records("plot")] == [106]

    def test_what_is_no_iteration_is_still_refused_by_name(self, machine: Machine) -> None:
        ran = machine.run_under_agent(
            INIT + "task.logger.report_scalar('loss', 'train', 1.0, 'x')", initial_iteration=9
        )
        assert "iteration must be a whole number, got 'x'" in ran.err

    def test_the_script_may_count_from_elsewhere_in_its_processes_too(
        self, machine: Machine
    ) -> None:
        child = (
            "from dray import Logger\n"
            "Logger.current_logger().report_scalar('loss', 'child', 1.0, 2)\n"
        )
        ran = machine.run_under_agent(
            INIT + "import subprocess, sys\n"
            "print(task.set_initial_iteration(50))\n"
            f"subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
            "task.logger.report_scalar('loss', 'train', 1.0, 1)\n"
            "print(task.get_last_iteration())\n",
            initial_iteration=100,
        )
        assert ran.out == "50\n52\n", ran.err
        assert [record["i"] for record in ran.records("scalar")] == [52, 51]

    def test_a_number_counts_from_there_as_it_does_by_hand(self, machine: Machine) -> None:
        ran = machine.run_under_agent(going_on(7), initial_iteration=100)
        assert ran.out == "7 0\n7\n", ran.err
        assert [record["i"] for record in ran.records("scalar")] == [7]

    def test_an_offset_that_is_none_is_refused(self, machine: Machine) -> None:
        ran = machine.run_under_agent(INIT + "task.set_initial_iteration(-1)")
        assert "set_initial_iteration -1 is no iteration" in ran.err
